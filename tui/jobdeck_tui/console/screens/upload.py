"""Upload files: which, how far each is, and what came of it. Subclasses say what the files become."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from jobdeck_client import ClientError
from jobdeck_tui.console.guest import GuestEndedError
from jobdeck_tui.console.moving import Meter, files_meant, restarted
from jobdeck_tui.console.settings import UPLOADS_LIMIT_COUNT
from jobdeck_tui.console.widgets.path_input import PathInput
from jobdeck_tui.console.workers import start
from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from jobdeck_tui.console.blobapi import Told

__all__ = ["Errand", "UploadScreen"]

T = TypeVar("T")

_BUSY_HELP = "Esc stops the uploads."
_WAITING, _GOING, _DONE, _FAILED = "$text-muted", "$text-primary", "$text-success", "$text-error"
_AROUND_ROWS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A file that is to be sent, and what it becomes: ``what`` is the subclass's own."""

    path: Path
    what: Any


@dataclass(slots=True, kw_only=True)
class _Move:
    """An errand on its way, and what is said of it."""

    errand: Errand
    words: str = "waits"
    ink: str = _WAITING
    open: bool = True


class UploadScreen(ModalScreen[T | None]):
    """Returns what was stored last; None for none. Files go one by one; more may be added meanwhile.

    Attributes:
        HEAD: The title.
        OTHER: What the other line is for, in a word.
        HINT: Stands in it while it is empty.
        EXAMPLE: Stands in the line for the file while that is empty.
        HELP: What may be typed.
    """

    HEAD: ClassVar[str]
    OTHER: ClassVar[str]
    HINT: ClassVar[str]
    EXAMPLE: ClassVar[str]
    HELP: ClassVar[str]

    DEFAULT_CSS = """
    UploadScreen {
        align: center middle;
        & > Vertical {
            width: 90; max-width: 100%; height: auto; max-height: 100%; padding: 0 1;
            border: round $primary; border-title-color: $text-primary; background: $surface;
        }
        & Horizontal { height: 1; }
        & Label { width: 6; color: $text-muted; }
        & Input { border: none; height: 1; padding: 0; background: $surface; width: 1fr; }
        & VerticalScroll { height: auto; scrollbar-size-vertical: 1; }
        & #moves { width: 100%; }
        & #words { color: $text-muted; }
        & #words.-wrong { color: $text-error; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close"),
        Binding("ctrl+t", "other", "Other line", priority=True),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.moves: list[_Move] = []
        self._last: T | None = None
        self._busy = False

    # -- what subclasses say --

    def errands(self, paths: Sequence[Path], other: str) -> list[Errand]:
        """What these files become, by what stands in the other line.

        Raises:
            ValueError: They cannot become anything, in words.
        """
        raise NotImplementedError

    async def send(self, errand: Errand, tell: Told) -> tuple[T, str]:
        """Send one. Returns what came of it, and the same in words.

        Raises:
            OSError: It cannot be read.
            ClientError: The server would not have it.
        """
        raise NotImplementedError

    # -- what is seen --

    def compose(self) -> ComposeResult:
        """A line for the file, the other one, the files so far, what may be typed."""
        self.path = PathInput(placeholder=self.EXAMPLE)
        self.other = Input(compact=True, placeholder=self.HINT)
        self._list = VerticalScroll(Static(id="moves", markup=False), can_focus=False)
        self._words = Static(self.HELP, markup=False, id="words")
        with Vertical() as box:
            box.border_title = self.HEAD
            with Horizontal():
                yield Label("file")
                yield self.path
            with Horizontal():
                yield Label(self.OTHER)
                yield self.other
            yield self._list
            yield self._words

    def on_mount(self) -> None:
        """Type at once."""
        self.path.begin(str(Path.cwd()) + "/")

    def on_resize(self) -> None:
        """The list has what the rest leaves of the screen."""
        self._list.styles.max_height = max(1, self.size.height - _AROUND_ROWS)

    def on_path_input_proposed(self, event: PathInput.Proposed) -> None:
        """Names that would fit."""
        self._say(event.words or self.HELP)

    def action_other(self) -> None:
        """To the other line."""
        (self.other if self.path.has_focus else self.path).focus()

    # -- which files --

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """These, too."""
        if event.input is self.other:
            self.path.focus()
        else:
            start(self, partial(self._add, event.value), "add")

    async def _add(self, text: str) -> None:
        try:
            found = self.errands(await asyncio.to_thread(files_meant, text), self.other.value)
        except (ValueError, OSError) as error:
            self._say(str(error), wrong=True)
            return
        if len(self.moves) + len(found) > UPLOADS_LIMIT_COUNT:
            self._say(
                f"{len(found):,} files are too many for this dialog; the command line takes any number.", wrong=True
            )
            return
        self.moves += [_Move(errand=errand) for errand in found]
        text = restarted(text)
        self.path.begin(text[: text.rfind("/") + 1])
        self._say(_BUSY_HELP)
        self._paint()
        if not self._busy:
            self._busy = True
            start(self, self._move_all, "move")

    # -- on their way --

    async def _move_all(self) -> None:
        """One after the other; what cannot be sent does not keep the others from it."""
        while (move := next((each for each in self.moves if each.open), None)) is not None:
            try:
                await self._move(move)
            except GuestEndedError:
                return
            move.open = False
            self._paint()
        self._busy = False
        self._say(self.HELP)

    async def _move(self, move: _Move) -> None:
        def say(words: str) -> None:
            move.words, move.ink = words, _GOING
            self._paint()

        say("…")
        try:
            self._last, words = await self.send(move.errand, Meter(say).update)
        except OSError as error:
            move.words, move.ink = str(error.strerror or error), _FAILED
        except ClientError as error:
            move.words, move.ink = str(error), _FAILED
        else:
            move.words, move.ink = words, _DONE

    def _paint(self) -> None:
        lines = [
            Content.assemble(clean_line(move.errand.path.name), "\n  ", (clean_line(move.words), move.ink))
            for move in self.moves
        ]
        self.query_one("#moves", Static).update(Content("\n").join(lines))
        at = next((n for n, move in enumerate(self.moves) if move.open), len(self.moves))
        self._list.scroll_to(y=max(0, 2 * at + 2 - self._list.size.height), animate=False)

    def _say(self, words: str, *, wrong: bool = False) -> None:
        self._words.set_class(wrong, "-wrong")
        self._words.update(Content(clean_line(words)))

    def action_close(self) -> None:
        """First stop what is under way, then close."""
        if not self._busy:
            self.dismiss(self._last)
            return
        self.workers.cancel_group(self, "move")
        self._busy = False
        for move in self.moves:
            if move.open:
                move.open, move.words, move.ink = False, "stopped; nothing of it was stored", _FAILED
        self._paint()
        self._say(self.HELP)
