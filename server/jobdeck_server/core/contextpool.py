"""The pool in which jobs out of packages wait for a slot of their context. Part of ``Contexts``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobdeck_protocol.contextinfo import ContextInfo, ContextState
from jobdeck_protocol.job import JobState
from jobdeck_server.core import contextsettings
from jobdeck_server.core.contextplaces import Place
from jobdeck_server.core.errors import CONTEXT_LOST
from jobdeck_server.core.requests import CONTEXTS_POOL
from jobdeck_server.engines.base import PACKAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobdeck_server.core.contextlife import ContextLife
    from jobdeck_server.core.contextlosses import ContextLosses
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.live import Live


class ContextPool:
    """See the top of this file. To be made before the core's recovery, and opened after it.

    Args:
        core: Whose jobs they are.
        life: Makes and stops contexts.
        places: Those that live, by their ids; the registry's.
        losses: Told of a job that says that its context has died.
        add: Called with a context that is of one job, to be among them.
        changed: Called with it once it has its job.
    """

    def __init__(
        self,
        core: JobCore,
        life: ContextLife,
        *,
        places: Mapping[str, Place],
        losses: ContextLosses,
        add: Callable[[Place], None],
        changed: Callable[[Place], None],
    ) -> None:
        self._core = core
        self._life = life
        self._places = places
        self._losses = losses
        self._add = add
        self._changed = changed
        self._jobs: dict[str, Place] = {}  # by the id of each job that has not ended
        self._strays: list[Live] = []  # jobs that wait, and their context has ended
        self._opened = False
        core.pools[CONTEXTS_POOL] = self.take
        core.observers.append(self._job_changed)

    def open(self) -> None:
        """Find the jobs that run; those whose context has ended meanwhile are stopped."""
        for job in self._core.active():
            live = self._core.live(job.id)
            if live is not None and job.engine == PACKAGES and job.id not in self._jobs:
                self._enter(live)
        self._opened = True
        self._stop_strays()

    def take(self, live: Live) -> None:
        """A job has come that waits (the core's pool)."""
        place = self._enter(live)
        if place is None:
            self._strays.append(live)
        if not self._opened:
            return
        if place is None:
            self._stop_strays()
        elif place.stopping:
            self._life.soon(self._life.stop_jobs, [live])
        else:
            place.fill(self._core.admit)

    def _stop_strays(self) -> None:
        strays, self._strays = self._strays, []
        self._life.soon(self._life.stop_jobs, strays)

    def _enter(self, live: Live) -> Place | None:
        """Find a job's place; an ad-hoc one is made. None if its context has ended."""
        spec = (live.spec.get("package") or {}).get("context")
        if spec is None:
            return None  # of a database that lost what it ran
        place = self._places.get(spec["id"])
        if place is None and spec["adhoc"]:
            place = self._adhoc_place(live, spec)
        if place is not None:
            self._jobs[live.job.id] = place
            place.enter(live)
        return place

    def _adhoc_place(self, live: Live, spec: Mapping[str, Any]) -> Place:
        context = ContextInfo(
            id=spec["id"],
            name=spec["name"],
            kind=spec["kind"],
            adhoc=True,
            state=ContextState.STARTING,
            settings=spec["settings"],
            created_us=live.job.created_us,
        )
        place = Place(context)
        self._add(place)
        if self._opened:
            self._changed(place)
            self._life.soon(self._life.bring_up, place)
        return place

    def _job_changed(self, live: Live) -> None:
        """A job's record has changed (an observer of the core)."""
        job = live.job
        place = self._jobs.get(job.id)
        if place is None:
            return
        if not job.ended:
            if job.held:
                place.hold(live)
            place.fill(self._core.admit)
            return
        del self._jobs[job.id]
        if (job.error or "").startswith(CONTEXT_LOST):
            self._losses.doubt(place)
        place.leave(job.id)
        if place.stopping:
            return
        if place.context.adhoc:
            self._life.retire(place)
        elif job.state is JobState.FAILED and contextsettings.ends_with_failure(place.context.settings):
            self._life.stop(place, state=ContextState.ERROR, error=f"job {job.id} failed")
        else:
            place.fill(self._core.admit)
