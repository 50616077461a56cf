"""What is done for the process of a context on Spark before it starts and after it has ended.

Before: its folder ``work/<job id>`` is made, with the plan that its program reads (``spark.launch``). After: there is
nothing to keep. A process that ends with 0 was asked to end, by whom it is no matter, so it was stopped; one that
ends by itself says why in a line of its output, and that is what its record tells.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import trio

from jobdeck_protocol.job import Step
from jobdeck_server.core.environment import standard
from jobdeck_server.core.sparkprocesses import launch_of
from jobdeck_server.engines.shop import Made
from jobdeck_server.engines.workfiles import StatusError, remove
from jobdeck_server.spark.install import Finder, InstallError
from jobdeck_server.spark.launch import process_command, write_plan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jobdeck_server.engines.base import Ended, Launch, Report
    from jobdeck_server.settings import Settings
    from jobdeck_server.spark.archive import Archives

__all__ = ["ContextShop"]

T = TypeVar("T")

_TAIL_BYTES = 64 * 1024
_WHY_LIMIT_COUNT = 500
_OURS = ("Java", "The SparkContext", "The process of a Spark context")  # how the program's own lines begin


class ContextShop:
    """See the top of this file, and ``shop.Shop``.

    Args:
        settings: Those that begin with ``spark_``.
        install: Finds Spark and Java.
        archives: Makes Java start sooner.
        folder: For the files of jobs.
        jobs_dir: Where the output of jobs is.
    """

    unready = "The process could not be made ready"
    unkept = "Its end could not be looked at"
    unfollowed = "it is not followed any longer"

    def __init__(
        self, settings: Settings, *, install: Finder, archives: Archives, folder: Path, jobs_dir: Path
    ) -> None:
        self._settings = settings
        self._install = install
        self._archives = archives
        self._folder = folder
        self._jobs_dir = jobs_dir
        self._limiter = trio.CapacityLimiter(settings.thread_limit_count)

    async def prepare(self, launch: Launch, *, cancelled: Callable[[], bool]) -> Made:
        """Make the process's folder anew, and say how to start it.

        Raises:
            StatusError: There is no Spark or Java for it.
            OSError: The disk failed.
        """
        del cancelled  # it takes no time
        wanted = launch_of(launch.spec.get("package") or {})
        if wanted is None:
            raise StatusError(self.unready, "another version of this server has asked for it")
        try:
            install = await self._install.find()
        except InstallError as error:
            raise StatusError(self.unready, str(error)) from error
        folder = (self._folder / launch.job_id).absolute()
        await self._in_thread(partial(remove, folder))
        limits = {"stop_s": self._settings.spark_stop_s / 2, "make_s": self._settings.context_start_s}
        archive = await self._archives.find(install, wanted)
        await self._in_thread(partial(write_plan, folder, install, wanted, archive=archive, limits=limits))
        env, argv, cwd = standard(launch.job_id, self._settings), process_command(folder), str(folder)
        step = {"argv": argv, "executable": None, "env": env, "cwd": cwd}
        public = Step(argv=tuple(argv), env_names=tuple(sorted(env)), cwd=cwd)
        return Made(spec={**launch.spec, "steps": [step]}, steps=(public,))

    async def follow(self, job_id: str, over: trio.Event, tell: Callable[[Report], None]) -> None:
        """What it is doing it tells whoever asks it."""
        del job_id, tell
        await over.wait()

    async def collect(self, job_id: str, ended: Ended, *, cancelled: Callable[[], bool]) -> Ended:
        """The end as it is to be told: stopped, or failed and why."""
        del cancelled
        if ended.how != "exit" or ended.stop_reason is not None:
            return ended
        if ended.code == 0:
            return replace(ended, stop_reason="requested")
        why = await self._in_thread(partial(_why, self._jobs_dir / job_id / "output"))
        return replace(ended, text=why) if why and ended.code is not None else ended

    async def clear(self, job_id: str) -> None:
        """Remove a process's files."""
        await self._in_thread(partial(remove, self._folder / job_id))

    async def kept(self) -> list[str]:
        """All that is in the folder of files is a job's, and jobs out of packages are asked for that."""
        return []

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(call, limiter=self._limiter)


def _why(output: Path) -> str:
    """The last line of a process's output that is its program's own word. Blocks."""
    with suppress(OSError), output.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
        for line in reversed(file.read(_TAIL_BYTES).decode(errors="replace").splitlines()):
            if line.startswith(_OURS):
                return line.strip()[:_WHY_LIMIT_COUNT].removesuffix(".")
    return ""
