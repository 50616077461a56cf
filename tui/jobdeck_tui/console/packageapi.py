"""What screens may ask of the server's packages, and of the classes in them; see ``api``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from jobdeck_tui.console.blobapi import each

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from jobdeck_client import Client, ConfigCheck, PackageDetails
    from jobdeck_protocol.job import Job
    from jobdeck_protocol.packageinfo import PackageInfo
    from jobdeck_tui.console.blobapi import Told
    from jobdeck_tui.console.guest import Guest

__all__ = ["PackageApi"]


class PackageApi:
    """See the top of this file."""

    def __init__(self, guest: Guest, client: Client) -> None:
        self._guest = guest
        self._client = client

    async def show(self, name: str) -> PackageDetails:
        """One package, with its versions and its classes."""
        return await self._guest.call(self._client.package, name)

    async def upload(self, name: str, path: Path, kind: str, tell: Told) -> PackageInfo:
        """Send a file as the newest version of a package.

        Raises:
            OSError: It cannot be read.
        """
        return await self._guest.call(partial(self._client.upload_package, name, path, kind, progress=tell))

    async def remove(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """Remove packages with all their versions. Returns name and error of those that refused."""
        return await self._guest.call(each, names, self._client.delete_package)

    async def check(self, text: str) -> ConfigCheck:
        """What the server makes of a configuration."""
        return await self._guest.call(self._client.check_config, text)

    async def start(self, **order: Any) -> Job:
        """Start a class; ``order`` as for ``Client.start_class``."""
        return await self._guest.call(partial(self._client.start_class, **order))
