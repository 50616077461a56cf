"""The local engine: jobs on this machine, run by the keeper.

This module turns the keeper's facts (``jobdeck_keeper.records``) into the engine's reports, and the engine's verbs into
requests to the keeper. Facts on disk are the truth; an event only says that it is worth looking at them.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from jobdeck_keeper import records
from jobdeck_server.engines.base import Ended, Noted, Report, Started
from jobdeck_server.engines.link import KeeperError, KeeperLink

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from jobdeck_server.engines.base import Ear, Launch, Stop
    from jobdeck_server.settings import Settings

_log = logging.getLogger("jobdeck.engine")
_OUTPUT_FILES = ("output", "runs", "lines", "input")


class LocalEngine:
    """See ``engines.base.Engine``."""

    name = "local"

    def __init__(self, settings: Settings, *, touch: bool) -> None:
        self._jobs_dir = settings.data_dir / "jobs"
        self.capacity_count = settings.running_limit_count
        self._link = KeeperLink(
            settings.data_dir,
            on_event=self._event,
            on_up=self._up,
            touch=touch,
            cgroups=settings.cgroups,
        )
        self._asked: dict[str, Launch] = {}  # starts that the keeper has not answered yet, in order
        self._sink: Ear | None = None
        self._first_up = trio.Event()
        self._alive: set[str] = set()  # not ended, as the keeper sees it
        self._limiter = trio.CapacityLimiter(4)

    async def run(self, sink: Ear, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the link to the keeper; ``started`` once it is up."""
        self._sink = sink
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._link.run)
            await self._first_up.wait()
            task_status.started()

    def submit(self, launch: Launch) -> None:
        """Ask the keeper to start a job, now or once there is one; whoever asked first has decided."""
        self._asked[launch.job_id] = launch
        if self._link.is_up:
            self._ask_start(launch)

    async def stop(self, job_id: str, stop: Stop) -> None:
        """Stop a job; one without a claim is claimed as never to run."""
        answer = await self._insist("stop", id=job_id, signal=stop.signal, grace_s=stop.grace_s, reason="requested")
        self._tell(job_id, answer.get("facts"))

    async def signal(self, job_id: str, signum: int) -> bool:
        """Send a signal to all that the job started."""
        return (await self._insist("signal", id=job_id, signal=signum)).get("status") == "sent"

    async def input(self, job_id: str, *, eof_bytes: int | None) -> None:
        """Have the job's standard input looked at."""
        if eof_bytes is None:
            await self._insist("input", id=job_id)
        else:
            await self._insist("eof", id=job_id, size=eof_bytes)

    async def status(self, job_ids: Collection[str]) -> Mapping[str, Report | None]:
        """Read the records of jobs; ask the keeper where they leave a question."""
        found = await trio.to_thread.run_sync(self._read_all, list(job_ids), limiter=self._limiter)
        reports: dict[str, Report | None] = {}
        for job_id, facts in found.items():
            report = self._judge(job_id, facts) if facts else None
            if facts and not isinstance(report, Ended) and job_id not in self._alive:
                report = await self._ask(job_id)
            reports[job_id] = report
        return reports

    async def forget(self, job_id: str) -> None:
        """Remove a job's folder."""
        await trio.to_thread.run_sync(
            partial(shutil.rmtree, self.follow(job_id), ignore_errors=True), limiter=self._limiter
        )

    async def forget_output(self, job_id: str) -> None:
        """Remove a job's output files; its record stays."""

        def remove() -> None:
            for name in _OUTPUT_FILES:
                (self.follow(job_id) / name).unlink(missing_ok=True)

        await trio.to_thread.run_sync(remove, limiter=self._limiter)

    async def kept(self) -> Collection[str]:
        """Names of all job folders."""
        return await trio.to_thread.run_sync(lambda: [each.name for each in self._jobs_dir.iterdir()])

    def follow(self, job_id: str) -> Path:
        """The job's folder."""
        return self._jobs_dir / job_id

    # -- the keeper's side --

    async def _insist(self, op: str, **fields: object) -> dict[str, Any]:
        try:
            return await self._link.insist(op, **fields)
        except KeeperError as error:
            _log.error("keeper: %s %s: %s", op, fields.get("id"), error)
            return {}

    def _ask_start(self, launch: Launch) -> None:
        self._link.post("spawn", partial(self._start_answered, launch.job_id), spec=dict(launch.spec))

    def _start_answered(self, job_id: str, answer: dict[str, Any] | None) -> None:
        if answer is None:
            return  # asked again when the link is up again
        self._asked.pop(job_id, None)
        if "error" in answer:
            # The keeper could not even claim it: nothing ran, and with no claim nothing ever will without us.
            _log.error("job %s: keeper: %s", job_id, answer["error"])
            self._report(job_id, Ended(how="error", text=str(answer["error"]), finished_us=records.wall_us()))
        elif answer.get("facts"):
            self._tell(job_id, answer["facts"])
        else:
            self._report(job_id, Noted(note=None))  # it is claimed; events tell the rest

    async def _up(self, hello: dict[str, Any]) -> None:
        self._alive = set(hello["jobs"])
        for launch in list(self._asked.values()):
            self._ask_start(launch)
        if not self._first_up.is_set():
            self._first_up.set()  # the core asks for itself, once it knows its jobs
        elif self._sink is not None:
            await self._sink.resync()

    def _event(self, event: dict[str, Any]) -> None:
        job_id = event["id"]
        if event["ev"] == "note":
            self._report(job_id, Noted(note=event.get("note")))
            return
        self._alive.add(job_id)
        self._tell(job_id, event.get("facts"))

    def _tell(self, job_id: str, facts: Mapping[str, Any] | None) -> None:
        if facts:
            self._report(job_id, self._judge(job_id, facts))

    def _report(self, job_id: str, report: Report) -> None:
        if isinstance(report, Ended):
            self._alive.discard(job_id)
        if self._sink is not None:
            self._sink.report(job_id, report)

    async def _ask(self, job_id: str) -> Report:
        """What the keeper says of a claimed job that it did not name as alive when it was greeted."""
        report = await self._facts(job_id)
        if isinstance(report, Ended) or job_id in (await self._insist("list")).get("jobs", [job_id]):
            return report
        report = await self._facts(job_id)  # it may have ended between the two answers
        if isinstance(report, Ended):
            return report
        return Ended(how="lost", text="the keeper does not know it", finished_us=records.wall_us())

    async def _facts(self, job_id: str) -> Report:
        facts = (await self._insist("facts", id=job_id)).get("facts")
        return self._judge(job_id, facts) if facts else Noted(note=None)

    def _judge(self, job_id: str, facts: Mapping[str, Any]) -> Report:
        """What a record says, with the output of the steps before one that could not be started."""
        report = _report(facts)
        if isinstance(report, Ended) and report.how == "error" and report.step:
            with contextlib.suppress(OSError):
                report = replace(report, output_bytes=(self.follow(job_id) / "output").stat().st_size)
        return report

    def _read_all(self, job_ids: list[str]) -> dict[str, dict[str, Any]]:
        return {job_id: records.read_record(self._jobs_dir / job_id / "record") for job_id in job_ids}


