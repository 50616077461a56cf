"""What is selected of a log as text for the clipboard: what the view holds, and the rest from the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_tui.console.ansi import lay_out, plain_text
from jobdeck_tui.console.settings import COPY_LIMIT_BYTES, COPY_LIMIT_COUNT, LINES_PAGE_COUNT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from jobdeck_tui.console.logmodel import LogLine
    from jobdeck_tui.console.selection import Selection

__all__ = ["TooMuchError", "copy_of"]


class TooMuchError(Exception):
    """More than is copied at once; ``str()`` is a sentence for a person."""


async def copy_of(selection: Selection, fetch: Callable[[int, int], Awaitable[Sequence[LogLine]]]) -> tuple[str, bool]:
    """The text that is selected, and whether a line of it was cut.

    Args:
        selection: What is wanted.
        fetch: Gives lines from a number on, at most so many, each with up to ``COPY_CAP_BYTES``.

    Raises:
        TooMuchError: It is longer than what is copied.
    """
    if selection.line_count > COPY_LIMIT_COUNT:
        raise TooMuchError(f"{selection.line_count:,} lines are too many to copy; s saves all of them to a file")
    texts: list[str] = []
    size, n, cut = 0, selection.first, False
    while n <= selection.last:
        lines = await fetch(n, min(LINES_PAGE_COUNT, selection.last + 1 - n))
        if not lines:
            break
        for line in lines:
            cut = cut or line.length > len(line.data)
            texts.append(_part(selection, line))
            size += len(texts[-1])
        if size > COPY_LIMIT_BYTES:
            raise TooMuchError("This is too much to copy; s saves all of it to a file")
        n += len(lines)
    return "\n".join(texts) + ("\n" if selection.whole and len(texts) > 1 else ""), cut


def _part(selection: Selection, line: LogLine) -> str:
    """What of a line is selected; positions count in what is shown of it."""
    cut = line.length > len(line.data)
    shown = lay_out(line.data, cut=cut or not line.newline)
    span = selection.span(line.n, len(shown.text))
    if span == (0, len(shown.text)):
        return plain_text(line.data, cut=cut or not line.newline)
    return "" if span is None else shown.text[slice(*span)]
