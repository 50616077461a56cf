"""What may be asked of the server's blobs; the counterpart of ``api``, whose ``Api.blobs`` this is.

Files of this machine are read and written on the trio side, in its threads: Textual's loop never waits for a disk.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import trio

from jobdeck_client import ClientError, UnreachableError
from jobdeck_tui.console.settings import ACTS_AT_ONCE_COUNT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from pathlib import Path

    from jobdeck_client import BlobContent, BlobEntry, Client
    from jobdeck_protocol.blob import Blob
    from jobdeck_tui.console.guest import Guest

    Told = Callable[[int, int | None], None]
    """Told of bytes that are done, and of all there are if that is known."""

__all__ = ["BlobApi", "each"]


class BlobApi:
    """See the top of this file. A blob is named by its hash."""

    def __init__(self, guest: Guest, client: Client) -> None:
        self._guest = guest
        self._client = client

    # -- looking --

    async def show(self, blob: str) -> Blob:
        """One blob."""
        return await self._guest.call(self._client.blobs.show, blob)

    async def entry_page(self, blob: str, cursor: str) -> tuple[tuple[BlobEntry, ...], str | None]:
        """Some files of an artifact; see ``Blobs.entry_page``."""
        return await self._guest.call(self._client.blobs.entry_page, blob, cursor)

    async def look(self, blob: str, path: str | None) -> BlobContent:
        """How long the bytes are."""
        return await self._guest.call(self._client.blobs.look, blob, path)

    async def part(self, blob: str, path: str | None, start: int, end: int) -> bytes:
        """Some of the bytes."""
        return await self._guest.call(partial(self._client.blobs.part, blob, path, start=start, end=end))

    # -- moving --

    async def upload(self, path: Path, tags: Sequence[str], tell: Told) -> Blob:
        """Send a file under its own name.

        Raises:
            OSError: It cannot be read.
        """
        return await self._guest.call(partial(self._client.blobs.upload, path, tags=tags, on_progress=tell))

    async def download(self, blob: str, path: str | None, target: Path, tell: Told, *, replace: bool) -> int:
        """Fetch into a file, which is there when it is whole; what came of a fetch that broke is used by the next one.

        Returns:
            The bytes of it.

        Raises:
            FileExistsError: It is there, or came meanwhile, and is not to be replaced.
            OSError: It cannot be written.
        """

        async def fetch() -> int:
            # Beside its place first: a file that somebody else puts there meanwhile is not overwritten unasked.
            beside = target.with_name(f".{target.name[:40]}.{blob[:8]}")
            size_bytes = await self._client.blobs.download(blob, beside, path=path, on_progress=tell)
            try:
                await trio.to_thread.run_sync(_put, beside, target, replace)
            finally:
                await trio.to_thread.run_sync(partial(beside.unlink, missing_ok=True))
            return size_bytes

        return await self._guest.call(fetch)

    # -- keeping and removing --

    async def pin(self, blobs: Iterable[str], *, on: bool) -> list[tuple[str, str]]:
        """Keep blobs from being removed, or no longer. Returns hash and error of those that refused."""
        act = self._client.blobs.pin if on else self._client.blobs.unpin
        return await self._guest.call(each, blobs, act)

    async def remove(self, blobs: Iterable[str], *, recursive: bool) -> list[tuple[str, str]]:
        """Remove blobs. Returns hash and error of those that refused.

        Raises:
            UnreachableError: The server went away; some may have been removed.
        """
        return await self._guest.call(each, blobs, partial(self._client.blobs.remove, recursive=recursive))


def _put(source: Path, target: Path, replace: bool) -> None:
    """Give a whole file its name."""
    if replace:
        os.replace(source, target)
        return
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # no links on this file system
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        os.replace(source, target)


async def each(keys: Iterable[str], act: Callable[[str], Awaitable[object]]) -> list[tuple[str, str]]:
    """The same for each of many, some at once: the server commits them together. A trio function.

    Returns:
        Name and error of those that refused.

    Raises:
        UnreachableError: The server went away; some may have been done.
    """
    waiting, refused, gone = iter(keys), list[tuple[str, str]](), list[UnreachableError]()

    async def work() -> None:
        for key in waiting:
            try:
                await act(key)
            except UnreachableError as error:
                gone.append(error)
            except ClientError as error:
                refused.append((key, str(error)))
            if gone:
                return

    async with trio.open_nursery() as nursery:
        for _ in range(ACTS_AT_ONCE_COUNT):
            nursery.start_soon(work)
    if gone:
        raise gone[0]
    return refused