def _report(facts: Mapping[str, Any]) -> Report:
    """What a record says, as a report. Source: the slots of ``jobdeck_keeper.records``."""
    claim, start, stop = facts.get("claim") or {}, facts.get("start"), facts.get("stop")
    ended = partial(
        Ended,
        stop_reason=None if stop is None else stop["reason"],
        started_us=None if start is None else start["t_us"],
    )
    if (end := facts.get("exit")) is not None:
        return ended(
            how="exit",
            code=end["code"],
            signal=end["signal"],
            core=bool(end.get("core")),
            finished_us=end["t_us"],
            output_bytes=end["bytes"],
            dropped_bytes=end["dropped"],
            step=end["step"],
            cut=bool(end.get("cut")),
        )
    if (error := facts.get("error")) is not None:
        if not error["step"]:  # the start was noted before the attempt
            ended = partial(ended, started_us=None)
        return ended(how="error", text=error["text"], finished_us=error["t_us"], step=error["step"])
    if claim.get("never"):
        return ended(how="never", finished_us=claim["t_us"])
    if (lost := facts.get("lost")) is not None:
        return ended(how="lost", text=lost["why"], finished_us=lost["t_us"], output_bytes=lost["bytes"])
    if start is not None:
        return Started(started_us=start["t_us"], step=start["step"])
    return Noted(note=None)
