"""The console's app: themes, the keys that work everywhere, and the wiring. What is seen is in ``screens``."""

from __future__ import annotations

import os
import signal
import threading
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.traceback import Traceback
from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.drivers.linux_driver import LinuxDriver

from jobdeck_client import ClientError
from jobdeck_tui.console.driver import TerminalDriver
from jobdeck_tui.console.guard import Guard
from jobdeck_tui.console.guest import GuestEndedError
from jobdeck_tui.console.keys import KeyOrder
from jobdeck_tui.console.messages import StateChanged
from jobdeck_tui.console.palette import KeyCommands
from jobdeck_tui.console.picture import svg_of
from jobdeck_tui.console.screens.base import DeckScreen
from jobdeck_tui.console.screens.blobs import BlobsScreen
from jobdeck_tui.console.screens.contexts import ContextsScreen
from jobdeck_tui.console.screens.help import HelpScreen, rows_of
from jobdeck_tui.console.screens.jobs import JobsScreen
from jobdeck_tui.console.screens.output import OutputScreen
from jobdeck_tui.console.screens.packages import PackagesScreen
from jobdeck_tui.console.screens.workers import WorkersScreen
from jobdeck_tui.console.settings import CLOSE_LIMIT_S
from jobdeck_tui.console.state import State
from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Sequence
    from typing import ClassVar, TypeVar

    from textual.binding import BindingType
    from textual.driver import Driver
    from textual.filter import LineFilter
    from textual.screen import Screen

    from jobdeck_protocol.contextinfo import ContextInfo
    from jobdeck_protocol.job import Job
    from jobdeck_protocol.workerinfo import WorkerInfo
    from jobdeck_tui.console.api import Api
    from jobdeck_tui.console.bloblist import BlobQuery
    from jobdeck_tui.console.deck import Deck
    from jobdeck_tui.console.few import Kind
    from jobdeck_tui.console.pages import Place
    from jobdeck_tui.console.query import Query
    from jobdeck_tui.console.state import LogKey

    T = TypeVar("T")


_REFUSALS_TOLD_COUNT = 3


