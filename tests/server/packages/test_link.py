"""A job and the process of its context: bound to it, and never in doubt about what came of it when that dies.

The process is a stand-in that speaks the protocol, in a thread of the test.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from jobdeck_server.packages import outcome, plan
from tests.server.packages.kit import DEADLINE_S, Ran, ended, wheel

ANSWER = {"ok": True, "port": 1, "secret": "s", "context": "c-1", "conf": {}, "spark_home": "/nowhere"}
LOST = "Unexpected termination of context c-1"


class Stand:
    """Listens where a process would, and holds the connections that were made."""

    def __init__(self, folder: Path, answer: Mapping[str, Any] | bytes | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.control = folder / "control.sock"
        self.asked: list[Any] = []
        self._answer = answer
        self._held: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        place = os.open(folder, os.O_PATH)
        self._listener.bind(f"/proc/self/fd/{place}/control.sock")
        os.close(place)
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.asked.append(json.loads(connection.makefile("rb").readline()))
                if self._answer is None:
                    connection.close()
                    continue
                raw = self._answer if isinstance(self._answer, bytes) else json.dumps(self._answer).encode() + b"\n"
                connection.sendall(raw)
                self._held.append(connection)

    def die(self) -> None:
        for connection in self._held:
            connection.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self.die()


@contextlib.contextmanager
def standing(folder: Path, answer: Mapping[str, Any] | bytes | None = ANSWER) -> Iterator[Stand]:
    stand = Stand(folder, answer)
    try:
        yield stand
    finally:
        stand.close()


def source(body: str, *, validate: str = "return config") -> str:
    inner = "\n".join(f"        {line}" for line in body.strip().splitlines())
    return (
        "import os, time\n\n\nclass Job:\n"
        f"    def validate(self, context, runtime, config):\n        {validate}\n\n"
        f"    def run_job(self, context, runtime, data):\n{inner}\n"
    )


def started(folder: Path, text: str, control: Path) -> tuple[Path, subprocess.Popen[bytes]]:
    folder.mkdir(parents=True, exist_ok=True)
    work = folder / "work"
    plan.write_plan(
        work,
        plan.RunnerPlan(
            job_id="j-1",
            main_class="jobs.job.Job",
            package=wheel(folder / "jobs-1.0-py3-none-any.whl", {"jobs/__init__.py": "", "jobs/job.py": text}),
            config=json.dumps({"flag": str(folder / "flag")}).encode(),
            context_name="here",
            link=control,
            settings={},
            result_limit_bytes=1 << 20,
        ),
    )
    command = plan.command(work, sys.executable)
    process = subprocess.Popen(
        command, cwd=plan.working_folder(work), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"PATH": "/bin"}
    )
    return work, process


def over(work: Path, process: subprocess.Popen[bytes]) -> Ran:
    out, err = process.communicate(timeout=DEADLINE_S)
    code = process.returncode
    return Ran(code=code, out=out, err=err, folder=work, outcome=outcome.conclude(work, ended(code)))


def wait(true: Callable[[], object]) -> None:
    end_s = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.005)


def test_a_job_says_who_it_is_over_a_path_of_any_length_and_ends_at_once(tmp_path: Path) -> None:
    body = "import threading\nthreading.Thread(target=time.sleep, args=(600,)).start()\nreturn context.name"
    with standing(tmp_path / ("d" * 120)) as stand:
        ran = over(*started(tmp_path, source(body), stand.control))
    assert (ran.code, ran.outcome.kind, ran.value) == (0, "finished", "here"), ran.err
    assert stand.asked == [{"op": "attach", "job": "j-1"}]


@pytest.mark.parametrize(
    ("body", "validate"),
    [
        ("open(data['flag'], 'w')\nwhile True: pass", "return config"),
        ("try:\n    open(data['flag'], 'w')\n    time.sleep(600)\nfinally:\n    time.sleep(600)", "return config"),
        ("return 1", "open(config['flag'], 'w'); time.sleep(600)"),
        ("open(data['flag'], 'w')\nprint('half', end='')\ntime.sleep(600)", "return config"),
    ],
)
def test_a_job_ends_with_its_context_whatever_it_does(tmp_path: Path, body: str, validate: str) -> None:
    with standing(tmp_path / "context") as stand:
        work, process = started(tmp_path, source(body, validate=validate), stand.control)
        wait((tmp_path / "flag").exists)
        stand.die()
        ran = over(work, process)
    assert (ran.code, ran.outcome.kind, ran.message) == (2, "context_lost", LOST), ran.err
    assert ran.outcome.error is not None
    assert ran.outcome.error.error_class == "java.lang.RuntimeException"
    assert ran.err.decode() == f"{LOST}\n"
    assert ran.out in (b"", b"half")


def test_a_result_that_is_kept_stays_though_the_context_dies_before_the_end(tmp_path: Path) -> None:
    body = """
