"""A real standalone cluster on this machine: a master and a worker, each a process of its own, that bind loopback only.

The executors of its worker are children of that, and end when it does.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jobdeck_keeper import procs
from tests.e2e.procs import alive
from tests.spark.places import SPARK_HOME, java_command

UP_LIMIT_S = 60.0
END_LIMIT_S = 20.0
_MASTER = "org.apache.spark.deploy.master.Master"
_WORKER = "org.apache.spark.deploy.worker.Worker"
_SERVES = re.compile(r"Starting Spark master at spark://127\.0\.0\.1:(\d+)")
_SHOWS = re.compile(r"and started at http://[^:]+:(\d+)")


class Cluster:
    """See the top of this file.

    Attributes:
        url: ``spark://...``, the same over all restarts of the master.
        master, worker: The processes.
    """

    def __init__(self, folder: Path, *, cores_count: int = 2, memory: str = "1g") -> None:
        self._folder = folder
        # A master that comes again knows its applications
        self._memory = ("-Dspark.deploy.recoveryMode=FILESYSTEM", f"-Dspark.deploy.recoveryDirectory={folder}/memory")
        self._sizes = ("--cores", str(cores_count), "--memory", memory)
        self._ports = (0, 0)  # of the master: for Spark, for people
        self.master: subprocess.Popen[bytes] | None = None
        self.worker: subprocess.Popen[bytes] | None = None
        self._started_count = 0

    @property
    def url(self) -> str:
        return f"spark://127.0.0.1:{self._ports[0]}"

    def start_master(self) -> None:
        """Start the master, at the ports that it had before, and wait until it can be asked."""
        serves, shows = map(str, self._ports)
        self.master, log = self._start(_MASTER, "--host", "127.0.0.1", "--port", serves, "--webui-port", shows)
        text = self._until(lambda: _said(log, _SERVES, _SHOWS), log)
        self._ports = (int(text[0]), int(text[1]))
        self._until(self.told, log)

    def start_worker(self) -> None:
        """Start a worker, and wait until the master counts it."""
        folder = str(self._folder / "executors")
        arguments = ("--host", "127.0.0.1", "--webui-port", "0", "--work-dir", folder, *self._sizes, self.url)
        self.worker, log = self._start(_WORKER, *arguments)
        self._until(lambda: self.told().get("aliveworkers") == 1, log)

    def told(self) -> dict[str, Any]:
        """What the master tells of itself; nothing if it cannot be asked."""
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self._shown}/json/", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
        return {}

    def applications(self) -> dict[str, dict[str, Any]]:
        """The contexts that the master knows as running, by their names."""
        return {each["name"]: each for each in self.told().get("activeapps", [])}

    def executors(self) -> list[int]:
        """The worker's processes that run tasks."""
        return [] if self.worker is None else procs.children(self.worker.pid)

    def kill_worker(self) -> None:
        """``kill -9``, and wait until its executors have seen it."""
        executors = self.executors()
        self._kill(self.worker)
        self._until(lambda: not any(map(alive, executors)), None)

    def kill_master(self) -> None:
        """``kill -9``."""
        self._kill(self.master)

    def close(self) -> None:
        """End all of it, and see that it has."""
        executors = self.executors()
        for process in (self.worker, self.master):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(END_LIMIT_S)
                except subprocess.TimeoutExpired:
                    self._kill(process)
        self._until(lambda: not any(map(alive, executors)), None)

    @property
    def _shown(self) -> str:
        return f"http://127.0.0.1:{self._ports[1]}"

    def _start(self, main_class: str, *arguments: str) -> tuple[subprocess.Popen[bytes], Path]:
        self._started_count += 1
        log = self._folder / f"{main_class.rpartition('.')[2].lower()}-{self._started_count}.log"
        scratch = self._folder / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        env = {
            **os.environ,
            "SPARK_HOME": str(SPARK_HOME),
            "SPARK_SCALA_VERSION": "2.12",  # from it executors know where Spark's jars are
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(scratch),
            "PYSPARK_PYTHON": sys.executable,
            "TMPDIR": str(scratch),
        }
        command = java_command(main_class, *arguments)
        command[1:1] = [f"-Djava.io.tmpdir={scratch}", *self._memory]
        with log.open("wb") as file:
            return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file), log

    def _kill(self, process: subprocess.Popen[bytes] | None) -> None:
        assert process is not None
        process.kill()
        process.wait()

    def _until(self, true: Callable[[], Any], log: Path | None) -> Any:
        end_s = time.monotonic() + UP_LIMIT_S
        while not (found := true()):
            assert time.monotonic() < end_s, log and log.read_text()[-3000:]
            time.sleep(0.05)
        return found


def _said(log: Path, *patterns: re.Pattern[str]) -> list[str] | None:
    """What a log has to tell, once it has."""
    text = log.read_text()
    found = [match[1] for pattern in patterns if (match := pattern.search(text))]
    return found if len(found) == len(patterns) else None


@contextlib.contextmanager
def standing(folder: Path, *, cores_count: int = 2, memory: str = "1g") -> Iterator[Cluster]:
    """A cluster with one worker; nothing of it is left afterwards."""
    each = Cluster(folder, cores_count=cores_count, memory=memory)
    try:
        each.start_master()
        each.start_worker()
        yield each
    finally:
        each.close()
