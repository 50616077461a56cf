"""Jobs of the scheduler API: a command with one argument, on a worker that the caller names.

Only these are its jobs. A job that another API started, or that runs on another worker than the one named, is unknown
here: its state has no words in this API, and whoever may see it can do so by the API that made it, or by ``/v1``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol.workerinfo import WorkerInfo, WorkerState
from jobdeck_server.core.errors import UnavailableError, UnknownJobError
from jobdeck_server.core.programs import check_program, check_script
from jobdeck_server.core.requests import JobRequest, StepRequest

if TYPE_CHECKING:
    from jobdeck_protocol.job import Job
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.workers import Workers

DIALECT = "scheduler"
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
        await trio.to_thread.run_sync(self._check, command, path, limiter=self._limiter)
        step = StepRequest(argv=(command, path), cwd=self._core.settings.scripts_dir)
        return await self._core.submit(
            JobRequest(dialect=DIALECT, steps=(step,), engine=worker.engine, worker=worker.id, standard_env=True)
        )

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
        if worker.state is WorkerState.UNREACHABLE:
            raise UnavailableError("worker unreachable")
        return worker

    def _check(self, command: str, path: str) -> None:
        """See that it can be run and may be. Blocks."""
        settings = self._core.settings
        folder = settings.scripts_dir or settings.work_root or settings.start_dir
        if settings.only_scripts:
            check_script(command, path, commands=settings.script_commands, folder=folder)
        check_program(command, search=settings.default_path, folder=folder)
