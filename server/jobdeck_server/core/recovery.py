"""What a server does about the jobs that it finds: when it starts, before it serves anybody, and when it lost sight.

For each job that had not ended when the last server went away (protocol decisions B.6):

    exit record                 commit the end
    started and alive           RUNNING
    claimed, not started yet    the engine tells when it is
    no claim, STARTING, same boot of the machine    ask for it again (the answer to its client may have been given);
                                                    not in a restored backup: it may have run since it was made
    no claim, STARTING, other boot                  LOST, never run a second time
    QUEUED                      back to its place in the queue

Folders without a row: of removed jobs they are removed for good; one without a claim never ran and is removed; one with
a claim belongs to a job whose row is missing (a database restored from a backup): it is taken in and shown.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jobdeck_protocol.job import Job, JobState, move
from jobdeck_server.core import journal, removal
from jobdeck_server.core.admission import RESTORED
from jobdeck_server.core.live import Live, now_us
from jobdeck_server.core.verdict import verdict
from jobdeck_server.engines.base import LOCAL, WORKER, Ended, Started, Stop

if TYPE_CHECKING:
    from pathlib import Path

    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.journal import Row

_log = logging.getLogger("jobdeck.recovery")
_RECOVERING = "recovery"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What was found: how many jobs run on, wait, ended meanwhile, and came in without a row."""

    running_count: int
    queued_count: int
    ended_count: int
    imported_count: int


async def recover(core: JobCore) -> Recovery:
    """Bring memory, database and engine to one picture. The engine's link must be up."""
    core.counts.update(await core.store.read(journal.counts))
    rows = await core.store.read(journal.live_rows)
    core.admission.pause(_RECOVERING, on=True)  # a job that has ended meanwhile frees a slot before all is found
    for row in rows:
        live = _live(row)
        core.counts[live.job.state] -= 1  # adopting counts it again
        if live.job.state is JobState.QUEUED:
            core.enqueue(live)
        else:
            core.adopt(live)
            core.resume(live, launch=False)
    await resync(core)
    imported_count = await _folders(core)
    states = [core_live.job.state for row in rows if (core_live := core.live(row.job.id))]
    found = Recovery(
        running_count=sum(state in (JobState.STARTING, JobState.RUNNING) for state in states),
        queued_count=states.count(JobState.QUEUED),
        ended_count=len(rows)
        - sum(state in (JobState.STARTING, JobState.RUNNING, JobState.QUEUED) for state in states),
        imported_count=imported_count,
    )
    _log.info(
        "found %d running, %d waiting, %d ended meanwhile, %d without a record",
        *(found.running_count, found.queued_count, found.ended_count, found.imported_count),
    )
    core.admission.pause(_RECOVERING, on=False)
    return found


async def resync(core: JobCore) -> None:
    """Ask the engine about each job that it should know, and go on from what it says."""
    asked = {job.id: job.state for job in core.active() if job.state is not JobState.QUEUED}
    for job_id, report in (await core.engine.status(asked)).items():
        live = core.live(job_id)
        if live is None or live.job.ended:
            continue
        if report is not None:
            core.report(job_id, report)
        elif live.job.state is not asked[job_id]:
            continue  # it has moved while the engine looked: that it was not known is out of date
        elif live.job.state is JobState.STARTING and live.boot_id == core.boot_id:
            if RESTORED not in core.admission.pauses:  # else this is done again when an admin agrees
                core.resume(live, launch=True)
        else:
            core.report(job_id, Ended(how="lost", text=_why_lost(live, core.boot_id), finished_us=now_us()))


def _why_lost(live: Live, boot_id: str) -> str:
    if live.boot_id != boot_id:
        return "the machine was restarted while it ran"
    return "its record is gone from the data directory"


def _live(row: Row) -> Live:
    stop = None if row.stop is None else Stop(signal=row.stop[0], grace_s=row.stop[1])
    return Live(row.job, row.spec, boot_id=row.boot_id, stop=stop)


def counted(ended: Ended, folder: Path) -> Ended:
    """The end of a job that was lost sight of, with the output that is there: nobody has counted it."""
    if ended.how != "lost":
        return ended
    try:
        size_bytes = (folder / "output").stat().st_size
    except OSError:
        return ended
    return replace(ended, output_bytes=max(size_bytes, ended.output_bytes))


async def correct(core: JobCore, job_id: str, ended: Ended) -> bool:
    """Give a LOST job the end that it truly had; see ``engines.base.Sink``."""
    await core.committed(job_id)
    job = await core.find(job_id)
    if job is None or job.state is not JobState.LOST or core.live(job_id) is not None:
        return False
    found = verdict(replace(job, started_us=ended.started_us or job.started_us, unreachable=False), ended)
    if found.state is JobState.LOST:
        return False
    _log.warning("job %s was lost and has been found: %s", job_id, found.state)
    core.amend(found)
    await core.committed(job_id)
    return True


async def _folders(core: JobCore) -> int:
    names = await core.engine.kept()
    known = await core.store.read(lambda connection: journal.known(connection, names))
    doomed = await core.store.read(journal.doomed)
    if doomed:
        await removal.bury(core, doomed)
    strangers = [name for name in names if name not in known and name not in doomed]
    reports = await core.engine.status(strangers)
    imported_count = 0
    for job_id in strangers:
        report = reports[job_id]
        if report is None:
            await core.engine.forget(job_id)
            continue
        _log.warning("job %s has a folder and no row: taken in", job_id)
        await take_in(core, _stranger(job_id), report if isinstance(report, Started | Ended) else None)
        imported_count += 1
    return imported_count


def _stranger(job_id: str, *, engine: str = LOCAL, worker: str | None = None) -> Job:
    return Job(
        id=job_id,
        dialect="unknown",
        labels=("imported",),
        state=JobState.STARTING,
        created_us=now_us(),
        engine=engine,
        worker=worker,
    )


async def import_job(core: JobCore, job_id: str, *, worker: str) -> None:
    """Take in a job of a worker; see ``engines.base.Sink``."""
    await take_in(core, _stranger(job_id, engine=WORKER, worker=worker), None)


async def take_in(core: JobCore, job: Job, report: Started | Ended | None) -> None:
    """Make a record for a job of which there is none, from what its engine tells of it.

    Raises:
        StoreError: The database would not take it.
    """
    started_us = None if report is None else report.started_us
    if started_us is not None:
        job = move(job, JobState.RUNNING, started_us=started_us, created_us=started_us)
    if isinstance(report, Ended):
        job = verdict(job, report)
    events = await core.store.write(
        lambda connection: journal.insert_job(connection, job, {}, boot_id=core.boot_id, idempotency=None)
    )
    if isinstance(events, list):
        core.events.publish(events)
    if job.ended:
        core.counts[job.state] += 1
    else:
        core.adopt(Live(job, {}, boot_id=core.boot_id))
