"""The table of contexts."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding

from jobdeck_protocol.contextinfo import ContextState
from jobdeck_tui.console.contextcolumns import age_text, cells_of, columns_for, head_of
from jobdeck_tui.console.contextlist import ContextList
from jobdeck_tui.console.widgets.row_table import TableOfFew, row_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.binding import BindingType

    from jobdeck_protocol.contextinfo import ContextInfo
    from jobdeck_tui.console.columns import Cell, Column

__all__ = ["ContextTable"]


class ContextTable(TableOfFew):
    """See the top of this file."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"row-list--{name}" for name in ("used", *ContextState)}
    DEFAULT_CSS = """
    ContextTable {
        & > .row-list--starting { color: $text-accent; }
        & > .row-list--running { color: $text-success; }
        & > .row-list--restarting { color: $text-warning; }
        & > .row-list--stopping { color: $text-warning; }
        & > .row-list--finished { color: $foreground 65%; }
        & > .row-list--error { color: $text-error; }
        & > .row-list--killed { color: $foreground 65%; }
        & > .row-list--used { color: $text-primary; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *row_keys("contexts", "context"),
        Binding("enter", "open", "Its jobs", id="contexts.open", tooltip="Show its jobs on the list of jobs"),
    ]
    SORTS: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "name": "name",
            "state": "state",
            "sign": "state",
            "slots": "used",
            "count": "used",
            "memory": "memory",
            "age": "created",
        }
    )

    @property
    def shown(self) -> ContextList:
        """The list, as it was handed on last."""
        assert isinstance(self.listed, ContextList)
        return self.listed

    def empty(self) -> ContextList:
        """No contexts."""
        return ContextList()

    def fit(self, width: int) -> tuple[Column, ...]:
        """See ``contextcolumns``."""
        return columns_for(width, self.shown)

    def head(self) -> list[Cell]:
        """See ``contextcolumns``."""
        return head_of(self.columns, self.shown.query)

    def times(self, row: ContextInfo, now_us: int) -> str:
        """How long ago it was made."""
        return age_text(row, now_us)

    def cells(self, row: ContextInfo, times: str, *, marked: bool) -> list[Cell]:
        """See ``contextcolumns``."""
        return cells_of(row, self.columns, times, marked=marked)
