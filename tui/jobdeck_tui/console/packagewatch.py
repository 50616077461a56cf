"""What is read of packages while somebody looks; see ``watch``. Events tell all that changes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_tui.console.few import Kind
from jobdeck_tui.console.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobdeck_protocol.packageinfo import PackageInfo

__all__ = ["PackageWatch"]


class PackageWatch(Watch):
    """See the top of this file."""

    KIND = Kind.PACKAGES

    async def every(self) -> Sequence[PackageInfo]:
        """All packages, the newest version of each."""
        return await self.client.packages()
