"""What can be done to contexts from their list: make one, stop them, copy their names."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from jobdeck_tui.console.bindings import key
from jobdeck_tui.console.few import Kind
from jobdeck_tui.console.screens.confirm import ConfirmScreen
from jobdeck_tui.console.screens.fewscreen import FewScreen
from jobdeck_tui.console.screens.listacts import count_of
from jobdeck_tui.console.screens.newcontext import NewContextScreen
from jobdeck_tui.console.workers import start

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    CHANGES = frozenset({"create", "stop"})
    NEEDS = frozenset({"stop", "copy_name"})
    BINDINGS: ClassVar[list[BindingType]] = [
        _key("n", "create", "create", "Make a context", "New", show=True),
        _key("x", "stop", "stop", "Stop it, and all that runs in it", "Stop", show=True),
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

    def action_stop(self) -> None:
        """Ask, saying what runs in them; then stop them."""
        contexts = [context for context in self.chosen() if not context.ended]
        if not contexts:
            self.deck_app.tell("It has ended already")
            return

        def answered(yes: bool | None) -> None:
            if yes:
                start(self, partial(self._stopped, [context.name for context in contexts]), "stop")

        one = len(contexts) == 1
        title = "Stop this context?" if one else f"Stop these {len(contexts):,} contexts?"
        question = ConfirmScreen(title, [_line(context) for context in contexts], verb="Stop", note=_note(contexts))
        self.app.push_screen(question, answered)

    async def _stopped(self, names: Sequence[str]) -> None:
        refused = await self.deck_app.ask(self.deck_app.api.contexts.stop(names), "Stopping failed")
        self.tell_done(len(names), refused, "asked to stop")
        self.deck_app.read_few(Kind.CONTEXTS)

    def action_copy_name(self) -> None:
        """One name, or a line for each."""
        names = [context.name for context in self.chosen()]
        self.copy(names, f"Copied {names[0]}" if len(names) == 1 else f"Copied {len(names)} names")


def _line(context: ContextInfo) -> str:
    running = count_of(context.running_count, "job") or "no job"
    waiting = f", {context.queued_count:,} waiting" if context.queued_count else ""
    return f"{context.name[:_NAME_CELLS]}  {context.state.value}  ({running} in it{waiting})"


def _note(contexts: Sequence[ContextInfo]) -> str:
    running = sum(context.running_count for context in contexts)
    waiting = sum(context.queued_count for context in contexts)
    them, notes = "it" if len(contexts) == 1 else "them", []
    if running:
        notes.append(f"{count_of(running, 'job')} in {them} will be ended.")
    if waiting:
        notes.append(f"{count_of(waiting, 'job')} that {'waits' if waiting == 1 else 'wait'} will not be run.")
    return " ".join(notes) or f"Nothing runs in {them}."
