"""Contexts: what jobs out of packages run in. The registry; ``contextpool`` has their jobs.

A context is made by somebody (``create``, or the operator's file) and survives its jobs and the server. Or it is of one
job alone: ``adhoc`` gives it as a value, it comes up when its job is accepted, and ends with it; only the job's own
specification keeps it.

Jobs of a context have its slots. Who has one joins the queue of this machine; the others wait here, in the order of
their acceptance, also over a restart. Nobody has one before the context is up.

Stopping a context stops its jobs. That they end for this reason is written down before they are told to: ``ended_with``
knows it from then on. What was being stopped when the server was killed is stopped by the next one.
"""

from __future__ import annotations

import logging
import math
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol.contextinfo import ContextInfo, ContextState, to_wire
from jobdeck_server.core import contextrows, contextsettings
from jobdeck_server.core.contextdefaults import Defaults, DefaultsError
from jobdeck_server.core.contextdrafts import ContextDrafts
from jobdeck_server.core.contextkinds import Plain
from jobdeck_server.core.contextlife import ContextLife
from jobdeck_server.core.contextlosses import ContextLosses
from jobdeck_server.core.contextplaces import Place
from jobdeck_server.core.contextpool import ContextPool
from jobdeck_server.core.errors import (
    CONTEXT_LOST,
    CapacityError,
    ContextExistsError,
    ContextLostError,
    ContextStoppingError,
    JobdeckError,
    NoSlotsError,
    UnknownContextError,
)
from jobdeck_server.core.news import News, Words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from jobdeck_server.core.contextkinds import Kind
    from jobdeck_server.core.hocon import JobConfig
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.venvs import Venvs
    from jobdeck_server.settings import Settings

__all__ = ["Context", "Contexts"]

Context = ContextInfo

_log = logging.getLogger("jobdeck.contexts")


