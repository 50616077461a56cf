"""The built-in executor: the engine of this machine, which also runs bundles.

A bundle is a zip or an artifact in the blob store that brings files and says in ``executor_config.json`` what to run
and which files are results (source: the WebGME executor walkthrough). Jobs that are none pass through untouched. For a
bundle there is work before its program starts and after it has ended (``workshop``), and in between it is a job like
any other: it outlives the server, and the keeper has its truth.

All of it may be cut at any moment and done again. Before: no claim of the keeper, so nothing has run; the files are
laid out anew. After: the job's end reaches the core only together with its results, so a server that comes back finds
a job that runs for the core and has ended for the keeper, and collects again; blobs that are there already are the
same blobs. The files go when the core has committed the end.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from jobdeck_server.core.bundles.errors import StoppedError
from jobdeck_server.core.errors import JobdeckError
from jobdeck_server.core.live import now_us
from jobdeck_server.core.store import StoreError
from jobdeck_server.engines.base import BUNDLES, Ended, Launch, Noted, Planned, Started
from jobdeck_server.engines.workshop import StatusError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from jobdeck_server.engines.base import Engine, Report, Sink, Stop
    from jobdeck_server.engines.workshop import Workshop

_log = logging.getLogger("jobdeck.executor")
_RETRY_S = 2.0
_SWEEP_S = 30.0
_COMMITTED_LOOK_S = 0.2


class _Making:
    """A bundle that is being made ready."""

    def __init__(self) -> None:
        self.cancelled = False
        self.scope = trio.CancelScope()
        self.over = trio.Event()

    def cancel(self) -> None:
        self.cancelled = True  # a thread at work looks at this
        self.scope.cancel()


class _Following:
    """The output of a bundle that is being told in segments."""

    def __init__(self) -> None:
        self.program_ended = trio.Event()
        self.over = trio.Event()


class BuiltinExecutor:
    """See ``engines.base.Engine``.

    Args:
        local: What runs programs; belongs to this from here on.
        workshop: What is done before and after.
        patience_s: How long to try to keep results, when there is no room or too much else to do.
    """

    name = "local"

    def __init__(self, local: Engine, workshop: Workshop, *, patience_s: float) -> None:
        self._local = local
        self._workshop = workshop
        self._patience_s = patience_s
        self.capacity_count = local.capacity_count
        self._sink: Sink | None = None
        self._nursery: trio.Nursery | None = None
        self._making: dict[str, _Making] = {}
        self._following: dict[str, _Following] = {}
        self._collecting: set[str] = set()

    # -- as an engine --

    async def run(self, sink: Sink, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the local engine and the work around it."""
        self._sink = sink
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await nursery.start(self._local.run, self)
            nursery.start_soon(self._sweep)
            task_status.started()

    def submit(self, launch: Launch) -> None:
        """Start a program, or make a bundle ready and start it then."""
        if launch.spec.get("bundle") is None:
            self._local.submit(launch)
        elif launch.job_id not in self._making and self._nursery is not None:
            self._making[launch.job_id] = _Making()
            self._nursery.start_soon(self._make, launch)

    async def stop(self, job_id: str, stop: Stop) -> None:
        """Stop a job; one that is being made ready never runs."""
        making = self._making.get(job_id)
        if making is not None:
            making.cancel()
            await making.over.wait()
        await self._local.stop(job_id, stop)

    async def signal(self, job_id: str, signum: int) -> bool:
        """Send a signal."""
        return await self._local.signal(job_id, signum)

    async def input(self, job_id: str, *, eof_bytes: int | None) -> None:
        """Tell of standard input."""
        await self._local.input(job_id, eof_bytes=eof_bytes)

    async def status(self, job_ids: Collection[str]) -> Mapping[str, Report | None]:
        """What is known of each; a bundle whose results are to be collected still runs."""
        found = dict(await self._local.status(job_ids))
        for job_id, report in found.items():
            if job_id in self._making:
                found[job_id] = Noted(note=None)
            elif isinstance(report, Started):
                self._follow_soon(job_id)
            elif isinstance(report, Ended) and self._has_results(job_id, report):
                self._collect_soon(job_id, report)
                started_us = report.started_us
                found[job_id] = Noted(note=None) if started_us is None else Started(started_us=started_us, step=0)
        return found

    async def forget(self, job_id: str) -> None:
        """Remove all that is kept of a job."""
        await self._workshop.clear(job_id)
        await self._local.forget(job_id)

    async def forget_output(self, job_id: str) -> None:
        """Remove a job's output."""
        await self._local.forget_output(job_id)

    async def kept(self) -> Collection[str]:
        """The jobs of which something is kept."""
        return await self._local.kept()

    def follow(self, job_id: str) -> Path:
        """The job's folder."""
        return self._local.follow(job_id)

    # -- as the local engine's sink --

    def report(self, job_id: str, report: Report) -> None:
        """Pass on what the local engine tells; the end of a bundle waits for its results."""
        if isinstance(report, Ended) and self._has_results(job_id, report):
            self._collect_soon(job_id, report)
            return
        if isinstance(report, Started):
            self._follow_soon(job_id)
        self._tell(job_id, report)

    async def resync(self) -> None:
        """Pass it on."""
        if self._sink is not None:
            await self._sink.resync()

    def engine_of(self, job_id: str) -> str | None:
        """Pass it on."""
        return None if self._sink is None else self._sink.engine_of(job_id)

    def _tell(self, job_id: str, report: Report) -> None:
        if self._sink is not None:
            self._sink.report(job_id, report)

    def _has_results(self, job_id: str, report: Ended) -> bool:
        return report.how in ("exit", "error") and self.engine_of(job_id) == BUNDLES

    # -- before --

    async def _make(self, launch: Launch) -> None:
        """Make a bundle ready and have it started."""
        job_id = launch.job_id
        making = self._making[job_id]
        try:
            with making.scope:
                made = await self._workshop.prepare(launch, cancelled=lambda: making.cancelled)
                self._tell(job_id, Planned(steps=made.steps))
                self._local.submit(replace(launch, spec=made.spec))
        except StoppedError:
            _log.info("job %s: stopped before it was started", job_id)
        except StatusError as error:
            self._fail(job_id, str(error), was_started=error.was_started)
        except (JobdeckError, StoreError, OSError) as error:
            self._fail(job_id, f"FAILED_SOURCE_COULD_NOT_BE_OBTAINED: {error}", was_started=False)
        finally:
            del self._making[job_id]
            making.over.set()

    def _fail(self, job_id: str, text: str, *, was_started: bool) -> None:
        _log.info("job %s: %s", job_id, text)
        when = now_us()
        self._tell(job_id, Ended(how="error", text=text, started_us=when if was_started else None, finished_us=when))

    # -- meanwhile --

    def _follow_soon(self, job_id: str) -> None:
        if job_id not in self._following and self.engine_of(job_id) == BUNDLES and self._nursery is not None:
            self._following[job_id] = _Following()
            self._nursery.start_soon(self._follow, job_id)

    async def _follow(self, job_id: str) -> None:
        following = self._following[job_id]
        try:
            await self._workshop.follow(job_id, following.program_ended)
        except (JobdeckError, StoreError, OSError) as error:
            _log.warning("job %s: its output is told in segments no longer: %s", job_id, error)
        finally:
            following.over.set()

    async def _all_told(self, job_id: str) -> None:
        """Wait until all output is told in segments."""
        self._follow_soon(job_id)  # a server that came back after the end has not begun
        following = self._following[job_id]
        following.program_ended.set()
        await following.over.wait()
        del self._following[job_id]

    # -- after --

    def _collect_soon(self, job_id: str, ended: Ended) -> None:
        if job_id not in self._collecting and self._nursery is not None:
            self._collecting.add(job_id)
            self._nursery.start_soon(self._collect, job_id, ended)

    async def _collect(self, job_id: str, ended: Ended) -> None:
        """Keep a bundle's results, then let its end be known."""
        await self._all_told(job_id)
        until_s = trio.current_time() + self._patience_s
        while True:
            try:
                results = await self._workshop.collect(job_id, ended.output_bytes)
                break
            except StatusError as error:
                failure = str(error)
            except (JobdeckError, StoreError, OSError) as error:
                failure = f"FAILED_TO_SAVE_ARTIFACT: {error}"
                if trio.current_time() < until_s:
                    self._tell(job_id, Noted(note=f"results wait to be kept: {error}"))
                    await trio.sleep(_RETRY_S)
                    continue
            _log.warning("job %s: %s", job_id, failure)
            results = {}
            # What a failed or stopped job left is lost, and still it ended as it did.
            if ended.how == "exit" and ended.code == 0:
                ended = replace(ended, how="error", code=None, text=failure)
            break
        self._tell(job_id, replace(ended, results=results))
        while self.engine_of(job_id) is not None:  # noqa: ASYNC110  # a commit tells nobody but the core
            await trio.sleep(_COMMITTED_LOOK_S)
        self._collecting.discard(job_id)
        await self._workshop.clear(job_id)

    async def _sweep(self) -> None:
        """Remove the files of jobs that are no more, as a server that was killed leaves them."""
        while True:
            await trio.sleep(_SWEEP_S)
            with suppress(OSError):
                for job_id in await self._workshop.kept():
                    if self.engine_of(job_id) is None:
                        await self._workshop.clear(job_id)
