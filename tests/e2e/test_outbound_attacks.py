"""Addresses that mean harm, by every way in which a client may name one: nothing but what is allowed is ever called.

The server stands behind a wall (``walled``): names lead where the test says, and nothing leaves this machine whatever
the server does. A canary listens on loopback, where it must never hear anything.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import zipfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trio

from tests.e2e import walled
from tests.e2e.hooks import Caller, Hooks, hooks, package, told
from tests.e2e.program import Server
from tests.server.outbound.receivers import Receiver, receiver
from tests.server.packages.kit import wheel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NAMES = {
    "inside.test": ["127.0.0.1"],
    "inside6.test": ["::1"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "meta.test": ["169.254.169.254"],
    "zero.test": ["0.0.0.0"],
    "mixed.test": ["10.0.0.5", "127.0.0.1"],
    "below.wild.test": ["10.0.0.5"],
    "flip.test": [["169.254.169.254"], ["127.0.0.1"]],
}
HOSTS = (
    "127.0.0.1",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "[::1]",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "017700000001",
    "0177.0.0.1",
    "127.1",
    "127.0.1",
    "127.000.000.001",
    "127.0.0.2",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[::1%25lo]",
    "[fe80::1]",
    "0.0.0.0",
    "0",
    "[::]",
    "169.254.169.254",
    "10.0.0.1",
    "127.0.0.1.example.org",
    "user@127.0.0.1",
    "user:word@127.0.0.1",
    "127\u30020.0.1",
    "\u2460\u2461\u2466.0.0.1",
    "\uff11\uff12\uff17.0.0.1",
    "127.0.0.1%00",
    "127.0.0.1 ",
    "vm",
)
URLS = (
    "gopher://127.0.0.1:{canary}/_x",
    "dict://127.0.0.1:{canary}/x",
    "jar:http://127.0.0.1:{canary}/!/x",
    "HTTP://127.0.0.1:{canary}/",
    "http:127.0.0.1:{canary}",
    "http:///127.0.0.1:{canary}/",
    "http:\\\\127.0.0.1:{canary}\\",
    "http://127.0.0.1:{hook}@127.0.0.1:{canary}/",
    "http://127.0.0.1:{canary}\\@127.0.0.1:{hook}/",
    "http://127.0.0.1:{hook}\\@127.0.0.1:{canary}/",
    "http://127.0.0.1:{canary}#@127.0.0.1:{hook}/",
    "http://127.0.0.1:{canary}?@127.0.0.1:{hook}/",
    "http://127.0.0.1%3A{canary}/",
    "http://127.0.0.1:{hook}\r\nHost: 127.0.0.1:{canary}/",
    "http://127.0.0.1:{hook}/\r\nX: y",
    "http://127.0.0.1:{hook} .127.0.0.1:{canary}/",
    "http://127.0.0.1:0{canary}/",
    "http://127.0.0.1:{own}/jobs?x=1",
    "http://localhost:{own}/jobs?x=1",
    "https://127.0.0.1:{hook}/",
)


@dataclass
class World:
    caller: Caller
    hooks: Hooks
    canary: Receiver
    hook_port: int
    folder: Path

    def urls(self) -> list[str]:
        ports = {"canary": self.canary.port, "hook": self.hook_port, "own": self.caller.server.port}
        hosts = [f"{scheme}://{host}:{self.canary.port}/x.whl" for host in HOSTS for scheme in ("http", "https")]
        return hosts + [url.format(**ports) for url in URLS]

    async def jobs_count(self) -> int:
        return len(json.loads((await self.caller.ask("GET", "/jobs?limit=1000"))[1]))

    def strays(self) -> str:
        path = self.folder / "strays"
        return path.read_text() if path.exists() else ""


@asynccontextmanager
async def world(folder: Path, *flags: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(hooks())
        canary = await stack.enter_async_context(receiver())
        beside = await stack.enter_async_context(receiver(host="::1", port=canary.port) if _has_ipv6() else receiver())
        port = int(other.url("/").rsplit(":", 1)[1].strip("/"))
        environment = {**os.environ, "JD_NAMES": json.dumps(NAMES), "JD_STRAYS": str(folder / "strays")}
        names = [f"http://{name}:*" for name in NAMES if name != "below.wild.test"] + ["http://*.wild.test:*"]
        allowed = ",".join([f"http://127.0.0.1:{port}", *names])
        (folder / "data").mkdir()
        running = Server(
            *(folder / "data", "--callback-allow", allowed, "--fetch-allow", allowed, "--callback-delays", "0.05,0.05"),
            *flags,
            env=environment,
        )
        running.program = (sys.executable, walled.__file__)
        stack.callback(running.close)
        await trio.to_thread.run_sync(running.start)
        caller = Caller(running)
        await caller.upload(package(folder))
        made = World(caller, other, canary, port, folder)
        yield made
        assert (canary.contacts, beside.contacts) == (0, 0)
        assert made.strays() == ""
        assert "Traceback" not in running.log.read_text()


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as plain:
            plain.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_callbacks(tmp_path: Path) -> None:
    async with world(tmp_path) as all_:
        for url in all_.urls():
            for written in (url, quote(url)):  # it is decoded a second time
                status, answer = await all_.caller.try_start("Echo", callback=written)
                assert status in (403, 500), (written, answer)
                assert answer["status"] == "ERROR"
                assert status == 403 or "Callback Url has to be" in answer["result"]["message"]
        assert await all_.jobs_count() == 0
        job_id = await all_.caller.start("Echo", callback=all_.hooks.url(f"/fine#@127.0.0.1:{all_.canary.port}/"))
        await all_.caller.over([job_id])
        all_.hooks.exactly("/fine", told(job_id, "null"), 1)
        assert list(all_.hooks.got) == ["/fine"]


async def test_packages(tmp_path: Path) -> None:
    async with world(tmp_path) as all_:
        for url in [*all_.urls(), f"http://127.0.0.1:{all_.hook_port}/x.whl,http://127.0.0.1:{all_.canary.port}/y"]:
            for field in ({"cp": url}, {}):
                config = "" if field else f"cp = [{json.dumps(url)}]"
                query = {**field, "mainClass": "hooked.jobs.Echo"}
                asked = "&".join(f"{name}={quote(value)}" for name, value in query.items())
                status, answer = await all_.caller.ask("POST", f"/jobs?{asked}", config)
                assert status in (400, 404), (url, answer)
        assert await all_.jobs_count() == 0
        assert dict(all_.hooks.got) == {}


async def test_packages_that_others_stand_on(tmp_path: Path) -> None:
    """Wheels of a context, of a job's configuration, and by the native API."""
    async with world(tmp_path) as all_:
        caller = all_.caller
        wrong = f"http://127.0.0.1:{all_.canary.port}/x.whl"
        for address in (
            wrong,
            "file:///etc/passwd",
            "local:///etc/passwd",
            f"ftp://127.0.0.1:{all_.canary.port}/x.whl",
        ):
            for config in (
                f'dependent-jar-uris = ["{address}"]',
                f'spark.context-settings.python.paths = ["{address}"]',
                f'spark.context-settings.dependent-jar-uris = ["{address}"]',
                f'spark.context-settings {{ python {{ packages = ["{address}"] }} }}',
                f'spark.context-settings {{ python {{ virtualenv = true, packages = ["{address}"] }} }}',
            ):
                status, answer = await caller.try_start("Echo", config, sync="true", timeout="30")
                assert status >= 400 or answer.get("status") == "ERROR", (config, answer)
                assert "root:" not in json.dumps(answer)
            body: dict[str, Any] = {"main_class": "hooked.jobs.Echo", "packages": [address]}
            status, said = await caller.ask("POST", "/v1/jobs", json.dumps(body), {"Content-Type": "application/json"})
            assert 400 <= status < 500, said
        body = {"main_class": "hooked.jobs.Echo", "packages": ["hooked"], "callback_url": wrong}
        status, said = await caller.ask("POST", "/v1/jobs", json.dumps(body), {"Content-Type": "application/json"})
        assert 400 <= status < 500, said


