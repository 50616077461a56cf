"""The console's app: themes, the keys that work everywhere, and the wiring. What is seen is in ``screens``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import App
from textual.binding import Binding

from jobdeck_client import ClientError
from jobdeck_tui.console.guest import GuestEndedError
from jobdeck_tui.console.messages import StateChanged
from jobdeck_tui.console.screens.base import DeckScreen
from jobdeck_tui.console.screens.help import HelpScreen
from jobdeck_tui.console.screens.jobs import JobsScreen
from jobdeck_tui.console.screens.output import OutputScreen
from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import ClassVar, TypeVar

    from textual.binding import BindingType

    from jobdeck_tui.console.api import Api
    from jobdeck_tui.console.deck import Deck
    from jobdeck_tui.console.joblist import Place, Query
    from jobdeck_tui.console.state import LogKey, State

    T = TypeVar("T")


class ConsoleApp(App[int]):
    """See the top of this file.

    Attributes:
        state: The newest that is known.
        api: What may be asked of the server; set before the app runs, as ``deck`` is.
        deck: The trio side.
    """

    CSS_PATH = "console.tcss"
    TITLE = "jobdeck"
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-normal"), (140, "-wide")]  # noqa: RUF012  # as App declares it
    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-tall")]  # noqa: RUF012  # as App declares it
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "jobs", "Jobs", id="pane.jobs"),
        Binding("2", "output", "Output", id="pane.output"),
        Binding("question_mark", "help", "Help", id="app.help", key_display="?"),
        Binding("q", "quit", "Quit", id="app.quit"),
    ]

    def __init__(self, state: State, *, opened: str | None = None) -> None:
        super().__init__()
        self.state = state
        self.api: Api
        self.deck: Deck
        self._opened = opened
        self._told = False

    def on_mount(self) -> None:
        """Start with the list, and above it the job that was named, if one was."""
        self.push_screen(JobsScreen())
        if self._opened is not None:
            self.push_screen(OutputScreen(self._opened))

    # -- state --

    def take_state(self, state: State) -> None:
        """The trio side's ``show``: what is shown follows as soon as the loop gets to it."""
        self.state = state
        if not self._told and self.is_running:
            self._told = True
            self.post_message(StateChanged())

    def on_state_changed(self) -> None:
        """Hand the state to the screen that is seen, and to those below a dialog."""
        self._told = False
        for screen in self.screen_stack:
            if isinstance(screen, DeckScreen) and screen.is_mounted:
                screen.show_state(self.state)

    # -- what is kept up to date --

    def list_jobs(self, query: Query) -> None:
        """Show other jobs on the list."""
        self.deck.query(query)

    def load(self, place: Place) -> None:
        """Have a page of the list read."""
        self.deck.load(place)

    def watch_log(self, owner: str, key: LogKey | None) -> None:
        """Have the growth of one log told as ``state.logs``; None for none any more."""
        self.deck.watch(owner, key)

    def close_job(self, job_id: str) -> None:
        """A pane shows it no more."""
        self.deck.close(job_id)

    # -- requests --

    async def ask(self, request: Awaitable[T], what: str) -> T | None:
        """Wait for a request; its failure is told in a toast, and None is returned."""
        try:
            return await request
        except (ClientError, OSError) as error:
            self.tell_error(f"{what}: {error}")
        except GuestEndedError:
            pass
        return None

    def tell_error(self, text: str) -> None:
        """A toast with foreign text in it."""
        self.notify(clean_line(text), severity="error", markup=False)

    def tell(self, text: str) -> None:
        """A toast with foreign text in it."""
        self.notify(clean_line(text), markup=False)

    # -- keys --

    def action_help(self) -> None:
        """Every key of the screen that is seen."""
        self.push_screen(HelpScreen())
