"""The processes of contexts on Spark: jobs of the core, each of which has a context, or is ready for one.

    DATA/work/<job id>/control.sock     where a process is asked (``jobdeck_server.spark.control``)
    DATA/work/<job id>/jars/            jars of its context

Which context a process has, it says itself: what a server decided just before it was killed is known by the one who
has to know. ``open`` asks all that are found, and nobody is given a process before they have answered. One that
belongs to nobody is stopped.

``Settings.spark_ready_count`` processes are kept ready for contexts that need nothing particular of their JVM.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import trio

from jobdeck_protocol.job import JobState
from jobdeck_server.core.errors import ConflictError, JobdeckError, UnknownJobError
from jobdeck_server.core.requests import JobRequest
from jobdeck_server.core.sparksettings import default_launch
from jobdeck_server.core.store import StoreError
from jobdeck_server.engines.base import CONTEXT, Given
from jobdeck_server.spark.control import Control, ControlError, GoneError
from jobdeck_server.spark.launch import Launch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from jobdeck_protocol.job import Job
    from jobdeck_server.core.contextkinds import Registry
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.live import Live
    from jobdeck_server.core.requests import Idempotency
    from jobdeck_server.settings import Settings

    class Died(Protocol):
        """See ``SparkProcesses.died``."""

        def __call__(self, process: SparkProcess, *, stopped: bool) -> None: ...


__all__ = ["SparkProcess", "SparkProcesses", "launch_of", "spec_of"]

_log = logging.getLogger("jobdeck.contexts")
_KILL, _TERMINATE = 9, 15
_GRACE_S = 5.0  # between the signals, where it has not ended when it was asked to
_LISTENS_S = 10.0  # from its start on, until it can be asked, on a busy machine
_SHIELD_S = 10.0
_OVER_S = 30.0  # for the engine to tell of an end that was asked for
_DOUBLINGS_COUNT = 20
_SETTLED_S = 60.0  # who lived so long did not die of how it was started


class SparkProcess:
    """One of them.

    Attributes:
        job_id: Of its job.
        launch: How its JVM was started; None if that cannot be read any more.
        context: The id of the context that has it, or is to have it; None for a ready one.
        folder: Its files.
        control: By which it is asked.
        over: It has ended.
        why: Then, what is known of the reason.
        stopping: Nobody gets it any more.
        since_s: When it was found or made, by trio's clock.
    """

    def __init__(self, job: Job, spec: Mapping[str, Any], folder: Path) -> None:
        told = spec.get("process") or {}
        self.job_id = job.id
        self.launch = launch_of(spec)
        self.context: str | None = told.get("context")
        self.folder = folder
        self.control = Control(folder)
        self.over = trio.Event()
        self.why = ""
        self.stopping = job.stop_requested
        self.since_s = trio.current_time()


def spec_of(launch: Launch, context_id: str | None) -> dict[str, Any]:
    """What the specification of a process's job keeps."""
    return {"process": {"context": context_id, "launch": asdict(launch)}}


def launch_of(spec: Mapping[str, Any]) -> Launch | None:
    """How the JVM of a process is started, out of its specification; None of one that a newer program wrote."""
    told = (spec.get("process") or {}).get("launch") or {}
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    try:
        return Launch(**fields)
    except TypeError:
        return None


