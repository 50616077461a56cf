"""Who is told of the ends of jobs: a receiver whose answers are written down for each path, and jobs to tell it of."""

from __future__ import annotations

import contextlib
import json
import socket
import sqlite3
import struct
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import trio

from tests.e2e.program import Server
from tests.server.outbound.receivers import Got, Receiver, receiver
from tests.server.packages.kit import wheel

LIMIT_S = 100.0
SECRET = b"a secret of two"
TRIES = 6
FLAGS = ("--callback-delays", ",".join(["0.05"] * (TRIES - 1)))
WHEEL = "hooked-1.0-py3-none-any.whl"
PACKAGE = {
    "hooked/__init__.py": "",
    "hooked/jobs.py": """\
        import os
        import time

        from sparkjobserver.api import Stream, build_problems


        class Echo:
            def validate(self, context, runtime, config):
                return config

            def run_job(self, context, runtime, config):
                return config.get("value", None)


        class Picky(Echo):
            def validate(self, context, runtime, config):
                return build_problems(["not this"])


        class Failing(Echo):
            def run_job(self, context, runtime, config):
                raise ValueError("it always fails")


        class Large(Echo):
            def run_job(self, context, runtime, config):
                return "x" * config.get_int("count")


        class Streaming(Echo):
            def run_job(self, context, runtime, config):
                return Stream(["[1,", "2]"])


        class Waiting(Echo):
            def run_job(self, context, runtime, config):
                while not os.path.exists(config.get("flag")):
                    time.sleep(0.02)
                return "waited"


        class Reading(Echo):
            def run_job(self, context, runtime, config):
                with open(config.get("path")) as file:
                    return file.read()
        """,
}

# What a receiver may do; the first word of each try
FAULTS = ("503", "500", "404", "close", "half", "garbage", "reset", "late")
ENDS = ("200", "204", "302", "307", "slow")


def package(folder: Path) -> bytes:
    """A wheel with jobs."""
    folder.mkdir(parents=True, exist_ok=True)
    return wheel(folder / WHEEL, PACKAGE, name="hooked").read_bytes()


async def until(true: Callable[[], bool]) -> None:
    """Wait for what another process brings about."""
    with trio.fail_after(LIMIT_S):
        while not true():  # noqa: ASYNC110  # another process
            await trio.sleep(0.02)


