"""Tables and names with values as lines for a person, as several commands print them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_tui.terminal import fit, shown, width

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["fact_lines", "table_lines"]

_GAP = "  "
_LAST_LEAST = 20
_NAME_WIDTH = 10


def table_lines(rows: Sequence[Sequence[str]], *, limit: int | None, falling: Sequence[str] = ()) -> list[str]:
    """Rows as lines, each column as wide as the widest of its cells.

    Args:
        rows: The head first; all cells are safe for a terminal.
        limit: The terminal's width: the last column is cut to the room that is left. None for a pipe: nothing is cut.
        falling: Columns by their titles that are left out where the last one has no room, in this order.
    """
    columns = [list(column) for column in zip(*rows, strict=True)]
    for title in falling:
        if limit is not None and _room(columns, limit) < min(_LAST_LEAST, _wide(columns[-1])):
            columns = [column for column in columns if column[0] != title]
    *rest, last = columns
    if limit is not None:
        room = max(_LAST_LEAST, _room(columns, limit))
        last = [fit(cell, room) for cell in last]
    padded = [[cell + " " * (_wide(column) - width(cell)) for cell in column] for column in rest]
    return [_GAP.join(cells).rstrip() for cells in zip(*padded, last, strict=True)]


def fact_lines(facts: Iterable[tuple[str, str]]) -> list[str]:
    """Lines ``name      value``; values are foreign text as it came, and safe for a terminal in what is returned."""
    return [f"{name:<{_NAME_WIDTH}}{shown(value)}".rstrip() for name, value in facts]


def _room(columns: Sequence[Sequence[str]], limit: int) -> int:
    """What the others leave to the last."""
    return limit - sum(map(_wide, columns[:-1])) - len(_GAP) * (len(columns) - 1)


def _wide(column: Sequence[str]) -> int:
    return max(map(width, column))
