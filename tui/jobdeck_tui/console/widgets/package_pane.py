"""The package under the cursor: its classes, its versions and what else is known of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from textual.containers import VerticalScroll
from textual.reactive import Reactive
from textual.widgets import Static

from jobdeck_tui.console.packagefacts import facts
from jobdeck_tui.console.settings import TICK_S
from jobdeck_tui.console.widgets.facts import Facts
from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.app import ComposeResult

    from jobdeck_client import PackageDetails
    from jobdeck_protocol.packageinfo import PackageInfo

__all__ = ["PackagePane"]


class PackagePane(VerticalScroll, can_focus=True):
    """See the top of this file.

    Attributes:
        package: None if there is none.
        found: What the server told of that package; an error in words where it could not; None before.
    """

    DEFAULT_CSS = """
    PackagePane {
        background: $surface; scrollbar-size-vertical: 1;
        & > #package-title { height: 1; padding: 0 1; background: $panel; color: $text-muted; text-wrap: nowrap; }
        &:focus > #package-title { color: $text-primary; }
        & > Facts { padding: 0 1; }
    }
    """

    package: Reactive[PackageInfo | None] = Reactive(None, init=False)
    found: Reactive[PackageDetails | str | None] = Reactive(None, init=False)

    def compose(self) -> ComposeResult:
        """A title, and names and values."""
        self._title = Static(id="package-title", markup=False)
        self._facts = Facts()
        yield self._title
        yield self._facts

    def on_mount(self) -> None:
        """How long ago it came grows."""
        self.set_interval(TICK_S, self._tell)

    def watch_package(self) -> None:
        """Another one, or a new version."""
        self._tell()

    def watch_found(self) -> None:
        """More is known of it."""
        self._tell()

    def _tell(self) -> None:
        if not self.display or not self.is_mounted:
            return
        package = self.package
        self._title.update(clean_line(f"Package {package.name}") if package is not None else "No package")
        self._facts.tell(() if package is None else self._told(package))

    def _told(self, package: PackageInfo) -> Iterator[tuple[str, str]]:
        found = self.found
        if found is None or isinstance(found, str):
            yield "classes", "…" if found is None else found
            yield from facts(package, None, time.time_ns() // 1000)
        else:
            yield from facts(package, found, time.time_ns() // 1000)
