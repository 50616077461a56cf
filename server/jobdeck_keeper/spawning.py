"""From a request to a shim: claiming a job, and forking its supervisor; ``Job`` is what the keeper holds of it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobdeck_keeper import life, pipes, records
from jobdeck_keeper.child import Plan
from jobdeck_keeper.feeder import Feeder, known_end
from jobdeck_keeper.shim import Commission

if TYPE_CHECKING:
    from jobdeck_keeper.child import Step
    from jobdeck_keeper.pool import Spare
    from jobdeck_keeper.records import Payload
    from jobdeck_keeper.setup import Place

_REASON_LIMIT_BYTES = 200


@dataclass(slots=True, kw_only=True)
class Job:
    """What the keeper holds of a job that has not ended.

    Attributes:
        record: The open record.
        ends: Read ends of its pipes: without them bytes would vanish when shim and job die together.
        ready: The order in which these become ready, shared with the shim.
        shim: The shim's number, 0 if it is not known.
        shim_fd: Its pidfd, -1 if there is none.
        main_fd: pidfd of the main process, held only for jobs of a predecessor, else -1.
        cut: Bytes of its output may have vanished; see ``Life``.
        told: The server was told of the end.
    """

    ident: str
    folder: str
    record: int
    claim: Payload
    ends: tuple[int, int] | None = None
    ready: pipes.ReadyList | None = None
    feeder: Feeder | None = None
    shim: int = 0
    shim_fd: int = -1
    main_fd: int = -1
    cut: bool = False
    told: bool = False

    def facts(self) -> dict[str, Payload]:
        """Read the record."""
        return records.read_facts(self.record)

    def write_stop(self, number: int, grace_s: float, reason: str | None) -> None:
        """Put a stop on record. A second one can only hasten the first, whose reason stays."""
        now_us = records.boot_us()
        stop: Payload = {"signal": number, "grace_s": grace_s}
        stop["reason"] = records.clip(reason or "requested", _REASON_LIMIT_BYTES)
        stop |= {"t_us": records.wall_us(), "b_us": now_us}
        former = records.read_slot(self.record, "stop")
        if former is not None:
            left_s = float(former["grace_s"]) - (now_us - int(former["b_us"])) / 1e6
            stop["grace_s"] = round(max(0.0, min(grace_s, left_s)), 6)
            stop["reason"] = former["reason"]
        records.write_slot(self.record, "stop", stop)

    def write_eof(self, size_bytes: int) -> None:
        """Put the end of the input on record; the first one holds."""
        if records.read_slot(self.record, "eof") is None:
            records.write_slot(self.record, "eof", {"size": size_bytes})

    def end_input(self) -> None:
        """The shim has fed everything: let go of our copy of the write end, so that the job sees the end."""
        if self.feeder is not None:
            self.feeder.end()

    def fail(self, text: str, number: int | None = None) -> None:
        """Make the record final: the job was not started."""
        text = records.clip(text, records.PAYLOAD_LIMIT_BYTES - 100)
        error = {"text": text, "errno": number, "step": 0, "t_us": records.wall_us()}
        records.write_slot(self.record, "error", error)

    def close(self) -> None:
        """Let go of everything, and remove what a killed shim left."""
        if os.path.lexists(f"{self.folder}/pipe1"):
            life.tidy(self.folder, self.claim)
        if self.ready is not None:
            self.ready.epoll.close()
        if self.feeder is not None:
            self.feeder.close()
        for fd in (*(self.ends or ()), self.record, self.main_fd):
            if fd >= 0:
                os.close(fd)


def claim(place: Place, spec: dict[str, Any], spare: Spare) -> Job | None:
    """Claim a job for a spare; None if it was claimed before.

    Raises:
        OSError: It could not be claimed; nothing has happened.
        KeyError, TypeError, ValueError: The request makes no sense; nothing has happened.
    """
    folder = place.folder(spec["id"])
    payload = _claim_of(place, spec, spare.cgroup)
    records.write_slot(spare.record, "claim", payload)
    try:
        # An empty folder is replaced, one with anything in it refuses: so this claims, and exactly once.
        os.rename(spare.folder, folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            records.clear_slot(spare.record, "claim")
            raise
        if not _claim_inside(spare, folder):
            records.clear_slot(spare.record, "claim")
            return None
    return Job(ident=spec["id"], folder=folder, record=spare.record, claim=payload, ends=spare.ends, ready=spare.ready)


def _claim_inside(spare: Spare, folder: str) -> bool:
    """Claim a job whose folder holds something already; False if it was claimed before."""
    try:
        os.link(f"{spare.folder}/record", f"{folder}/record")
    except FileExistsError:
        return False
    return True


def _move_in(spare: Spare, folder: str) -> None:
    """Bring the spare's files to a job that was claimed inside its folder. All of them are there since its birth."""
    try:
        names = os.listdir(spare.folder)
    except FileNotFoundError:
        return  # the folder itself has become the job's
    for name in names:
        if name == "record":
            os.unlink(f"{spare.folder}/record")
        else:
            os.rename(f"{spare.folder}/{name}", f"{folder}/{name}")
    os.rmdir(spare.folder)


