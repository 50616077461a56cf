"""What can be done to workers from their list: drain, rename, forget, copy."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from jobdeck_protocol.workerinfo import WorkerState
from jobdeck_tui.console.bindings import key
from jobdeck_tui.console.few import Kind
from jobdeck_tui.console.screens.confirm import ConfirmScreen
from jobdeck_tui.console.screens.fewscreen import FewScreen
from jobdeck_tui.console.screens.listacts import count_of
from jobdeck_tui.console.screens.rename import RenameScreen
from jobdeck_tui.console.workers import start

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.binding import BindingType

    from jobdeck_protocol.workerinfo import WorkerInfo

__all__ = ["WorkerActs"]

_ID_CELLS = 8
_NAME_CELLS = 24


_key = partial(key, "workers")


class WorkerActs(FewScreen["WorkerInfo"]):
    """Keys that act on workers; see ``ListActs``."""

    KIND = Kind.WORKERS
    NOUN = "worker"
    CHANGES = frozenset({"drain", "rename", "forget"})
    NEEDS = frozenset({"drain", "rename", "forget", "copy_id"})
    BINDINGS: ClassVar[list[BindingType]] = [
        _key(
            "d", "drain", "drain", "Drain: it ends what it has and gets nothing new; again to undo", "Drain", show=True
        ),
        _key("r", "rename", "rename", "Rename it", "Rename", show=True),
        _key("x", "forget", "forget", "Forget it, and what it still runs", "Forget", show=True),
        _key("y", "copy_id", "copy_id", "Copy the id"),
    ]

    def told_new(self, new: WorkerInfo) -> None:
        """Workers come by themselves."""

    def action_drain(self) -> None:
        """Drain those that are chosen; if all of them are drained, let them have jobs again."""
        chosen = self.chosen()
        on = any(worker.state is not WorkerState.DRAINING for worker in chosen)
        start(self, partial(self._drained, [worker.id for worker in chosen], on=on), "drain")

    async def _drained(self, ids: Sequence[str], *, on: bool) -> None:
        what = "drained: nothing new goes there" if on else "in use again"
        refused = await self.deck_app.ask(self.deck_app.api.workers.drain(ids, on=on), "Draining failed")
        self.tell_done(len(ids), refused, what)
        self.deck_app.read_few(Kind.WORKERS)

    def action_rename(self) -> None:
        """Ask for the name of one."""
        chosen = self.chosen()
        if len(chosen) > 1:
            self.deck_app.tell("One worker is renamed at a time")
            return

        def answered(name: str | None) -> None:
            if name is not None:
                start(self, partial(self._renamed, chosen[0].id, name), "rename")

        self.app.push_screen(RenameScreen(chosen[0].name), answered)

    async def _renamed(self, worker_id: str, name: str) -> None:
        app = self.deck_app
        await app.ask(app.api.workers.rename(worker_id, name), "Renaming failed")
        app.read_few(Kind.WORKERS)

    def action_forget(self) -> None:
        """Ask, saying what becomes of their jobs; then forget them."""
        workers = self.chosen()

        def answered(yes: bool | None) -> None:
            if yes:
                start(self, partial(self._forgotten, [worker.id for worker in workers]), "forget")

        one = len(workers) == 1
        title = "Forget this worker?" if one else f"Forget these {len(workers):,} workers?"
        self.app.push_screen(ConfirmScreen(title, _lines(workers), verb="Forget", note=_note(workers)), answered)

    async def _forgotten(self, ids: Sequence[str]) -> None:
        refused = await self.deck_app.ask(self.deck_app.api.workers.forget(ids), "Forgetting failed")
        self.tell_done(len(ids), refused, "forgotten")
        self.deck_app.read_few(Kind.WORKERS)

    def action_copy_id(self) -> None:
        """One id, or a line for each."""
        ids = [worker.id for worker in self.chosen()]
        self.copy(ids, f"Copied {ids[0]}" if len(ids) == 1 else f"Copied {len(ids)} ids")


def _lines(workers: Sequence[WorkerInfo]) -> list[str]:
    return [
        f"{worker.id[:_ID_CELLS]}  {worker.state.value:<11}  {worker.name[:_NAME_CELLS]}"
        f"  ({count_of(worker.running_count, 'job') or 'no job'} there)"
        for worker in workers
    ]


def _note(workers: Sequence[WorkerInfo]) -> str:
    running = sum(worker.running_count for worker in workers)
    waiting = sum(worker.queued_count for worker in workers)
    notes = []
    if running:
        notes.append(f"{count_of(running, 'job')} of it will be LOST, until the worker comes back with the true end.")
    if waiting:
        notes.append(f"{count_of(waiting, 'job')} that {'waits' if waiting == 1 else 'wait'} for it will fail.")
    return " ".join(notes) or "A worker that still runs comes back by itself, as a new one."
