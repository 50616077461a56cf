"""Make a context: its name, its kind, and its settings in HOCON.

The settings are one text. Of a context on Spark the most usual ones have fields of their own, which are lines of that
text seen another way (``sparksettings``): what is typed in a field changes its line, what is typed in a line its field.

A context may take its time to come up. The request is not the dialog's but the app's: who closes the dialog leaves it
to go on, and is told when it is over.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static

from jobdeck_client import ClientError
from jobdeck_protocol.contextinfo import ContextInfo
from jobdeck_tui.console.guest import GuestEndedError
from jobdeck_tui.console.settings import TICK_S
from jobdeck_tui.console.widgets.choice_input import ChoiceInput, choosable
from jobdeck_tui.console.widgets.either import Either
from jobdeck_tui.console.widgets.hocon_edit import HoconEdit
from jobdeck_tui.console.workers import start
from jobdeck_tui.sanitise import clean_line
from jobdeck_tui.sparksettings import edited, fields_of

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from jobdeck_client import ConfigCheck
    from jobdeck_tui.console.app import ConsoleApp

__all__ = ["NewContextScreen"]

_NAME_LIMIT_LENGTH = 200
_EXAMPLE = "python.virtualenv = true\npython.packages = [numpy-wheel]"
_PLAIN, _SPARK = "plain", "spark"
_MASTERS = ("local[*]", "local[1]", "local[2]")
_SPARKS_OWN = ("master", "cores", "memory", "restart")
"""Fields that mean nothing to a plain context."""


class NewContextScreen(ModalScreen[ContextInfo | None]):
    """The context that was made; None if the dialog was closed before it was there."""

    DEFAULT_CSS = """
    NewContextScreen {
        align: center middle;
        & > #box {
            width: 90; max-width: 100%; height: 28; max-height: 100%; padding: 0 1;
            border: round $primary; border-title-color: $text-primary; background: $surface;
        }
        & .row { height: 1; }
        & .spark { display: none; }
        &.-spark .spark { display: block; }
        & Label { width: 10; color: $text-muted; }
        & .next { width: auto; padding: 0 1 0 3; }
        & Input { width: 1fr; background: $boost; }
        & .number { width: 9; }
        & Input:focus { background: $foreground 10%; }
        & HoconEdit { height: 1fr; }
        & #said { display: none; height: auto; max-height: 8; scrollbar-size-vertical: 1; }
        & #said.-told { display: block; }
        &.-short #said { max-height: 5; }
        & #told { height: auto; color: $text-muted; }
        & #told.-wrong { color: $text-error; }
        & #told.-waits { color: $text-warning; }
        & #buttons { height: 1; align-horizontal: right; }
        & Button { margin-left: 2; min-width: 12; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close"),
        Binding("ctrl+s", "create", "Make it", priority=True),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._begun_s: float | None = None
        self._former = {"master": _MASTERS[0]}

    # -- what is seen --

    def compose(self) -> ComposeResult:
        """A row for each field, the settings, what is told, two buttons."""
        self._called = Input(compact=True, max_length=_NAME_LIMIT_LENGTH, id="name", placeholder="begins with a letter")
        self._kind = Either([(_PLAIN, "plain"), (_SPARK, "Spark")], id="kind")
        self._master = ChoiceInput(id="master", placeholder="the server's own; spark://host:7077, local[4]")
        self._restart = Either([("", "as the server has it"), ("never", "never"), ("always", "always")], id="restart")
        self._config = HoconEdit(self._check, placeholder=_EXAMPLE)
        self._words = Static(id="told", markup=False)
        self._said = VerticalScroll(self._words, id="said", can_focus=False)
        with Vertical(id="box") as box:
            box.border_title = "New context"
            with Horizontal(classes="row"):
                yield Label("Name")
                yield self._called
            with Horizontal(classes="row"):
                yield Label("Kind")
                yield self._kind
                yield Label("Jobs at once", classes="next")
                yield _number("jobs", "8", r"[0-9]*")
            yield from self._spark_rows()
            yield Label("Settings")
            yield self._config
            yield self._said
            with Horizontal(id="buttons"):
                yield Button("Close", id="close", compact=True)
                yield Button("Make it (^S)", id="create", variant="primary", compact=True)

    def _spark_rows(self) -> ComposeResult:
        with Horizontal(classes="row spark"):
            yield Label("Master")
            yield self._master
        with Horizontal(classes="row spark"):
            yield Label("Cores")
            yield _number("cores", "all", r"[0-9]*")
            yield Label("Memory", classes="next")
            yield _number("memory", "1g", r"[0-9]*[kKmMgGtT]?")
        with Horizontal(classes="row spark"):
            yield Label("Restart")
            yield self._restart

    def on_mount(self) -> None:
        """Type the name at once."""
        known = self._app.state.contexts.items.values()
        masters = choosable(sorted({context.master for context in known if context.master}))
        self._master.choices = tuple(dict.fromkeys((*_MASTERS, *masters)))
        self._called.focus()
        self.set_interval(TICK_S, self._tick)

    @property
    def _app(self) -> ConsoleApp:
        return cast("ConsoleApp", self.app)

    async def _check(self, text: str) -> ConfigCheck:
        return await self._app.api.packages.check(text)

    # -- fields and the lines that they are --

    @on(Either.Changed, "#kind")
    def _turned(self) -> None:
        """Another kind: Spark's lines come, as they were if they were there before, or go."""
        spark, text = self._kind.value == _SPARK, self._config.text
        found = fields_of(text)
        if not spark:
            self._former = {field: found[field] for field in _SPARKS_OWN}
        for field in _SPARKS_OWN:
            text = edited(text, field, self._former.get(field, "") if spark else "")
        self._config.put(text)
        self._show_fields()

    @on(Either.Changed, "#restart")
    def _turned_restart(self) -> None:
        self._config.put(edited(self._config.text, "restart", self._restart.value))

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        clean = clean_line(event.value)
        if clean != event.value:  # pasted; what a terminal would obey must not be drawn
            event.input.value = clean
            return
        field = event.input.id or ""
        if field in fields_of(""):
            self._config.put(edited(self._config.text, field, clean.strip()))
            self._show_fields(but=event.input)

    @on(HoconEdit.Typed)
    def _typed(self) -> None:
        if fields_of(self._config.text)["master"]:
            self._kind.value = _SPARK
        self._show_fields()

    def _show_fields(self, *, but: Input | None = None) -> None:
        """Show in the fields what the settings say, but in the one that is typed in."""
        self.set_class(self._kind.value == _SPARK, "-spark")
        for field, value in fields_of(self._config.text).items():
            if field == "restart":
                self._restart.choose(value)
                continue
            line = self.query_one(f"#{field}", Input)
            if line is not but and line.value != clean_line(value):
                with line.prevent(Input.Changed):
                    line.value = clean_line(value)

    # -- keys --

    @on(Button.Pressed, "#create")
    @on(Input.Submitted, "#name")
    def _submitted(self) -> None:
        self.action_create()

    @on(Input.Submitted)
    def _next(self, event: Input.Submitted) -> None:
        if event.input is not self._called:
            self.focus_next()

    @on(Button.Pressed, "#close")
    def action_close(self) -> None:
        """Leave it; what is under way goes on."""
        if self._begun_s is not None:
            self._app.tell(f"Context {self._called.value.strip()} goes on being made; the list tells when it is ready")
        self.dismiss(None)

    # -- sending --

    def action_create(self) -> None:
        """Send what is typed: keys that are on their way to a field come before, though this one overtook them."""
        (self.focused or self).call_later(self._create)

    def _create(self) -> None:
        """Send it, once; what the server is known to refuse is not sent."""
        name = self._called.value.strip()
        if self._begun_s is not None:
            return
        if not name:
            self._say("A context needs a name.", "-wrong")
            self._called.focus()
            return
        found = self._config.found
        if self._config.text.strip() and found is not None and not found.ok:
            self._config.go_to_fault()
            return
        self._begun_s = time.monotonic()
        self._tick()
        start(self.app, partial(self._made, name, self._config.text), f"context {name}", exclusive=False)

    async def _made(self, name: str, settings: str) -> None:
        try:
            context = await self._app.api.contexts.create(name, settings)
        except ClientError as error:
            self._failed(name, str(error))
        except GuestEndedError:
            return
        else:
            if self.is_attached:
                self.dismiss(context)
            else:
                self._app.tell(f"Context {name} is ready")

    def _failed(self, name: str, why: str) -> None:
        self._begun_s = None
        if self.is_attached:
            self._say(why, "-wrong")
        else:
            self._app.tell_error(f"Context {name}: {why}")

    # -- what is told --

    def _tick(self) -> None:
        if self._begun_s is None:
            return
        waited_s = int(time.monotonic() - self._begun_s)
        words = self._note() or ("Making it" if self._kind.value == _SPARK else "Making its environment")
        self._say(f"{words}… {waited_s} s" if waited_s else f"{words}…", "-waits")

    def _note(self) -> str | None:
        """What the context waits for, as events tell it."""
        name = self._called.value.strip()
        for context in self._app.state.contexts.items.values():
            if context.name == name and not context.ended and context.note:
                return f"Making it: {context.note}"
        return None

    def _say(self, words: str, kind: str) -> None:
        for each in ("-wrong", "-waits"):
            self._words.set_class(each == kind, each)
        self._said.add_class("-told")
        self._said.can_focus = kind == "-wrong"
        self._words.update(Content("\n").join(Content(clean_line(each)) for each in words.splitlines()))


def _number(name: str, placeholder: str, restrict: str) -> Input:
    return Input(id=name, compact=True, placeholder=placeholder, restrict=restrict, classes="number")
