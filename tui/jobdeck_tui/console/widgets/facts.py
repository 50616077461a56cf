"""Names and values side by side, long values wrapped beneath themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from rich.table import Table
from rich.text import Text
from textual.widgets import Static

from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Facts"]


class Facts(Static):
    """See the top of this file. A name that is told several times in a row stands there once."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"facts--name"}
    DEFAULT_CSS = """
    Facts { width: 100%; height: auto; }
    Facts > .facts--name { color: $text-muted; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # as widgets call it
        super().__init__(id=id, markup=False)

    def tell(self, facts: Iterable[tuple[str, str]]) -> None:
        """Show these; foreign text as it came."""
        muted = Style(color=self.get_component_rich_style("facts--name").color)
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, style=muted)
        table.add_column(overflow="fold")
        former = ""
        for name, value in facts:
            told, former = "" if name == former else name, name
            table.add_row(Text(told), Text(clean_line(" ".join(value.splitlines()))))
        self.update(table)
