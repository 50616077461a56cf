"""A server with Spark in a folder of its own, what is asked of it, and what may not be left of it."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from tests.e2e.procs import alive
from tests.e2e.program import Server, server
from tests.spark import archive, sparkjobs
from tests.spark.places import SPARK_HOME, java_home

LIMIT_S = 90.0
ENDED = ("FINISHED", "ERROR", "KILLED")
SMALL = ("--spark-driver-memory", "512MiB", "--no-spark-archive")  # an archive is for more than one test
HTTP_LIMIT_S = 120.0  # making a context is answered when it is up


class Deck:
    """A server with the package ``jobs``, and ways to ask it.

    Attributes:
        folder: Where jobs of a test may write.
    """

    def __init__(self, running: Server, folder: Path) -> None:
        self.server = running
        self.folder = folder
        running.http_limit_s = HTTP_LIMIT_S

    def told(self, method: str, path: str, body: str | bytes | Mapping[str, Any] = b"") -> tuple[int, Any]:
        """Status and JSON of an answer; None if it has no body."""
        data = json.dumps(body) if isinstance(body, Mapping) else body
        status, _, answer = self.server.ask(method, path, data)
        return status, json.loads(answer) if answer else None

    def upload(self, name: str = "jobs", data: bytes | None = None, kind: str = "application/python-wheel") -> None:
        """A binary; if nothing is said, the package of the tests."""
        data = sparkjobs.package(self.folder) if data is None else data
        status, _, answer = self.server.ask("POST", f"/binaries/{name}", data, {"Content-Type": kind})
        assert status == 201, answer

    # -- contexts --

    def make(self, name: str, settings: str = "", **query: str) -> tuple[int, Any]:
        """A context on Spark, answered when it is up. ``spark.master`` is ``local[2]`` unless told otherwise.

        Args:
            name: Its name.
            settings: HOCON, those of the body.
            query: Of the query, with ``__`` for a dot and ``_`` for a hyphen.
        """
        asked = {key.replace("__", ".").replace("_", "-"): value for key, value in query.items()}
        if "spark.master" not in asked and "spark.master" not in settings:
            asked["spark.master"] = "local[2]"
        body = f"spark.context-settings {{ {settings} }}"
        return self.told("POST", f"/contexts/{quote(name)}?{urlencode(asked)}", body)

    def up(self, name: str, settings: str = "", **query: str) -> dict[str, Any]:
        """A context that could be made; what is told of it."""
        status, answer = self.make(name, settings, **query)
        assert (status, answer) == (200, {"status": "SUCCESS", "result": "Context initialized"}), self.why(name, answer)
        return self.context(name)

    def context(self, name: str) -> dict[str, Any]:
        """What is told of a context."""
        status, found = self.told("GET", f"/v1/contexts/{quote(name)}")
        assert status == 200, found
        return dict(found)

    def until_context(self, name: str, *states: str) -> dict[str, Any]:
        """A context, once it is in one of some states."""
        return dict(self.until(lambda: found if (found := self.context(name))["state"] in states else None))

    def gone(self, name: str, *, force: bool = False) -> None:
        """Stop a context, and wait until it has ended."""
        status, answer = self.told("DELETE", f"/contexts/{quote(name)}{'?force=true' if force else ''}")
        assert status in (200, 202), answer
        self.until_context(name, "finished", "killed", "error")

    def why(self, name: str, answer: object) -> str:
        """What a failure of a context should show: what was answered, and what its process said."""
        status, found = self.told("GET", f"/v1/contexts/{quote(name)}")
        text = f"{answer}\n{found}"
        if status == 200 and found.get("process"):
            text += "\n" + self.server.attach(found["process"]).decode(errors="replace")[-4000:]
        return text + "\n" + self.server.log.read_text()[-3000:]

    # -- jobs --

    def ask(self, name: str, config: Mapping[str, Any] | None = None, **query: str) -> tuple[int, Any]:
        """``POST /jobs`` for a class of the package."""
        asked = {"appName": "jobs", "classPath": f"sparkjobs.jobs.{name}", "timeout": "100", **query}
        return self.told("POST", f"/jobs?{urlencode(asked)}", config or {})

    def start(self, name: str, context: str, config: Mapping[str, Any] | None = None, **query: str) -> str:
        """A job in a context; its id."""
        status, told = self.ask(name, config, context=context, **query)
        assert status == 202, told
        return str(told["jobId"])

    def result(self, name: str, context: str, config: Mapping[str, Any] | None = None) -> Any:
        """What comes of a job in a context, which is waited for."""
        status, told = self.ask(name, config, context=context, sync="true")
        assert (status, set(told)) == (200, {"jobId", "result"}), self.why(context, told)
        return told["result"]

    def report(self, job_id: str) -> dict[str, Any]:
        """What Spark JobServer's API tells of a job."""
        status, found = self.told("GET", f"/jobs/{job_id}")
        assert status == 200, found
        return dict(found)

    def ended(self, job_id: str) -> dict[str, Any]:
        """Its report, once it has ended."""
        return dict(self.until(lambda: found if (found := self.report(job_id))["status"] in ENDED else None))

    def holding(self, context: str, tag: str, *, tasks: int = 1) -> Holding:
        """Start a job whose tasks hold, without waiting for them."""
        ledger, flag = self.folder / tag, self.folder / f"{tag}.go"
        config = {"ledger": str(ledger), "flag": str(flag), "tasks": tasks}
        return Holding(self, self.start("Holds", context, config), ledger, flag)

    def until(self, true: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
        """Ask until something is so."""
        end_s = time.monotonic() + limit_s
        while not (found := true()):
            assert time.monotonic() < end_s, self.server.log.read_text()[-3000:]
            time.sleep(0.05)
        return found


class Holding:
    """A job that is in the middle of an action, and its ledger."""

    def __init__(self, deck: Deck, job_id: str, ledger: Path, flag: Path) -> None:
        self.id = job_id
        self._deck, self._ledger, self._flag = deck, ledger, flag

    def lines(self, name: str) -> int:
        """How often something was noted: ``runs``, ``tasks`` or ``ended``."""
        path = Path(f"{self._ledger}.{name}")
        return path.read_text().count("\n") if path.exists() else 0

    def begun(self, tasks: int = 1) -> Holding:
        """Wait until that many of its tasks have begun."""
        self._deck.until(lambda: self.lines("tasks") >= tasks or self._deck.report(self.id)["status"] in ENDED)
        assert self.lines("tasks") >= tasks, self._deck.report(self.id)
        return self

    def go(self) -> None:
        """Let its tasks end."""
        self._flag.touch()


def flags_and_environment(folder: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """By which a server finds Spark and Java, and has its temporary files in a folder of its own."""
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    java = java_home()
    assert java is not None
    found = ("--spark-home", str(SPARK_HOME), "--spark-java", str(java), *SMALL)
    return (*found, *archive.use(folder / "data")), {
        **os.environ,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "TMPDIR": str(folder / "tmp"),
    }


@contextlib.contextmanager
def spark_server(folder: Path, *flags: str) -> Iterator[Deck]:
    """A server that finds Spark and Java, with the package; nothing of it may be left afterwards."""
    found, environment = flags_and_environment(folder)
    with server(folder / "data", *found, *flags, env=environment) as running:
        deck = Deck(running, folder)
        deck.upload()
        yield deck
    left = until_nothing_runs(folder / "data")
    assert not left, left


def processes(data: Path) -> dict[int, str]:
    """The processes that have to do with a folder: by their arguments, their environment or where they are."""
    sought, found = os.fsencode(data), {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes()
                where = os.fsencode(os.readlink(entry / "cwd"))
                if any(sought in text for text in (words, where, (entry / "environ").read_bytes())):
                    found[int(entry.name)] = words.replace(b"\0", b" ").decode(errors="replace")[:200]
    return {pid: words for pid, words in found.items() if alive(pid)}


def until_nothing_runs(data: Path, limit_s: float = 15.0) -> dict[int, str]:
    """Wait until no process has to do with a folder; those that are left."""
    end_s = time.monotonic() + limit_s
    while (left := processes(data)) and time.monotonic() < end_s:
        time.sleep(0.05)
    return left
