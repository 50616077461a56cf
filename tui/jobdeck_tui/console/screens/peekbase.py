"""Looks into one file, as far as that goes by itself: what it is, and what of it is seen.

The window is that of a log (``widgets.log_view``); what it lacks is asked for by ranges, a page at a time. The keys are
added by ``peek``.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from textual.reactive import reactive

from jobdeck_client import ClientError, NotFoundError
from jobdeck_tui.console.guest import GuestEndedError
from jobdeck_tui.console.peek import is_text, what_is
from jobdeck_tui.console.peekmodes import HexMode, ImageMode, JsonMode, TextMode
from jobdeck_tui.console.screens.base import DeckScreen
from jobdeck_tui.console.settings import (
    LINE_CAP_BYTES,
    PEEK_HEAD_BYTES,
    PEEK_IMAGE_LIMIT_BYTES,
    PEEK_JSON_LIMIT_BYTES,
    RETRY_S,
)
from jobdeck_tui.console.widgets.log_view import LogView
from jobdeck_tui.console.widgets.output_bars import Foot, Place
from jobdeck_tui.console.widgets.peek_parts import PeekHead, PeekSearch
from jobdeck_tui.console.widgets.search_bar import SearchBar
from jobdeck_tui.console.workers import start
from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from textual.app import ComposeResult

    from jobdeck_tui.console.logmodel import Ask
    from jobdeck_tui.console.peek import Target
    from jobdeck_tui.console.peekmodes import Mode
    from jobdeck_tui.console.state import State

__all__ = ["PeekBase"]

T = TypeVar("T")

_GUTTER_CELLS = 1  # a dump has no line numbers
_IMAGE = " image"
_JSON_STARTS = (b"{", b"[", b'"')
_LEFT_OUT = frozenset({"follow", "pause", "times", "mark", "cursor_mark"})


class _Lines(LogView):
    """The window on a file: nothing is followed, and no line has a time."""

    hexed = reactive(False, bindings=True)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What makes sense here."""
        if action in _LEFT_OUT or (self.hexed and action in ("wrap", "numbers")):
            return False
        return super().check_action(action, parameters)


