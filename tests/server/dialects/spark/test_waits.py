"""Answers for which something has to be waited for: what becomes of them when it takes long, or nobody is there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from jobdeck_server.core.errors import CapacityError, NoSpaceError, UnavailableError
from jobdeck_server.core.hocon import ConfigReader, HoconLimits
from jobdeck_server.core.patience import Patience
from jobdeck_server.core.store import StoreError
from jobdeck_server.dialects.spark.binaries import BinaryRoutes
from jobdeck_server.dialects.spark.bodies import Bodies
from jobdeck_server.dialects.spark.contexts import ContextRoutes
from jobdeck_server.http.message import Request
from jobdeck_server.settings import Settings

SETTINGS = Settings(data_dir=Path("/nonexistent"))


def request(method: str, path: str, query: str = "", **more: Any) -> Request:
    async def read(limit_bytes: int) -> bytes:
        assert limit_bytes == 30 << 20
        return b"a = 1"

    more.setdefault("body", SimpleNamespace(read=read))
    return Request(method=method, path=path, query=query, **more)


def contexts(made: Any) -> ContextRoutes:
    part: Any = None
    return ContextRoutes(made, part, part, Patience())


@pytest.mark.parametrize(("query", "force"), [("", False), ("force=TRUE", True)])
async def test_a_context_that_stops_slowly_is_accepted_as_stopping(query: str, force: bool) -> None:
    asked: list[object] = []

    async def stop(name: str, *, force: bool, timeout_s: float) -> bool:
        asked.append((name, force, timeout_s))
        return False

    made = request("DELETE", "/contexts/a%20b", query, params={"name": "a b"})
    answer = await contexts(SimpleNamespace(stop=stop)).stop(made)
    assert (answer.status, answer.body) == (202, b"")
    assert dict(answer.headers) == {"Location": "/contexts/a%20b" + (f"?{query}" if query else "")}
    assert asked == [("a b", force, 13.0)]


async def test_a_reset_that_nobody_waits_for_goes_on(autojump_clock: trio.testing.MockClock) -> None:
    begun = trio.Event()

    async def reset() -> None:
        begun.set()
        await trio.sleep(100)

    routes = contexts(SimpleNamespace(reset=reset))
    answer = await routes.reset(request("PUT", "/contexts", "reset=reboot&sync=no"))
    assert answer.body == b'{"status":"SUCCESS","result":"Context reset requested"}'
    assert begun.is_set()
    assert trio.current_time() == 0
    answer = await routes.reset(request("PUT", "/contexts", "reset=reboot"))
    assert answer.body == b'{"status":"SUCCESS","result":"Context reset"}'
    assert trio.current_time() == 100


async def test_a_configuration_is_read_no_longer_than_its_client_is_there(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def read(body: bytes) -> str:
        assert body == b"a = 1"
        await trio.sleep(10)
        return "read"

    async def gone() -> None:
        await trio.sleep(3)

    configs: Any = SimpleNamespace(read=read, room=lambda size_bytes: nullcontext(size_bytes))
    bodies = Bodies(SETTINGS, configs, Patience())
    assert await bodies.read(request("POST", "/jobs")) == "read"  # type: ignore[comparison-overlap]  # stands for one
    assert trio.current_time() == 10
    with pytest.raises(UnavailableError):
        await bodies.read(request("POST", "/jobs", gone=gone))
    assert trio.current_time() == 13


async def test_memory_for_large_configurations_is_bounded(autojump_clock: trio.testing.MockClock) -> None:
    """What is asked for stays taken until the body has come and was read, or was given up."""
    settings = replace(SETTINGS, config_limit_bytes=200_000, config_coming_limit_bytes=300_000)
    reader = ConfigReader(HoconLimits.of(settings))
    bodies = Bodies(settings, reader, Patience())
    here = trio.Event()

    async def slow(limit_bytes: int) -> bytes:
        await here.wait()
        return b"a = 1"

    def comes(size: int | None) -> Request:
        headers = () if size is None else (("content-length", str(size)),)
        return request("POST", "/jobs", body=SimpleNamespace(read=slow), headers=headers)

    async with trio.open_nursery() as nursery:
        with trio.move_on_after(1):
            await bodies.read(comes(150_000))
        nursery.start_soon(bodies.read, comes(None))
        await trio.sleep(1)
        with pytest.raises(CapacityError, match="large configurations"):
            await bodies.read(comes(150_000))
        nursery.start_soon(bodies.read, comes(100_000))
        nursery.start_soon(bodies.read, comes(60_000))  # small ones always find room
        await trio.sleep(1)
        here.set()
    assert (await bodies.read(comes(200_000))).text == b'{"a":1}'


@pytest.mark.parametrize("error", [NoSpaceError(), StoreError("the disk is gone")])
async def test_an_upload_that_cannot_be_kept(error: Exception) -> None:
    @asynccontextmanager
    async def upload(name: str, kind: str, *, expected_bytes: int | None) -> AsyncIterator[None]:
        assert (name, kind) == ("x", "egg")
        if expected_bytes == 7:
            raise error
        yield

    made: Any = SimpleNamespace(upload=upload)
    headers = (("content-type", "application/python-egg"), ("content-length", "7"))
    answer = await BinaryRoutes(made).upload(request("POST", "/binaries/x", params={"name": "x"}, headers=headers))
    assert isinstance(answer.body, bytes)
    told = json.loads(answer.body)
    assert (answer.status, told["status"]) == (500, "Storage Failure")
    assert told["result"]["message"] == str(error)
