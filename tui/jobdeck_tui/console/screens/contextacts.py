"""What can be done to contexts from their list: make one, stop them, copy their names."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from jobdeck_tui.console.bindings import key
from jobdeck_tui.console.few import Kind
from jobdeck_tui.console.screens.confirm import ConfirmScreen
from jobdeck_tui.console.screens.fewscreen import FewScreen
from jobdeck_tui.console.screens.listacts import count_of
from jobdeck_tui.console.screens.newcontext import NewContextScreen
from jobdeck_tui.console.screens.output import OutputScreen
from jobdeck_tui.console.workers import start

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from textual.binding import BindingType

    from jobdeck_protocol.contextinfo import ContextInfo

__all__ = ["ContextActs"]

_NAME_CELLS = 40


_key = partial(key, "contexts")


class ContextActs(FewScreen["ContextInfo"]):
    """Keys that act on contexts; see ``ListActs``."""

    KIND = Kind.CONTEXTS
    NOUN = "context"
    NAME_CELLS = _NAME_CELLS
    CHANGES = frozenset({"create", "stop", "restart"})
    NEEDS = frozenset({"stop", "restart", "log", "copy_name"})
    BINDINGS: ClassVar[list[BindingType]] = [
        _key("n", "create", "create", "Make a context", "New", show=True),
        _key("x", "stop(False)", "stop", "Stop it, and all that runs in it", "Stop", show=True),
        _key("X,ctrl+k", "stop(True)", "kill", "Kill it: its jobs get no time to end by themselves"),
        _key("r", "restart", "restart", "Make it anew, with its settings; what runs in it ends", "Restart", show=True),
        _key("l", "log", "log", "The log of its own process: Spark's", "Log", show=True),
        _key("y", "copy_name", "copy_name", "Copy the name"),
    ]

    def told_new(self, new: ContextInfo) -> None:
        """Go to one that was made from here."""
        self.table.await_row(new.id)

    def action_create(self) -> None:
        """The dialog."""

        def made(context: ContextInfo | None) -> None:
            if context is not None:
                self.deck_app.tell(f"Context {context.name} is ready")
                self.told_new(context)

        self.app.push_screen(NewContextScreen(), made)

    # -- ending, and beginning anew --

    def action_stop(self, kill: bool) -> None:
        """Ask, saying what runs in them; then stop them."""
        contexts = [context for context in self.chosen() if not context.ended]
        if not contexts:
            self.deck_app.tell("It has ended already")
            return
        note = _note(contexts, waiting="will not be run")
        self._question("Kill" if kill else "Stop", contexts, note, partial(self._stopped, kill=kill))

    async def _stopped(self, names: Sequence[str], *, kill: bool) -> None:
        refused = await self.deck_app.ask(self.deck_app.api.contexts.stop(names, force=kill), "Stopping failed")
        self.tell_done(len(names), refused, "killed" if kill else "asked to stop")
        self.deck_app.read_few(Kind.CONTEXTS)

    def action_restart(self) -> None:
        """Ask, saying what ends with that; then have them made anew. One that has ended may be, too."""
        contexts = self.chosen()
        note = _note(contexts, waiting="will run when it is up again")
        self._question("Restart", contexts, note, self._restarted)

    async def _restarted(self, names: Sequence[str]) -> None:
        refused = await self.deck_app.ask(self.deck_app.api.contexts.restart(names), "Restarting failed")
        self.tell_done(len(names), refused, "asked to restart")
        self.deck_app.read_few(Kind.CONTEXTS)

    def _question(
        self,
        verb: str,
        contexts: Sequence[ContextInfo],
        note: str,
        act: Callable[[Sequence[str]], Coroutine[Any, Any, None]],
    ) -> None:
        names = [context.name for context in contexts]

        def answered(yes: bool | None) -> None:
            if yes:
                start(self, partial(act, names), verb, exclusive=False)

        title = f"{verb} {'this context' if len(names) == 1 else f'these {len(names):,} contexts'}?"
        lines = [_line(context) for context in contexts]
        self.app.push_screen(ConfirmScreen(title, lines, verb=verb, note=note), answered)

    # -- looking --

    def action_log(self) -> None:
        """The output of the job that is the process of the one under the cursor."""
        context = self.table.cursor
        if context.process is None:
            self.deck_app.tell("It has no process of its own: its jobs have logs")
        else:
            self.app.push_screen(OutputScreen(context.process))

    # -- copying --

    def action_copy_name(self) -> None:
        """One name, or a line for each."""
        names = [context.name for context in self.chosen()]
        self.copy(names, f"Copied {names[0]}" if len(names) == 1 else f"Copied {len(names)} names")


def _line(context: ContextInfo) -> str:
    running = count_of(context.running_count, "job") or "no job"
    waiting = f", {context.queued_count:,} waiting" if context.queued_count else ""
    state = context.state.value + (f": {context.note}" if context.note else "")
    return f"{context.name[:_NAME_CELLS]}  {state}  ({running} in it{waiting})"


def _note(contexts: Sequence[ContextInfo], *, waiting: str) -> str:
    running = sum(context.running_count for context in contexts)
    queued = sum(context.queued_count for context in contexts)
    them, notes = "it" if len(contexts) == 1 else "them", []
    if running:
        notes.append(f"{count_of(running, 'job')} in {them} will be ended.")
    if queued:
        notes.append(f"{count_of(queued, 'job')} that {'waits' if queued == 1 else 'wait'} {waiting}.")
    return " ".join(notes) or f"Nothing runs in {them}."
