"""What screens may ask of jobs that are classes out of packages; see ``api``."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobdeck_client import ClassOutcome, Client
    from jobdeck_tui.console.guest import Guest

__all__ = ["ClassApi"]


class ClassApi:
    """See the top of this file."""

    def __init__(self, guest: Guest, client: Client) -> None:
        self._guest = guest
        self._client = client

    async def outcome(self, job_id: str) -> ClassOutcome:
        """What came of it."""
        return await self._guest.call(self._client.job_outcome, job_id)

    async def part(self, job_id: str, start: int, end: int) -> bytes:
        """Some bytes of its result."""

        async def read() -> bytes:
            async with aclosing(self._client.result(job_id, start=start, end=end)) as pieces:
                return b"".join([piece async for piece in pieces])

        return await self._guest.call(read)

    async def config(self, job_id: str) -> bytes:
        """What it was told, as it is written: JSON."""
        return await self._guest.call(self._client.job_config_text, job_id)