async def test_packages_of_contexts(tmp_path: Path) -> None:
    """Those in virtual environments, too; and what a wheel says that it needs is not fetched from where it says."""
    async with world(tmp_path) as all_:
        caller = all_.caller
        wrong = f"http://127.0.0.1:{all_.canary.port}/x-1.0-py3-none-any.whl"
        for number, address in enumerate((wrong, "file:///etc/passwd", wrong.replace("http", "ftp"))):
            for form in ("query", "body", "cp"):
                name = f"c{form}{number}"
                settings = f'python {{ virtualenv = true, packages = ["{address}"] }}'
                if form == "cp":
                    settings = f'python.virtualenv = true, cp = ["{address}"]'
                body = "" if form == "query" else f"spark.context-settings {{ {settings} }}"
                query = f"?python.virtualenv=true&python.packages={quote(address)}" if form == "query" else ""
                status, answer = await caller.ask("POST", f"/contexts/{name}{query}", body)
                assert status >= 400, (form, address, answer)
                assert b"root:" not in answer
        await caller.upload(_greedy(tmp_path, wrong), "greedy")
        settings = 'spark.context-settings { python { virtualenv = true, packages = ["greedy"] } }'
        status, answer = await caller.ask("POST", "/contexts/greedy", settings)
        assert status == 200, answer
        status, ran = await caller.try_start("Echo", "value = 1", context="greedy", sync="true", timeout="28")
        assert (status, ran.get("result")) == (200, 1), ran