class Contexts:
    """See the top of this file.

    ``load`` it before the core's recovery, have ``run`` running, and ``open`` it after the recovery.

    Args:
        core: Whose jobs they are.
        settings: Those that begin with ``context_``.
        venvs: The interpreters.
        defaults: What the operator's file says.

    Attributes:
        kinds: What there is, by the names that ``contextsettings.kind_of`` gives.
        losses: What kinds tell, and what becomes of contexts that have died.
    """

    def __init__(self, core: JobCore, settings: Settings, *, venvs: Venvs, defaults: Defaults | None = None) -> None:
        self._core = core
        self._settings = settings
        self._venvs = venvs
        plain = Plain(venvs)
        self.kinds: dict[str, Kind] = {plain.name: plain}
        self._drafts = ContextDrafts(settings, kinds=self.kinds, defaults=defaults or Defaults())
        self._life = ContextLife(core, settings, kinds=self.kinds, changed=self._place_changed)
        self._news = News(core.events, Words(event="context", wire=to_wire, durable=_durable))
        self._places: dict[str, Place] = {}  # by the id of the context, in the order of their coming
        self._named: dict[str, Place] = {}
        self.losses = ContextLosses(
            core, settings, self._life, places=self._places, kinds=self.kinds, changed=self._place_changed
        )
        self._pool = ContextPool(
            core, self._life, places=self._places, losses=self.losses, add=self._add, changed=self._place_changed
        )
        self._resetting = trio.Lock()
        venvs.in_use = self._places.__contains__

    # -- beginning --

    async def load(self) -> None:
        """Read what was known when the last server ended.

        Raises:
            DefaultsError: The operator's file asks for what cannot be.
        """
        for name in self._drafts.configured_names:
            try:
                self._drafts.configured(name)
            except JobdeckError as error:
                raise DefaultsError(f"context {name}: {error}") from error
        self._life.marks |= await self._core.store.read(contextrows.marks)
        for row in await self._core.store.read(contextrows.living):
            place = Place(row.context, configured=row.configured)
            if not place.stopping:
                place.remade = row.context.state is ContextState.RESTARTING
                place.become(ContextState.STARTING)  # nobody has a slot of it before it is up again
            else:
                place.settled.set()
                if row.context.error is not None:
                    place.final = (ContextState.ERROR, row.context.error)
                    place.lost = row.context.error.startswith(CONTEXT_LOST)
            self._add(place)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the tasks that make and stop contexts, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._news.run)
            await nursery.start(self._life.run)
            task_status.started()
            while True:
                await trio.sleep(self._settings.context_sweep_s)
                for context_id in await self._life.forget():
                    self._news.gone(context_id)
                await self._venvs.sweep()

    def open(self) -> None:
        """After recovery: jobs that run have their slots, contexts come up again, what waits may go."""
        self._pool.open()
        for place in tuple(self._places.values()):
            if place.stopping:
                self._life.shut_down(place)
            else:
                self._begin_again(place)
        for name in self._drafts.configured_names:
            if name not in self._named:
                self._configure(name)

    def _begin_again(self, place: Place) -> None:
        """Bring up a context that was up; one of the operator's file as that says now."""
        name = place.context.name
        if place.configured and name in self._drafts.configured_names:
            now = self._drafts.configured(name)
            place.become(ContextState.STARTING, settings=now.settings, kind=now.kind, slots_count=now.slots_count)
        if place.remade:
            place.become(ContextState.RESTARTING)
        self._place_changed(place)
        begin = partial(self.losses.remake, place, asked=False) if place.remade else partial(self._life.bring_up, place)
        self._life.soon(begin)

    # -- looking --

    def live(self) -> list[Context]:
        """All that have not ended, in the order of their coming."""
        return [place.told() for place in self._places.values()]

    async def find(self, name: str) -> Context:
        """The context with a name: one that lives, or the last that ended. Those of one job alone are not kept.

        Raises:
            UnknownContextError: There is none.
        """
        place = self._named.get(name)
        if place is not None:
            return place.told()
        found = await self._core.store.read(lambda connection: contextrows.latest(connection, name))
        if found is None:
            raise UnknownContextError(name)
        return replace(found, settings=contextsettings.shown(found.settings))

    def jobs(self, name: str) -> list[str]:
        """The ids of the jobs of a context that have not ended, those that have a slot first; none if it is gone."""
        place = self._named.get(name)
        return [] if place is None else [live.job.id for live in place.jobs()]

    def ended_with(self, job_id: str) -> str | None:
        """Why a job was stopped, if that is because its context was: words for its record. Kept over restarts.

        It may have ended by itself before it could be stopped: what this says is of STOPPED jobs.
        """
        return self._life.marks.get(job_id)

    # -- for new jobs --

    def choose(self, name: str) -> Context:
        """The context in which a new job is to run, with all of its settings (see ``contextsettings.job_spec``).

        Raises:
            UnknownContextError: There is none that takes jobs of anybody.
            ContextStoppingError: It takes no new ones.
            NoSlotsError: It is full, and its jobs are not to wait.
        """
        place = self._named.get(name)
        if place is None or place.context.adhoc:
            raise UnknownContextError(name)
        if place.stopping:
            raise ContextStoppingError(name)
        if self._settings.context_full == "refuse" and place.full:
            raise NoSlotsError(name, place.context.slots_count)
        return place.context

    @contextmanager
    def coming(self, context: Context) -> Iterator[None]:
        """For as long as a job is about to be accepted for a context that was chosen: it counts as there.

        So of jobs that come together to one that refuses what would have to wait, no more are taken than it has room.
        """
        place = self._places.get(context.id)
        if place is not None:
            place.coming_count += 1
        try:
            yield
        finally:
            if place is not None:
                place.coming_count -= 1

    def adhoc(self, main_class: str, *, query: Mapping[str, str], config: JobConfig, jar: bool = False) -> Context:
        """A context for one new job, out of a jar or not.

        Raises:
            BadRequestError, ContextInitError, TooLargeError: None can be made with these settings.
        """
        return self._drafts.adhoc(main_class, query, config, jar=jar)

    async def look(self, context: Context) -> None:
        """See that what a context needs is on this machine.

        Raises:
            ContextInitError: It is not.
        """
        await self.kinds[context.kind].look()

    async def link(self, context_id: str) -> Path | None:
        """Where a job that is about to start finds its context; None where it needs nothing. Waits until that is up.

        Raises:
            ContextLostError: It is gone.
        """
        place = self._places.get(context_id)
        if place is not None and place.context.state is ContextState.STARTING:
            await place.settled.wait()
        if place is None or place.context.state is not ContextState.RUNNING:
            raise ContextLostError(context_id)
        return self.kinds[place.context.kind].link(place.context)

    # -- what people do --

    async def create(
        self, name: str, *, query: Mapping[str, str], body: JobConfig, wait_s: float = math.inf
    ) -> Context:
        """Make a context; returns when it is up. If nobody waits any more, it is made all the same.

        Args:
            name: It begins with a letter.
            query: Settings by their dotted paths.
            body: Settings in ``spark.context-settings``; they win.
            wait_s: Not longer than this: then it is told as it is, STARTING.

        Raises:
            BadContextNameError: It cannot be called so.
            ContextExistsError: One that lives is called so.
            CapacityError: There are too many.
            BadRequestError, TooLargeError: The settings cannot be understood, or are too many.
            ContextInitError: It cannot be made; why is also on its record.
            StoreError: The database would not take it; there is none.
        """
        contextsettings.check_name(name)
        if name in self._named:
            raise ContextExistsError(name)
        fresh = self._drafts.new(name, query, body)
        await self.look(fresh)
        return await self._created(fresh, wait_s)

    async def _created(self, fresh: Context, wait_s: float) -> Context:
        if fresh.name in self._named:
            raise ContextExistsError(fresh.name)
        if sum(not place.context.adhoc for place in self._places.values()) >= self._settings.context_limit_count:
            raise CapacityError("There are too many contexts.")
        return await self._settled(self._make(fresh), wait_s)

    async def _settled(self, place: Place, wait_s: float) -> Context:
        with trio.move_on_after(wait_s):
            await place.settled.wait()
        if place.failure is not None:
            raise place.failure
        return place.told()

    async def restart(self, name: str, *, wait_s: float = math.inf) -> Context:
        """Make a context anew, with its settings; its jobs that run are stopped, those that wait go on waiting.

        One that is coming up is left alone. One that has ended is made as it was.

        Args:
            name: Of one that lives, or the last that ended.
            wait_s: Not longer than this: then it is told as it is.

        Raises:
            UnknownContextError: There is none.
            ContextStoppingError, ConflictError: It is being stopped, or is of one job alone.
            CapacityError, BadRequestError, ContextInitError, StoreError: See ``create``.
        """
        place = self._named.get(name)
        if place is not None:
            self.losses.restart(place)
            return await self._settled(place, wait_s)
        found = await self._core.store.read(lambda connection: contextrows.latest(connection, name))
        if found is None:
            raise UnknownContextError(name)
        fresh = self._drafts.of(name, found.settings)
        await self.look(fresh)
        return await self._created(fresh, wait_s)

    async def stop(self, name: str, *, force: bool = False, timeout_s: float) -> bool:
        """Stop a context and its jobs.

        Args:
            name: Of one that lives.
            force: Jobs get no time to end by themselves.
            timeout_s: How long to wait for the end.

        Returns:
            Whether it has ended; if not, it goes on being stopped.

        Raises:
            UnknownContextError: None that lives is called so.
        """
        place = self._named.get(name)
        if place is None:
            raise UnknownContextError(name)
        self._life.stop(place, force=force)
        with trio.move_on_after(timeout_s):
            await place.over.wait()
        return place.over.is_set()

    def leave(self) -> None:
        """The server is about to end, and stops all jobs: contexts whose processes are among them have not died."""
        self.losses.leaving = True

    async def reset(self) -> None:
        """Stop all contexts, then make those of the operator's file; if nobody waits any more, all the same."""
        done = trio.Event()
        self._life.soon(self._reset, done)
        await done.wait()

    async def _reset(self, done: trio.Event) -> None:
        async with self._resetting:
            stopped = tuple(self._places.values())
            for place in stopped:
                self._life.stop(place)
            for place in stopped:
                await place.over.wait()
            made = [self._configure(name) for name in self._drafts.configured_names if name not in self._named]
            for place in made:
                await place.settled.wait()
        done.set()

    # -- making --

    def _make(self, context: Context, *, configured: bool = False) -> Place:
        place = Place(context, configured=configured)
        self._add(place)
        self._life.soon(self._life.make, place)
        return place

    def _configure(self, name: str) -> Place:
        return self._make(self._drafts.configured(name), configured=True)

    def _add(self, place: Place) -> None:
        self._places[place.context.id] = place
        self._named.setdefault(place.context.name, place)

    def _place_changed(self, place: Place) -> None:
        """A context has come further."""
        context = place.context
        if context.ended:
            self._places.pop(context.id, None)
            if self._named.get(context.name) is place:
                del self._named[context.name]
        if context.ended and context.adhoc:
            self._news.gone(context.id)
        else:
            self._news.tell(context.id, place.told())
        place.fill(self._core.admit)


def _durable(context: Context) -> Context:
    """What of a context is news when it is another than before: how many jobs it has is none."""
    return replace(context, running_count=0, queued_count=0)
