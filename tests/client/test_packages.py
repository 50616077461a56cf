"""Packages through the client, and reading configurations."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import httpx
import pytest

from jobdeck_client import Client, ConflictError, NotFoundError, RefusedError, ServerFaultError
from jobdeck_client.packages import Packages
from jobdeck_client.requests import Requests
from jobdeck_client.trust import Trust
from jobdeck_protocol.packageinfo import WHEEL
from tests.client.helpers import ended


def zipped(**sources: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, source in sources.items():
            archive.writestr(name.replace("__", "/") + ".py", source)
    return made.getvalue()


async def test_sent_listed_shown_and_removed(url: str, tmp_path: Path) -> None:
    file = tmp_path / "any.whl"
    name = "a/b ü?%2F"
    told: list[tuple[int, int | None]] = []
    async with Client(url) as client:
        for source in ("class One:\n  def run_job(self): pass", "class Two:\n  def run_job(self): pass"):
            file.write_bytes(zipped(pkg__mod=source))
            sent = await client.upload_package(name, file, WHEEL, lambda done, most: told.append((done, most)))
            assert told[-1] == (sent.size_bytes, file.stat().st_size)
        assert [each for each in await client.packages() if each.name == name] == [sent]
        found = await client.package(name)
        assert (found.package, found.classes, found.classes_complete) == (sent, ("pkg.mod.Two",), True)
        assert [each.versions_count for each in found.versions] == [2, 2]
        assert b"".join([piece async for piece in client.blobs.read(sent.hash)]) == file.read_bytes()
        await client.delete_package(name)
        for gone in (client.package, client.delete_package):
            with pytest.raises(NotFoundError):
                await gone(name)


async def test_what_is_no_zip_is_refused(url: str, tmp_path: Path) -> None:
    file = tmp_path / "any.whl"
    async with Client(url) as client:
        for data in (b"", b"PK\x03\x04", b"PK\x03\x05...", b"#!" + bytes(1_000_000)):
            file.write_bytes(data)
            with pytest.raises(RefusedError, match="Binary is not of the right format"):
                await client.upload_package("bad", file, WHEEL)
        assert [each for each in await client.packages() if each.name == "bad"] == []


async def test_a_configuration_is_read(url: str) -> None:
    async with Client(url) as client:
        good = await client.check_config("input { strings = [a, b] }")
        assert (good.ok, good.config, good.error) == (True, {"input": {"strings": ["a", "b"]}}, None)
        assert (await client.check_config("")).config == {}
        bad = await client.check_config("a = 1\nb = [")
        assert (bad.ok, bad.config, bad.line) == (False, None, 2)
        assert bad.error
        assert "Cannot parse" not in bad.error
        assert bad.column is not None
        unknown = await client.check_config("a = ${b}")
        assert (unknown.ok, unknown.config) == (False, None)


@pytest.mark.parametrize("answer", [None, [], {}, {"packages": 5}, {"packages": [5]}, {"ok": 1}, {"name": "x"}])
async def test_what_is_no_answer_is_the_servers_fault(monkeypatch: pytest.MonkeyPatch, answer: object) -> None:
    async def ask(*_: object, **__: object) -> object:
        return answer

    monkeypatch.setattr(Requests, "ask", ask)
    monkeypatch.setattr(Requests, "post_text", ask)
    packages = Packages(Requests("http://127.0.0.1:1", None, timeout_s=1, trust=Trust()))
    for asked in (packages.all(), packages.show("x"), packages.check("")):
        with pytest.raises(ServerFaultError):
            await asked


WAITS = """
from pathlib import Path
from time import sleep
from sparkjobserver.api import SparkJob

class Waits(SparkJob):
    def validate(self, context, runtime, config):
        return Path(config.get_string("flag"))

    def run_job(self, context, runtime, flag):
        while not flag.exists():
            sleep(0.01)
        return "the first"
"""


async def test_what_a_job_runs_stays_what_it_was(url: str, tmp_path: Path) -> None:
    file, flag = tmp_path / "waits.whl", tmp_path / "flag"
    file.write_bytes(zipped(waits=WAITS))
    async with Client(url) as client:
        await client.upload_package("waits", file, WHEEL)
        job = await client.start_class("waits.Waits", ["waits"], config={"flag": str(flag)})
        with pytest.raises(ConflictError, match=f"in use by job.*{job.id}"):
            await client.delete_package("waits")
        file.write_bytes(zipped(waits=WAITS.replace("first", "second")))
        newest = await client.upload_package("waits", file, WHEEL)
        with pytest.raises(ConflictError, match="is the package 'waits'"):
            await client.blobs.remove(newest.hash, force=True)
        await client.blobs.collect()
        flag.touch()
        await ended(client, job.id)
        assert b"".join([piece async for piece in client.result(job.id)]) == b'"the first"'
        await client.delete_package("waits")


@pytest.mark.parametrize("kind", ["application/octet-stream", "text/plain", "application/zip"])
async def test_a_type_that_is_none(url: str, kind: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.put(url + "/v1/packages/x", content=b"PK\x03\x04...", headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["detail"]) == (415, f"Unsupported binary type {kind}")
