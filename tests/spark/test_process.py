"""The process of a Spark context with a real Java: what it answers, and every way in which it comes to an end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trio

from jobdeck_server.spark.control import Control, GoneError, RefusedError
from jobdeck_server.spark.install import Finder, Install, InstallError, Java
from tests.spark.places import SPARK_HOME, WRONG_JAVA_HOMES
from tests.spark.processes import LIMIT_S, Process, installed, is_gone, let_go, process, until

pytestmark = pytest.mark.timeout(180)  # ten interpreters on a busy machine take their time
ROOT = Path(__file__).parent.parent.parent  # which may well be in /tmp itself
SOON_S = 3.0  # Spark looks after its Python workers every 2 s, and gives them half a second


@pytest.fixture(scope="module")
def install() -> Install:
    return installed()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, install: Install) -> Iterator[Process]:
    """A process with a context, for all tests that leave it as they found it."""
    with process(tmp_path_factory.mktemp("process") / "p", install) as running:
        answer = running.make()
        assert answer["ok"], answer
        yield running


def active_tasks(running: Process, job_id: str) -> int:
    counts = running.status()["jobs"].get(job_id)
    return 0 if counts is None else counts["tasks_active"]


def test_what_a_context_says_of_itself(up: Process, install: Install) -> None:
    status = up.status()
    assert status["state"] == "up"
    assert status["context"] == "c1"
    assert status["master"] == "local[2]"
    assert status["application"].startswith("local-")
    assert status["ui"] is None
    assert status["version"] == install.spark.version
    assert until(lambda: up.status()["memory_bytes"]) > 50 << 20


def test_the_context_is_made_once(up: Process) -> None:
    again = up.make()
    assert again["ok"]
    assert again["application"] == up.status()["application"]
    other = up.make("c2")
    assert other == {"ok": False, "error": "This process belongs to context c1."}


def test_nothing_is_kept_outside_its_folder(up: Process) -> None:
    with let_go(up.attacher("places", "count")) as child:
        assert child.wait(LIMIT_S) == 0
    links = [os.readlink(f"/proc/{up.java}/fd/{fd}") for fd in os.listdir(f"/proc/{up.java}/fd")]
    maps = Path(f"/proc/{up.java}/maps").read_text().split()
    outside = {
        path
        for path in (*links, *maps)
        if path.startswith(("/tmp/", "/var/tmp/")) and not path.startswith((str(up.folder.parent), str(ROOT)))
    }
    assert not outside
    assert not list(Path("/tmp").glob(f"hsperfdata_*/{up.java}"))


def test_ten_jobs_attach_at_once(up: Process) -> None:
    def run(number: int) -> str:
        with let_go(up.attacher(f"many-{number}", "count")) as child:
            assert child.stdout is not None
            said = child.stdout.read()
            assert child.wait(LIMIT_S) == 0, said
            return said

    with ThreadPoolExecutor(10) as threads:
        assert [said.split()[-1] for said in threads.map(run, range(10))] == ["2"] * 10
    until(lambda: not up.status()["jobs"], 10)


def test_a_job_that_is_killed_in_an_action_is_cancelled(up: Process) -> None:
    with let_go(up.attacher("killed", "sleep")) as child:
        until(lambda: active_tasks(up, "killed") == 2)
        counts = up.status()["jobs"]["killed"]
        assert counts == {"stages_done": 0, "stages": 1, "tasks_done": 0, "tasks_active": 2, "tasks": 2}
        with up.wire() as wire:
            took_s = []
            for _ in range(20):
                start_s = time.monotonic()
                assert wire.ask("status")["ok"]
                took_s.append(time.monotonic() - start_s)
            assert sorted(took_s)[10] < 0.1
        child.kill()
        until(lambda: "cancelled job group killed" in up.said, 10)
    with let_go(up.attacher("next", "count")) as following:  # both cores are free again
        assert following.wait(LIMIT_S) == 0
    assert up.status()["jobs"] == {}


def test_workers_of_a_cancelled_job_end_soon(up: Process) -> None:
    """The best of some, since this machine may be busy with other things."""
    took_s: list[float] = []
    while not took_s or min(took_s) > SOON_S:
        assert len(took_s) < 3, took_s
        took_s.append(cancelled_s(up, f"timed-{len(took_s)}"))


def cancelled_s(up: Process, job_id: str) -> float:
    """How long it takes from a job's death to that of its tasks."""
    with let_go(up.attacher(job_id, "sleep")) as child:
        until(lambda: active_tasks(up, job_id) == 2)
        start_s = time.monotonic()
        child.kill()
        until(lambda: f"cancelled job group {job_id}" in up.said, 10)
        return time.monotonic() - start_s


