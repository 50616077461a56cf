"""A real server whose contexts on Spark are stand-ins: a folder that looks like Spark's, and a program like Java."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.program import Server
from tests.server.packages.kit import wheel

ROOT = Path(__file__).parents[3]
JOBPATH = ROOT / "server/jobdeck_server/packages/jobpath"
LIMIT_S = 30.0


def fake_spark(folder: Path) -> tuple[str, ...]:
    """Flags for a server that finds Spark and Java where there is none."""
    home = folder / "spark"
    (home / "jars").mkdir(parents=True)
    (home / "jars/spark-core_2.12-3.5.9.jar").touch()
    (home / "python/lib").mkdir(parents=True)
    (home / "python/lib/py4j-0.10.9.7-src.zip").touch()
    java = folder / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"17.0.1\"' >&2\n")
    job = folder / "python"
    job.write_text(
        f"#!{sys.executable} -I\nimport runpy, sys\nsys.path.insert(0, {str(JOBPATH)!r})\n"
        f"runpy.run_path({str(Path(__file__).with_name('standjob.py'))!r})\n"
    )
    for program in (java, job):
        program.chmod(0o755)
    return (
        *("--spark-home", str(home), "--spark-java", str(java), "--no-spark-archive"),
        *("--package-python", str(job), "--spark-master", "local[2]", "--sync", "normal"),
    )


class Stand:
    """The server, and what a test does with it."""

    def __init__(self, deck: Server, folder: Path) -> None:
        self.deck = deck
        self.folder = folder

    def does(self, **plan: object) -> None:
        """What processes do that are started from now on."""
        (self.deck.data_dir / "standin.json").write_text(json.dumps(plan))

    def told(self, method: str, path: str, body: object = None) -> Any:
        status, _, answer = self.deck.ask(method, path, None if body is None else json.dumps(body))
        assert status < 300, answer
        return json.loads(answer)

    def make(self, name: str, **settings: object) -> Any:
        return self.told("POST", "/v1/contexts", {"name": name, "settings": settings})

    def context(self, name: str) -> Any:
        return self.told("GET", f"/v1/contexts/{name}")

    def until_context(self, name: str, state: str, **facts: object) -> Any:
        """Its record, once it is in a state and says all of these."""
        shown: Any = None

        def is_so() -> bool:
            nonlocal shown
            status, _, answer = self.deck.ask("GET", f"/v1/contexts/{name}")
            shown = json.loads(answer)
            wanted = {"state": state, **facts}
            return status == 200 and all(shown.get(key) == value for key, value in wanted.items())

        until(is_so, lambda: shown)
        return shown

    def processes(self, *states: str) -> list[Any]:
        """The jobs that are processes of contexts, in these states; those that live, if none is said."""
        items = self.told("GET", "/v1/jobs?limit=100")["items"]
        wanted = states or ("queued", "starting", "running")
        return [job for job in items if job["engine"] == "context" and job["state"] in wanted]

    def job(self, number: int, context: str) -> str:
        config = {"began": str(self.folder / "began"), "go": str(self.folder / f"go{number}"), "number": number}
        order = {"main_class": "a.B", "packages": ["jobs"], "context": context, "config": config}
        job_id: str = self.told("POST", "/v1/jobs", order)["id"]
        return job_id

    def began(self) -> list[int]:
        path = self.folder / "began"
        return list(map(int, path.read_text().split())) if path.exists() else []

    def until_began(self, *numbers: int) -> None:
        until(lambda: set(numbers) <= set(self.began()), self.began)

    def until_clear(self) -> None:
        """No process is left, and no files of one."""
        until(lambda: not self.processes(), self.processes)
        until(lambda: not list((self.deck.data_dir / "work").iterdir()))

    def restart(self) -> None:
        self.deck.kill()
        self.deck.start()


def until(true: Callable[[], object], shown: Callable[[], object] = lambda: None) -> None:
    end_s = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < end_s, shown()
        time.sleep(0.02)


@contextmanager
def stand(folder: Path, *flags: str) -> Iterator[Stand]:
    (folder / "data").mkdir()
    deck = Server(folder / "data", *fake_spark(folder), *flags, env={**os.environ, "PYTHONPATH": str(ROOT)})
    deck.program = (sys.executable, "-m", "tests.server.spark.standserver")
    try:
        deck.start()
        content = {"Content-Type": "application/python-wheel"}
        path = wheel(folder / "jobs.whl", {"a.py": "class B: pass\n"})
        assert deck.ask("PUT", "/v1/packages/jobs", path.read_bytes(), content)[0] == 201
        yield Stand(deck, folder)
    finally:
        deck.close()