def _claim_of(place: Place, spec: dict[str, Any], group: str | None) -> Payload:
    """Make the claim's payload: all that a taker needs."""
    limit_s = spec.get("time_limit_s")
    steps = spec["steps"]
    if not steps or any(not {"argv", "env", "cwd"} <= step.keys() for step in steps):
        raise ValueError("a job needs steps, each with argv, env and cwd")
    payload: Payload = {
        "v": 1,
        "keeper": {"pid": place.pid, "ticks": place.ticks},
        "boot": place.boot,
        "t_us": records.wall_us(),
        "linger_s": float(spec.get("linger_s", 10.0)),
        "grace_s": float(spec.get("grace_s", 5.0)),
        "time_limit_s": None if limit_s is None else float(limit_s),
        "output_limit_bytes": int(spec.get("output_limit_bytes", 4 << 30)),
        "index_limit_bytes": int(spec.get("index_limit_bytes", 512 << 20)),
        "on_limit": "stop" if spec.get("on_limit") == "stop" else "drop",
        "order": "bulk" if spec.get("order") == "bulk" else "exact",
        "stdin": bool(spec.get("stdin")),
        "steps_count": len(steps),
        "cgroup": group,
    }
    if len(json.dumps(payload)) > records.PAYLOAD_LIMIT_BYTES:
        payload["cgroup"] = None  # a path too long for the record; the job's descendants are known without it
    return payload


def claim_never(place: Place, folder: str) -> bool:
    """Claim a job so that it never runs; False if it was claimed before."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    payload = {
        "v": 1,
        "keeper": {"pid": place.pid, "ticks": place.ticks},
        "boot": place.boot,
        "t_us": records.wall_us(),
        "never": True,
    }
    record = records.create_record(folder, payload)
    if record is None:
        return False
    os.close(record)
    return True


def commission(job: Job, steps: list[Step], spare: Spare, *, touch: bool) -> None:
    """Give a claimed job to its spare. If that is dead, that will be seen as the death of any shim.

    Raises:
        OSError: Its files could not be moved, the plan not be written, or the input not be opened.
    """
    job.shim, job.shim_fd = spare.pid, spare.pidfd
    _move_in(spare, job.folder)
    if job.claim["stdin"]:
        source = os.open(f"{job.folder}/input", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        job.feeder = Feeder(source, *pipes.open_stdin(job.folder))
        size_bytes = known_end(job.folder)
        if size_bytes is not None:
            job.write_eof(size_bytes)
    exact, stdin = job.claim["order"] == "exact", job.claim["stdin"]
    plan = _write_plan(Plan(path=job.folder, exact=exact, stdin=stdin, steps=steps))
    files = tuple(job.feeder.descriptors if job.feeder is not None else ())
    try:
        Commission(job.ident, job.folder, touch, plan, files).send(spare.commission)
    except (BrokenPipeError, ConnectionResetError):
        return
    finally:
        os.close(plan)
        spare.commission.close()


def _write_plan(plan: Plan) -> int:
    """Write the plan: into memory, or into the job's folder if a later supervisor may have to read it."""
    if len(plan.steps) == 1:
        fd = os.memfd_create("plan", os.MFD_CLOEXEC)
    else:
        fd = os.open(f"{plan.path}/spec", os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    content = memoryview(plan.pack())
    try:
        while content:
            content = content[os.write(fd, content) :]
    except OSError:
        os.close(fd)
        raise
    return fd


def open_plan(folder: str) -> int:
    """Open the plan of a job with several steps; -1 if it has one only."""
    try:
        return os.open(f"{folder}/spec", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
