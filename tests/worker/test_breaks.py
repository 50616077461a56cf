"""Connections, programs and keepers that end in the middle."""

from __future__ import annotations

import os
import signal
import uuid
from pathlib import Path
from typing import Any

import pytest
import trio

from jobdeck_protocol.workeragent import Stage
from jobdeck_protocol.workerwords import How
from jobdeck_server.commands.keeperlink import KeeperLink
from jobdeck_server.commands.stopall import stop_all
from jobdeck_server.core.orders import plan_order
from jobdeck_server.settings import Settings
from tests.worker.hostend import HostEnd
from tests.worker.place import Place, order, place

_LINES = "for i in $(seq 1 {count}); do echo line $i of many, some on each stream >&$((1 + i % 2)); done"


async def restart(here: Place) -> None:
    await here.end()
    await here.boot()


async def test_output_is_whole_over_connections_that_break(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.relay.limit_bytes = 20_000
        job_id = here.submit(_LINES.format(count=3000))
        await here.host.ended(job_id)
        here.check(job_id)
        assert here.relay.count > 3, "it broke several times"


async def test_a_job_goes_on_without_a_connection_and_without_the_program(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        go = tmp_path / "go"
        long = here.submit(f"echo begun; until [ -e {go} ]; do sleep 0.01; done; echo done; : > {tmp_path}/ended")
        await here.host.until(lambda: here.host.copy(long).output == b"begun\n")
        here.host.keep = True
        short = here.submit("echo short; exit 2")
        await here.host.ended(short)

        await restart(here)
        await here.host.until(lambda: len(here.host.hellos) >= 2)
        first, second = here.host.hellos[:2]
        assert (second.worker, second.lives[:-1]) == (first.worker, (first.life,))
        assert here.parts is not None
        assert here.parts.jobs.running_count == 1

        await here.end()
        go.touch()
        await here.host.until((tmp_path / "ended").exists)
        here.host.keep = False
        here.host.say(lambda host: host.jobs.recorded(short))
        await here.boot()
        assert (await here.host.ended(long)).code == 0
        for job_id in (long, short):
            here.check(job_id)
            await here.host.until(here.job_file(job_id, "released").exists)


async def test_the_keeper_is_killed(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        go = tmp_path / "go"
        job_id = here.submit(f"echo begun; until [ -e {go} ]; do sleep 0.01; done; echo done")
        await here.host.until(lambda: here.host.copy(job_id).output == b"begun\n")
        with KeeperLink(here.data_dir) as link:
            pid = link.peer_pid()
        os.kill(pid, signal.SIGKILL)
        later = here.submit("echo later")
        assert (await here.host.ended(later)).code == 0
        go.touch()
        assert (await here.host.ended(job_id)).code == 0
        here.check(job_id)


async def test_a_connection_on_which_nothing_comes_is_given_up(tmp_path: Path) -> None:
    async with place(tmp_path, beat_s=0.5) as here:
        job_id = here.submit("echo begun; sleep 1000")
        await here.host.until(lambda: here.host.copy(job_id).output == b"begun\n")
        before = len(here.host.hellos)
        here.relay.freeze()
        await here.host.until(lambda: len(here.host.hellos) > before)
        await here.host.until(lambda: here.parts is not None and here.parts.agent.stage is Stage.OPEN)
        await here.host.until(lambda: here.host.told)
        beat = here.host.told[-1]
        assert (getattr(beat, "running", None), here.host.copy(job_id).ends) == (1, [])


async def test_a_server_that_was_restored_hears_of_all_jobs(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        kept, removed = here.submit("echo kept"), here.submit("echo removed")
        for job_id in (kept, removed):
            await here.host.ended(job_id)
            await here.host.until(here.job_file(job_id, "released").exists)
        here.job_file(removed, "output").unlink()
        here.host.lose_memory()
        await here.relay.cut()
        for job_id in (kept, removed):
            assert (await here.host.ended(job_id)).code == 0
        here.check(kept)
        (gap,) = here.host.copy(removed).gaps
        assert (gap.start, gap.to) == (0, len("removed\n"))


async def test_what_the_server_does_not_want_is_ended_and_removed(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        job_id = here.submit("echo begun; sleep 1000")
        await here.host.until(lambda: here.host.copy(job_id).output == b"begun\n")
        here.host.lose_memory()
        here.host.forgetting = True
        await here.relay.cut()
        await here.host.until(lambda: here.job_file(job_id, "released").exists())
        await here.host.until(lambda: not here.job_file(job_id, "output").exists())
        assert here.job_file(job_id, "record").exists(), "it stays claimed"
        assert here.parts is not None
        assert here.parts.jobs.running_count == 0


async def test_a_server_that_comes_later(tmp_path: Path) -> None:
    async with place(tmp_path, boot=False) as here:
        port = here.relay.to_port
        here.relay.to_port = 1  # nobody listens
        await here.boot()
        await here.host.until(lambda: here.relay.count > 2)
        here.relay.to_port = port
        assert (await here.host.ended(here.submit("true"))).how is How.EXIT


async def test_two_hosts_in_a_row(tmp_path: Path) -> None:
    """A server that restarts knows what its database knows."""
    async with place(tmp_path) as here:
        job_id = here.submit("echo begun; sleep 1000")
        await here.host.until(lambda: here.host.copy(job_id).output == b"begun\n")
        old, new = here.host, HostEnd()
        new.lives, new.last_life = [*old.lives, *new.lives], old.last_life
        new.say(lambda host: host.jobs.follow(job_id, output=2, runs=0))
        new.copy(job_id).output += b"be"
        await here.nursery.start(new.run)
        here.relay.to_port = new.port
        await here.relay.cut()
        await new.until(lambda: new.copy(job_id).output == b"begun\n")
        assert new.hellos[0].server_life == old.lives[-1]
        assert new.faults == []


async def test_stop_all_ends_its_jobs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with place(tmp_path) as here:
        job_id = here.submit("echo begun; sleep 1000")
        await here.host.until(lambda: here.host.copy(job_id).output == b"begun\n")
        assert await trio.to_thread.run_sync(stop_all, str(here.data_dir), 5.0) == 0
        assert capsys.readouterr().out == f"{job_id}  ended by SIGTERM\n"
        assert (await here.host.ended(job_id)).signal == signal.SIGTERM
        here.check(job_id)


async def test_an_order_that_nobody_foresaw_harms_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with place(tmp_path) as here:

        def plan(data: bytes, settings: Settings, *, job_id: str) -> dict[str, Any]:
            if job_id == bad:
                raise ZeroDivisionError
            return plan_order(data, settings, job_id=job_id)

        monkeypatch.setattr("jobdeck_server.worker.jobs.plan_order", plan)
        bad = str(uuid.uuid4())
        here.host.start(bad, order("true"))
        await here.host.until(lambda: "ZeroDivisionError" in caplog.text)
        assert (await here.host.ended(here.submit("true"))).code == 0
        assert not here.job_file(bad, "record").exists()
