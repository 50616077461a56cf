"""``jobdeck worker`` as a user starts it: signals, exit codes, what it says, a kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from jobdeck_protocol.errors import CLOSE_VERSION
from jobdeck_protocol.worker import Bye, Drain
from tests.worker.hostend import HostEnd
from tests.worker.place import end_jobs, order

JOBDECK = str(Path(sys.executable).parent / "jobdeck")
WAIT = "until [ -e {go} ]; do sleep 0.01; done"


class Program:
    def __init__(self, folder: Path, host: HostEnd) -> None:
        self.host = host
        self.folder = folder
        self.data_dir = folder / "data"
        self.go = folder / "go"
        (folder / "token").write_text("secret")
        self.log = folder / "log"
        self.count = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *flags: str) -> None:
        command = [JOBDECK, "worker", "--token-file", "token", "--data-dir", "data", "--labels", "a,b", *flags]
        env = {**os.environ, "JOBDECK_WORKER_SERVER": f"ws://127.0.0.1:{self.host.port}", "JOBDECK_WORKER_NAME": "w"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stderr=log, env=env)

    def tell(self, signum: int) -> None:
        assert self.process is not None
        self.process.send_signal(signum)

    async def code(self) -> int:
        assert self.process is not None
        with trio.fail_after(30):
            return await trio.to_thread.run_sync(self.process.wait, abandon_on_cancel=True)

    async def says(self, words: str) -> None:
        await self.host.until(lambda: words in self.log.read_text())

    async def submit(self, line: str) -> str:
        """Have a job started, and wait until it says something."""
        self.count += 1
        job_id = f"00000000-0000-4000-8000-{self.count:012d}"
        self.host.start(job_id, order("echo begun; " + line))
        await self.host.until(lambda: self.host.copy(job_id).output)
        return job_id


@asynccontextmanager
async def program(folder: Path) -> AsyncIterator[Program]:
    host = HostEnd()
    async with trio.open_nursery() as nursery:
        await nursery.start(host.run)
        running = Program(folder, host)
        try:
            yield running
        finally:
            if running.process is not None:
                running.process.kill()
                running.process.wait()
            end_jobs(running.data_dir)
            nursery.cancel_scope.cancel()
    assert host.faults == []


async def test_it_is_killed_and_started_again(tmp_path: Path) -> None:
    async with program(tmp_path) as here:
        here.start("--slots", "3")
        job_id = await here.submit(WAIT.format(go=here.go) + "; echo done; exit 7")
        assert here.process is not None
        here.process.kill()
        await here.code()
        here.go.touch()
        here.start()
        end = await here.host.ended(job_id)
        assert (end.code, bytes(here.host.copy(job_id).output)) == (7, b"begun\ndone\n")
        first, second = here.host.hellos[0], here.host.hellos[-1]
        assert (first.worker, first.name, first.slots, first.labels) == (second.worker, "w", 3, ("a", "b"))
        here.tell(signal.SIGTERM)
        assert await here.code() == 0
        assert here.host.told[-1] == Bye(text="SIGTERM")


@pytest.mark.slow
async def test_the_first_signal_waits_and_the_second_does_not(tmp_path: Path) -> None:
    async with program(tmp_path) as here:
        here.start()
        job_id = await here.submit(WAIT.format(go=here.go))
        here.tell(signal.SIGINT)
        await here.says("SIGINT: no new jobs; waiting for the end of 1 job; a second signal leaves it to the keeper")
        await here.host.until(lambda: Drain(on=True) in here.host.told)
        here.tell(signal.SIGINT)
        assert await here.code() == 0
        assert here.host.told[-1] == Bye(text="SIGINT")
        assert "1 job runs on under the keeper" in here.log.read_text()

        here.start()
        await here.says("1 running, 0 ended")
        here.tell(signal.SIGTERM)
        await here.says("SIGTERM: no new jobs")
        here.go.touch()
        assert await here.code() == 0
        assert here.host.copy(job_id).ends[0].code == 0
        assert (here.data_dir / "jobs" / job_id / "released").exists()


async def test_refusals_are_one_line_and_code_2(tmp_path: Path) -> None:
    async with program(tmp_path) as here:
        here.host.close = (CLOSE_VERSION, "this end speaks version 2")
        here.start()
        assert await here.code() == 2
        assert here.log.read_text().splitlines()[-1] == (
            "jobdeck: the server speaks another version of the worker channel: this end speaks version 2"
        )
