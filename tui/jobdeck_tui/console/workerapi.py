"""What screens may ask of the server's workers; see ``api``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from jobdeck_tui.console.blobapi import each

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobdeck_client import Client
    from jobdeck_tui.console.guest import Guest

__all__ = ["WorkerApi"]


class WorkerApi:
    """See the top of this file."""

    def __init__(self, guest: Guest, client: Client) -> None:
        self._guest = guest
        self._client = client

    async def drain(self, worker_ids: Iterable[str], *, on: bool) -> list[tuple[str, str]]:
        """Give workers nothing more, or again. Returns id and error of those that refused."""
        return await self._guest.call(each, worker_ids, partial(self._client.workers.drain, on=on))

    async def rename(self, worker_id: str, name: str) -> None:
        """Call a worker something else."""
        await self._guest.call(self._client.workers.rename, worker_id, name)

    async def forget(self, worker_ids: Iterable[str]) -> list[tuple[str, str]]:
        """Know workers no more, whatever they still have. Returns id and error of those that refused."""
        return await self._guest.call(each, worker_ids, partial(self._client.workers.forget, force=True))
