"""What screens may ask of the server's contexts; see ``api``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from jobdeck_tui.console.blobapi import each

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobdeck_client import Client
    from jobdeck_protocol.contextinfo import ContextInfo
    from jobdeck_tui.console.guest import Guest

__all__ = ["ContextApi"]


class ContextApi:
    """See the top of this file."""

    def __init__(self, guest: Guest, client: Client) -> None:
        self._guest = guest
        self._client = client

    async def create(self, name: str, settings: str) -> ContextInfo:
        """Make one, with settings in HOCON; returns when jobs can run in it, and its environment may take long."""
        return await self._guest.call(self._client.create_context, name, settings)

    async def stop(self, names: Iterable[str], *, force: bool) -> list[tuple[str, str]]:
        """Have contexts end, and all that runs in them, with ``force`` at once.

        Returns:
            Name and error of those that refused.
        """
        return await self._guest.call(each, names, partial(self._client.stop_context, force=force))

    async def restart(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """Have contexts made anew, which ends what runs in them; returns when they are up, or take long.

        Returns:
            Name and error of those that refused.
        """
        return await self._guest.call(each, names, self._client.restart_context)
