"""What a worker is to be called."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

__all__ = ["RenameScreen"]

_HELP = "Enter renames it, Esc gives up."
_NAME_LIMIT_LENGTH = 64


class RenameScreen(ModalScreen[str | None]):
    """The new name; None if it was given up, or is the old one.

    Args:
        name: What it is called now.
    """

    DEFAULT_CSS = """
    RenameScreen {
        align: center middle;
        & > Vertical {
            width: 60; max-width: 100%; height: auto; padding: 0 1;
            border: round $primary; border-title-color: $text-primary; background: $surface;
        }
        & Input { background: $boost; }
        & Static { color: $text-muted; }
        & Static.-wrong { color: $text-error; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "give_up", "Cancel")]

    def __init__(self, name: str) -> None:
        super().__init__()
        self._former = name

    def compose(self) -> ComposeResult:
        """One line to type into, one that says what is wrong."""
        self._input = Input(clean_line(self._former), compact=True, max_length=_NAME_LIMIT_LENGTH, id="name")
        self._words = Static(_HELP, markup=False)
        with Vertical() as box:
            box.border_title = "Rename the worker"
            yield self._input
            yield self._words

    def on_mount(self) -> None:
        """Type at once, in place of the old name."""
        self._input.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """End with it, if it is a name."""
        name = event.value.strip()
        if name and name.isprintable():
            self.dismiss(name if name != self._former else None)
        else:
            self._words.add_class("-wrong")
            self._words.update(Content("A name has characters that can be seen."))

    def action_give_up(self) -> None:
        """Leave it as it is."""
        self.dismiss(None)
