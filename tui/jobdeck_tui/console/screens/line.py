"""The whole of one line, however long: wrapped, with everything that stands in it, fetched as it is looked at."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from jobdeck_client import ClientError
from jobdeck_tui.console.ansi import plain_text
from jobdeck_tui.console.chunks import OVERLAP_BYTES, chunks_of, count_of
from jobdeck_tui.console.guest import GuestEndedError
from jobdeck_tui.console.settings import COPY_LIMIT_BYTES
from jobdeck_tui.console.widgets.log_view import LogView
from jobdeck_tui.console.workers import start
from jobdeck_tui.sanitise import clean_line
from jobdeck_tui.words import bytes_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from jobdeck_tui.console.app import ConsoleApp
    from jobdeck_tui.console.logmodel import Ask, LogLine

__all__ = ["LineScreen"]

_ROWS_PER_CHUNK = 16
_FRAME_CELLS = 4  # borders, stream column, scroll bar
_LEFT_OUT = frozenset({"follow", "pause", "wrap", "times", "numbers", "mark", "cursor_mark"})


class _LineView(LogView):
    """A window on the pieces of a line."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What makes sense within a line."""
        return action not in _LEFT_OUT and super().check_action(action, parameters)


class LineScreen(ModalScreen[None]):
    """A box over the log.

    Args:
        read: Gives the bytes of the log, or file, from an offset up to another.
        line: The line; of what it holds only the measures are used.
    """

    DEFAULT_CSS = """
    LineScreen {
        align: center middle;
        & > Vertical {
            width: 100%; height: 100%; border: round $primary; border-title-color: $text-primary;
            border-subtitle-color: $text-muted; background: $surface;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss", "Close"),
        Binding("y,ctrl+c", "copy", "Copy", tooltip="Copy the line"),
    ]

    def __init__(self, read: Callable[[int, int], Awaitable[bytes]], line: LogLine) -> None:
        super().__init__()
        self._read = read
        self._line = line
        self._chunk_bytes = 0
        self._note = Static()

    def compose(self) -> ComposeResult:
        """The window in a frame that tells which line it is."""
        self._view = _LineView(wrap=True, numbers=False)
        with Vertical() as self._box:
            self._box.border_title = f"Line {self._line.n + 1:,} · {bytes_text(self._line.length)}"
            self._box.border_subtitle = "Esc closes · y copies"
            yield self._view

    def on_mount(self) -> None:
        """Cut it into pieces that fill rows where its characters take one cell each."""
        self._chunk_bytes = max(64, (self.app.size.width - _FRAME_CELLS) * _ROWS_PER_CHUNK)
        self._view.follow = False
        self._view.focus()
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self._view.grow(count_of(self._line.length, self._chunk_bytes), self._line.length)

    def on_log_window_changed(self) -> None:
        """Fetch what is looked at; tell where that is."""
        if not self._chunk_bytes:
            return
        asks, _ = self._view.needs()
        for ask in asks:
            start(self._view, partial(self._fetched, ask), "line", exclusive=False)
        first, _ = self._view.lines_seen
        if self._line.length > self._chunk_bytes:
            at = first * self._chunk_bytes
            self._box.border_subtitle = f"from {bytes_text(at)} ({at / self._line.length:.0%}) · Esc closes · y copies"

    async def _fetched(self, ask: Ask) -> None:
        start = ask.start * self._chunk_bytes
        end = min(start + ask.lines * self._chunk_bytes + OVERLAP_BYTES, self._line.length)
        data = await self._bytes(start, end)
        if data is not None:
            self._view.text.pages.settled(ask)
            self._view.take(chunks_of(data, first=ask.start, count=ask.lines, size=self._chunk_bytes))

    async def _bytes(self, start: int, end: int) -> bytes | None:
        """Bytes of the line; None if they cannot be had, which is told."""
        if start >= end:
            return b""
        offset = self._line.offset
        try:
            return await self._read(offset + start, offset + end)
        except ClientError as error:
            self._box.border_subtitle = Content(clean_line(str(error)))
        except GuestEndedError:
            pass
        return None

    def action_copy(self) -> None:
        """Copy the line, if it is not too long for that."""
        app = cast("ConsoleApp", self.app)
        if self._line.length > COPY_LIMIT_BYTES:
            app.tell("This line is too long to copy; s saves all of it to a file.")
        else:
            start(self._view, self._copied, "copy")

    async def _copied(self) -> None:
        data = await self._bytes(0, self._line.length)
        if data is not None:
            self.app.copy_to_clipboard(plain_text(data))
            cast("ConsoleApp", self.app).tell("The line was copied")
