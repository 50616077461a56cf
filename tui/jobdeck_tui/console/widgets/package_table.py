"""The table of packages."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.reactive import Reactive

from jobdeck_tui.console.packagecolumns import age_text, cells_of, columns_for, head_of
from jobdeck_tui.console.packagelist import PackageList
from jobdeck_tui.console.widgets.row_table import RowTable, row_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.binding import BindingType

    from jobdeck_protocol.packageinfo import PackageInfo
    from jobdeck_tui.console.columns import Cell, Column

__all__ = ["PackageTable"]


class PackageTable(RowTable):
    """See the top of this file."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"row-list--kind"}
    DEFAULT_CSS = """
    PackageTable > .row-list--kind { color: $text-primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *row_keys("packages", "package", unmark="U"),
        Binding("enter", "open", "Start", id="packages.open", tooltip="Start a class out of it"),
    ]
    SORTS: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"name": "name", "size": "size", "versions": "versions", "age": "uploaded"}
    )

    startable: Reactive[bool] = Reactive(True, repaint=False, bindings=True)
    """Whether classes may be started from here."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Who may only look starts nothing."""
        return (self.startable or action != "open") and super().check_action(action, parameters)

    @property
    def shown(self) -> PackageList:
        """The list, as it was handed on last."""
        assert isinstance(self.listed, PackageList)
        return self.listed

    def empty(self) -> PackageList:
        """No packages."""
        return PackageList()

    def fit(self, width: int) -> tuple[Column, ...]:
        """See ``packagecolumns``."""
        return columns_for(width)

    def head(self) -> list[Cell]:
        """See ``packagecolumns``."""
        return head_of(self.columns, self.shown.query)

    def times(self, row: PackageInfo, now_us: int) -> str:
        """How long ago it came."""
        return age_text(row, now_us)

    def cells(self, row: PackageInfo, times: str, *, marked: bool) -> list[Cell]:
        """See ``packagecolumns``."""
        return cells_of(row, self.columns, times, marked=marked)
