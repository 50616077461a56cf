"""What becomes of contexts whose process has died, and of those that are to be made anew. Part of ``Contexts``.

Jobs that ran in one end by themselves: they notice. Jobs that wait go on waiting if it is made anew, and fail if it is
not. Nothing that has begun is begun again. Whether a context is made anew when it has died is its setting
``context-restart``, and not more often than ``Settings.context_restart_limit_count`` says.

A job may know of the death before the server does. So after a job that says so, no other gets a slot before it is
known how the context is.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol.contextinfo import ContextState
from jobdeck_server.core import contextsettings
from jobdeck_server.core.errors import ConflictError, ContextLostError, ContextStoppingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobdeck_server.core.contextkinds import Kind
    from jobdeck_server.core.contextlife import ContextLife
    from jobdeck_server.core.contextplaces import Place
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.settings import Settings

__all__ = ["ContextLosses"]

_log = logging.getLogger("jobdeck.contexts")
_PAUSE_S = 1.0  # before one is made anew that could not be made
_COMING = (ContextState.STARTING, ContextState.RESTARTING)


class ContextLosses:
    """See the top of this file, and ``contextkinds.Registry``.

    Args:
        core: Whose jobs they are.
        settings: Those that begin with ``context_``.
        life: Makes and stops contexts.
        places: Those that live, by their ids; the registry's.
        kinds: By their names.
        changed: Called when more is known of a context.

    Attributes:
        leaving: The server ends and has stopped all jobs: nothing has died.
    """

    def __init__(
        self,
        core: JobCore,
        settings: Settings,
        life: ContextLife,
        *,
        places: Mapping[str, Place],
        kinds: Mapping[str, Kind],
        changed: Callable[[Place], None],
    ) -> None:
        self._core = core
        self._settings = settings
        self._life = life
        self._places = places
        self._kinds = kinds
        self._changed = changed
        self.leaving = False
        life.lost, life.again = self._is_lost, self._again

    # -- as a registry --

    def lives(self, context_id: str) -> bool:
        """Whether it has not ended."""
        return context_id in self._places

    def running_count(self, context_id: str) -> int:
        """How many of its jobs run."""
        place = self._places.get(context_id)
        return 0 if place is None else place.told().running_count

    def tell(self, context_id: str, **facts: object) -> None:
        """Have it on its record."""
        place = self._places.get(context_id)
        if place is not None and any(getattr(place.context, name) != value for name, value in facts.items()):
            place.become(place.context.state, **facts)
            self._changed(place)

    def lost(self, context_id: str, why: str, *, stopped: bool) -> None:
        """The process of a context that was up has died; one that somebody has stopped stays so."""
        place = self._places.get(context_id)
        if place is not None and place.context.state is ContextState.RUNNING and not self.leaving:
            self._is_lost(place, ContextLostError(context_id, why), again=not stopped)

    # -- deaths --

    def _is_lost(self, place: Place, error: ContextLostError, *, again: bool = True) -> None:
        _log.error("context %s: %s", place.context.name, error)
        if again and self._may_again(place):
            place.restarts_s.append(trio.current_time())
            self._begin(place, asked=False)
        else:
            place.lost = True
            self._life.stop(place, state=ContextState.ERROR, error=str(error))

    def _may_again(self, place: Place) -> bool:
        """Whether the server makes a context anew by itself, once more."""
        if place.context.adhoc or not contextsettings.restarts(place.context.settings, self._settings.context_restart):
            return False
        since_s = trio.current_time() - self._settings.context_restart_window_s
        place.restarts_s = [when_s for when_s in place.restarts_s if when_s > since_s]
        return len(place.restarts_s) < self._settings.context_restart_limit_count

    def _again(self, place: Place) -> bool:
        """One could not be made; if it was up before, it is tried once more, by the next server if this one ends."""
        if self.leaving:
            return True
        if place.context.state is not ContextState.RESTARTING or not self._may_again(place):
            return False
        place.restarts_s.append(trio.current_time())
        self._life.soon(partial(self.remake, place, asked=False, pause_s=_PAUSE_S))
        return True

    def doubt(self, place: Place) -> None:
        """A job of it says that it has died."""
        if place.context.state is ContextState.RUNNING and not place.doubted:
            place.doubted = True
            self._life.soon(self._find_out, place)

    async def _find_out(self, place: Place) -> None:
        if await self._kinds[place.context.kind].alive(place.context):
            place.doubted = False
            self._changed(place)
        elif place.context.state is ContextState.RUNNING and not self.leaving:
            self._is_lost(place, ContextLostError(place.context.id))

    # -- made anew --

    def restart(self, place: Place) -> None:
        """Have one that is up made anew because somebody asked for it; its jobs that run are stopped.

        Raises:
            ContextStoppingError: It is being stopped.
            ConflictError: It is of one job alone.
        """
        if place.stopping:
            raise ContextStoppingError(place.context.name)
        if place.context.adhoc:
            raise ConflictError(f"Context {place.context.name} is of one job alone: it ends with it.")
        if place.context.state not in _COMING:
            self._begin(place, asked=True)

    def _begin(self, place: Place, *, asked: bool) -> None:
        place.settled = trio.Event()
        place.become(ContextState.RESTARTING, restarts_count=place.context.restarts_count + 1)
        self._life.soon(partial(self.remake, place, asked=asked))
        self._changed(place)

    async def remake(self, place: Place, *, asked: bool, pause_s: float = 0.0) -> None:
        """End what there is of a context, then bring it up.

        Args:
            place: It.
            asked: Its jobs are stopped; else they are given time to notice.
            pause_s: Before all that.
        """
        place.doubted = False
        with trio.CancelScope() as place.scope:
            await trio.sleep(pause_s)
            await self._life.write(place)
            place.take_back(self._core.admission.leave)
            if not asked:
                with trio.move_on_after(self._settings.context_lost_s):
                    await place.idle()
            text = None if asked else str(ContextLostError(place.context.id))
            await self._life.stop_jobs(place.running(), text=text)
            self._life.note_jobs(place, place.running())
            await place.idle()
            await self._life.let_go(place)
        if place.stopping:
            return  # whoever stops it does the rest
        place.scope = trio.CancelScope()
        place.become(place.context.state, process=None, application=None, ui=None, memory_bytes=None)
        await self._life.bring_up(place)
