"""The package under the cursor: its classes, its versions and what else is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.reactive import Reactive

from jobdeck_tui.console.packagefacts import facts
from jobdeck_tui.console.widgets.few_pane import FactsPane

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobdeck_client import PackageDetails
    from jobdeck_protocol.packageinfo import PackageInfo

__all__ = ["PackagePane"]


class PackagePane(FactsPane):
    """See the top of this file.

    Attributes:
        found: What the server told of that package; an error in words where it could not; None before.
    """

    NOUN: ClassVar[str] = "Package"

    found: Reactive[PackageDetails | str | None] = Reactive(None, init=False)

    def watch_found(self) -> None:
        """More is known of it."""
        self.tell()

    def facts(self, item: PackageInfo, now_us: int) -> Iterator[tuple[str, str]]:
        """See ``packagefacts``."""
        found = self.found
        if found is None or isinstance(found, str):
            yield "classes", "…" if found is None else found
            yield from facts(item, None, now_us)
        else:
            yield from facts(item, found, now_us)
