"""Jobs of the scheduler API: a command with one argument, on a worker that the caller names.

Only these are its jobs. A job that another API started, or that runs on another worker than the one named, is unknown
here: its state has no words in this API, and whoever may see it can do so by the API that made it, or by ``/v1``.

Whether a command can be run is looked at before a job for this machine is accepted. A worker elsewhere is the only one
who can tell for itself: its answer is waited for, for no longer than the original waited for one.
"""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol.job import JobState
from jobdeck_protocol.workerinfo import WorkerInfo, WorkerState
from jobdeck_server.core.errors import BadRequestError, UnavailableError, UnknownJobError
from jobdeck_server.core.programs import check_name, check_program, check_script
from jobdeck_server.core.requests import JobRequest, StepRequest
from jobdeck_server.engines.base import WORKER

if TYPE_CHECKING:
    from jobdeck_protocol.job import Job
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.workers import Workers

DIALECT = "scheduler"
_AWAY = (WorkerState.UNREACHABLE, WorkerState.OFFLINE)
_SIGKILL = 9
_JOB_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class Scheduler:
    """See the top of this file. The worker is looked for first, whatever else is wrong."""

    def __init__(self, core: JobCore, workers: Workers) -> None:
        self._core = core
        self._workers = workers
        self._limiter = trio.CapacityLimiter(core.settings.thread_limit_count)

    async def start(self, worker_id: str, command: str, path: str) -> Job:
        """Accept ``command path`` as a job: argument list of exactly two, no shell, the standard environment.

        Raises:
            UnknownWorkerError: There is no such worker.
            UnavailableError: It cannot be reached.
            BadRequestError: The command cannot be run there, or may not be.
            TooLargeError, CapacityError, StoreError: See ``JobCore.submit``.
        """
        worker = self._reach(worker_id)
        if worker.engine == WORKER:
            return await self._start_elsewhere(worker, command, path)
        await trio.to_thread.run_sync(self._check, command, path, limiter=self._limiter)
        return await self._core.submit(_request(worker, command, path, folder=self._core.settings.scripts_dir))

    async def _start_elsewhere(self, worker: WorkerInfo, command: str, path: str) -> Job:
        """Have a worker start it: its folder, its PATH and its rules count.

        Returns:
            The job once it has started, or ended; one that waits for a slot at once, and else what is known in time.
        """
        check_name(command)
        job = await self._core.submit(_request(worker, command, path, folder=None))
        with trio.move_on_after(self._core.settings.scheduler_start_wait_s):
            async with aclosing(self._core.watch(job.id)) as changes:
                async for job in changes:
                    if not self._is_starting(job):
                        break
        if job.state is JobState.FAILED and job.started_us is None:
            raise BadRequestError(job.error or "it could not be started", field="command")
        return job

    def _is_starting(self, job: Job) -> bool:
        """Whether a worker has it, or is about to, and has not said what becomes of it."""
        return job.state is JobState.STARTING or (job.state is JobState.QUEUED and self._workers.is_going(job.id))

    async def stop(self, worker_id: str, job_id: str) -> None:
        """SIGKILL to all that a job started; returns once that is durable. An ended job stays as it is.

        Raises:
            UnknownWorkerError, UnavailableError, UnknownJobError: See there.
            StoreError: The database would not take it; the job is being stopped all the same.
        """
        job = await self.query(worker_id, job_id)
        await self._core.stop(job.id, signal=_SIGKILL, grace_s=0)

    async def query(self, worker_id: str, job_id: str) -> Job:
        """A job of this API on a worker.

        Raises:
            UnknownWorkerError, UnavailableError, UnknownJobError: See there.
        """
        worker = self._reach(worker_id)
        if _JOB_ID.fullmatch(job_id) is None:  # anything may be sent; not all of it can be asked for
            raise UnknownJobError(job_id)
        job = await self._core.get(job_id)
        if job.dialect != DIALECT or job.worker != worker.id:
            raise UnknownJobError(job_id)
        return job

    def _reach(self, worker_id: str) -> WorkerInfo:
        worker = self._workers.find(worker_id)
        if worker.state in _AWAY:
            raise UnavailableError("worker unreachable")
        return worker

    def _check(self, command: str, path: str) -> None:
        """See that it can be run and may be. Blocks."""
        settings = self._core.settings
        folder = settings.scripts_dir or settings.work_root or settings.start_dir
        if settings.only_scripts:
            check_script(command, path, commands=settings.script_commands, folder=folder)
        check_program(command, search=settings.default_path, folder=folder)


def _request(worker: WorkerInfo, command: str, path: str, *, folder: str | None) -> JobRequest:
    step = StepRequest(argv=(command, path), cwd=folder)
    return JobRequest(dialect=DIALECT, steps=(step,), engine=worker.engine, worker=worker.id, standard_env=True)
