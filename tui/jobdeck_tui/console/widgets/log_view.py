"""The window on a log with its keys and the mouse: moving, following, wrapping, marking, selecting."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from jobdeck_tui.console.bindings import key
from jobdeck_tui.console.selection import Selection, Spot
from jobdeck_tui.console.widgets.log_paint import Times
from jobdeck_tui.console.widgets.log_window import LogWindow

if TYPE_CHECKING:
    from textual import events
    from textual.binding import BindingType
    from textual.timer import Timer

__all__ = ["LogView"]

_WHEEL_ROWS = 3
_DRAG_S = 0.05
_WORD = re.compile(r"\S+")


_key = partial(key, "log")


class LogView(LogWindow):
    """See the top of this file."""

    BINDINGS: ClassVar[list[BindingType]] = [
        _key("f", "follow", "follow", "Show the end and stay with it", "Follow", show=True),
        _key("f", "pause", "pause", "Stop following", "Pause", show=True),
        _key("w", "wrap", "wrap", "Wrap long lines, or scroll sideways", "Wrap"),
        _key("t", "times", "times", "Times of lines: none, by the clock, since the start", "Times"),
        _key("number_sign", "numbers", "numbers", "Line numbers on and off"),
        _key("down,j", "scroll_rows(1)", "down", "One row down"),
        _key("up,k", "scroll_rows(-1)", "up", "One row up"),
        _key("pagedown,space,ctrl+f", "page_down", "page_down", "One screen down"),
        _key("pageup,b,ctrl+b", "page_up", "page_up", "One screen up"),
        _key("ctrl+d", "page_down(2)", "half_down", "Half a screen down"),
        _key("ctrl+u", "page_up(2)", "half_up", "Half a screen up"),
        _key("home,g", "top", "top", "The first line"),
        _key("end,G", "bottom", "bottom", "The end, and follow it"),
        _key("left,h", "left", "left", "Sideways to the left"),
        _key("right,l", "right", "right", "Sideways to the right"),
        _key("m", "mark", "mark", "Draw a line here, with the time", "Mark"),
        _key("left_square_bracket", "cursor_mark(-1)", "mark_up", "The mark above"),
        _key("right_square_bracket", "cursor_mark(1)", "mark_down", "The mark below"),
        _key("v", "select", "select", "Select lines from here on; again: end selecting", "Select"),
        _key("escape", "deselect", "deselect", "Select nothing"),
    ]

    def on_mount(self) -> None:
        """The mouse is not dragging."""
        self._began: Spot | None = None
        self._pointer = (0, 0)
        self._dragging: Timer | None = None

    # -- moving --

    def action_scroll_rows(self, rows: int) -> None:
        """Rows down, or up."""
        self.move(rows)

    def action_page_down(self, part: int = 1) -> None:
        """A screen down, or a part of one; a row of it stays."""
        self.move(max(1, (self.window.height - 1) // part))

    def action_page_up(self, part: int = 1) -> None:
        """A screen up, or a part of one."""
        self.move(-max(1, (self.window.height - 1) // part))

    def scroll_page_down(self, *_: Any, **__: Any) -> None:
        """The scroll bar was clicked below its handle."""
        self.action_page_down()

    def scroll_page_up(self, *_: Any, **__: Any) -> None:
        """The scroll bar was clicked above its handle."""
        self.action_page_up()

    def action_top(self) -> None:
        """The first line."""
        self.go_to(0)

    def action_bottom(self) -> None:
        """The end, and stay with it."""
        self.action_follow()

    def action_follow(self) -> None:
        """Show the end and stay with it."""
        self.follow = True
        self.lay_out()
        if self.selection is not None and self.selection.whole and self.line_count:
            self.selection = self.selection.to(Spot(self.line_count - 1))

    def action_pause(self) -> None:
        """Stay where it is."""
        self.follow = False
        self.lay_out()

    def action_left(self) -> None:
        """Half a screen to the left."""
        self.sideways(-max(1, self.frame.text_width // 2))

    def action_right(self) -> None:
        """Half a screen to the right, if a line on the screen goes on there."""
        self.sideways(max(1, self.frame.text_width // 2))

    def sideways(self, cells: int) -> None:
        """Scroll by cells, but not to where no line on the screen has text."""
        longest = max((self.text.laid(line).shown.cells for line in {each.line for each in self.rows}), default=0)
        furthest = max(0, longest - self.frame.text_width // 2)
        left = max(0, min(self.frame.left + cells, max(furthest, self.frame.left if cells < 0 else 0)))
        if left != self.frame.left:
            self.reframe(replace(self.frame, left=left))

    # -- toggles --

    def action_wrap(self) -> None:
        """Wrap long lines or not; the line at the top stays."""
        self.reframe(replace(self.frame, wrap=not self.frame.wrap, left=0))

    def action_times(self) -> None:
        """The next way of telling times."""
        ways = list(Times)
        self.reframe(replace(self.frame, times=ways[(ways.index(self.frame.times) + 1) % len(ways)]))

    def action_numbers(self) -> None:
        """Line numbers on and off."""
        self.numbers = not self.numbers
        self.lay_out()

    def action_mark(self) -> None:
        """Draw a rule below the line that is read now, with the time."""
        line = self.cursor_line
        if line is not None:
            self.text.marks[line] = f"marked {datetime.now().astimezone():%H:%M:%S}"
            self.lay_out()
            self.uncover(line)

    def action_cursor_mark(self, step: int) -> None:
        """Go to the next mark above or below."""
        at = self.cursor_line
        if at is not None:
            beyond = [line for line in self.text.marks if (line > at if step > 0 else line < at)]
            if beyond:
                self.go_to(min(beyond) if step > 0 else max(beyond))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What can be done now."""
        del parameters
        match action:
            case "follow":
                return not self.follow
            case "pause":
                return self.follow
            case "left" | "right":
                return not self.frame.wrap
            case "cursor_mark":
                return bool(self.text.marks)
            case "deselect":
                return self.selection is not None
        return True

    # -- selecting --

    def action_select(self) -> None:
        """Begin to select whole lines, or end it."""
        line = self.cursor_line
        if self.selection is not None or line is None:
            self.action_deselect()
            return
        self.follow = False
        self.select(Selection(Spot(line), Spot(line), whole=True))

    def action_deselect(self) -> None:
        """Nothing is selected."""
        self.select(None)

    def select(self, selection: Selection | None) -> None:
        """Select something, or nothing."""
        self.selection = selection
        self.refresh()
        self.refresh_bindings()
        self.post_message(self.Changed())

    def spot_at(self, x: int, y: int) -> Spot | None:
        """The character at a cell of the window; the nearest one if there is none."""
        rows = self.rows
        if not rows:
            return None
        anchor = rows[max(0, min(y, len(rows) - 1))]
        laid = self.text.laid(anchor.line)
        row = min(anchor.row, len(laid.starts) - 1)
        begin, end = laid.starts[row], (*laid.starts[1:], len(laid.shown.text))[row]
        cell = max(0, x - self.frame.gutter) + self.frame.left
        return Spot(anchor.line, max(begin, min(laid.shown.index_at(laid.shown.cell_of(begin) + cell), end)))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Begin to drag, perhaps."""
        if event.button == 1:
            self._began = self.spot_at(event.x, event.y)
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Draw the selection to where the mouse is; beyond the edge the log moves too."""
        if self._began is None or self.app.mouse_captured is not self:
            return
        self._pointer = (event.x, event.y)
        if self._dragging is None:
            self.follow = False
            self._dragging = self.set_interval(_DRAG_S, self._drag)
        self._drag()

    def _drag(self) -> None:
        x, y = self._pointer
        beyond = min(y, 0) or max(0, y - self.window.height + 1)
        if beyond:
            self.action_scroll_rows(beyond)
        spot = self.spot_at(x, y)
        if self._began is not None and spot is not None:
            self.select(Selection(self._began, spot))

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """The selection stands; without one, reading goes on where it was clicked."""
        self.release_mouse()
        began, self._began = self._began, None
        if self._dragging is not None:
            self._dragging.stop()
            self._dragging = None
        elif began is not None:
            self.action_deselect()
            if not self.follow:
                self.stand_at(event.y)

    def on_click(self, event: events.Click) -> None:
        """Twice selects a word, three times a line."""
        spot = self.spot_at(event.x, event.y)
        if spot is None or event.chain < 2:
            return
        self.follow = False
        text = self.text.laid(spot.line).shown.text
        word = next((each for each in _WORD.finditer(text) if each.start() <= spot.char < each.end()), None)
        if event.chain > 2:
            self.select(Selection(spot, spot, whole=True))
        elif word is not None:
            self.select(Selection(Spot(spot.line, word.start()), Spot(spot.line, word.end())))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel."""
        self._wheel(event, 1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel."""
        self._wheel(event, -1)

    def _wheel(self, event: events.MouseEvent, step: int) -> None:
        event.stop()
        event.prevent_default()
        if not (event.shift or event.ctrl):
            self.action_scroll_rows(step * _WHEEL_ROWS)
        elif not self.frame.wrap:
            self.sideways(step * _WHEEL_ROWS * 2)
