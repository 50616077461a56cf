"""The dialog that starts a class out of a package: which one, in which context, with which configuration."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static

from jobdeck_client import ClientError
from jobdeck_protocol.job import Job
from jobdeck_tui.console.classrequest import ClassFields, ClassMemory, ClassRequest, context_words, read, takes
from jobdeck_tui.console.curl import curl_of
from jobdeck_tui.console.guest import GuestEndedError
from jobdeck_tui.console.widgets.choice_input import ChoiceInput, choice_words, choosable
from jobdeck_tui.console.widgets.hocon_edit import HoconEdit
from jobdeck_tui.console.widgets.key_bar import KeyBar
from jobdeck_tui.console.workers import start
from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from jobdeck_client import ConfigCheck
    from jobdeck_protocol.packageinfo import PackageInfo
    from jobdeck_tui.console.app import ConsoleApp

__all__ = ["StartClassScreen"]

_LABELS = {"main_class": "Class", "context": "Context", "callback_url": "Callback"}
_FAULTS = ("main_class", "callback_url")


class StartClassScreen(ModalScreen[Job | None]):
    """The job that was started; None if none was.

    Args:
        package: Where the class is looked for.
        memory: What was started before; kept up to date.
    """

    DEFAULT_CSS = """
    StartClassScreen {
        align: center middle;
        & > #box {
            width: 100%; max-width: 100; height: 100%; max-height: 34;
            padding: 0 1; border: round $primary; border-title-color: $text-primary; background: $surface;
        }
        & .row { height: auto; }
        & .row > Label { width: 10; color: $text-muted; }
        & .row > Input { width: 1fr; background: $boost; }
        & .row > Input:focus { background: $foreground 10%; }
        & .below { padding-left: 10; height: 1; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis; }
        & .wrong { color: $text-error; display: none; }
        & .wrong.-told { display: block; }
        & #config-row { height: 1fr; min-height: 3; }
        & #refused { color: $text-error; height: auto; max-height: 3; display: none; }
        & #refused.-told { display: block; }
        & #buttons { height: auto; align-horizontal: right; }
        & Button { margin-left: 2; min-width: 12; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "start", "Start", priority=True),
        Binding("escape", "cancel", "Cancel", priority=True),
        Binding("ctrl+y", "copy", "Copy curl", priority=True),
    ]

    def __init__(self, package: PackageInfo, memory: ClassMemory) -> None:
        super().__init__()
        self._package, self._package_kind = package.name, package.kind
        self._memory = memory
        self._put_class = self._put_config = ""
        self._touched: set[str] = set()
        self._sending = False
        self._more = ""

    # -- what is seen --

    def compose(self) -> ComposeResult:
        """A row for each field; the configuration has what is left."""
        self.class_line = ChoiceInput(id="main_class", placeholder="package.module.Class")
        self.context_line = ChoiceInput(id="context", placeholder="one of its own, which ends with it")
        self.callback_line = Input(id="callback_url", compact=True, placeholder="nobody; http://… is told of the end")
        self.config = HoconEdit(self._check, placeholder="no configuration; HOCON: input.string = a b c")
        self._found_words = Static(id="classes", classes="below", markup=False)
        self._context_words = Static(id="context-words", classes="below", markup=False)
        with Vertical(id="box") as box:
            box.border_title = Content(clean_line(f"Start a class out of {self._package} ({self._package_kind})"))
            yield from self._row("main_class", self.class_line)
            yield self._found_words
            yield from self._row("context", self.context_line)
            yield self._context_words
            yield from self._row("callback_url", self.callback_line)
            with Horizontal(id="config-row", classes="row"):
                yield Label("Config")
                yield self.config
            yield Static(id="refused", markup=False)
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button("Start (^s)", id="start", variant="primary", compact=True)
        yield KeyBar()

    def _row(self, name: str, widget: Input) -> ComposeResult:
        with Horizontal(classes="row"):
            yield Label(_LABELS[name])
            yield widget
        if name in _FAULTS:
            yield Static(id=f"{name}-wrong", classes="below wrong", markup=False)

    def on_mount(self) -> None:
        """Fill it in as far as it is known, and ask for the classes."""
        contexts = self._contexts()
        if contexts:
            self.context_line.choices = ("", *choosable(contexts))
        self._put(self._memory.first(self._package))
        self._tell_classes("… looks for classes")
        self.class_line.focus()
        start(self, self._look, "look")

    def _contexts(self) -> list[str]:
        """Names of those that take such a class."""
        known = self._app().state.contexts.items.values()
        return sorted(each.name for each in known if takes(each, self._package_kind))

    def _put(self, fields: ClassFields) -> None:
        self.class_line.value = clean_line(fields.main_class)
        self.context_line.value = clean_line(fields.context)
        self.callback_line.value = clean_line(fields.callback_url)
        self._put_class = self.class_line.value
        self._put_config = self.config.text = fields.config

    async def _look(self) -> None:
        """Which classes there are; one may be typed before that is known, or if it cannot be."""
        try:
            details = await self._app().api.packages.show(self._package)
        except ClientError as error:
            self._tell_classes(f"{error}")
            return
        except GuestEndedError:
            return
        classes = choosable(details.classes)
        self.class_line.choices = classes
        if len(classes) == 1 and not self.class_line.value:
            self.class_line.value = classes[0]
        if not classes:
            self._tell_classes("no class was found in it: type the name of one")
            return
        self._more = "" if details.classes_complete else " … perhaps others"
        self._tell_choice()

    def _tell_choice(self) -> None:
        """Which of the classes that were found stands there, and those that the arrow down comes to next."""
        classes = self.class_line.choices
        if not classes:
            return
        self._tell_classes(f"↑↓ {choice_words(classes, self.class_line.value)}{self._more}")

    def _tell_classes(self, words: str) -> None:
        self._found_words.update(Content(clean_line(words)))

    def _tell_context(self) -> None:
        """What the context is that is named."""
        name = self.context_line.value.strip()
        known = self._app().state.contexts.items.values()
        found = next((each for each in known if each.name == name and not each.ended), None)
        self._context_words.update(Content(clean_line(context_words(found, self._package_kind))))

    async def _check(self, text: str) -> ConfigCheck:
        return await self._app().api.packages.check(text)

    # -- fields --

    def _read(self) -> ClassFields:
        return ClassFields(
            main_class=self.class_line.value,
            context=self.context_line.value,
            callback_url=self.callback_line.value,
            config=self.config.text,
        )

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        clean = clean_line(event.value)
        if clean != event.value:  # pasted; what a terminal would obey must not be drawn
            event.input.value = clean
            return
        if event.input is self.class_line:
            self._tell_choice()
            self._change_config(event.value)
        if event.input is self.context_line:
            self._tell_context()
        if event.value:
            self._touched.add(event.input.id or "")
        self._look_over()

    def _change_config(self, main_class: str) -> None:
        """Another class has a configuration of its own; one that was typed stays."""
        if main_class != self._put_class and self.config.text == self._put_config:
            self._put_config = self.config.text = self._memory.config_of(main_class)
        self._put_class = main_class

    def _look_over(self) -> None:
        """Say what is wrong with what was touched."""
        found = read(self._read(), self._package)
        wrong = found if isinstance(found, dict) else {}
        for name in _FAULTS:
            words = wrong.get(name, "") if name in self._touched else ""
            place = self.query_one(f"#{name}-wrong", Static)
            place.update(Content(words))
            place.set_class(bool(words), "-told")

    # -- keys --

    def action_cancel(self) -> None:
        """Start nothing; what is typed is there again the next time."""
        self._memory.leave(self._package, self._read())
        self.dismiss(None)

    def action_copy(self) -> None:
        """Copy the request as a curl line."""
        found = read(self._read(), self._package)
        if isinstance(found, ClassRequest):
            app = self._app()
            app.copy_to_clipboard(curl_of(app.state.url, found.body, token=app.has_token))
            app.tell("The curl line is copied")

    @on(Input.Submitted)
    def _next(self) -> None:
        """To the next field: who starts something has seen all of them."""
        self.focus_next()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "start":
            self.action_start()
        else:
            self.action_cancel()

    # -- sending --

    def action_start(self) -> None:
        """Send what is typed: keys that are on their way to a field come before, though this one overtook them."""
        (self.focused or self).call_later(self._start)

    def _start(self) -> None:
        """Send it, once; what is wrong is told instead, the untouched fields too."""
        found = read(self._read(), self._package)
        if isinstance(found, dict):
            self._touched |= set(found)
            self._look_over()
            self.query_one(f"#{next(iter(found))}").focus()
        elif self.config.found is not None and not self.config.found.ok:
            self.config.go_to_fault()
        elif not self._sending:
            self._sending = True
            self._refuse("")
            start(self, partial(self._send, found), "start")

    async def _send(self, request: ClassRequest) -> None:
        try:
            job = await self._app().api.packages.start(**request.body)
        except (ClientError, GuestEndedError) as error:
            self._refuse(str(error) or "The console is being left.")
            return
        finally:
            self._sending = False
        self._memory.keep(self._package, self._read())
        self.dismiss(job)

    def _refuse(self, words: str) -> None:
        place = self.query_one("#refused", Static)
        place.update(Content(clean_line(words)))
        place.set_class(bool(words), "-told")

    def _app(self) -> ConsoleApp:
        return cast("ConsoleApp", self.app)
