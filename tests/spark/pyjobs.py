"""The process of a context, started by hand, and Python jobs in it: each a child with a plan, and no server."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import trio

from jobdeck_server.packages import outcome, plan
from jobdeck_server.spark import install, launch
from tests.server.packages import kit
from tests.server.packages.kit import Ran
from tests.spark.places import SPARK_HOME

LIMIT_S = 60.0
MASTER = "local[4]"  # so that jobs which hold two tasks leave two
FACTORY = "spark.jobserver.python.Python{}ContextFactory"


def until(true: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
    """Ask until something is so."""
    end_s = time.monotonic() + limit_s
    while not (found := true()):
        assert time.monotonic() < end_s
        time.sleep(0.02)
    return found


def package(folder: Path, source: str, **more: str) -> Path:
    """A wheel with the module ``jobs.job``, and others by their paths with ``__`` for a slash."""
    files: dict[str, str | bytes] = {"jobs/__init__.py": "", "jobs/job.py": source}
    files.update((f"{name.replace('__', '/')}.py", text) for name, text in more.items())
    folder.mkdir(parents=True, exist_ok=True)
    return kit.wheel(folder / "jobs-1.0-py3-none-any.whl", files)


class Job:
    """A job that has been started."""

    def __init__(self, job_id: str, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.id = job_id
        self.folder = folder
        self.process = process

    def ended(self, limit_s: float = LIMIT_S) -> Ran:
        """What came of it."""
        out, err = self.process.communicate(timeout=limit_s)
        code = self.process.returncode
        return Ran(
            code=code,
            out=out,
            err=err,
            folder=self.folder,
            outcome=outcome.conclude(self.folder, kit.ended(code)),
        )

    def kill(self) -> None:
        """The hardest way."""
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


class Context:
    """The process of a context."""

    def __init__(
        self, folder: Path, java: install.Install, conf: Mapping[str, str], api_jars: Sequence[Path] = ()
    ) -> None:
        self.folder = folder
        self.id = str(uuid.uuid4())
        self._started: list[Job] = []
        wanted = launch.Launch(heap_bytes=512 << 20, api_jars=tuple(map(str, api_jars)))
        launch.write_plan(folder, java, wanted, limits={"sample_s": 0.1, "watch_s": 0.2})
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                launch.process_command(folder), stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )
        until(lambda: self.ask("status").get("state") in ("ready", None))
        made = self.ask(
            "make", context=self.id, name="here", conf={"spark.master": MASTER, **conf}, jars=list(wanted.api_jars)
        )
        assert made["ok"], (made, self.log)

    @property
    def log(self) -> str:
        """What the process, Java and the executors have said."""
        return (self.folder / "log").read_text(errors="replace")

    def ask(self, op: str, **more: Any) -> dict[str, Any]:
        """One question on the control socket; nothing if nobody listens yet."""
        place = os.open(self.folder, os.O_PATH)
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(LIMIT_S)
                sock.connect(f"/proc/self/fd/{place}/control.sock")
                sock.sendall(json.dumps({"op": op, **more}).encode() + b"\n")
                with sock.makefile("rb") as lines:
                    return dict(json.loads(lines.readline()))
        except (FileNotFoundError, ConnectionRefusedError):
            assert self.process.poll() is None, self.log
            return {"state": "none"}
        finally:
            os.close(place)

    def start(
        self,
        folder: Path,
        source: str,
        *,
        main: str = "jobs.job.Job",
        config: Mapping[str, Any] | None = None,
        factory: str | None = None,
        wheel: Path | None = None,
        wheels: Sequence[Path] = (),
        python: str = sys.executable,
    ) -> Job:
        """Start a job."""
        job_id = str(uuid.uuid4())
        planned = plan.RunnerPlan(
            job_id=job_id,
            main_class=main,
            package=wheel or package(folder / "packages" / job_id, source),
            wheels=wheels,
            config=json.dumps(config or {}).encode(),
            context_kind="spark",
            context_name="here",
            link=self.folder / "control.sock",
            settings={} if factory is None else {"context-factory": FACTORY.format(factory)},
            result_limit_bytes=1 << 30,
        )
        return self.begin(folder / job_id, planned, python)

    def begin(self, work: Path, planned: plan.RunnerPlan, python: str = sys.executable) -> Job:
        """Start a job of any language, in a folder of its own."""
        plan.write_plan(work, planned)
        process = subprocess.Popen(
            plan.command(work, python),
            cwd=plan.working_folder(work),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "LANG": "C"},
        )
        self._started.append(Job(planned.job_id, work, process))
        return self._started[-1]

    def clear(self) -> None:
        """End what a test has left."""
        for each in self._started:
            if each.process.poll() is None:
                each.kill()
        self._started.clear()

    def run(self, folder: Path, source: str, **more: Any) -> Ran:
        """Run a job to its end."""
        return self.start(folder, source, **more).ended()

    def value(self, folder: Path, source: str, **more: Any) -> Any:
        """What a job returns, all being well."""
        ran = self.run(folder, source, **more)
        assert (ran.code, ran.outcome.kind) == (0, "finished"), ran.err.decode()
        return ran.value

    def active(self, job: Job) -> int:
        """The tasks that run for a job at the moment, as the process sees it."""
        counts = self.ask("status")["jobs"].get(job.id)
        return 0 if counts is None else int(counts["tasks_active"])


@contextlib.contextmanager
def context(folder: Path, api_jars: Sequence[Path] = (), **conf: str) -> Iterator[Context]:
    """One for as long as the block; names of ``conf`` with ``__`` for a dot."""
    found = trio.run(install.Finder(spark_home=SPARK_HOME).find)
    made = Context(folder, found, {name.replace("__", "."): value for name, value in conf.items()}, api_jars)
    try:
        yield made
    finally:
        made.clear()
        made.process.terminate()
        try:
            made.process.wait(30)
        finally:
            made.process.kill()
            made.process.wait()


def job(body: str, *, validate: str = "return config", head: str = "") -> str:
    """The source of a job."""
    inner = textwrap.indent(textwrap.dedent(body).strip(), "        ")
    return (
        f"import os, sys, threading, time\n{textwrap.dedent(head)}\n\nclass Job:\n"
        f"    def validate(self, context, runtime, config):\n        {validate}\n\n"
        f"    def run_job(self, context, runtime, data):\n{inner}\n"
    )
