"""What the workers' crash test looks at when all jobs have ended: where they ran, and that nothing of them is left."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import trio

from jobdeck_keeper import records
from tests.e2e.crash import groups, retire, until
from tests.e2e.crash_judge import NAME, Row, Sent, Verdict, marked, name_of, unfinished, zombies
from tests.e2e.crash_killers import keeper_pid
from tests.e2e.program import JOBDECK, keeper_pids
from tests.e2e.worker_fleet import Fleet, Worker

_TEMPORARY = (".new", ".tmp")


def places(fleet: Fleet, sent: Mapping[str, Sent], rows: Sequence[Row], verdict: Verdict) -> None:
    """See that each job is at the place that it was meant for, by the server's record and by what is there."""
    by_id = {worker.id: worker for worker in fleet.workers}
    for row in rows:
        found = NAME.search(row["command"])
        if not found or found[0] not in sent:
            continue
        body = sent[found[0]].plan.body
        named = body.get("worker") or body.get("worker_id")
        labels = set(body.get("worker_labels", ()))
        where = by_id.get(row["worker"])
        ran_at = [worker for worker in fleet.workers if _claimed(worker, row["id"])]
        wrong = named not in (None, row["worker"]) or any(worker is not where for worker in ran_at)
        if labels and where is not None:  # nowhere: it was stopped before there was room for it
            wrong = wrong or not labels <= {where.name, "any"}
        if wrong or len(ran_at) > 1:
            text = f"meant for {named or sorted(labels)}, told at {row['worker']}, on record at {ran_at}"
            verdict.fault("places", f"{found[0]} {row['id']}: {text}")
        verdict.counts["at workers"] += where is not None


def _claimed(worker: Worker, job_id: str) -> bool:
    """Whether a worker has a claim of a job that says more than that it never runs there."""
    return set(records.read_record(worker.data_dir / "jobs" / job_id / "record")) - {"never"} != set()


async def released(fleet: Fleet, verdict: Verdict) -> None:
    """See that every worker was told that the server has all of its jobs."""

    def kept() -> list[str]:
        return [str(each) for worker in fleet.workers for each in _kept(worker)]

    await until(lambda: not kept())
    for text in kept():
        verdict.fault("not released", text)


def _kept(worker: Worker) -> list[Path]:
    return [each for each in (worker.data_dir / "jobs").iterdir() if not (each / "released").exists()]


async def idle(fleet: Fleet, verdict: Verdict) -> None:
    """See that server, workers and keepers hold no process and no file of a job."""
    await _idle("server", fleet.server.data_dir, fleet.server.process, verdict)
    for worker in fleet.workers:
        await _idle(worker.name, worker.data_dir, worker.process, verdict)


async def _idle(name: str, data_dir: Path, process: subprocess.Popen[bytes] | None, verdict: Verdict) -> None:
    keeper = keeper_pid(data_dir)
    if keeper is None or process is None:
        verdict.fault("stuck", f"{name}: no keeper at the end")
        return
    await until(lambda: not unfinished(keeper))
    for pid in unfinished(keeper):
        verdict.fault("left behind", f"{name}: child {pid} of the keeper, {name_of(pid)!r}")
    for pid in zombies(process.pid):
        verdict.fault("left behind", f"{name} has not reaped {pid}")
    programs = {name: process.pid, f"{name}'s keeper": keeper}
    await until(lambda: not any(_job_files(pid) for pid in programs.values()))
    for each, pid in programs.items():
        for path in _job_files(pid):
            verdict.fault("left behind", f"{each} has {path} open")


def _job_files(pid: int) -> list[str]:
    """Files of jobs that a process has open."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(os.readlink(entry))
    return [path for path in found if "/jobs/" in path]


async def goodbye(fleet: Fleet, mark: str, verdict: Verdict) -> None:
    """Ask all to go, and see that nothing is left."""
    async with trio.open_nursery() as nursery:
        for worker in fleet.workers:
            nursery.start_soon(_stop, worker, verdict)
    if code := await trio.to_thread.run_sync(fleet.server.stop):
        verdict.fault("left behind", f"the server ended with {code}")
    folders = [fleet.server.data_dir, *(worker.data_dir for worker in fleet.workers)]
    async with trio.open_nursery() as nursery:
        for data in folders:
            nursery.start_soon(trio.to_thread.run_sync, _end_jobs, data)

    def left() -> list[str]:
        return [*(str(pid) for data in folders for pid in keeper_pids(data)), *marked(mark)]

    await until(lambda: not left())
    for text in [*left(), *(text for data in folders for text in groups(data))]:
        verdict.fault("left behind", text)
    for data in folders:
        for path in data.rglob("*"):
            if (path.is_fifo() and path.parent != data) or path.name.endswith(_TEMPORARY):
                verdict.fault("left behind", str(path))
    _logs(fleet, folders, verdict)


async def _stop(worker: Worker, verdict: Verdict) -> None:
    if (code := await trio.to_thread.run_sync(worker.stop)) != 0:
        verdict.fault("left behind", f"{worker.name} ended with {code}")


def _end_jobs(data: Path) -> None:
    """As a user would; then have the keeper go."""
    stop = [*JOBDECK, "stop", "--all", "--data-dir", str(data)]
    subprocess.run(stop, check=False, capture_output=True, timeout=60)
    retire(data)


def _logs(fleet: Fleet, folders: Sequence[Path], verdict: Verdict) -> None:
    for path in [
        fleet.server.log,
        *(worker.log for worker in fleet.workers),
        *(each / "keeper.log" for each in folders),
    ]:
        log = path.read_text(errors="replace") if path.exists() else ""
        if "Traceback" in log or (path.name == "keeper.log" and log):
            verdict.fault("logs", f"{path}: {log[-3000:]}")
