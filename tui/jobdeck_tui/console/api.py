"""What screens and widgets may ask of the server: coroutines of Textual's loop, carried out on the trio side.

Whoever cancels one (an exclusive worker does that to its predecessor) cancels the request. All raise ``ClientError``,
whose text is meant for people.
"""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

import trio

from jobdeck_tui.console.blobapi import BlobApi, each
from jobdeck_tui.console.classapi import ClassApi
from jobdeck_tui.console.contextapi import ContextApi
from jobdeck_tui.console.packageapi import PackageApi
from jobdeck_tui.console.workerapi import WorkerApi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import Any

    from jobdeck_client.lines import Found, LinePage
    from jobdeck_protocol.job import Job
    from jobdeck_tui.console.deck import Deck
    from jobdeck_tui.console.guest import Guest


class Api:
    """See the top of this file.

    Attributes:
        blobs: What may be asked of the server's blobs.
        workers: What may be asked of its workers.
        packages: What may be asked of its packages.
        contexts: What may be asked of what they run in.
        classes: What may be asked of their jobs.
    """

    def __init__(self, guest: Guest, deck: Deck) -> None:
        self.blobs = BlobApi(guest, deck.client)
        self.workers = WorkerApi(guest, deck.client)
        self.packages = PackageApi(guest, deck.client)
        self.contexts = ContextApi(guest, deck.client)
        self.classes = ClassApi(guest, deck.client)
        self._guest = guest
        self._deck = deck
        self._client = deck.client

    async def open(self, job_id: str) -> Job:
        """One job, kept up to date in ``State.open`` from now on."""
        return await self._guest.call(self._deck.open, job_id)

    async def lines(
        self,
        job_id: str,
        *,
        start: int | None = None,
        offset: int | None = None,
        count: int,
        cap_bytes: int,
        stream: str | None = None,
    ) -> LinePage:
        """Lines of a log; see ``Client.lines``."""
        ask = partial(
            self._client.lines, job_id, start=start, offset=offset, count=count, cap_bytes=cap_bytes, stream=stream
        )
        return await self._guest.call(ask)

    async def find(self, job_id: str, pattern: str, tell: Callable[[Found], None], **how: Any) -> None:
        """Search a log; ``tell`` gets each hit and how far it is, and last ``Done``. ``how``: see ``Client.find``."""

        async def search() -> None:
            async with aclosing(self._client.find(job_id, pattern, **how)) as found:
                async for item in found:
                    tell(item)

        await self._guest.call(search)

    async def output(self, job_id: str, *, stream: str | None = None, start: int = 0, end: int | None = None) -> bytes:
        """Some bytes of a log."""

        async def read() -> bytes:
            async with aclosing(self._client.output(job_id, stream=stream, start=start, end=end)) as pieces:
                return b"".join([piece async for piece in pieces])

        return await self._guest.call(read)

    async def save(self, job_id: str, path: Path, tell: Callable[[int], None], *, stream: str | None = None) -> int:
        """Write a log to a new file; ``tell`` gets the bytes written so far, again and again.

        Returns:
            The bytes written.

        Raises:
            OSError: The file exists, or cannot be written.
        """

        async def save() -> int:
            written = 0
            async with (
                await trio.open_file(path, "xb") as file,
                aclosing(self._client.output(job_id, stream=stream)) as pieces,
            ):
                async for piece in pieces:
                    await file.write(piece)
                    written += len(piece)
                    tell(written)
            return written

        return await self._guest.call(save)

    async def submit(self, **request: Any) -> Job:
        """Start a job; ``request`` as for ``Client.submit``."""
        return await self._guest.call(partial(self._client.submit, **request))

    async def write_stdin(self, job_id: str, data: bytes) -> None:
        """Give a job that asked for standard input all of it."""

        async def write() -> None:
            async with self._client.attach(job_id, follow=True) as attach:
                await attach.send_stdin(data)
                await attach.send_eof()

        await self._guest.call(write)

    async def rerun(self, job_id: str) -> Job:
        """Start the same again as a new job."""
        return await self._guest.call(self._client.rerun, job_id)

    async def stop(self, job_ids: Iterable[str], *, kill: bool) -> list[tuple[str, str]]:
        """End jobs: SIGTERM and later SIGKILL, or ``kill`` at once. Returns id and error of those that refused.

        Raises:
            UnreachableError: The server went away; some may have been told.
        """
        return await self._guest.call(each, job_ids, partial(self._client.stop, signal=9 if kill else None))

    async def remove(self, job_ids: Iterable[str]) -> list[tuple[str, str]]:
        """Remove ended jobs and their output. Returns id and error of those that refused.

        Raises:
            UnreachableError: The server went away; some may have been removed.
        """
        return await self._guest.call(each, job_ids, self._client.remove)
