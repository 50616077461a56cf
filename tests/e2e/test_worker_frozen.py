"""A worker that is frozen with SIGSTOP amid its jobs: nobody waits for it, it is told, and it comes back."""

from __future__ import annotations

import json
import os
import signal
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.wire import tell
from tests.e2e.worker_fleet import Fleet, Worker, running_fleet

_BEAT_S = 0.7
_SLOW_BEAT_S = 5.0
_LIMIT_S = 60.0
_ENDED = ("succeeded", "failed", "stopped", "lost")
_PAUSE_S = 0.2
_LOOK_S = 0.015


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast jobs were started, stopped and run; medians and the longest, in seconds."""

    starts_s: list[float]
    stops_s: list[float]

    def text(self) -> str:
        """Both, in milliseconds."""
        words = []
        for name, found in (("start", self.starts_s), ("stop", self.stops_s)):
            words.append(f"{name} median {statistics.median(found) * 1e3:.1f} ms, longest {max(found) * 1e3:.0f} ms")
        return "; ".join(words)


def submit(fleet: Fleet, worker: Worker, command: str, **fields: object) -> str:
    """The id of a new job for a worker."""
    body = json.dumps({"command": command, "worker": worker.id, **fields})
    status, _, answer = fleet.server.ask("POST", "/v1/jobs", body)
    assert status == 201, answer
    return str(json.loads(answer)["id"])


def until(fleet: Fleet, job_id: str, *states: str, limit_s: float = _LIMIT_S) -> dict[str, Any]:
    """A job's record once it has one of these states."""
    limit = time.monotonic() + limit_s
    while (job := fleet.server.job(job_id))["state"] not in states:
        assert time.monotonic() < limit, job
        time.sleep(_LOOK_S)
    return job


def measured(fleet: Fleet, workers: list[Worker], *, for_s: float) -> Pace:
    """Start and stop jobs on these workers, one after the other; each ran on its own worker and as it should."""
    starts_s: list[float] = []
    stops_s: list[float] = []
    limit = time.monotonic() + for_s
    while time.monotonic() < limit or len(starts_s) < 2 * len(workers):
        for worker in workers:
            began = time.monotonic()
            job_id = submit(fleet, worker, "exec sleep 60")
            until(fleet, job_id, "running")
            starts_s.append(time.monotonic() - began)
            began = time.monotonic()
            status, _, answer = fleet.server.ask("POST", f"/v1/jobs/{job_id}/stop", json.dumps({"signal": 9}))
            assert status in (200, 202), answer
            job = until(fleet, job_id, *_ENDED)
            stops_s.append(time.monotonic() - began)
            assert (job["state"], job["signal"], job["worker"]) == ("stopped", 9, worker.id)
        time.sleep(_PAUSE_S)
    return Pace(starts_s, stops_s)


def ended_rightly(fleet: Fleet, job_id: str, count: int) -> None:
    """See that a counting job has counted, each number once and in order."""
    job = until(fleet, job_id, *_ENDED)
    assert (job["state"], job["exit_code"], job["unreachable"]) == ("failed", 5, False), job
    _, _, output = fleet.server.ask("GET", f"/v1/jobs/{job_id}/output")
    assert output == b"".join(b"%d\n" % number for number in range(count))


def freeze(fleet: Fleet, *, for_s: float, quick: bool) -> tuple[Pace, Pace]:
    """Freeze one worker of three; how fast the others start and stop jobs before and afterwards, and meanwhile."""
    frozen, *others = fleet.workers
    well_s = 0 if quick else 10
    well = measured(fleet, others, for_s=well_s)
    count = 20 if quick else 300
    counting = submit(fleet, frozen, f"for ((i = 0; i < {count}; i++)); do echo $i; sleep 0.1; done; exit 5")
    until(fleet, counting, "running")
    os.kill(frozen.pid, signal.SIGSTOP)
    try:
        waiting = submit(fleet, frozen, "echo 0; exit 5")  # given to it while nobody knows that it does not hear
        meanwhile = measured(fleet, others, for_s=for_s)
        fleet.wait_state([frozen.name], "unreachable")
        fleet.wait_state([worker.name for worker in others], "online")
        job = fleet.server.job(counting)
        assert (job["state"], job["unreachable"]) == ("running", True)
    finally:
        os.kill(frozen.pid, signal.SIGCONT)
    fleet.wait_state([frozen.name], "online")
    ended_rightly(fleet, counting, count)
    ended_rightly(fleet, waiting, 1)
    after = measured(fleet, others, for_s=well_s)
    return Pace(well.starts_s + after.starts_s, well.stops_s + after.stops_s), meanwhile


@pytest.fixture
def three(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """Three workers, with this beat."""
    with running_fleet(tmp_path / "fleet", "cold", "warm", "hot", beat_s=request.param) as fleet:
        yield fleet


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("three", [_BEAT_S], indirect=True)
def test_a_frozen_worker_delays_nobody(three: Fleet) -> None:
    well, meanwhile = freeze(three, for_s=3.5 * _BEAT_S, quick=True)
    tell(f"all well: {well.text()}")
    tell(f"one frozen: {meanwhile.text()}")
    # whoever waited for the frozen one, or for its silence to be noticed, would wait for seconds
    assert statistics.median(meanwhile.starts_s) < 3 * statistics.median(well.starts_s) + _BEAT_S
    assert statistics.median(meanwhile.stops_s) < 3 * statistics.median(well.stops_s) + _BEAT_S


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("three", [_SLOW_BEAT_S], indirect=True)
def test_a_worker_frozen_for_a_minute(three: Fleet) -> None:
    well, meanwhile = freeze(three, for_s=60.0, quick=False)
    tell(f"all well: {well.text()}")
    tell(f"one frozen for a minute: {meanwhile.text()}")
    assert statistics.median(meanwhile.starts_s) < 3 * statistics.median(well.starts_s) + 0.2
    assert statistics.median(meanwhile.stops_s) < 3 * statistics.median(well.stops_s) + 0.2