from sparkjobserver._python import PythonWork
def end(work):
    open(data['flag'], 'w')
    time.sleep(600)
PythonWork.end = end
return 'kept'
"""
    with standing(tmp_path / "context") as stand:
        work, process = started(tmp_path, source(body), stand.control)
        wait((tmp_path / "flag").exists)
        stand.die()
        ran = over(work, process)
    assert (ran.code, ran.outcome.kind, ran.value) == (0, "finished", "kept")


def test_the_end_of_a_job_and_that_of_its_context_at_once_are_one_outcome(tmp_path: Path) -> None:
    body = """
open(data['flag'], 'w')
runtime.progress(0.5)
for n in range(20):
    time.sleep(0.001)
return list(range(5000))
"""
    chance = random.Random(7)
    for number in range(14):
        folder = tmp_path / str(number)
        with standing(folder / "context") as stand:
            work, process = started(folder, source(body), stand.control)
            wait((folder / "flag").exists)
            time.sleep(chance.uniform(0.010, 0.040))
            stand.die()
            ran = over(work, process)
        assert (ran.code, ran.outcome.kind) in ((0, "finished"), (2, "context_lost")), ran.err
        assert ran.outcome.kind != "finished" or ran.value == list(range(5000))


def test_processes_that_are_not_there_or_refuse_are_told_apart(tmp_path: Path) -> None:
    def kind(answer: Mapping[str, Any] | bytes | None, name: str) -> tuple[int, str, str]:
        with standing(tmp_path / name, answer) as stand:
            ran = over(*started(tmp_path / f"{name}-job", source("return 1"), stand.control))
        return ran.code, ran.outcome.kind, ran.message

    refused = "The context here does not take the job: it is stopping"
    assert kind({"ok": False, "error": "it is stopping"}, "a") == (2, "context_error", refused)
    assert kind(b"nonsense\n", "b")[:2] == (2, "context_error")
    lost = (2, "context_lost", "Unexpected termination of context here")
    assert kind(None, "c") == lost
    ran = over(*started(tmp_path / "d", source("return 1"), tmp_path / "none" / "control.sock"))
    assert (ran.code, ran.outcome.kind, ran.message) == lost


def test_children_that_a_job_forks_do_not_end_it(tmp_path: Path) -> None:
    body = "if os.fork() == 0: os._exit(0)\nos.wait()\ntime.sleep(0.05)\nreturn 'here'"
    with standing(tmp_path / "context") as stand:
        ran = over(*started(tmp_path, source(body), stand.control))
    assert (ran.code, ran.value) == (0, "here")


@pytest.mark.parametrize("gone", [False, True])
def test_a_job_that_fails_waits_for_the_end_of_its_context_if_that_was_gone_before_all_was_given_up(
    tmp_path: Path, gone: bool
) -> None:
    body = f"""
from sparkjobserver import _link
from sparkjobserver._python import PythonWork
def end(work):
    work.task.is_gone = lambda: {not gone}  # as whoever has given up its place finds nobody
_link.Link.wait = lambda link, limit_s: open(data['flag'], 'w')
PythonWork.end = end
import gc
next(each for each in gc.get_objects() if isinstance(each, PythonWork)).task.is_gone = lambda: {gone}
raise ValueError('broken')
"""
    with standing(tmp_path / "context") as stand:
        ran = over(*started(tmp_path, source(body), stand.control))
    assert (ran.code, ran.outcome.kind, ran.message) == (4, "run_raised", "broken"), ran.err
    assert (tmp_path / "flag").exists() is gone
