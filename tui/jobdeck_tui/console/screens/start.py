"""The start dialog: a job as a form, checked while one types, shown as the curl line that would do the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Checkbox, Input, Label, Static, TextArea

from jobdeck_client import ClientError
from jobdeck_protocol.job import Job
from jobdeck_tui.console.curl import curl_of
from jobdeck_tui.console.guest import GuestEndedError
from jobdeck_tui.console.history import History, history_path
from jobdeck_tui.console.request import Fields, StartRequest, read
from jobdeck_tui.console.widgets.key_bar import KeyBar
from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from jobdeck_tui.console.app import ConsoleApp

__all__ = ["StartScreen"]

_NAMES = {
    "command": "Command",
    "env": "Environment",
    "cwd": "Folder",
    "labels": "Labels",
    "time_limit": "Time limit",
    "stdin": "Input",
    "worker": "Worker",
    "worker_labels": "It must have",
}
_LINES = ("command", "cwd", "labels", "time_limit", "worker", "worker_labels")
_PLACES = ("worker", "worker_labels")
_AREAS = ("env", "stdin")


class StartScreen(ModalScreen[Job | None]):
    """The job that was started; None if none was.

    Args:
        fields: What stands in it at first; None for nothing.
        history: What was started before; tests give their own.
    """

    DEFAULT_CSS = """
    StartScreen { align: center middle; }
    StartScreen > #box {
        width: 100%; max-width: 100; height: auto; max-height: 100%;
        padding: 0 1; border: round $primary; border-title-color: $text-primary; background: $surface;
    }
    StartScreen .row { height: auto; }
    StartScreen .row > Label { width: 13; color: $text-muted; }
    StartScreen .row > Input, StartScreen .row > TextArea { width: 1fr; }
    StartScreen TextArea { height: 3; border: none; padding: 0; background: $boost; }
    StartScreen TextArea:focus { border: none; background: $foreground 10%; }
    StartScreen Input { background: $boost; }
    StartScreen Checkbox > .toggle--button { color: $panel; background: $panel; }
    StartScreen Checkbox.-on > .toggle--button { color: $text-success; background: $panel; }
    StartScreen Input:focus { background: $foreground 10%; }
    StartScreen .place { display: none; }
    StartScreen.-places .place { display: block; }
    StartScreen .wrong { color: $text-error; padding-left: 13; display: none; height: auto; }
    StartScreen .wrong.-told { display: block; }
    StartScreen #curl { color: $text-muted; height: auto; max-height: 6; margin-top: 1; }
    StartScreen #refused { color: $text-error; height: auto; display: none; }
    StartScreen #refused.-told { display: block; }
    StartScreen #buttons { height: auto; align-horizontal: right; }
    StartScreen Button { margin-left: 2; min-width: 12; }
    StartScreen.-short #curl { margin-top: 0; max-height: 2; }
    StartScreen.-short TextArea { height: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "start", "Start", priority=True),
        Binding("escape", "cancel", "Cancel"),
        Binding("up", "recall(-1)", "Earlier"),
        Binding("down", "recall(1)", "Later"),
        Binding("ctrl+y", "copy", "Copy curl", priority=True),
    ]

    def __init__(self, fields: Fields | None = None, *, history: History | None = None) -> None:
        super().__init__()
        self._fields = fields or Fields()
        self._history = History(history_path()) if history is None else history
        self._recalled = len(self._history.entries)
        self._draft = self._fields
        self._touched: set[str] = set()
        self._sending = False

    # -- what is seen --

    def compose(self) -> ComposeResult:
        """A row for each field, its fault below it."""
        with VerticalScroll(id="box", can_focus=False) as box:
            box.border_title = "Start a job"
            box.border_subtitle = "up and down: what was started before"
            yield from self._row("command", Input(id="command", compact=True, placeholder="make test"))
            yield from self._row(None, Checkbox("no shell: a program, its arguments", id="plain", compact=True))
            yield from self._row("cwd", Input(id="cwd", compact=True, placeholder="the server's own"))
            yield from self._row("labels", Input(id="labels", compact=True, placeholder="none; nightly tests"))
            yield from self._row("time_limit", Input(id="time_limit", compact=True, placeholder="none; 90s, 15m, 2h"))
            yield from self._row("worker", Input(id="worker", compact=True, placeholder="any; its name or id"))
            must_have = Input(id="worker_labels", compact=True, placeholder="any labels; gpu linux")
            yield from self._row("worker_labels", must_have)
            yield from self._row("env", TextArea(id="env", placeholder="NAME=value, one a line", tab_behavior="focus"))
            yield from self._row("stdin", TextArea(id="stdin", placeholder="nothing to read", tab_behavior="focus"))
            yield Static(id="curl")
            yield Static(id="refused")
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button("Start (^s)", id="start", variant="primary", compact=True)
        yield KeyBar()

    def _row(self, name: str | None, widget: Input | TextArea | Checkbox) -> ComposeResult:
        with Horizontal(classes="row place" if name in _PLACES else "row"):
            yield Label(_NAMES.get(name or "", ""))
            yield widget
        if name is not None:
            yield Static(id=f"{name}-wrong", classes="wrong")

    def on_mount(self) -> None:
        """Show what is given."""
        self._put(self._fields)
        self.query_one("#command", Input).focus()

    @property
    def _several(self) -> bool:
        return self._app().state.workers.several

    # -- fields --

    def _put(self, fields: Fields) -> None:
        for name in _LINES:
            widget = self.query_one(f"#{name}", Input)
            widget.value = clean_line(getattr(fields, name))
            widget.cursor_position = len(widget.value)
        for name in _AREAS:
            self.query_one(f"#{name}", TextArea).text = getattr(fields, name)
        self.query_one("#plain", Checkbox).value = fields.plain
        self._look()

    def _read(self) -> Fields:
        texts = {name: self.query_one(f"#{name}", Input).value for name in _LINES}
        areas = {name: self.query_one(f"#{name}", TextArea).text for name in _AREAS}
        return Fields(**texts, **areas, plain=self.query_one("#plain", Checkbox).value)

    @on(Input.Changed)
    @on(TextArea.Changed)
    @on(Checkbox.Changed)
    def _changed(self, event: Input.Changed | TextArea.Changed | Checkbox.Changed) -> None:
        if self._read() != self._fields:
            self._touched.add(event.control.id or "")
            self._look()

    def _look(self) -> None:
        """Read the form: say what is wrong with what was touched, and show the request if nothing is."""
        self._fields = self._read()
        # Where there is one machine there is nothing to choose.
        self.set_class(bool(self._several or self._fields.worker or self._fields.worker_labels), "-places")
        found = read(self._fields)
        wrong = found if isinstance(found, dict) else {}
        for name in _NAMES:
            words = wrong.get(name, "") if name in self._touched else ""
            place = self.query_one(f"#{name}-wrong", Static)
            place.update(Content(clean_line(words)))
            place.set_class(bool(words), "-told")
        line = self._curl(found)
        self.query_one("#curl", Static).update(Content(clean_line(line)))

    def _curl(self, found: StartRequest | dict[str, str]) -> str:
        if isinstance(found, dict):
            return ""
        app = self._app()
        return curl_of(app.state.url, found.body, token=app.has_token)

    # -- keys --

    def action_recall(self, step: int) -> None:
        """What was started before, the newest first; the newest of all is what was being typed."""
        entries = self._history.entries
        if self._recalled == len(entries):
            self._draft = self._read()
        at = max(0, min(self._recalled + step, len(entries)))
        if at != self._recalled:
            self._recalled = at
            self._touched.clear()
            self._put(entries[at] if at < len(entries) else self._draft)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """In a field of several lines the arrows move its cursor."""
        del parameters
        return not (action == "recall" and isinstance(self.focused, TextArea))

    def action_cancel(self) -> None:
        """Start nothing."""
        self.dismiss(None)

    def action_copy(self) -> None:
        """Copy the curl line."""
        line = self._curl(read(self._read()))
        if line:
            self._app().copy_to_clipboard(line)
            self._app().tell("The curl line is copied")

    @on(Button.Pressed, "#cancel")
    def _cancelled(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#start")
    @on(Input.Submitted, "#command")
    def _submitted(self) -> None:
        self.action_start()

    # -- sending --

    def action_start(self) -> None:
        """Send what is typed: keys that are on their way to a field come before, though this one overtook them."""
        (self.focused or self).call_later(self._start)

    def _start(self) -> None:
        """Send it, once; what is wrong is told instead, the untouched fields too."""
        found = read(self._read())
        if isinstance(found, dict):
            self._touched |= set(found)
            self._look()
            self.query_one(f"#{next(iter(found))}").focus()
        elif not self._sending:
            self._sending = True
            self._refuse("")
            self.run_worker(self._send(found), exclusive=True, group="start", exit_on_error=False)

    async def _send(self, request: StartRequest) -> None:
        api = self._app().api
        try:
            job = await api.submit(**request.body)
            if request.stdin is not None:
                await api.write_stdin(job.id, request.stdin)
        except (ClientError, GuestEndedError) as error:
            self._refuse(str(error) or "The console is being left.")
            return
        finally:
            self._sending = False
        self._history.add(self._read())
        self.dismiss(job)

    def _refuse(self, words: str) -> None:
        place = self.query_one("#refused", Static)
        place.update(Content(clean_line(words)))
        place.set_class(bool(words), "-told")
        if words:
            place.scroll_visible(animate=False)

    def _app(self) -> ConsoleApp:
        return cast("ConsoleApp", self.app)