class SparkProcesses:
    """See the top of this file. To be made before the core's recovery; ``run``, and ``open`` after the recovery.

    Args:
        core: Whose jobs they are.
        settings: Those that begin with ``spark_``.
        registry: Of the contexts.
        check: Raises ``JobdeckError`` if no process can be started.

    Attributes:
        died: Called with each process that has ended and belonged to a context, and whether it was ``stopped``.
    """

    def __init__(
        self,
        core: JobCore,
        settings: Settings,
        *,
        registry: Registry,
        check: Callable[[], Awaitable[object]],
    ) -> None:
        self._core = core
        self._settings = settings
        self._registry = registry
        self._check = check
        self._folder = settings.data_dir / "work"
        self._all: dict[str, SparkProcess] = {}  # by the ids of their jobs
        self._launch = default_launch(settings)
        self._nursery: trio.Nursery | None = None
        self._found = trio.Event()
        self._bell = trio.Event()
        self._deaths_count = 0  # of ready ones, in a row
        self._not_before_s = 0.0
        self.died: Died = _nobody
        core.observers.append(self._job_changed)
        core.reruns[CONTEXT] = _no_rerun

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the tasks, until cancelled."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await self._found.wait()
            await self._keep_ready()

    async def open(self) -> None:
        """Find those that are there, and ask which context each has; those of nobody are stopped."""
        for job in self._core.active():
            live = self._core.live(job.id)
            if live is not None and job.engine == CONTEXT:
                self._know(live)
        async with trio.open_nursery() as nursery:
            for process in tuple(self._all.values()):
                nursery.start_soon(self._ask, process)
        self._found.set()
        for process in tuple(self._all.values()):
            if not self._is_wanted(process):
                self._stop_soon(process)

    async def _ask(self, process: SparkProcess) -> None:
        """Find out which context a process has; one that does not say is killed."""
        if process.stopping:
            return
        try:
            status = await process.control.status(limit_s=self._settings.spark_answer_s)
        except GoneError:
            return  # it is not there yet, and so can have no context that it was not made for
        except ControlError as error:
            _log.error("process %s: %s", process.job_id, error)
            self._stop_soon(process, force=True)
            return
        if status.context is not None:
            process.context = status.context
        if status.state == "stopping":
            process.stopping = True

    # -- giving and taking --

    async def found(self, context_id: str) -> SparkProcess | None:
        """The process that a context has; once all were asked."""
        await self._found.wait()
        return next((each for each in self._all.values() if each.context == context_id and not each.stopping), None)

    async def take(self, context_id: str, name: str, launch: Launch) -> SparkProcess:
        """Give a context that has none a process: a ready one, or one that is started for it.

        Raises:
            JobdeckError, StoreError: None can be started.
        """
        await self._found.wait()
        while (process := self._first_ready(launch)) is not None:
            process.context = context_id
            if await self._is_free(process):
                self._core.report(process.job_id, Given(context=name))
                return process
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _SHIELD_S):  # so that it is known
            return await self._start(launch, context_id, name)
        raise ConflictError("The process of the context could not be written down in time.")

    def _first_ready(self, launch: Launch) -> SparkProcess | None:
        ready = (each for each in self._all.values() if self._is_ready(each) and each.launch == launch)
        return next(ready, None)

    async def _is_free(self, process: SparkProcess) -> bool:
        """Whether a process that was ready can be used; one that cannot is left aside, or stopped."""
        try:
            status = await process.control.status(limit_s=self._settings.spark_answer_s)
        except GoneError:
            if trio.current_time() - process.since_s < _LISTENS_S:
                return not process.over.is_set()  # it is coming up
            with trio.move_on_after(_OVER_S):
                await process.over.wait()  # its end is told soon
            return False
        except ControlError:
            self._stop_soon(process, force=True)
            return False
        if status.context is None and status.state != "stopping":
            return True
        # What the server before has told it just before it was killed, it has heard only now
        process.context = status.context
        if process.context is None or not self._registry.lives(process.context):
            self._stop_soon(process)
        return False

    def refill(self) -> None:
        """Somebody has had a process, and needs no more of the machine than others now."""
        self._bell.set()

    async def _start(self, launch: Launch, context_id: str | None, name: str | None) -> SparkProcess:
        await self._check()
        request = JobRequest(
            dialect="spark",
            context=name,
            package=spec_of(launch, context_id),
            engine=CONTEXT,
            linger_s=0.0,
            grace_s=_GRACE_S,
        )
        job = await self._core.submit(request)
        live = self._core.live(job.id)
        if live is None:
            raise ConflictError("The process of the context has ended at once.")
        return self._know(live)

    def of(self, context_id: str) -> list[SparkProcess]:
        """All that a context has, those that are being stopped too."""
        return [process for process in self._all.values() if process.context == context_id]

    def _is_ready(self, process: SparkProcess) -> bool:
        return process.context is None and not process.stopping

    def _is_wanted(self, process: SparkProcess) -> bool:
        return process.context is None or self._registry.lives(process.context)

    # -- ending --

    async def stop(self, process: SparkProcess, *, force: bool) -> None:
        """End a process; returns when it has ended.

        Args:
            process: It.
            force: At once, by SIGKILL; else it is asked to stop Spark before.
        """
        process.stopping = True
        if not force:
            await self._ask_to_end(process)
        if not process.over.is_set():
            await self._signal(process, _KILL if force else _TERMINATE)
        with trio.move_on_after(_OVER_S):
            await process.over.wait()

    async def _ask_to_end(self, process: SparkProcess) -> None:
        with trio.move_on_after(self._settings.spark_stop_s):
            try:
                await process.control.stop()
            except ControlError:
                return
            await process.over.wait()

    async def _signal(self, process: SparkProcess, signal: int) -> None:
        try:
            await self._core.stop(process.job_id, signal=signal)
        except UnknownJobError:
            process.over.set()
        except StoreError as error:
            _log.error("process %s: %s", process.job_id, error)  # it is being stopped all the same

    def _stop_soon(self, process: SparkProcess, *, force: bool = False) -> None:
        process.stopping = True
        if self._nursery is not None:
            self._nursery.start_soon(partial(self.stop, process, force=force))

    # -- what the core tells --

    def _know(self, live: Live) -> SparkProcess:
        job = live.job
        if job.id not in self._all:
            spec = live.spec.get("package") or {}
            self._all[job.id] = SparkProcess(job, spec, self._folder / job.id)
        return self._all[job.id]

    def _job_changed(self, live: Live) -> None:
        """A job's record has changed (an observer of the core)."""
        job = live.job
        if job.engine != CONTEXT:
            return
        process = self._know(live)
        if not job.ended:
            if job.stop_requested:
                process.stopping = True
            elif self._found.is_set() and not process.stopping and not self._is_wanted(process):
                self._stop_soon(process)  # whoever asked for it was gone before it was there
            return
        if self._all.pop(job.id, None) is not None and not process.over.is_set():
            self._over(process, job)

    def _over(self, process: SparkProcess, job: Job) -> None:
        process.why = _why(job)
        process.over.set()
        if process.context is not None:
            self.died(process, stopped=job.state is JobState.STOPPED)
        elif not process.stopping:
            _log.error("a process that was ready has ended: %s", process.why)
            self._pause(settled=trio.current_time() - process.since_s > _SETTLED_S)
        self._bell.set()

    # -- ready ones --

    async def _keep_ready(self) -> None:
        """Have as many as there are to be; after one has died, not at once."""
        while True:
            self._bell = trio.Event()
            await trio.sleep_until(self._not_before_s)
            try:
                await self._balance()
            except (JobdeckError, StoreError) as error:
                _log.error("no process can be kept ready: %s", error)
                self._not_before_s = trio.current_time() + self._settings.spark_ready_pause_limit_s
            else:
                await self._bell.wait()

    def _pause(self, *, settled: bool) -> None:
        """A ready one has died: the next is to wait, longer with each that does not live long."""
        self._deaths_count = 1 if settled else self._deaths_count + 1
        pause_s = self._settings.spark_ready_pause_s * 2 ** min(self._deaths_count - 1, _DOUBLINGS_COUNT)
        self._not_before_s = trio.current_time() + min(pause_s, self._settings.spark_ready_pause_limit_s)

    async def _balance(self) -> None:
        ready = [process for process in self._all.values() if self._is_ready(process)]
        fitting = [process for process in ready if process.launch == self._launch]
        kept = fitting[: self._settings.spark_ready_count]
        for process in ready:
            if process not in kept:
                self._stop_soon(process)
        if not self._registry.leaving:
            for _ in range(self._settings.spark_ready_count - len(kept)):
                await self._start(self._launch, None, None)


def _why(job: Job) -> str:
    """What is known of why a process has ended that was not to."""
    if job.state is JobState.STOPPED:
        return "its process was stopped"
    return job.error or f"its process has ended with code {job.exit_code}"


def _nobody(process: SparkProcess, *, stopped: bool) -> None:
    """There is nobody to be told."""


async def _no_rerun(job: Job, idempotency: Idempotency | None) -> Job:
    raise ConflictError(f"Job {job.id} is the process of a context: it cannot be run again.")
