"""Upload files: which, how far each is, and the hash that it got."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from jobdeck_client import ClientError
from jobdeck_protocol.blob import Blob
from jobdeck_tui.console.guest import GuestEndedError
from jobdeck_tui.console.moving import Meter, files_meant, restarted
from jobdeck_tui.console.settings import UPLOADS_LIMIT_COUNT
from jobdeck_tui.console.widgets.path_input import PathInput
from jobdeck_tui.console.workers import start
from jobdeck_tui.sanitise import clean_line
from jobdeck_tui.words import bytes_text

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from jobdeck_tui.console.app import ConsoleApp

__all__ = ["UploadScreen"]

_HELP = "Enter uploads · Tab completes · *.csv means many · Ctrl-T tags · Esc closes"
_BUSY_HELP = "Esc stops the uploads."
_WAITING, _GOING, _DONE, _FAILED = "$text-muted", "$text-primary", "$text-success", "$text-error"
_AROUND_ROWS = 8


@dataclass(slots=True, kw_only=True)
class _Move:
    """A file on its way, and what is said of it."""

    path: Path
    tags: tuple[str, ...]
    words: str = "waits"
    ink: str = _WAITING
    open: bool = True


class UploadScreen(ModalScreen[Blob | None]):
    """Returns the blob that was stored last; None for none. Files go one by one; more may be added meanwhile."""

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
        Binding("ctrl+t", "tags", "Tags", priority=True),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.moves: list[_Move] = []
        self._last: Blob | None = None
        self._busy = False

    def compose(self) -> ComposeResult:
        """A line for the file, one for tags, the files so far, what may be typed."""
        self._path = PathInput(placeholder="a file, or a pattern such as *.csv")
        self._tags = Input(compact=True, placeholder="none; several with commas between")
        self._list = VerticalScroll(Static(id="moves", markup=False), can_focus=False)
        self._words = Static(_HELP, markup=False, id="words")
        with Vertical() as box:
            box.border_title = "Upload files"
            with Horizontal():
                yield Label("file")
                yield self._path
            with Horizontal():
                yield Label("tags")
                yield self._tags
            yield self._list
            yield self._words

    def on_mount(self) -> None:
        """Type at once."""
        self._path.begin(str(Path.cwd()) + "/")

    def on_resize(self) -> None:
        """The list has what the rest leaves of the screen."""
        self._list.styles.max_height = max(1, self.size.height - _AROUND_ROWS)

    def on_path_input_proposed(self, event: PathInput.Proposed) -> None:
        """Names that would fit."""
        self._say(event.words or _HELP)

    def action_tags(self) -> None:
        """To the other line."""
        (self._tags if self._path.has_focus else self._path).focus()

    # -- which files --

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """These, too."""
        if event.input is self._tags:
            self._path.focus()
        else:
            start(self, partial(self._add, event.value), "add")

    async def _add(self, text: str) -> None:
        try:
            found = await asyncio.to_thread(files_meant, text)
        except (ValueError, OSError) as error:
            self._say(str(error), wrong=True)
            return
        if len(self.moves) + len(found) > UPLOADS_LIMIT_COUNT:
            self._say(f"{len(found):,} files are too many for this dialog; jobdeck blobs put takes any.", wrong=True)
            return
        tags = tuple(dict.fromkeys(filter(None, (tag.strip() for tag in self._tags.value.split(",")))))
        self.moves += [_Move(path=path, tags=tags) for path in found]
        text = restarted(text)
        self._path.begin(text[: text.rfind("/") + 1])
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
        self._say(_HELP)

    async def _move(self, move: _Move) -> None:
        app = cast("ConsoleApp", self.app)

        def say(words: str) -> None:
            move.words, move.ink = words, _GOING
            self._paint()

        say("…")
        try:
            blob = await app.api.blobs.upload(move.path, move.tags, Meter(say).update)
        except OSError as error:
            move.words, move.ink = str(error.strerror or error), _FAILED
        except ClientError as error:
            move.words, move.ink = str(error), _FAILED
        else:
            self._last = blob
            move.words, move.ink = f"{blob.hash}  {bytes_text(blob.size_bytes)}", _DONE

    def _paint(self) -> None:
        lines = [
            Content.assemble(clean_line(move.path.name), "\n  ", (clean_line(move.words), move.ink))
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
        self._say(_HELP)
