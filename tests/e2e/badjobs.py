"""Jobs out of a package that do what jobs should not, and how tests run them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tests.e2e.program import Server
from tests.server.packages.kit import wheel

SOURCE = r'''
import os
import shutil
import signal
import sys
import time

HERE = os.path.dirname(os.getcwd())  # the job's private folder


class Good:
    def validate(self, context, runtime, config):
        return config

    def run_job(self, context, runtime, config):
        return {"pid": os.getpid(), "given": config.get("given", None)}


class Exits(Good):
    def run_job(self, context, runtime, config):
        os._exit(config["code"])


class Leaves(Good):
    def run_job(self, context, runtime, config):
        sys.exit(0)


class Segfaults(Good):
    def run_job(self, context, runtime, config):
        import ctypes

        ctypes.string_at(0)


class KillsItself(Good):
    def run_job(self, context, runtime, config):
        os.kill(os.getpid(), signal.SIGKILL)


class Forks(Good):
    """Children that run on into the runner, and one that holds nothing and stays."""

    def run_job(self, context, runtime, config):
        for _ in range(3):
            if os.fork() == 0:
                return "a child's"
        if os.fork() == 0:
            os.setsid()
            for fd in range(3):
                os.close(fd)
            time.sleep(20)
        return "the job's"


class Group(Good):
    """A family that does not want to end."""

    def run_job(self, context, runtime, config):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            os.fork()
        print(os.getpid(), flush=True)
        time.sleep(300)


class Binary(Good):
    def run_job(self, context, runtime, config):
        os.write(1, bytes(range(256)) * 300)
        os.write(2, b"\xff\xfe\x1b[2J\0" * 100)
        return "said"


class Huge(Good):
    def run_job(self, context, runtime, config):
        return ["x" * 1000 for _ in range(10_000)]


class Endless(Good):
    def run_job(self, context, runtime, config):
        return iter(lambda: b"x" * 65536, None)


class LiesThatItFinished(Good):
    def run_job(self, context, runtime, config):
        with open(os.path.join(HERE, "outcome.json"), "w") as file:
            file.write('{"kind": "finished", "result": {"kind": "json", "bytes": 2}}')
        with open(os.path.join(HERE, "result"), "w") as file:
            file.write("{}")
        os._exit(3)


class LinksItsResult(Good):
    def run_job(self, context, runtime, config):
        with open(os.path.join(HERE, "outcome.json"), "w") as file:
            file.write('{"kind": "finished", "result": {"kind": "stream", "bytes": 2}}')
        os.symlink("/etc/passwd", os.path.join(HERE, "result"))
        os._exit(0)


class LiesAtLength(Good):
    def run_job(self, context, runtime, config):
        with open(os.path.join(HERE, "outcome.json"), "w") as file:
            file.write('{"kind": "finished", "result": {"kind": "stream", "bytes": 2}}')
        with open(os.path.join(HERE, "result"), "wb") as file:
            file.truncate(1 << 40)
        os._exit(0)


class RemovesItsFolder(Good):
    def run_job(self, context, runtime, config):
        shutil.rmtree(HERE)
        return "gone"


class ClosesAll(Good):
    def run_job(self, context, runtime, config):
        os.closerange(0, 100)
        return "closed"


class ChangesItsResult(Good):
    """The result is rewritten for as long as somebody may read it."""

    def run_job(self, context, runtime, config):
        path = os.path.join(HERE, "result")
        if os.fork() == 0:
            for fd in range(3):
                os.close(fd)
            until = time.monotonic() + 2
            while time.monotonic() < until:
                for data in (b"[1, 2, 3]", b"{}", b"", b"[" * 100):
                    try:
                        with open(path, "r+b") as file:
                            file.truncate(0)
                            file.write(data)
                    except OSError:
                        pass
            os._exit(0)
        return [1, 2, 3]


class NeverValidates(Good):
    def validate(self, context, runtime, config):
        time.sleep(300)


class Refuses(Good):
    def validate(self, context, runtime, config):
        from sparkjobserver.api import build_problems

        return build_problems(["no input", "no output"])


class Raises(Good):
    def run_job(self, context, runtime, config):
        raise ValueError("not\nso")


class Waits(Good):
    """Until it is told to go on, telling how far it is."""

    def run_job(self, context, runtime, config):
        runtime.progress(0.25, "waiting")
        while not os.path.exists(config["go"]):
            time.sleep(0.01)
        runtime.progress(0.75, "went on")
        return {"given": config["given"]}
'''


def bad_wheel(path: Path) -> Path:
    files: dict[str, str | bytes] = {
        "bad/__init__.py": "",
        "bad/jobs.py": SOURCE,
        "bad/broken.py": "import nothing_such",
    }
    return wheel(path, files)


def start(deck: Server, name: str, *, main_class: str | None = None, **config: Any) -> str:
    """Start a class of the package; returns the job's id."""
    body = {"main_class": main_class or f"bad.jobs.{name}", "packages": ["bad"], "config": config}
    status, _, answer = deck.ask("POST", "/v1/jobs", json.dumps(body))
    assert status == 201, answer
    return str(json.loads(answer)["id"])


def outcome(deck: Server, job_id: str) -> Any:
    return told(deck, job_id, "outcome")


def told(deck: Server, job_id: str, part: str) -> Any:
    """A part of what is told of a job; None if there is none."""
    status, _, answer = deck.ask("GET", f"/v1/jobs/{job_id}/{part}")
    assert status in (200, 404), answer
    return json.loads(answer) if status == 200 else None


def until_running(deck: Server, job_id: str, text: str, limit_s: float = 30.0) -> None:
    """Wait until a job has told so of how far it is."""
    limit = time.monotonic() + limit_s
    while deck.job(job_id)["progress_text"] != text:
        assert time.monotonic() < limit, deck.job(job_id)
        time.sleep(0.02)