class Hooks:
    """What came, by path, and what is answered.

    Attributes:
        scripts: Of each path, what to do at each try; afterwards, and for paths without one, 200.
        got: What came.
        strayed: Requests that followed a redirect.
        raw: What a request for a file is answered.
    """

    def __init__(self, own: Receiver) -> None:
        self._own = own
        self.scripts: dict[str, list[str]] = defaultdict(list)
        self.got: dict[str, list[Got]] = defaultdict(list)
        self.strayed = 0
        self.raw = b""

    def url(self, path: str) -> str:
        return self._own.url(path)

    async def say(self, got: Got, stream: trio.abc.Stream) -> None:
        method, path, _ = got.line.split(" ")
        if path.startswith("/elsewhere"):
            self.strayed += 1
            return
        if method == "GET":
            await stream.send_all(self.raw)
            return
        done = len(self.got[path])
        self.got[path].append(got)
        script = self.scripts[path]
        await self._answer(script[done] if done < len(script) else "200", stream)

    async def _answer(self, word: str, stream: trio.abc.Stream) -> None:
        match word:
            case "close":
                return
            case "half":
                await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Le")
            case "garbage":
                await stream.send_all(b"\x16\x03\x01 200 fine\r\n\r\n\0")
            case "reset":
                assert isinstance(stream, trio.SocketStream)
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            case "late":
                await trio.sleep(0.2)
                await stream.send_all(b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n")
            case "slow":
                await trio.sleep(0.2)
                await stream.send_all(b"HTTP/1.1 20")
                await trio.sleep(0.1)
                await stream.send_all(b"0 OK\r\nContent-Length: 3\r\n\r\nok")
            case "endless":
                await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                while True:
                    await stream.send_all(b"1\r\nx\r\n")
                    await trio.sleep(0.05)
            case "silent":
                with contextlib.suppress(trio.BrokenResourceError):
                    while await stream.receive_some(100):
                        pass
            case "302" | "307":
                head = f"HTTP/1.1 {word} Go\r\nLocation: {self.url('/elsewhere')}\r\nContent-Length: 0\r\n\r\n"
                await stream.send_all(head.encode())
            case "204":
                await stream.send_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            case _:
                await stream.send_all(f"HTTP/1.1 {word} x\r\nContent-Length: 2\r\n\r\nok".encode())

    def exactly(self, path: str, body: bytes, tries: int) -> None:
        """So many came there, each of them whole and the same."""
        got = self.got[path]
        assert [each.body for each in got] == [body] * tries, path
        assert {each.headers["content-type"] for each in got} == {"application/json"}
        assert len({each.headers["x-jobdeck-delivery"] for each in got}) == 1


@asynccontextmanager
async def hooks() -> AsyncIterator[Hooks]:
    async with receiver() as own:
        made = Hooks(own)
        own.say = made.say
        yield made


class Caller:
    """The routes of a server, from trio."""

    def __init__(self, running: Server) -> None:
        self.server = running
        self._few = trio.CapacityLimiter(4)

    async def ask(
        self, method: str, path: str, body: bytes | str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        asked = partial(self.server.ask, method, path, body, headers)
        status, _, answer = await trio.to_thread.run_sync(asked, limiter=self._few)
        return status, answer

    async def upload(self, data: bytes, name: str = "hooked") -> None:
        status, answer = await self.ask("POST", f"/binaries/{name}", data, {"Content-Type": "application/python-wheel"})
        assert status == 201, answer

    async def start(self, name: str, config: str = "", *, callback: str | None = None, **query: str) -> str:
        """A job; its id."""
        status, answer = await self.try_start(name, config, callback=callback, **query)
        assert status == 202, answer
        return str(answer["jobId"])

    async def try_start(
        self, name: str, config: str = "", *, callback: str | None = None, **query: str
    ) -> tuple[int, Any]:
        asked = {"cp": "hooked", "mainClass": f"hooked.jobs.{name}", **query}
        if callback is not None:
            asked["callbackUrl"] = callback
        status, answer = await self.ask("POST", f"/jobs?{urlencode(asked)}", config)
        return status, json.loads(answer)

    async def job(self, job_id: str) -> Any:
        status, answer = await self.ask("GET", f"/jobs/{quote(job_id)}")
        assert status == 200, answer
        return json.loads(answer)

    async def done(self, job_id: str) -> Any:
        """A job once it has ended."""
        with trio.fail_after(LIMIT_S):
            while True:
                job = await self.job(job_id)
                if job["status"] in ("FINISHED", "ERROR", "KILLED"):
                    return job
                await trio.sleep(0.02)

    async def result(self, job_id: str) -> Any:
        job = await self.done(job_id)
        assert job["status"] == "FINISHED", job
        return job["result"]

    def callbacks(self) -> dict[str, tuple[str, int, str | None]]:
        """State, tries and last words of each callback, by the job's id."""
        path = self.server.data_dir / "jobdeck.sqlite3"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=LIMIT_S)) as connection:
            rows = connection.execute("select job_id, state, tries, last from callback").fetchall()
        return {job_id: (state, tries, last) for job_id, state, tries, last in rows}

    async def over(self, job_ids: Iterable[str]) -> dict[str, tuple[str, int, str | None]]:
        """The callbacks of jobs once all are over."""
        wanted = set(job_ids)
        with trio.fail_after(LIMIT_S):
            while True:
                found = {job_id: row for job_id, row in self.callbacks().items() if job_id in wanted}
                if all(state not in ("waiting", "due") for state, _, _ in found.values()) and len(found) == len(wanted):
                    return found
                await trio.sleep(0.02)


def told(job_id: str, result: str) -> bytes:
    """What a receiver is told of a job that has finished; ``result`` is JSON as the job's interpreter writes it."""
    return f'{{"jobId":"{job_id}","result":{result}}}'.encode()