def _greedy(folder: Path, address: str) -> bytes:
    """A wheel that says it needs another one, from an address."""
    made = wheel(folder / "greedy-1.0-py3-none-any.whl", {"greedy.py": "x = 1\n"}, name="greedy")
    again = folder / "again.whl"
    with zipfile.ZipFile(made) as source, zipfile.ZipFile(again, "w") as target:
        for name in source.namelist():
            more = f"Requires-Dist: x @ {address}\n".encode() if name.endswith("METADATA") else b""
            target.writestr(name, source.read(name) + more)
    return again.read_bytes()


async def test_names_that_lead_where_they_should_not(tmp_path: Path) -> None:
    """Their names are allowed; where they lead is not, and then nobody is called, not at any later try either."""
    async with world(tmp_path) as all_:
        names = (
            "inside.test",
            "inside6.test",
            "mapped.test",
            "meta.test",
            "zero.test",
            "mixed.test",
            "below.wild.test",
        )
        for name in names:
            url = f"http://{name}:{all_.canary.port}/x.whl"
            status, answer = await all_.caller.try_start("Echo", cp=url)
            assert (status, answer["status"]) == (400, "JOB LOADING FAILED"), (name, answer)
        assert await all_.jobs_count() == 0
        ids = [
            await all_.caller.start("Echo", callback=f"http://{name}:{port}/")
            for name in (*names, "flip.test")
            for port in (all_.canary.port, all_.caller.server.port)
        ]
        over = await all_.caller.over(ids)
        assert {state for state, _, _ in over.values()} == {"dropped"}


async def test_packages_that_are_elsewhere(tmp_path: Path) -> None:
    """Redirects are not followed, wherever they lead."""
    async with world(tmp_path) as all_:
        for target in (f"http://127.0.0.1:{all_.canary.port}/", "file:///etc/passwd", "//127.0.0.1/", "/elsewhere"):
            head = f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode()
            all_.hooks.raw = head
            status, answer = await all_.caller.try_start("Echo", cp=all_.hooks.url("/x.whl"))
            assert (status, answer["status"]) == (400, "JOB LOADING FAILED"), answer
            assert "redirects are not followed" in answer["result"]["message"]
        assert all_.hooks.strayed == 0
