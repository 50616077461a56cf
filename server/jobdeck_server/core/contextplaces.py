"""A context that lives, with its jobs: who has one of its slots, who waits for one."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol.contextinfo import ContextInfo, ContextState
from jobdeck_protocol.job import JobState
from jobdeck_server.core.contextsettings import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobdeck_server.core.live import Live


class Place:
    """See the top of this file.

    Attributes:
        context: What it is, its counts left out.
        configured: The operator's file names it.
        scope: Of what makes it.
        settled: It is up, or never will be.
        over: It has ended, and that is written down.
        failure: Why it could not be made.
        forced: It is to end at once, whatever its jobs do.
        final: What it will be once it has been stopped, and why.
        lost: What it ran in has died: its jobs end by themselves, soon.
        doubted: What it runs in may have died: no job gets a slot before that is known.
        remade: The server was killed while it was being made anew.
        restarts_s: When it was made anew by the server, by trio's clock.
        coming_count: Jobs that are about to be accepted for it.
    """

    def __init__(self, context: ContextInfo, *, configured: bool = False) -> None:
        self.context = context
        self.configured = configured
        self.scope = trio.CancelScope()
        self.settled = trio.Event()
        self.over = trio.Event()
        self.failure: Exception | None = None
        self.forced = False
        self.final: tuple[ContextState, str | None] = (ContextState.FINISHED, None)
        self.lost = False
        self.doubted = False
        self.remade = False
        self.restarts_s: list[float] = []
        self.coming_count = 0
        self._waiting: OrderedDict[str, Live] = OrderedDict()
        self._admitted: dict[str, Live] = {}
        self._left = trio.Event()
        self._filling = False

    def become(self, state: ContextState, **changes: object) -> None:
        """It has come further."""
        self.context = replace(self.context, state=state, **changes)  # type: ignore[arg-type]  # fields of the record

    @property
    def stopping(self) -> bool:
        """It takes no new jobs."""
        return self.context.state is ContextState.STOPPING or self.context.ended

    @property
    def full(self) -> bool:
        """A job that came now would have to wait."""
        return len(self._waiting) + len(self._admitted) + self.coming_count >= self.context.slots_count

    def jobs(self) -> list[Live]:
        """All of its jobs that have not ended."""
        return [*self._admitted.values(), *self._waiting.values()]

    def running(self) -> list[Live]:
        """Its jobs that have begun."""
        return [live for live in self.jobs() if live.job.state is not JobState.QUEUED]

    def waiting(self) -> list[Live]:
        """Its jobs that nothing was begun of."""
        return [live for live in self.jobs() if live.job.state is JobState.QUEUED]

    def told(self) -> ContextInfo:
        """What is told of it: secrets left out, jobs counted."""
        waiting = sum(live.job.state is JobState.QUEUED for live in self._admitted.values())
        return replace(
            self.context,
            settings=shown(self.context.settings),
            running_count=len(self._admitted) - waiting,
            queued_count=len(self._waiting) + waiting,
        )

    # -- its jobs --

    def enter(self, live: Live) -> None:
        """A job of it has come, or was found; one that is there stays where it is."""
        if live.job.id in self._admitted:
            return
        if live.job.state is JobState.QUEUED:
            self._waiting[live.job.id] = live
        else:
            self._admitted[live.job.id] = live

    def hold(self, live: Live) -> None:
        """A job of it is not to be started, though its turn may have come: it will be the next one."""
        if self._admitted.pop(live.job.id, None) is not None:
            self._waiting[live.job.id] = live
            self._waiting.move_to_end(live.job.id, last=False)

    def leave(self, job_id: str) -> None:
        """A job of it has ended."""
        self._admitted.pop(job_id, None)
        self._waiting.pop(job_id, None)
        self._left.set()
        self._left = trio.Event()

    def fill(self, admit: Callable[[Live], None]) -> None:
        """Give the free slots to those that wait, in their order.

        Whoever is admitted changes its record, which asks for this again: whoever is at it goes on then.
        """
        if self._filling:
            return
        self._filling = True
        try:
            while (live := self._next()) is not None:
                del self._waiting[live.job.id]
                self._admitted[live.job.id] = live
                admit(live)
        finally:
            self._filling = False

    def _next(self) -> Live | None:
        """The first that waits, if there is a slot for it."""
        if self.context.state is not ContextState.RUNNING or self.doubted:
            return None
        if len(self._admitted) >= self.context.slots_count:
            return None
        return next((live for live in self._waiting.values() if not live.job.held), None)

    def take_back(self, leave: Callable[[Live], None]) -> None:
        """Those that have a slot and nothing was begun of wait again, before all others."""
        for live in reversed([each for each in self._admitted.values() if each.job.state is JobState.QUEUED]):
            leave(live)
            self.hold(live)

    async def idle(self) -> None:
        """Wait until none of its jobs has a slot."""
        while self._admitted:
            await self._left.wait()

    async def emptied(self) -> None:
        """Wait until it has no jobs."""
        while self._admitted or self._waiting:
            await self._left.wait()