class ConsoleApp(KeyOrder[int]):
    """See the top of this file.

    Attributes:
        state: The newest that is known.
        api: What may be asked of the server; see ``connect``.
        deck: The trio side.
    """

    CSS_PATH = "console.tcss"
    TITLE = "jobdeck"
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-normal"), (140, "-wide")]  # noqa: RUF012  # as App declares it
    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-tall")]  # noqa: RUF012  # as App declares it
    COMMANDS = App.COMMANDS | {KeyCommands}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "jobs", "Jobs", id="pane.jobs", show=False, tooltip="The list of jobs"),
        Binding("2", "blobs", "Blobs", id="pane.blobs", show=False, tooltip="The list of blobs"),
        Binding("3", "workers", "Workers", id="pane.workers", show=False, tooltip="The list of workers"),
        Binding("4", "packages", "Packages", id="pane.packages", show=False, tooltip="The list of packages"),
        Binding("5", "contexts", "Contexts", id="pane.contexts", show=False, tooltip="The list of contexts"),
        Binding("question_mark", "help", "Help", id="app.help", key_display="?", tooltip="Every key that works here"),
        Binding("ctrl+p", "command_palette", "Commands", id="app.palette", show=False, tooltip="Commands by name"),
        Binding("ctrl+t", "change_theme", "Theme", id="app.theme", show=False, tooltip="Choose the colours"),
        Binding(
            "ctrl+z",
            "suspend_process",
            "Suspend",
            id="app.suspend",
            show=False,
            tooltip="Back to the shell; fg returns",
        ),
        Binding("q", "quit", "Quit", id="app.quit", tooltip="Leave; the jobs run on"),
    ]

    def __init__(self, url: str, *, opened: str | None = None) -> None:
        super().__init__()
        self.state = State(url=url)
        self.api: Api
        self.deck: Deck
        self._opened = opened
        self._told = False
        self._guard = Guard()
        self._jobs = JobsScreen()
        self._blobs = BlobsScreen()
        self._workers_screen = WorkersScreen()
        self._packages_screen = PackagesScreen()
        self._contexts_screen = ContextsScreen()

    def connect(self, deck: Deck, api: Api) -> None:
        """Give it its trio side, before it runs."""
        self.deck, self.api, self.state = deck, api, deck.state

    @property
    def has_token(self) -> bool:
        """Whether requests to this server show a token."""
        return self.deck.client.has_token

    def on_mount(self) -> None:
        """Start with the list, and above it the job that was named, if one was."""
        self.install_screen(self._blobs, "blobs")
        self.install_screen(self._workers_screen, "workers")
        self.install_screen(self._packages_screen, "packages")
        self.install_screen(self._contexts_screen, "contexts")
        self.push_screen(self._jobs)
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

    def list_blobs(self, query: BlobQuery) -> None:
        """Show other blobs on their list."""
        self.deck.blobs.query(query)

    def load_blobs(self, place: Place) -> None:
        """Have a page of the list of blobs read."""
        self.deck.blobs.load(place)

    def look_at(self, kind: Kind, item_id: str | None, *, seen: bool) -> None:
        """Have things of which there are few read again and again while they are seen, with what one of them has."""
        self.deck.few[kind].look(item_id, seen=seen)

    def read_few(self, kind: Kind) -> None:
        """Have them read now."""
        self.deck.few[kind].read()

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

    def tell_done(self, done: str, refused: Sequence[tuple[str, str]], what: str, *, name_cells: int) -> None:
        """Toasts for something that was done to many.

        Args:
            done: To how many, in words; empty for none.
            refused: Names and errors of those that refused.
            what: Was done.
            name_cells: How much of a name is told.
        """
        for name, error in refused[:_REFUSALS_TOLD_COUNT]:
            self.tell_error(f"{name[:name_cells]}: {error}")
        if len(refused) > _REFUSALS_TOLD_COUNT:
            self.tell_error(f"and {len(refused) - _REFUSALS_TOLD_COUNT} more refused")
        if done:
            self.tell(f"{done} {what}")

    # -- keys --

    def action_help(self) -> None:
        """Every key of the screen that is seen."""
        self.push_screen(HelpScreen(rows_of(self.screen)))

    def action_jobs(self) -> None:
        """Back to the list."""
        while len(self.screen_stack) > 2:
            self.pop_screen()

    def action_blobs(self) -> None:
        """The list of blobs, as it was left."""
        self.action_jobs()
        self.push_screen(self._blobs)

    def action_workers(self) -> None:
        """The list of workers, as it was left."""
        self.action_jobs()
        self.push_screen(self._workers_screen)

    def action_packages(self) -> None:
        """The list of packages, as it was left."""
        self.action_jobs()
        self.push_screen(self._packages_screen)

    def action_contexts(self) -> None:
        """The list of contexts, as it was left."""
        self.action_jobs()
        self.push_screen(self._contexts_screen)

    def show_jobs_in(self, context: ContextInfo) -> None:
        """The list of jobs, of those in this context alone."""
        self.action_jobs()
        self._jobs.filter.show_context(context.name)

    def show_context_of(self, job: Job) -> None:
        """The list of contexts, at the one in which a job runs, or whose process it is."""
        if job.context is None:
            self.tell("It runs in no context")
        elif all(context.name != job.context for context in self.state.contexts.items.values()):
            self.tell(f"Context {job.context} is not there any more")
        else:
            self.action_contexts()
            self._contexts_screen.go_to(job.context)

    def show_jobs_of(self, worker: WorkerInfo) -> None:
        """The list of jobs, of this worker alone."""
        self.action_jobs()
        self._jobs.filter.show_worker(self.state.workers.word_for(worker))

    def action_suspend_process(self) -> None:
        """Hand the terminal back to the shell, as Ctrl-Z does everywhere else.

        Textual's own action stops this process alone; whoever waits for it (make, uv, a script) would keep the
        terminal. The shell waits for the whole process group, so that is what is stopped.
        """
        with self.suspend():
            os.killpg(0, signal.SIGSTOP)

    def action_picture(self) -> None:
        """Write what is seen to a file."""
        path = Path(f"jobdeck-{datetime.now().astimezone():%Y%m%d-%H%M%S}.svg").absolute()
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(svg_of(self))
        except OSError as error:
            self.tell_error(f"The picture could not be written: {error}")
        else:
            self.tell(f"The picture is in {path}")

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """What the palette offers beside the keys."""
        del screen
        yield SystemCommand("Theme", "Choose the colours", self.action_change_theme)
        yield SystemCommand("Picture", "Write what is seen to an SVG file", self.action_picture)

    # -- the way out --

    def get_driver_class(self) -> type[Driver]:
        """Ours, where Textual would take its own for a terminal."""
        chosen = super().get_driver_class()
        return TerminalDriver if chosen is LinuxDriver else chosen

    def leave_by(self, number: signal.Signals) -> None:
        """A signal asks for the end: give the terminal back, and tell the signal in the exit code as shells do.

        Where the terminal itself has gone, or takes nothing any more, there is nothing to give back, and Textual would
        wait for ever to do so.
        """
        code = 128 + number
        if not os.isatty(0):
            os._exit(code)
        last = threading.Timer(CLOSE_LIMIT_S, os._exit, (code,))
        last.daemon = True
        last.start()
        self.exit(return_code=code)

    def crashed(self, error: BaseException) -> None:
        """The trio side ended by a fault of ours: nothing would be live any more."""
        self.exit(return_code=1, message=Traceback.from_exception(type(error), error, error.__traceback__))

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Each line of each widget passes the guard last."""
        return [*super().get_line_filters(), self._guard]
