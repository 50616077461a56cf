"""From a request to a shim: claiming a job, and forking its supervisor; ``Job`` is what the keeper holds of it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobdeck_keeper import cgroup, life, pipes, records, shim
from jobdeck_keeper.feeder import Feeder

if TYPE_CHECKING:
    import select

    from jobdeck_keeper.child import Step
    from jobdeck_keeper.records import Payload
    from jobdeck_keeper.setup import Place

_REASON_LIMIT_BYTES = 200
_SAME_SET = pipes.Heritage(known=True)


@dataclass(slots=True, kw_only=True)
class Job:
    """What the keeper holds of a job that has not ended.

    Attributes:
        record: The open record.
        ends: Read ends of its pipes: without them bytes would vanish when shim and job die together.
        ready: epoll set of these two.
        heritage: What ``ready`` is to the shim's own: the same set, unless a predecessor of this keeper forked it.
        shim: The shim's number, 0 if it is not known.
        shim_fd: Its pidfd, -1 if there is none.
        main_fd: pidfd of the main process, held only for jobs of a predecessor, else -1.
        told: The server was told of the end.
    """

    ident: str
    folder: str
    record: int
    claim: Payload
    ends: tuple[int, int] | None = None
    ready: select.epoll | None = None
    heritage: pipes.Heritage = _SAME_SET
    feeder: Feeder | None = None
    shim: int = 0
    shim_fd: int = -1
    main_fd: int = -1
    told: bool = False

    def facts(self) -> dict[str, Payload]:
        """Read the record."""
        return records.read_facts(self.record)

    def write_stop(self, number: int, grace_s: float, reason: str | None) -> None:
        """Put a stop on record. A second one can only hasten the first, whose reason stays."""
        stop: Payload = {"signal": number, "grace_s": grace_s}
        stop["reason"] = records.clip(reason or "requested", _REASON_LIMIT_BYTES)
        stop |= {"t_us": records.wall_us(), "b_us": records.boot_us()}
        former = records.read_slot(self.record, "stop")
        if former is not None:
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
        for ready in (self.ready, self.heritage.former):
            if ready is not None:
                ready.close()
        if self.feeder is not None:
            self.feeder.close()
        for fd in (*(self.ends or ()), self.record, self.main_fd):
            if fd >= 0:
                os.close(fd)


def claim(place: Place, spec: dict[str, Any], folder: str) -> Job | None:
    """Claim a job; None if it was claimed before.

    Raises:
        OSError: It could not be claimed; nothing has happened.
        KeyError, TypeError, ValueError: The request makes no sense; nothing has happened.
    """
    payload = _claim_of(place, spec)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    record = records.create_record(folder, payload)
    if record is None:
        return None
    # The shim inherits this open file and with it the lock: while the lock is held, somebody works on the job.
    fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return Job(ident=spec["id"], folder=folder, record=record, claim=payload)


def _claim_of(place: Place, spec: dict[str, Any]) -> Payload:
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
        "cgroup": f"{place.cgroup}/{spec['id']}" if place.cgroup is not None else None,
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


def start(place: Place, job: Job, steps: list[Step], *, touch: bool) -> None:
    """Fork the shim of a claimed job.

    Raises:
        OSError: It could not be forked, or the pipes not be made.
    """
    if len(steps) > 1:
        _write_spec(job.folder, steps)
    exact = job.claim["order"] == "exact"
    job.ends = pipes.open_pipes(job.folder, exact=exact)
    job.ready = pipes.open_ready_list(job.ends)
    if job.claim["stdin"]:
        source = os.open(f"{job.folder}/input", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        job.feeder = Feeder(source, *pipes.open_stdin(job.folder))
    group = job.claim["cgroup"]
    if group is not None:
        cgroup.make(place.cgroup or "", job.ident)
    given = shim.Commission(
        ident=job.ident,
        path=job.folder,
        boot=place.boot,
        record=job.record,
        ends=job.ends,
        ready=job.ready,
        feeder=job.feeder,
        steps=steps,
        fifo=place.fifo,
        touch=touch,
        around=place.around,
    )
    pid = os.fork()
    if pid == 0:
        shim.run_shim(given)
    job.shim, job.shim_fd = pid, os.pidfd_open(pid)
    _give_lock_away(job)


def _give_lock_away(job: Job) -> None:
    """Let the shim alone hold the lock: go on with an open file of our own."""
    record = os.open(f"{job.folder}/record", os.O_RDWR | os.O_CLOEXEC)
    os.close(job.record)
    job.record = record


def _write_spec(folder: str, steps: list[Step]) -> None:
    """Keep the steps for whoever must start the later ones."""
    fresh = f"{folder}/spec.new"
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(json.dumps(steps).encode())
    os.rename(fresh, f"{folder}/spec")


def read_spec(folder: str) -> list[Step]:
    """Read the steps of a job that has several; [] if they are not there."""
    try:
        with open(f"{folder}/spec", "rb") as file:
            steps: list[Step] = json.load(file)
    except (OSError, ValueError):
        return []
    return steps
