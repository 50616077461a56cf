"""Contexts on Spark: a kind of contexts (``contextkinds``) whose jobs find a process with a SparkContext.

``start`` has the context's own process (``sparkprocesses``), has it make the SparkContext, and tells meanwhile what it
waits for. That a process has died is told to the registry, which knows what becomes of the context. What contexts hold
in memory is looked at every few seconds while they have jobs, and now and then while they have none.
"""

from __future__ import annotations

import logging
import shutil
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from jobdeck_protocol.job import JobState
from jobdeck_server.core import contextsettings
from jobdeck_server.core.blobfiles import bring
from jobdeck_server.core.contextkinds import Facts
from jobdeck_server.core.errors import ContextInitError, ContextLostError, JobdeckError
from jobdeck_server.core.outbound.errors import OutboundError
from jobdeck_server.core.packagefinder import JAR
from jobdeck_server.core.sparkprocesses import SparkProcesses
from jobdeck_server.core.sparksettings import jars_of, wish_of
from jobdeck_server.core.sparkturns import SparkTurns
from jobdeck_server.core.store import StoreError
from jobdeck_server.spark.control import SOCKET, ControlError, GoneError, RefusedError
from jobdeck_server.spark.install import InstallError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from jobdeck_protocol.contextinfo import ContextInfo
    from jobdeck_server.core.blobs import Blobs
    from jobdeck_server.core.contextkinds import Registry
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.packagefinder import JobPackage, PackageFinder
    from jobdeck_server.core.sparkprocesses import SparkProcess
    from jobdeck_server.core.sparksettings import SparkWish
    from jobdeck_server.core.venvs import Venvs
    from jobdeck_server.settings import Settings
    from jobdeck_server.spark.control import Status
    from jobdeck_server.spark.install import Finder

__all__ = ["SparkContexts"]

_log = logging.getLogger("jobdeck.contexts")
_LOOK_S, _NOTE_S = 0.05, 0.5
_DEATH_HEARD_S = 30.0  # for the engine to tell that a process has ended which nobody can reach
_IDLE_FACTOR = 12  # contexts without jobs are looked at so much more rarely
_SHARE = 20  # of what was told of memory: less than that is no news
_FLOOR_BYTES = 8 * 1024 * 1024


