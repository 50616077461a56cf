"""Orders about jobs, over a real connection and under a real keeper."""

from __future__ import annotations

import signal
import uuid
from functools import partial
from pathlib import Path

from jobdeck_keeper import records
from jobdeck_protocol.workeragent import Stage
from jobdeck_protocol.workerevents import StartJob
from jobdeck_protocol.workerorders import Signal, Stop, Withdraw
from jobdeck_protocol.workerwords import How
from tests.worker.place import order, place

KILL, TERM, USR1 = int(signal.SIGKILL), int(signal.SIGTERM), int(signal.SIGUSR1)


async def test_a_job_runs_and_all_of_it_arrives(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        job_id = here.submit("echo out; echo err >&2; exit 3")
        end = await here.host.ended(job_id)
        assert (end.how, end.code, end.started_us is not None) == (How.EXIT, 3, True)
        assert sorted(bytes(here.host.copy(job_id).output).split()) == [b"err", b"out"]
        here.check(job_id)
        await here.host.until(here.job_file(job_id, "released").exists)
        hello = here.host.hellos[0]
        assert (hello.name, hello.slots, hello.labels, here.host.tokens) == ("w", 4, ("a",), ["Bearer secret"])


async def test_output_comes_while_the_job_runs(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        go = tmp_path / "go"
        job_id = here.submit(f"echo first; until [ -e {go} ]; do sleep 0.01; done; echo second")
        await here.host.until(lambda: here.host.copy(job_id).output == b"first\n")
        assert here.host.copy(job_id).ends == []
        go.touch()
        await here.host.ended(job_id)
        here.check(job_id)


async def test_one_job_runs_once_however_often_it_is_ordered(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        spec, job_id = order(f"echo run >> {tmp_path}/ran"), str(uuid.uuid4())
        here.host.start(job_id, spec)
        await here.host.ended(job_id)
        await here.host.until(here.job_file(job_id, "released").exists)
        for restart in (False, True):  # it was released: only the record on disk knows of it
            if restart:
                await here.end()
                await here.boot()
            first = here.host.copies.pop(job_id).ends[0]
            here.host.start(job_id, spec)
            assert await here.host.ended(job_id) == first
            here.check(job_id)
        assert (tmp_path / "ran").read_text() == "run\n"


async def test_a_job_is_withdrawn_in_time_and_too_late(tmp_path: Path) -> None:
    async with place(tmp_path, boot=False) as here:
        spec, early, late = order("sleep 1000"), str(uuid.uuid4()), str(uuid.uuid4())
        here.host.start(early, spec)
        here.host.say(lambda host: host.jobs.withdraw(early))
        await here.boot()
        end = await here.host.ended(early)
        assert (end.how, end.output_bytes, here.host.copy(early).states) == (How.NEVER, 0, [])
        await here.host.until(here.job_file(early, "released").exists)
        here.host.copies.pop(early)
        here.host.start(early, spec)  # it never runs, whoever asks
        assert (await here.host.ended(early)).how is How.NEVER

        here.host.start(late, spec)
        await here.host.running(late)
        assert here.parts is not None
        here.parts.jobs.heed(Withdraw(job_id=late))
        here.parts.jobs.heed(Signal(job_id=late, number=1, signal=KILL))
        assert (await here.host.ended(late)).signal == KILL, "it ran on"


def is_over(record: Path) -> bool:
    return records.is_final(records.read_record(record))


async def test_a_stop_does_not_overtake_the_start_before_it(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        await here.host.until(lambda: here.parts is not None and here.parts.agent.stage is Stage.OPEN)
        assert here.parts is not None
        for _ in range(5):
            job_id = str(uuid.uuid4())
            here.parts.jobs.heed(StartJob(job_id, order("sleep 1000")))
            here.parts.jobs.heed(Stop(job_id=job_id, signal=TERM, grace_s=5.0))
            path = here.job_file(job_id, "record")
            await here.host.until(partial(is_over, path))
            facts = records.read_record(path)
            assert facts["stop"]["reason"] == "requested", "it was claimed to run, and then stopped"


async def test_stop_signal_and_standard_input(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        stopped, signalled = (
            here.submit("sleep 1000"),
            here.submit("trap 'echo got; exit 4' USR1; echo ready; while :; do read -t 0.05 -u 9; done 9<> <(:)"),
        )
        typed = here.submit("cat", stdin=True)
        for job_id in (stopped, signalled, typed):
            await here.host.running(job_id)
        await here.host.until(lambda: here.host.copy(signalled).output)  # its trap is set
        here.host.say(lambda host: host.jobs.stop(stopped, TERM, 5.0))
        end = await here.host.ended(stopped)
        assert (end.signal, end.stop_reason) == (TERM, "requested")

        here.host.say(lambda host: host.jobs.signal(stopped, USR1))
        here.host.say(lambda host: host.jobs.signal(signalled, USR1))
        assert (await here.host.ended(signalled)).code == 4
        await here.host.until(lambda: 2 in here.host.signals)  # what came of it and what it did are told in any order
        assert (here.host.signals, bytes(here.host.copy(signalled).output)) == ({1: False, 2: True}, b"ready\ngot\n")

        data = bytes(range(256)) * 2000
        copy = here.host.copy(typed)
        copy.input += data
        here.host.say(lambda host: host.jobs.input(typed, len(data)))
        await here.host.until(lambda: copy.input_kept == len(data))
        here.host.say(lambda host: host.jobs.input(typed, len(data), eof_bytes=len(data)))
        assert (await here.host.ended(typed)).code == 0
        assert bytes(copy.output) == data
        here.check(typed)
