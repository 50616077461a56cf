"""Contexts by the native API: what is answered, what is refused, and what its client makes of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jobdeck_client.contexts import Contexts as ClientsContexts
from jobdeck_client.errors import RefusedError, ServerFaultError
from jobdeck_protocol.contextinfo import ContextState
from jobdeck_server.core.errors import JobdeckError
from jobdeck_server.core.hocon import ConfigReader
from jobdeck_server.dialects.base import Dialect
from jobdeck_server.dialects.v1 import contexts as routes_module
from jobdeck_server.dialects.v1.contexts import ContextRoutes
from jobdeck_server.dialects.v1.problem import failure
from jobdeck_server.http.message import Request, Response, Role
from jobdeck_server.http.router import Router
from tests.server.core.contextbench import ContextBench, Gate, context_bench
from tests.server.core.harness import until


class Sent:
    """A body that is there."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    async def read(self, limit_bytes: int) -> bytes:
        assert len(self.data) <= limit_bytes
        return self.data


class Api:
    """The native API without HTTP; to its client it is what asks."""

    def __init__(self, bench: ContextBench) -> None:
        self.routes = ContextRoutes(bench.contexts, ConfigReader(), body_limit_bytes=10_000).routes()
        v1 = Dialect(name="v1", segments=frozenset({"v1"}), routes=self.routes, failure=failure)
        self._router = Router((v1,))

    async def told(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status, and what the JSON says."""
        path, _, query = path.partition("?")
        match = self._router.match(method, path)
        assert match.route is not None
        data = Sent(b"" if body is None else json.dumps(body).encode())
        request = Request(method=method, path=path, query=query, body=data, params=match.params)  # type: ignore[arg-type]  # enough of a body
        try:
            answer = await match.route.handler(request)
        except JobdeckError as error:
            answer = failure(error)
        assert isinstance(answer, Response)
        assert isinstance(answer.body, bytes)
        return answer.status, json.loads(answer.body)

    async def ask(self, method: str, path: str, *, query: dict[str, str] | None = None, body: object = None) -> object:
        """As the client's own way asks."""
        asked = "&".join(f"{name}={value}" for name, value in (query or {}).items())
        status, told = await self.told(method, f"{path}?{asked}", body)
        if status >= 300:
            raise RefusedError(status, told["title"], told["detail"])
        answered: object = told
        return answered


@asynccontextmanager
async def api(folder: Path, kind: Gate | None = None) -> AsyncIterator[tuple[Api, ContextBench]]:
    async with context_bench(folder, kind=kind) as bench:
        yield Api(bench), bench


async def test_made_listed_shown_and_stopped(tmp_path: Path) -> None:
    async with api(tmp_path) as (v1, bench):
        for route in v1.routes:
            assert route.role is (Role.VIEW if route.method == "GET" else Role.RUN)
            assert route.doc["responses"]
        status, made = await v1.told("POST", "/v1/contexts", {"name": "c1", "settings": "a.b = 1, password = x"})
        assert (status, made["state"], made["settings"]) == (201, "running", {"a": {"b": 1}, "password": "(hidden)"})
        assert await v1.told("GET", "/v1/contexts") == (200, {"contexts": [made]})
        job = await bench.job("c1")
        status, shown = await v1.told("GET", "/v1/contexts/c1")
        assert (status, shown["jobs"], shown["id"]) == (200, [job.id], made["id"])
        bench.end(job)
        assert await v1.told("DELETE", "/v1/contexts/c1") == (200, {"stopped": True})
        assert (await v1.told("GET", "/v1/contexts/c1"))[1]["state"] == "finished"
        assert await v1.told("GET", "/v1/contexts") == (200, {"contexts": []})
        assert (await v1.told("POST", "/v1/contexts", {"name": "c2", "settings": {"a": {"b": [1]}}}))[0] == 201
        assert bench.contexts.choose("c2").settings == {"a": {"b": [1]}}
        assert (await v1.told("POST", "/v1/contexts", {"name": "c3"}))[0] == 201


async def test_what_is_refused(tmp_path: Path) -> None:
    async with api(tmp_path) as (v1, bench):
        await bench.create("c1")
        for body, status in (
            ({}, 400),
            ([], 400),
            ({"name": 1}, 400),
            ({"name": "c", "other": 1}, 400),
            ({"name": "1c"}, 400),
            ({"name": "c1"}, 409),
            ({"name": "c", "settings": [1]}, 400),
            ({"name": "c", "settings": "!!"}, 400),
            ({"name": "c", "settings": "a = \udc80"}, 400),
            ({"name": "c", "settings": "max-jobs-per-context = 0"}, 400),
            ({"name": "c", "settings": {"context-factory": "spark.jobserver.context.SessionContextFactory"}}, 422),
            ({"name": "c", "settings": {"python": {"executable": "/bin/sh"}}}, 422),
        ):
            assert (await v1.told("POST", "/v1/contexts", body))[0] == status, body
        for method in ("GET", "DELETE"):
            assert (await v1.told(method, "/v1/contexts/c"))[0] == 404
        assert (await v1.told("DELETE", "/v1/contexts/c1?force=perhaps"))[0] == 400
        assert bench.names() == ["c1"]


async def test_what_takes_long_is_told_so_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes_module, "_WAIT_S", 0.0)
    gate = Gate()
    async with api(tmp_path, gate) as (v1, bench):
        status, made = await v1.told("POST", "/v1/contexts", {"name": "c1"})
        assert (status, made["state"]) == (202, "starting")
        gate.opened.set()
        await until(lambda: bench.contexts.choose("c1").state is ContextState.RUNNING)
        assert await v1.told("DELETE", "/v1/contexts/c1?force=true") == (202, {"stopped": False})
        gate.released.set()
        await until(lambda: bench.names() == [])
        assert gate.stopped == [("c1", True)]


async def test_the_client_waits_until_a_context_is_up_or_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes_module, "_WAIT_S", 0.0)
    monkeypatch.setattr("jobdeck_client.contexts._LOOK_S", 0.005)
    gate = Gate()
    gate.opened.set()
    gate.released.set()
    async with api(tmp_path, gate) as (v1, bench):
        client = ClientsContexts(v1)  # type: ignore[arg-type]  # enough of a way to ask
        made = await client.create("c 1", {"a": 1})
        assert (made.state, made.settings) == (ContextState.RUNNING, {"a": 1})
        assert await client.all() == [made] == [(await client.show("c 1")).context]
        gate.refusal = RuntimeError("no")
        with pytest.raises(RefusedError, match="Context c2 cannot be made: internal error"):
            await client.create("c2", "a = 1")
        assert not await client.stop("c 1", force=True)
        await until(lambda: bench.names() == [])
        with pytest.raises(RefusedError, match="not found"):
            await client.stop("c 1")


async def test_an_answer_that_is_none_is_the_servers_fault() -> None:
    class Way:
        def __init__(self, answer: object) -> None:
            self.answer = answer

        async def ask(self, *_: object, **__: object) -> object:
            return self.answer

    answers: tuple[object, ...] = (None, [], {}, {"contexts": [1]}, {"contexts": [{}]}, {"id": "i", "name": "n"})
    for answer in answers:
        client = ClientsContexts(Way(answer))  # type: ignore[arg-type]  # enough of a way to ask
        for asked in (client.all(), client.show("c"), client.stop("c")):
            with pytest.raises(ServerFaultError):
                await asked
