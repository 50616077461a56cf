"""The table of blobs."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding

from jobdeck_tui.console.blobcolumns import age_of, cells_of, columns_for, head_of
from jobdeck_tui.console.bloblist import BlobList
from jobdeck_tui.console.widgets.row_table import RowTable, row_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.binding import BindingType

    from jobdeck_protocol.blob import Blob
    from jobdeck_tui.console.columns import Cell, Column

__all__ = ["BlobTable"]


class BlobTable(RowTable):
    """See the top of this file."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"row-list--artifact", "row-list--pin"}
    DEFAULT_CSS = """
    BlobTable {
        & > .row-list--artifact { color: $text-primary; }
        & > .row-list--pin { color: $text-warning; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *row_keys("blobs", "blob"),
        Binding(
            "enter", "open", "Open", id="blobs.open", tooltip="Look into it: the files of an artifact, or its bytes"
        ),
    ]
    SORTS: ClassVar[Mapping[str, str]] = MappingProxyType({"size": "size", "age": "created"})

    @property
    def blobs(self) -> BlobList:
        """The list, as it was handed on last."""
        assert isinstance(self.listed, BlobList)
        return self.listed

    def empty(self) -> BlobList:
        """No blobs."""
        return BlobList()

    def fit(self, width: int) -> tuple[Column, ...]:
        """See ``blobcolumns``."""
        return columns_for(width)

    def head(self) -> list[Cell]:
        """See ``blobcolumns``."""
        return head_of(self.columns, self.blobs.query)

    def times(self, row: Blob, now_us: int) -> str:
        """Its age."""
        return age_of(row, now_us)

    def cells(self, row: Blob, times: str, *, marked: bool) -> list[Cell]:
        """See ``blobcolumns``."""
        return cells_of(row, self.columns, times, marked=marked)
