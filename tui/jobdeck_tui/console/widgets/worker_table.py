"""The table of workers."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding

from jobdeck_protocol.workerinfo import WorkerState
from jobdeck_tui.console.widgets.row_table import TableOfFew, row_keys
from jobdeck_tui.console.workercolumns import cells_of, columns_for, head_of, seen_text
from jobdeck_tui.console.workerlist import WorkerList

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.binding import BindingType

    from jobdeck_protocol.workerinfo import WorkerInfo
    from jobdeck_tui.console.columns import Cell, Column

__all__ = ["WorkerTable"]


class WorkerTable(TableOfFew):
    """See the top of this file."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"row-list--{name}" for name in ("used", *WorkerState)}
    DEFAULT_CSS = """
    WorkerTable {
        & > .row-list--online { color: $text-success; }
        & > .row-list--draining { color: $text-warning; }
        & > .row-list--unreachable { color: $text-error; }
        & > .row-list--offline { color: $foreground 65%; }
        & > .row-list--used { color: $text-primary; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *row_keys("workers", "worker"),
        Binding("enter", "open", "Its jobs", id="workers.open", tooltip="Show its jobs on the list of jobs"),
    ]
    SORTS: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "name": "name",
            "state": "state",
            "sign": "state",
            "slots": "used",
            "count": "used",
            "load": "load",
            "seen": "seen",
        }
    )

    @property
    def shown(self) -> WorkerList:
        """The list, as it was handed on last."""
        assert isinstance(self.listed, WorkerList)
        return self.listed

    def empty(self) -> WorkerList:
        """No workers."""
        return WorkerList()

    def fit(self, width: int) -> tuple[Column, ...]:
        """See ``workercolumns``."""
        return columns_for(width, self.shown)

    def head(self) -> list[Cell]:
        """See ``workercolumns``."""
        return head_of(self.columns, self.shown.query)

    def times(self, row: WorkerInfo, now_us: int) -> str:
        """How long ago it was heard of."""
        return seen_text(row, now_us)

    def cells(self, row: WorkerInfo, times: str, *, marked: bool) -> list[Cell]:
        """See ``workercolumns``."""
        return cells_of(row, self.columns, times, marked=marked)
