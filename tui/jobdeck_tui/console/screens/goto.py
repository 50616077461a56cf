"""Ask for a line of a log: by its number, from the end, or by percent."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

__all__ = ["GotoScreen", "line_of", "row_of"]


def row_of(text: str, line_count: int, per_row: int) -> int | None:
    """The row of a dump that is meant, from 0: an offset in bytes, ``0x1f00`` or ``7936``, or ``50%``."""
    word = text.strip().replace("_", "")
    if word.endswith("%"):
        return line_of(word, line_count)
    try:
        offset = int(word, 0)
    except ValueError:
        return None
    return max(0, min(offset // per_row, line_count - 1))


def line_of(text: str, line_count: int) -> int | None:
    """The line that is meant, from 0: ``12`` the twelfth, ``-1`` the last, ``50%`` the one in the middle.

    Numbers beyond an end mean that end. None if it is nothing of these.
    """
    word = text.strip().replace(",", "").replace("_", "")
    try:
        if word.endswith("%"):
            line = int(line_count * float(word[:-1]) / 100)
        else:
            number = int(word)
            line = line_count + number if number < 0 else number - 1
    except (ValueError, OverflowError):
        return None
    return max(0, min(line, line_count - 1))


class GotoScreen(ModalScreen[int | None]):
    """Returns the line, from 0; None if it was given up.

    Args:
        line: Where one is.
        line_count: Lines of the log.
        per_row: Bytes in a line of a dump: offsets are typed then. None for a log.
    """

    DEFAULT_CSS = """
    GotoScreen {
        align: center middle;
        & > Vertical {
            width: 56; max-width: 100%; height: auto; padding: 0 1;
            border: round $primary; border-title-color: $text-primary; background: $surface;
        }
        & Input { border: none; height: 1; padding: 0; background: $surface; }
        & Static { color: $text-muted; }
        & Static.-wrong { color: $text-error; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Cancel")]

    def __init__(self, line: int, line_count: int, *, per_row: int | None = None) -> None:
        super().__init__()
        self._line = line
        self._line_count = line_count
        self._per_row = per_row

    def compose(self) -> ComposeResult:
        """One line to type into, one that says what may be typed."""
        hint, title = f"{self._line + 1}", f"Go to line (1 to {self._line_count:,})"
        words = "a number, -1 for the last line, or 50%"
        if self._per_row is not None:
            hint, title = f"0x{self._line * self._per_row:x}", "Go to an offset"
            words = "bytes, as 0x1f00 or 7936, or 50%"
        self._input = Input(placeholder=hint, compact=True)
        self._words = Static(words, markup=False)
        with Vertical() as box:
            box.border_title = title
            yield self._input
            yield self._words

    def on_mount(self) -> None:
        """Type at once."""
        self._input.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go there."""
        line = self._line if not event.value.strip() else self._meant(event.value)
        if line is None:
            self._words.add_class("-wrong")
        else:
            self.dismiss(line)

    def _meant(self, text: str) -> int | None:
        if self._per_row is not None:
            return row_of(text, self._line_count, self._per_row)
        return line_of(text, self._line_count)
