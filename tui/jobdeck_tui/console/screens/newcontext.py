"""Make a context: its name, and its settings in HOCON.

A context may need an environment of its own, which takes its time. The request is not the dialog's but the app's: who
closes the dialog leaves it to go on, and is told when it is over.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static

from jobdeck_client import ClientError
from jobdeck_protocol.contextinfo import ContextInfo
from jobdeck_tui.console.guest import GuestEndedError
from jobdeck_tui.console.settings import TICK_S
from jobdeck_tui.console.widgets.hocon_edit import HoconEdit
from jobdeck_tui.console.workers import start
from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from jobdeck_client import ConfigCheck
    from jobdeck_tui.console.app import ConsoleApp

__all__ = ["NewContextScreen"]

_NAME_LIMIT_LENGTH = 200
_EXAMPLE = "python.virtualenv = true\npython.packages = [numpy-wheel]"


class NewContextScreen(ModalScreen[ContextInfo | None]):
    """The context that was made; None if the dialog was closed before it was there."""

    DEFAULT_CSS = """
    NewContextScreen {
        align: center middle;
        & > Vertical {
            width: 90; max-width: 100%; height: 24; max-height: 100%; padding: 0 1;
            border: round $primary; border-title-color: $text-primary; background: $surface;
        }
        & .row { height: 1; }
        & Label { width: 10; color: $text-muted; }
        & Input { width: 1fr; background: $boost; }
        & HoconEdit { height: 1fr; }
        & #told { height: auto; max-height: 4; color: $text-muted; }
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

    def compose(self) -> ComposeResult:
        """A name, the settings, what is told, two buttons."""
        self._called = Input(compact=True, max_length=_NAME_LIMIT_LENGTH, id="name", placeholder="begins with a letter")
        self._config = HoconEdit(self._check, placeholder=_EXAMPLE)
        self._words = Static(id="told", markup=False)
        with Vertical() as box:
            box.border_title = "New context"
            with Horizontal(classes="row"):
                yield Label("Name")
                yield self._called
            yield Label("Settings")
            yield self._config
            yield self._words
            with Horizontal(id="buttons"):
                yield Button("Close", id="close", compact=True)
                yield Button("Make it (^S)", id="create", variant="primary", compact=True)

    def on_mount(self) -> None:
        """Type the name at once."""
        self._called.focus()
        self.set_interval(TICK_S, self._tick)

    @property
    def _app(self) -> ConsoleApp:
        return cast("ConsoleApp", self.app)

    async def _check(self, text: str) -> ConfigCheck:
        return await self._app.api.packages.check(text)

    # -- keys --

    @on(Button.Pressed, "#create")
    @on(Input.Submitted, "#name")
    def _submitted(self) -> None:
        self.action_create()

    @on(Button.Pressed, "#close")
    def action_close(self) -> None:
        """Leave it; what is under way goes on."""
        if self._begun_s is not None:
            self._app.tell(f"Context {self._called.value.strip()} goes on being made; the list tells when it is ready")
        self.dismiss(None)

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
        if self._begun_s is not None:
            waited_s = int(time.monotonic() - self._begun_s)
            self._say(f"Making its environment… {waited_s} s" if waited_s else "Making its environment…", "-waits")

    def _say(self, words: str, kind: str) -> None:
        for each in ("-wrong", "-waits"):
            self._words.set_class(each == kind, each)
        self._words.update(Content(clean_line(" ".join(words.splitlines()))))
