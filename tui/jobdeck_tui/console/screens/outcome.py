"""What became of a class out of a package: its result as a tree, or what went wrong; and what it was told.

While it runs, how far it says it has come. A result that was streamed may be anything, so it is looked into as a file.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from jobdeck_client import ClientError, NotFoundError
from jobdeck_tui.console.bindings import key
from jobdeck_tui.console.curl import curl_of_result
from jobdeck_tui.console.guest import GuestEndedError
from jobdeck_tui.console.outcomewords import failure_lines, waiting_lines
from jobdeck_tui.console.peek import Target
from jobdeck_tui.console.screens.download import DownloadScreen, Wanted
from jobdeck_tui.console.screens.ofjob import OfJob
from jobdeck_tui.console.screens.peek import PeekScreen
from jobdeck_tui.console.settings import RETRY_S
from jobdeck_tui.console.widgets.json_pane import JsonPane
from jobdeck_tui.console.widgets.json_table import JsonTable
from jobdeck_tui.console.widgets.peek_parts import PeekHead
from jobdeck_tui.console.workers import start
from jobdeck_tui.sanitise import clean_line
from jobdeck_tui.words import bytes_text

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from jobdeck_client import ClassOutcome
    from jobdeck_protocol.job import Job
    from jobdeck_tui.console.outcomewords import Line

__all__ = ["OutcomeScreen"]

_ID_CELLS = 8
_JSON, _STREAM = "json", "stream"


_key = partial(key, "outcome")


class _Words(VerticalScroll, can_focus=True):
    """Lines that scroll, where there is no tree."""

    BINDINGS: ClassVar[list[BindingType]] = [
        _key("j", "scroll_down", "down", "A line down"),
        _key("k", "scroll_up", "up", "A line up"),
    ]


class OutcomeScreen(OfJob):
    """See the top of this file.

    Attributes:
        outcome: What came of the job; None before its end, or before that is known.
        has_result: There are bytes of a result.
        on_config: What the job was told is shown.
    """

    DEFAULT_CSS = """
    OutcomeScreen {
        & > _Words { height: 1fr; padding: 1 2; background: $surface; scrollbar-size-vertical: 1; }
        & > _Words > Static { width: 100%; height: auto; }
        & > .-hidden { display: none; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", id="outcome.back", tooltip="Back to where it was opened"),
        Binding("backspace", "leave", "Back", id="outcome.back_too", show=False, tooltip="Back to where it was opened"),
        _key("c", "config", "config", "What the job was told; again for its result", "Config", show=True),
        _key("x", "look", "look", "The result as a file: laid out, as text, as hex", "As file", show=True),
        _key("s", "save", "save", "Save the result to a file", "Save", show=True),
        _key("y,ctrl+c", "copy_words", "copy_words", "Copy what went wrong"),
        _key("Y", "copy_curl", "copy_curl", "Copy as a curl line that fetches the result"),
    ]

    has_result = reactive(False, bindings=True)
    on_config = reactive(False, bindings=True)

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id)
        self.outcome: ClassOutcome | None = None
        self._asking = False
        self._told_lines: list[Line] = []
        self._looked = False
        self._seen: JsonPane | _Words | None = None

    def body(self) -> ComposeResult:
        """What it is, a tree, words in its place."""
        self.top = PeekHead()
        self.pane = JsonPane()
        self.config = JsonPane()
        self._text = Static(markup=False)
        self.words = _Words(self._text)
        yield self.top
        yield self.pane
        yield self.config
        yield self.words

    def on_mount(self) -> None:
        """Nothing is known yet."""
        self._say([("…", "")])

    # -- what is shown --

    def job_told(self, job: Job | None) -> None:
        """How far it has come, or what came of it."""
        if self.job is not None:
            self.top.tell(self.job.command, f"{self._side} · {self.job.state.value} · {self.job.id[:_ID_CELLS]}")
        if job is None or not job.ended:
            self._say(waiting_lines(job))
        elif self.outcome is None:
            self._ask()

    def job_lacking(self, why: str) -> None:
        """It cannot be had."""
        self._say([(clean_line(why), "$text-error")])

    @property
    def _side(self) -> str:
        return "configuration" if self.on_config else "result"

    def _say(self, lines: list[Line]) -> None:
        self._told_lines = lines
        text = Content("\n").join(Content.styled(line, style) if style else Content(line) for line, style in lines)
        self._text.update(text)
        self._turn()

    def _turn(self) -> None:
        """Show what is wanted, and let keys go there."""
        json = self.outcome is not None and self.outcome.result_kind == _JSON
        seen = self.config if self.on_config else self.pane if json else self.words
        for each in (self.config, self.pane, self.words):
            each.set_class(each is not seen, "-hidden")
        if seen is not self._seen:  # else keys may go to what is typed there
            self._seen = seen
            self.set_focus(seen.table if isinstance(seen, JsonPane) else seen)
        self.refresh_bindings()

    def _ask(self) -> None:
        if not self._asking:
            self._asking = True
            start(self, self._ask_outcome, "outcome")

    async def _ask_outcome(self) -> None:
        try:
            outcome = await self.deck_app.api.classes.outcome(self._job_id)
        except ClientError as error:
            self._say([(clean_line(str(error)), "$text-error")])
            if not isinstance(error, NotFoundError):
                self.set_timer(RETRY_S, self._ask)
            return
        except GuestEndedError:
            return
        finally:
            self._asking = False
        self._take(outcome)

    def _take(self, outcome: ClassOutcome) -> None:
        assert self.job is not None
        self.outcome = outcome
        self.has_result = outcome.result_kind is not None
        if outcome.result_kind == _JSON:
            size = outcome.result_bytes
            read = partial(self.deck_app.api.classes.part, self._job_id)
            self.pane.show(read, size, title=f"RESULT  {bytes_text(size)} of JSON")
            self._turn()
        elif outcome.result_kind == _STREAM:
            size_text = bytes_text(outcome.result_bytes)
            self._say([(f"The job has streamed {size_text}.", ""), ("x looks into it, s saves it.", "dim")])
            if not self._looked and self.is_current and not self.on_config:
                self.action_look()
        else:
            self._say(failure_lines(outcome, self.job))

    @property
    def _job_id(self) -> str:
        return self.job.id if self.job is not None else self.job_id

    # -- keys --

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What can be done now."""
        del parameters
        match action:
            case "look" | "save" | "copy_curl":
                return self.has_result and not self.on_config
            case "copy_words":
                return not self.on_config and not self.has_result
            case "config":
                return self.job is not None
        return True

    def action_leave(self) -> None:
        """Back."""
        self.dismiss()

    def action_config(self) -> None:
        """What the job was told, or what came of it."""
        self.on_config = not self.on_config
        if self.on_config and not len(self.config.json.scan):
            start(self, self._show_config, "config")
        self._turn()
        if self.job is not None:
            self.top.tell(self.job.command, f"{self._side} · {self.job.state.value} · {self.job.id[:_ID_CELLS]}")

    async def _show_config(self) -> None:
        data = await self.deck_app.ask(self.deck_app.api.classes.config(self._job_id), "It cannot be had")
        if data is None:
            self.action_config()
            return

        async def read(begin: int, end: int) -> bytes:
            return data[begin:end]

        self.config.show(read, len(data), title=f"CONFIGURATION  {bytes_text(len(data))} of JSON")

    @on(JsonPane.Opened)
    def _opened(self, event: JsonPane.Opened) -> None:
        self.app.push_screen(PeekScreen(Target(hash="", name=event.name, data=event.data)))

    @on(JsonTable.Moved)
    def _moved(self) -> None:
        (self.config if self.on_config else self.pane).tell()

    @property
    def _file_name(self) -> str:
        suffix = ".json" if self.outcome is not None and self.outcome.result_kind == _JSON else ".bin"
        return f"{self._job_id[:_ID_CELLS]}-result{suffix}"

    @property
    def _result_hash(self) -> str | None:
        found = None if self.job is None else self.job.results.get("result")
        return found if isinstance(found, str) else None

    def action_look(self) -> None:
        """The result as a file."""
        self._looked = True
        if self._result_hash is not None:
            self.app.push_screen(PeekScreen(Target(hash=self._result_hash, name=self._file_name)))

    def action_save(self) -> None:
        """Ask where to."""
        if self._result_hash is not None and self.outcome is not None:
            wanted = Wanted(hash=self._result_hash, name=self._file_name, size_bytes=self.outcome.result_bytes)
            self.app.push_screen(DownloadScreen(wanted))

    def action_copy_words(self) -> None:
        """All lines."""
        self.app.copy_to_clipboard("\n".join(line for line, _ in self._told_lines))
        self.deck_app.tell("Copied")

    def action_copy_curl(self) -> None:
        """Copy the command."""
        app = self.deck_app
        app.copy_to_clipboard(curl_of_result(app.state.url, self._job_id, self._file_name, token=app.has_token))
        app.tell("Copied a curl line")