class SparkContexts:
    """See the top of this file, and ``contextkinds.Kind``.

    Args:
        core: Whose jobs the processes are.
        settings: Those that begin with ``spark_``.
        venvs: The interpreters of Python jobs.
        finder: Of jars.
        blobs: Where they are.
        registry: Of the contexts.
        install: Finds Spark and Java.
    """

    name = contextsettings.SPARK

    def __init__(
        self,
        core: JobCore,
        settings: Settings,
        *,
        venvs: Venvs,
        finder: PackageFinder,
        blobs: Blobs,
        registry: Registry,
        install: Finder,
    ) -> None:
        self._core = core
        self._settings = settings
        self._venvs = venvs
        self._finder = finder
        self._blobs = blobs
        self._registry = registry
        self._install = install
        self._threads = trio.CapacityLimiter(settings.thread_limit_count)
        self._turns = SparkTurns(settings)
        self._up: dict[str, _Seen] = {}  # by the ids of contexts
        self._starting: dict[str, trio.Event] = {}  # by the ids of contexts; set when nothing is begun any more
        self.processes = SparkProcesses(core, settings, registry=registry, check=self.look)
        self.processes.died = self._died

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own all tasks, until cancelled."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.processes.run)
            nursery.start_soon(self._sample)
            task_status.started()

    # -- as a kind --

    def check(self, settings: Mapping[str, Any]) -> None:
        """All that is for Spark must be readable, and the interpreter one that may be used."""
        wish_of(settings, self._settings)
        jars_of(settings)
        contextsettings.restarts(settings, self._settings.context_restart)
        self._venvs.check(settings)

    async def look(self) -> None:
        """Spark and its Java must be there."""
        try:
            await self._install.find()
        except InstallError as error:
            raise ContextInitError(str(error)) from error

    @asynccontextmanager
    async def turn(self, context: ContextInfo) -> AsyncIterator[None]:
        """Wait for its turn to have a JVM, unless it has one."""
        running = await self.processes.found(context.id) is not None
        async with self._turns.turn(context, running=running, tell=partial(self._note, context)):
            yield

    async def start(self, context: ContextInfo) -> Facts:
        """Have its process, and in it a SparkContext."""
        over = self._starting[context.id] = trio.Event()
        try:
            return await self._start(context)
        finally:
            del self._starting[context.id]
            over.set()
            self._note(context, None)
            self.processes.refill()

    async def _start(self, context: ContextInfo) -> Facts:
        wish = wish_of(context.settings, self._settings)
        process = await self.processes.found(context.id)
        if process is None:
            await self._end_all(context, force=False)  # of one that dies just now
            await self._check_not_lost(context)
            self._note(context, "a process that is ready, or can be started")
            process = await self.processes.take(context.id, context.name, wish.launch)
        self._registry.tell(context.id, process=process.job_id, master=wish.master)
        try:
            python, status = await self._made(process, context, wish)
            if process.over.is_set():  # just when it had said that it was up
                raise ContextInitError(process.why or "its process has ended")
        except ContextInitError as error:
            if context.process == process.job_id and process.over.is_set():  # it was up, and has died only now
                raise ContextLostError(context.id, process.why) from error
            raise
        self._up[context.id] = _Seen(process, status.memory_bytes)
        return Facts(
            python=python,
            process=process.job_id,
            master=status.master or wish.master,
            application=status.application,
            ui=status.ui,
            memory_bytes=status.memory_bytes or None,
        )

    async def stop(self, context: ContextInfo, *, force: bool) -> None:
        """End its process."""
        self._up.pop(context.id, None)
        starting = self._starting.get(context.id)
        if starting is not None:
            await starting.wait()  # it was told to end: then it is known which process there is
        try:
            await self._end_all(context, force=force)
        finally:
            self._turns.over(context.id)

    async def _end_all(self, context: ContextInfo, *, force: bool) -> None:
        await self.processes.found(context.id)  # only then it is known which it has
        async with trio.open_nursery() as nursery:
            for process in self.processes.of(context.id):
                self._note(context, "Spark to stop")
                nursery.start_soon(partial(self.processes.stop, process, force=force))

    async def kill(self, context: ContextInfo) -> None:
        """Kill its process."""
        await self.stop(context, force=True)

    async def alive(self, context: ContextInfo) -> bool:
        """Ask its process; of one that is not there, its end is waited for."""
        process = await self.processes.found(context.id)
        if process is None:
            return False
        try:
            status = await process.control.status(limit_s=self._settings.spark_answer_s)
        except GoneError:
            pass
        except ControlError:
            return True  # busy is not dead
        else:
            if status.state == "up":
                return True
        with trio.move_on_after(_DEATH_HEARD_S):
            await process.over.wait()
        return False

    def link(self, context: ContextInfo) -> Path | None:
        """The socket of its process."""
        for process in self.processes.of(context.id):
            if not process.stopping:
                return process.folder / SOCKET
        raise ContextLostError(context.id)

    # -- coming up --

    async def _check_not_lost(self, context: ContextInfo) -> None:
        """Whether a context was up, and its process has died by itself meanwhile.

        One that was stopped, or went with the machine, is made anew.
        """
        job = None if context.process is None else await self._core.find(context.process)
        if job is not None and job.state is JobState.FAILED:
            raise ContextLostError(context.id, job.error or "")

    async def _made(self, process: SparkProcess, context: ContextInfo, wish: SparkWish) -> tuple[str, Status]:
        """Have the SparkContext made, and meanwhile the interpreter of its Python jobs."""
        made: list[tuple[str, Status]] = []
        failed: list[Exception] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_at_end, process, nursery.cancel_scope)
            nursery.start_soon(self._tell_notes, process, context)
            try:
                python = await self._venvs.python(context.settings, user=context.id, jars=True)
                known = await _listens(process)
                # One that has been told of this context before has its jars: what they were called may be gone by now
                jars = [] if known.context == context.id else await self._jars(process, context)
                jars = [*self._settings.spark_api_jars, *jars]
                made.append((python, await self._make(process, context, wish, jars)))
            except (JobdeckError, OutboundError, StoreError, OSError) as error:
                failed.append(error)
            nursery.cancel_scope.cancel()
        if failed:
            raise failed[0]
        if not made:
            raise ContextInitError(process.why or "its process has ended")
        return made[0]

    async def _make(self, process: SparkProcess, context: ContextInfo, wish: SparkWish, jars: Sequence[str]) -> Status:
        name, limit_s = wish.name or context.name, self._settings.context_start_s
        try:
            return await process.control.make(context.id, name, wish.conf, jars, limit_s=limit_s)
        except RefusedError as error:
            raise ContextInitError(str(error)) from error
        except ControlError as error:
            with trio.move_on_after(_DEATH_HEARD_S):
                await process.over.wait()
            raise ContextInitError(process.why or str(error)) from error  # its end says more

    async def _tell_notes(self, process: SparkProcess, context: ContextInfo) -> None:
        """Tell what the process is doing, for as long as it is waited for."""
        while True:
            with suppress(ControlError):
                status = await process.control.status()
                self._note(context, status.note)
                if status.state != "starting":
                    self._turns.started(context.id)
            await trio.sleep(_NOTE_S)

    def _note(self, context: ContextInfo, note: str | None) -> None:
        self._registry.tell(context.id, note=note)

    # -- jars --

    async def _jars(self, process: SparkProcess, context: ContextInfo) -> list[str]:
        """Have the context's jars where its process finds them; their paths."""
        names = jars_of(context.settings)
        if not names:
            return []
        self._note(context, "its jars")
        packages = await self._finder.had(await self._finder.named(names))
        jars = [each for each in packages if each.kind == JAR]
        return await trio.to_thread.run_sync(self._lay_out, process.folder / "jars", jars, limiter=self._threads)

    def _lay_out(self, folder: Path, jars: Sequence[JobPackage]) -> list[str]:
        """Put jars into a folder, under names that are made here. Blocks."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
        paths = []
        for number, jar in enumerate(jars):
            path = folder / f"{number}-{jar.content[:12]}.jar"
            with self._blobs.read(jar.content) as file:
                bring(file, self._blobs.path(file.hash), path)
            paths.append(str(path))
        return paths

    # -- meanwhile --

    def _died(self, process: SparkProcess, *, stopped: bool) -> None:
        """A process has ended; nobody's loss unless a context is up in it."""
        seen = self._up.get(process.context or "")
        if seen is not None and seen.process is process and process.context is not None:
            del self._up[process.context]
            self._registry.lost(process.context, process.why, stopped=stopped)

    async def _sample(self) -> None:
        """Look at the memory of contexts that are up."""
        turn = 0
        while True:
            await trio.sleep(self._settings.spark_sample_s)
            turn += 1
            for context_id in tuple(self._up):
                busy = self._registry.running_count(context_id) > 0
                if busy or turn % _IDLE_FACTOR == 0:
                    await self._look_at(context_id)

    async def _look_at(self, context_id: str) -> None:
        seen = self._up.get(context_id)
        if seen is None:
            return
        try:
            status = await seen.process.control.status(limit_s=self._settings.spark_answer_s)
        except ControlError:
            return  # if it has died, that is told soon; if it is busy, it is asked again
        if seen.is_news(status.memory_bytes):
            seen.memory_bytes = status.memory_bytes
            self._registry.tell(context_id, memory_bytes=status.memory_bytes)


class _Seen:
    """A context that is up: its process, and what was told of its memory."""

    def __init__(self, process: SparkProcess, memory_bytes: int) -> None:
        self.process = process
        self.memory_bytes = memory_bytes

    def is_news(self, now_bytes: int) -> bool:
        return now_bytes > 0 and abs(now_bytes - self.memory_bytes) > max(_FLOOR_BYTES, self.memory_bytes // _SHARE)


async def _cancel_at_end(process: SparkProcess, scope: trio.CancelScope) -> None:
    await process.over.wait()
    scope.cancel()


async def _listens(process: SparkProcess) -> Status:
    """Wait until a process can be asked; how it is then."""
    while True:
        try:
            return await process.control.status()
        except GoneError:
            await trio.sleep(_LOOK_S)
        except ControlError:
            await trio.sleep(_NOTE_S)  # on a busy machine it may well come to answer; the context's patience has an end
