"""A text area for a configuration in HOCON that the server checks while one types, and what it says of it.

A check waits until the text has stood for a moment, and is dropped when the text goes on: typing never waits. The line
that is wrong is marked, by a sign and not by colour alone.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import on
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Offset
from textual.message import Message
from textual.reactive import Reactive
from textual.strip import Strip
from textual.widgets import Static, TextArea

from jobdeck_client import ClientError, UnreachableError
from jobdeck_tui.console.guest import GuestEndedError
from jobdeck_tui.console.settings import CONFIG_WAIT_S, RETRY_S
from jobdeck_tui.console.workers import start
from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.app import ComposeResult
    from textual.timer import Timer

    from jobdeck_client import ConfigCheck

    Check = Callable[[str], Awaitable[ConfigCheck]]
    """Asks the server what it makes of a text."""

__all__ = ["HoconEdit"]

_SIGN = "✗"


class _Area(TextArea):
    """The text.

    Attributes:
        wrong_line: The line that is marked, from 0; None for none.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"hocon--wrong"}

    wrong_line: Reactive[int | None] = Reactive(None, init=False)

    def render_line(self, y: int) -> Strip:
        """The line that is wrong has a sign beside its number, and another colour."""
        strip = super().render_line(y)
        if self.wrong_line is None or not self.text or self._line_at(y) != self.wrong_line:
            return strip
        style = self.get_component_rich_style("hocon--wrong")
        wrong = style.without_color + Style(color=style.color)
        gutter = self.gutter_width
        number = strip.crop(0, gutter).text[: gutter - 2] + f"{_SIGN} "
        text = [Segment(text, (own or Style()) + wrong, control) for text, own, control in strip.crop(gutter)]
        return Strip([Segment(number, (self.rich_style + wrong)), *text], strip.cell_length)

    def _line_at(self, y: int) -> int | None:
        """The line of which a row of the widget shows a part, from 0."""
        row = y + self.scroll_offset.y
        if row >= self.wrapped_document.height:
            return None
        return self.wrapped_document.offset_to_location(Offset(0, row))[0]


class HoconEdit(Vertical):
    """See the top of this file.

    Args:
        check: See there; what it raises is told as the reason why nothing was checked.
        placeholder: Stands there while nothing is typed.
    """

    DEFAULT_CSS = """
    HoconEdit {
        height: 1fr; min-height: 3;
        & > TextArea {
            height: 1fr; min-height: 2; border: none; padding: 0; background: $boost; scrollbar-size-vertical: 1;
        }
        & > TextArea:focus { border: none; background: $foreground 10%; }
        & .hocon--wrong { color: $text-error; text-style: underline; }
        & > #checked { height: auto; max-height: 3; color: $text-muted; }
        & > #checked.-good { color: $text-success; }
        & > #checked.-wrong { color: $text-error; }
    }
    """

    class Typed(Message):
        """Somebody has typed; what is put there by ``text`` is not told."""

    def __init__(self, check: Check, *, placeholder: str = "") -> None:
        super().__init__()
        self._put = ""
        self._check = check
        self._placeholder = placeholder
        self._waiting: Timer | None = None
        self._found: tuple[str, ConfigCheck] | None = None

    def compose(self) -> ComposeResult:
        """The text, and below it what was found."""
        self.area = _Area(
            placeholder=Content(self._placeholder),
            tab_behavior="focus",
            show_line_numbers=True,
            highlight_cursor_line=False,
        )
        self._words = Static(id="checked", markup=False)
        yield self.area
        yield self._words

    @property
    def text(self) -> str:
        """As it stands."""
        return self.area.text

    @text.setter
    def text(self, text: str) -> None:
        self._put = self.area.text = text

    def put(self, text: str) -> None:
        """Another text, to be gone on with at its end."""
        self.text = text
        self.area.move_cursor(self.area.document.end)

    @property
    def found(self) -> ConfigCheck | None:
        """What the server makes of the text as it stands; None while that is not known."""
        return self._found[1] if self._found is not None and self._found[0] == self.text else None

    def go_to_fault(self) -> None:
        """Put the cursor where the text is wrong."""
        self.area.focus()
        found = self.found
        if found is not None and found.line is not None:
            line = max(0, min(found.line - 1, self.area.document.line_count - 1))
            column = max(0, min((found.column or 1) - 1, len(self.area.document.get_line(line))))
            self.area.move_cursor((line, column))

    # -- checking --

    @on(TextArea.Changed)
    def _changed(self, event: TextArea.Changed) -> None:
        event.stop()
        if self.text != self._put:
            self._put = self.text
            self.post_message(self.Typed())
        self.area.wrong_line = None
        if self._waiting is not None:
            self._waiting.stop()
        if not self.text.strip():
            self.workers.cancel_group(self, "check")
            self._say("")
            return
        self._say("…")
        self._waiting = self.set_timer(CONFIG_WAIT_S, self._ask)

    def _ask(self) -> None:
        start(self, partial(self._look, self.text), "check")

    async def _look(self, text: str) -> None:
        try:
            found = await self._check(text)
        except (ClientError, GuestEndedError) as error:
            if text == self.text:
                self._say(f"Not checked: {error}")
                if isinstance(error, UnreachableError):
                    self._waiting = self.set_timer(RETRY_S, self._ask)
            return
        if text == self.text:
            self._found = (text, found)
            self._tell(found)

    def _tell(self, found: ConfigCheck) -> None:
        if found.ok:
            count = len(found.config or ())
            self._say(f"✓ can be read, {count:,} {'key' if count == 1 else 'keys'} at its top", "-good")
            return
        self.area.wrong_line = None if found.line is None else found.line - 1
        place = "" if found.line is None else f"line {found.line:,}: "
        self._say(f"{_SIGN} {place}{found.error or 'it cannot be read'}", "-wrong")

    def _say(self, words: str, kind: str = "") -> None:
        self._words.set_class(kind == "-good", "-good")
        self._words.set_class(kind == "-wrong", "-wrong")
        self._words.update(Content(clean_line(words)))
