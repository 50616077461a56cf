"""What the tests of Spark JobServer's API share: a package with the document's own classes in it, and ways to ask."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.e2e.program import Server, server
from tests.e2e.wire import Answer, ask
from tests.server.packages.kit import wheel

LIMIT_S = 30.0
WHEEL = "application/python-wheel"
WORDS = "spark.jobserver.WordCountExample"
ZONE = "IST-05:30"  # the document's own

_JOBS = """
    import os, time
    from sparkjobserver.api import SparkJob, Stream, build_problems

    class WordCountExample(SparkJob):
        def validate(self, context, runtime, config):
            text = config.get("input.string", None)
            if text is None:
                return build_problems(["No input.string config param"])
            return text.split()

        def run_job(self, context, runtime, data):
            return {word: data.count(word) for word in dict.fromkeys(data)}

    class Plain(SparkJob):
        def validate(self, context, runtime, config):
            return config

        def run_job(self, context, runtime, data):
            return data.get("value", None)

    class Strings(Plain):
        def run_job(self, context, runtime, data):
            words = data.get("input.strings")
            return {word: words.count(word) for word in words}

    class Settings(Plain):
        def run_job(self, context, runtime, data):
            return {"name": context.name, "settings": dict(runtime.contextConfig)}

    class Until(Plain):
        '''Runs until there is a file.'''
        def run_job(self, context, runtime, data):
            while not os.path.exists(data.get("flag")):
                time.sleep(0.01)
            return "seen"

    class Failing(Plain):
        def run_job(self, context, runtime, data):
            raise ValueError("x")

    class Raising(Plain):
        def validate(self, context, runtime, config):
            raise KeyError("not that way")

    class Two(Plain):
        def validate(self, context, runtime, config):
            return build_problems(["one thing", "another"])

    class Streaming(Plain):
        def run_job(self, context, runtime, data):
            return Stream(iter([b'{"made": ', b' [1,2 ] }']))

    class Slow(Plain):
        '''Looks at its configuration until there is a file.'''
        def validate(self, context, runtime, config):
            while not os.path.exists(config.get("flag")):
                time.sleep(0.01)
            return config
"""


class Sparks:
    """A server with the package ``test``, and what is asked of it."""

    def __init__(self, running: Server, folder: Path) -> None:
        self.server = running
        self.url = running.url
        self.folder = folder

    def ask(self, method: str, path: str, body: bytes | str = b"", headers: dict[str, str] | None = None) -> Answer:
        data = body.encode() if isinstance(body, str) else body
        return ask(self.server.port, method, path, data, headers)

    def told(self, method: str, path: str, body: bytes | str = b"", **headers: str) -> tuple[int, Any]:
        """Status and JSON of an answer."""
        answer = self.ask(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        assert answer.headers["content-type"] == "application/json", answer
        assert answer.whole
        return answer.status, json.loads(answer.body)

    def start(self, name: str, body: bytes | str = b"", **query: str) -> tuple[int, Any]:
        """``POST /jobs`` for a class of the package."""
        query = {"appName": "test", "classPath": f"spark.jobserver.{name}", "timeout": "60", **query}
        return self.told("POST", "/jobs?" + urlencode(query), body)

    def upload(self, name: str, data: bytes, kind: str = WHEEL) -> None:
        assert self.ask("POST", f"/binaries/{name}", data, {"Content-Type": kind}).status == 201

    def ended(self, job_id: str) -> Any:
        """A job's report, once it has ended."""
        return self.until(
            lambda: found if (found := self.told("GET", f"/jobs/{job_id}")[1])["status"] in ENDED else None
        )

    def until(self, true: Any) -> Any:
        end_s = time.monotonic() + LIMIT_S
        while not (found := true()):
            assert time.monotonic() < end_s
            time.sleep(0.01)
        return found


ENDED = ("FINISHED", "ERROR", "KILLED")


def package(path: Path, jobs: str = _JOBS) -> bytes:
    """A wheel with the document's package."""
    files = {
        "spark/__init__.py": "",
        "spark/jobserver/__init__.py": jobs,
        "spark/jobserver/broken.py": "import no_such_module_anywhere\n\nclass Job: pass\n",
        "some/__init__.py": "",
        "some/main.py": "from spark.jobserver import WordCountExample as Class\n",
    }
    return wheel(path, files).read_bytes()


@contextmanager
def sparks(folder: Path, *flags: str, env: dict[str, str] | None = None) -> Iterator[Sparks]:
    """A server of its own, without Spark, whatever is installed on this machine."""
    with server(folder / "data", "--spark-home", str(folder / "none"), *flags, env=env) as running:
        each = Sparks(running, folder)
        each.upload("test", package(folder / "jobs-1.0-py3-none-any.whl"))
        yield each