def test_a_thread_of_java_is_interrupted(up: Process) -> None:
    with let_go(up.attacher("thread", "loop")) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "attached\n"
        time.sleep(0.2)  # until it is in the call; if it is not, the next round interrupts it
        assert up.ask("cancel", job="thread") == {"ok": True}
        assert child.wait(10) != 0
        assert "InterruptedException" in child.stdout.read()


def test_a_lifeline_holds_as_long_as_its_process(up: Process) -> None:
    """A child of the job that has the connection too does not keep it."""
    with let_go(up.attacher("forked", "fork")) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "attached\n"
        assert child.wait(10) == 0
        until(lambda: "forked" not in up.status()["jobs"], 5)


def test_requests_that_are_none(up: Process) -> None:
    with up.wire() as wire:
        for line in (b"\n", b"{}\n", b"[1]\n", b'{"op": "attack"}\n', b"\xff\n", b'{"op": ["status"]}\n'):
            wire.send(line)
            assert b"cannot be understood" in wire.line()
        assert wire.ask("attach")["error"] == "job must be a text of 1 to 256 characters."
        assert wire.ask("make", context="c1", name="n", conf={"a": 1}, jars=[])["ok"] is False
        assert wire.ask("status")["ok"]
    with up.wire() as wire:
        try:
            wire.send(b"x" * (3 << 20))
            assert wire.line() == b""
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert up.status()["state"] == "up"


def test_killing_java_ends_it(tmp_path: Path, install: Install) -> None:
    with process(tmp_path / "p", install) as running:
        assert running.make()["ok"]
        with running.wire() as lifeline:
            assert lifeline.ask("attach", job="j")["ok"]
            os.kill(running.java, signal.SIGKILL)
            assert lifeline.line() == b""
        assert running.ended(10) == 1
        assert running.said.splitlines()[-1].startswith("Java has ended: SIGKILL")


def test_java_ends_with_it(tmp_path: Path, install: Install) -> None:
    with process(tmp_path / "p", install) as running:
        running.until_ready()
        java = running.java
        running.popen.kill()
        running.ended()
        until(lambda: is_gone(java), 10)


def test_a_job_that_stops_the_context_ends_it(tmp_path: Path, install: Install) -> None:
    with process(tmp_path / "p", install) as running:
        assert running.make()["ok"]
        with let_go(running.attacher("stopper", "stop")) as child:
            assert child.wait(LIMIT_S) == 0
        assert running.ended(20) == 1
        assert running.said.splitlines()[-1].startswith("The SparkContext was stopped")


def test_a_context_that_cannot_be_made(tmp_path: Path, install: Install) -> None:
    with process(tmp_path / "p", install) as running:
        control = Control(running.folder)
        until(lambda: (running.folder / "control.sock").exists())
        with pytest.raises(RefusedError, match="Could not parse Master URL"):
            trio.run(make, control)
        assert running.ended(20) == 1
        assert "The SparkContext could not be made" in running.said.splitlines()[-1]
        with pytest.raises(GoneError):
            trio.run(control.status)


async def make(control: Control) -> None:
    await control.make("c1", "a test", {"spark.master": "nowhere"}, limit_s=LIMIT_S)


def test_it_stops_when_asked_to_in_a_folder_with_a_long_path(tmp_path: Path, install: Install) -> None:
    folder = tmp_path.joinpath(*["a-long-name-of-a-folder"] * 8)
    folder.mkdir(parents=True)
    with process(folder / "p", install) as running:
        assert running.make()["ok"]
        java = running.java
        with running.wire() as lifeline:
            assert lifeline.ask("attach", job="j")["ok"]
            assert running.ask("stop") == {"ok": True}
            assert lifeline.line() == b""
        assert running.ended(20) == 0
        assert is_gone(java)
        assert list((running.folder / "scratch").iterdir()) == []
        assert not (running.folder / "control.sock").exists()


def test_a_java_that_does_not_come_up(tmp_path: Path, install: Install) -> None:
    wrong = Install(spark=install.spark, java=Java(path=Path("/bin/false"), major=17, said=""))
    with process(tmp_path / "p", wrong) as running:
        assert running.ended(10) == 1
        assert running.said == "Java has ended: exit code 1.\n"


def test_a_java_that_takes_too_long(tmp_path: Path, install: Install) -> None:
    with process(tmp_path / "p", install, limits={"start_s": 0.2}) as running:
        assert running.ended(20) == 1
        assert running.said == "Java was not up after 0.2 s.\n"


def test_a_wrong_java_is_told() -> None:
    homes = sorted(Path("/").glob(WRONG_JAVA_HOMES.lstrip("/")))
    if not homes:
        pytest.skip("there is no other Java")
    with pytest.raises(InstallError, match=r"Spark needs Java 17.*is Java 25"):
        trio.run(Finder(spark_home=SPARK_HOME, spark_java=homes[0]).find)
