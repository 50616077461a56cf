"""Who is killed in the tests of Spark: a context's process, its JVM, the keeper; each found without any doubt."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from jobdeck_keeper import procs
from tests.e2e.crash_killers import keeper_pid
from tests.e2e.procs import alive

_PROGRAM = b"jobdeck_spark_process"
_GONE_LIMIT_S = 10.0


def context_processes(data: Path) -> dict[str, int]:
    """The processes of contexts, ready ones too, by the ids of their jobs: those that work in ``data``."""
    found: dict[str, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if any(_PROGRAM in word for word in words) and alive(int(entry.name)):
                    found |= {job_id: int(entry.name) for job_id in _ids(words, data / "work")}
    return found


def _ids(words: list[bytes], work: Path) -> set[str]:
    paths = [Path(os.fsdecode(word)) for word in words]
    return {path.relative_to(work).parts[0] for path in paths if path.is_relative_to(work) and path != work}


def jvm_of(pid: int) -> int | None:
    """The JVM of a context's process, if it has one yet."""
    for child in procs.children(pid):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{child}/comm").read_text() == "java\n":
                return child
    return None


def kill(pid: int) -> None:
    """``kill -9``, and wait until it is gone."""
    os.kill(pid, signal.SIGKILL)
    end_s = time.monotonic() + _GONE_LIMIT_S
    while alive(pid):
        assert time.monotonic() < end_s
        time.sleep(0.005)


def kill_process(data: Path, job_id: str) -> None:
    """Kill the process of a context, which is this job."""
    kill(context_processes(data)[job_id])


def kill_jvm(data: Path, job_id: str) -> None:
    """Kill its JVM."""
    pid = jvm_of(context_processes(data)[job_id])
    assert pid is not None
    kill(pid)


def kill_keeper(data: Path) -> None:
    """Kill the keeper."""
    pid = keeper_pid(data)
    assert pid is not None
    kill(pid)