class PeekBase(DeckScreen):
    """See the top of this file.

    Attributes:
        target: The file.
        view: The window.
        bar: Where a pattern is typed.
        search: What is searched in a text.
        mode: How the file is looked at; None before it is known.
        modes: All ways of looking at it.
        size_bytes: Of the file, 0 before it is known.
    """

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target
        self.mode: Mode | None = None
        self.modes: list[Mode] = []
        self.size_bytes = 0
        self._data: bytes | None = None  # all of it, where it is a value and no file
        self._note = self._trouble = ""
        self._reading = False

    def body(self) -> ComposeResult:
        """What it is, the window, the search, where one is."""
        self._head = PeekHead()
        self.view = _Lines()
        self.bar = SearchBar()
        self._foot = Foot()
        self.search = PeekSearch(self.view, self.bar)
        yield self._head
        yield self.view
        yield self.bar
        yield self._foot

    def on_mount(self) -> None:
        """Keys go to the window; the file is asked for."""
        self.view.follow = False
        self.view.note = "…"
        self._head.tell(self.target.name or self.target.hash, "")
        self.view.focus()
        start(self, self._open, "open")

    def draw(self, state: State) -> None:
        """Nothing of the state is shown: a file never changes."""

    # -- opening --

    async def _open(self) -> None:
        try:
            await self._look()
        except NotFoundError as error:
            self.view.note = clean_line(str(error))
        except ClientError as error:
            self.view.note = clean_line(str(error))
            self.set_timer(RETRY_S, lambda: start(self, self._open, "open"))
        except GuestEndedError:
            return

    async def _look(self) -> None:
        """Find out what it is, and show it."""
        target, blobs = self.target, self.deck_app.api.blobs
        if not target.hash:
            self._data = json.dumps(target.value).encode() if target.data is None else target.data
            self.size_bytes = len(self._data)
        else:
            content = await blobs.look(target.hash, target.path)
            if not content.etag:
                self._head.tell(target.name, "an artifact")
                self.view.note = "an artifact within the artifact: s saves it as a zip"
                return
            self.size_bytes = content.size_bytes or 0
        head = await self.read(0, PEEK_HEAD_BYTES)
        self.modes = await self._possible(head)
        word = what_is(head) or ("text" if is_text(head) else "bytes")
        if not self.size_bytes:
            word = "empty"
        self._head.tell(target.path or target.name or target.hash, word, target.hash, self.size_bytes)
        if word == "zip archive":
            self._note = self._trouble = "the files of a zip are not listed; s saves it"
        if not self.size_bytes:
            self.view.note = "it is empty"
        await self.show_mode(self.modes[0])

    async def _possible(self, head: bytes) -> list[Mode]:
        """The ways of looking at it, the best first."""
        found: list[Mode] = [HexMode(self.read, self.size_bytes)]
        if self.size_bytes and is_text(head):
            found.insert(0, TextMode(self.read, self.size_bytes))
            likely = head.lstrip().startswith(_JSON_STARTS) and self.size_bytes <= PEEK_JSON_LIMIT_BYTES
            if likely or self._data is not None:
                laid_out = await JsonMode.of(await self.read(0, self.size_bytes))
                found[:0] = [] if laid_out is None else [laid_out]
        if _IMAGE in what_is(head) and self.size_bytes <= PEEK_IMAGE_LIMIT_BYTES:
            image = await ImageMode.of(await self.read(0, self.size_bytes), self._cells)
            found[:0] = [] if image is None else [image]
        return found

    async def read(self, start: int, end: int) -> bytes:
        """Bytes of the file, from an offset up to another."""
        if self._data is not None:
            return self._data[start:end]
        end = min(end, self.size_bytes)
        if start >= end:
            return b""
        return await self.deck_app.api.blobs.part(self.target.hash, self.target.path, start, end)

    async def show_mode(self, mode: Mode) -> None:
        """Look at it in this way from its start."""
        self.search.end()
        note = self.view.note
        self.mode = mode
        self.view.clear(note=note)
        self.view.follow = False
        self.view.hexed = mode.words is None
        self.view.numbers = mode.words is not None
        self.search.begin(mode.words)
        await mode.fit(self._cells)
        await mode.more(0)
        self._grow()
        self.refresh_bindings()

    @property
    def _cells(self) -> int:
        return self.view.window.width - _GUTTER_CELLS

    # -- what is seen --

    def _grow(self) -> None:
        assert self.mode is not None
        self.view.grow(self.mode.line_count, self.size_bytes)

    def on_log_window_changed(self) -> None:
        """Give the window what it lacks, read on, tell where one is."""
        mode = self.mode
        if mode is None:
            return
        asks, _ = self.view.needs()
        for ask in asks:
            start(self, partial(self._give, mode, ask), "lines", exclusive=False)
        if not self._reading and mode.words is not None and not mode.words.whole:
            self._reading = True
            start(self, partial(self._read_on, mode), "more")
        self._tell()

    async def _give(self, mode: Mode, ask: Ask) -> None:
        lines = await self.answer(mode.lines(ask.start, ask.lines, cap_bytes=LINE_CAP_BYTES))
        if mode is not self.mode:
            return
        self.view.text.pages.settled(ask)
        if lines:
            self.view.take(lines)

    async def _read_on(self, mode: Mode) -> None:
        """Read on while the end of what was read is seen."""
        try:
            while mode is self.mode and await self.answer(mode.more(self.view.lines_seen[1] + self.view.end_count)):
                self._grow()
        finally:
            self._reading = False
        self._tell()

    async def read_all(self) -> None:
        """As far as text is read at all."""
        mode = self.mode
        while mode is not None and mode is self.mode and await self.answer(mode.more(mode.line_count)):
            self._grow()

    async def answer(self, question: Awaitable[T]) -> T | None:
        """An answer; None for none: then the window is looked at again after a while."""
        try:
            answer = await question
        except ClientError as error:
            self._trouble = str(error)
            self.set_timer(RETRY_S, self._again)
            self._tell()
        except GuestEndedError:
            pass
        else:
            self._trouble = self._note
            return answer
        return None

    def _again(self) -> None:
        self.view.lay_out()

    def on_resize(self) -> None:
        """Other rows may fit."""
        if self.mode is not None:
            start(self, partial(self._refit, self.mode), "fit")

    async def _refit(self, mode: Mode) -> None:
        line, before = self.view.cursor_line or 0, mode.line_count
        if await mode.fit(self._cells) and mode is self.mode:
            line = line * mode.line_count // max(1, before)
            await self.show_mode(mode)
            self.view.go_to(line)

    def _tell(self) -> None:
        mode, selection = self.mode, self.view.selection
        if mode is None:
            return
        chosen = "" if selection is None or selection.empty else f"{selection.line_count:,} selected: y copies"
        self._foot.place = Place(
            line=self.view.cursor_line,
            line_count=mode.line_count,
            size_bytes=self.size_bytes,
            follow=False,
            ended=True,
            chosen=chosen,
            trouble=self._trouble,
        )
        words = [mode.told, "wrapped" if self.view.frame.wrap else ""]
        self._foot.modes = " · ".join(filter(None, [mode.name, *words]))
