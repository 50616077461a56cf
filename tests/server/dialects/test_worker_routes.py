"""Workers by the native API: what admins do to them, and jobs that ask for one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from jobdeck_protocol.job import JobState
from jobdeck_protocol.workerinfo import WorkerState
from jobdeck_server.core.errors import JobdeckError
from jobdeck_server.dialects.base import Dialect
from jobdeck_server.dialects.v1.classes import Classes
from jobdeck_server.dialects.v1.jobs import Jobs
from jobdeck_server.dialects.v1.problem import failure
from jobdeck_server.dialects.v1.workers import WorkerRoutes
from jobdeck_server.engines.base import WORKER
from jobdeck_server.http.message import Request, Response, Role
from jobdeck_server.http.router import Router
from tests.server.core.harness import until
from tests.server.core.workerbench import LOCAL, Fixed, Yard, worker, worker_id, yard

FAR = worker_id(0)


class Sent:
    """A body that is there."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    async def read(self, limit_bytes: int) -> bytes:
        assert len(self.data) <= limit_bytes
        return self.data


class Api:
    """The native API without HTTP."""

    def __init__(self, made: Yard) -> None:
        self.routes = (
            *WorkerRoutes(made.workers, body_limit_bytes=1000).routes(),
            *Jobs(made.core, made.workers, cast(Classes, None)).routes(),
        )
        v1 = Dialect(name="v1", segments=frozenset({"v1"}), routes=self.routes, failure=failure)
        self._router = Router((v1,))

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
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
        return answer.status, json.loads(answer.body) if answer.body else None


@asynccontextmanager
async def api(folder: Path, *sources: Fixed) -> AsyncIterator[tuple[Api, Yard]]:
    async with yard(folder, *sources) as made:
        yield Api(made), made


async def test_roles(tmp_path: Path) -> None:
    async with api(tmp_path) as (v1, _):
        rows = {(each.method, each.pattern): each.role for each in v1.routes if "/workers" in each.pattern}
        assert rows.pop(("GET", "/v1/workers")) is rows.pop(("GET", "/v1/workers/{id}")) is Role.VIEW
        assert len(rows) == 4
        assert set(rows.values()) == {Role.ADMIN}


async def test_drain(tmp_path: Path) -> None:
    async with api(tmp_path, worker(0)) as (v1, _):
        for body, state in (
            (None, "draining"),
            ({"on": False}, "online"),
            ({"on": True}, "draining"),
            ({}, "draining"),
        ):
            status, told = await v1.ask("POST", "/v1/workers/w0/drain", body)
            assert (status, told["id"], told["state"]) == (200, FAR, state)
        bodies: tuple[object, ...] = ({"on": 1}, {"off": True}, [])
        for broken in bodies:
            assert (await v1.ask("POST", "/v1/workers/w0/drain", broken))[0] == 400
        assert (await v1.ask("POST", "/v1/workers/nobody/drain"))[0] == 404


async def test_rename(tmp_path: Path) -> None:
    async with api(tmp_path, worker(0)) as (v1, _):
        status, told = await v1.ask("POST", f"/v1/workers/{FAR[:8]}/rename", {"name": "far"})
        assert (status, told["name"]) == (200, "far")
        for broken in (None, {}, {"name": ""}, {"name": 5}, {"name": "a\tb"}):
            status, told = await v1.ask("POST", "/v1/workers/far/rename", broken)
            assert (status, told["field"]) == (400, "name")
        status, told = await v1.ask("POST", "/v1/workers/here/rename", {"name": "x"})
        assert (status, "--worker-name" in told["detail"]) == (409, True)


async def test_forget(tmp_path: Path) -> None:
    async with api(tmp_path, worker(0)) as (v1, _):
        assert (await v1.ask("DELETE", "/v1/workers/w0"))[0] == 409
        assert (await v1.ask("DELETE", "/v1/workers/w0?force=maybe"))[0] == 400
        assert await v1.ask("DELETE", "/v1/workers/w0?force=true") == (204, None)
        assert (await v1.ask("DELETE", "/v1/workers/w0?force=true"))[0] == 404
        assert (await v1.ask("DELETE", "/v1/workers/here?force=true"))[0] == 409


async def test_resume(tmp_path: Path) -> None:
    async with api(tmp_path) as (v1, _):
        assert await v1.ask("POST", "/v1/workers/resume") == (204, None)


async def test_a_job_names_its_worker(tmp_path: Path) -> None:
    async with api(tmp_path, worker(0)) as (v1, made):
        for text in ("w0", FAR, FAR[:8]):
            status, told = await v1.ask("POST", "/v1/jobs", {"command": "true", "worker": text, "cwd": "/not/here"})
            assert (status, told["worker"], told["engine"]) == (201, FAR, WORKER)
        status, told = await v1.ask("POST", "/v1/jobs", {"command": "true", "worker": "here"})
        assert (status, told["worker"], told["engine"], told["state"]) == (201, LOCAL, "local", "starting")
        for text in ("nobody", "", FAR[:7]):
            status, told = await v1.ask("POST", "/v1/jobs", {"command": "true", "worker": text})
            assert (status, told["field"]) == (400, "worker")
        assert (await v1.ask("POST", "/v1/jobs", {"command": "true", "worker": 5}))[0] == 400
        await until(lambda: made.workers.find(FAR).running_count == 2)
        status, told = await v1.ask("GET", "/v1/workers/w0")
        assert (told["running_count"], told["slots_count"], told["queued_count"]) == (2, 2, 1)


async def test_a_job_names_labels(tmp_path: Path) -> None:
    source = worker(0, "gpu", "big", state=WorkerState.UNREACHABLE)
    async with api(tmp_path, source) as (v1, made):
        status, told = await v1.ask("POST", "/v1/jobs", {"command": "true", "worker_labels": ["big", "gpu"]})
        assert (status, told["state"], told["worker"], told["worker_labels"]) == (201, "queued", None, ["big", "gpu"])
        status, told = await v1.ask("GET", f"/v1/jobs/{told['id']}")
        assert told["note"] == "waits for a worker with labels big, gpu"
        source.info = replace(source.info, state=WorkerState.ONLINE)
        made.workers.changed(source)
        await until(lambda: bool(made.engine.placed))
        status, told = await v1.ask("GET", f"/v1/jobs/{told['id']}")
        assert (told["worker"], told["note"], told["state"]) == (FAR, None, JobState.STARTING)
        for broken in ("gpu", [5], ["a", "a"], [""]):
            status, told = await v1.ask("POST", "/v1/jobs", {"command": "true", "worker_labels": broken})
            assert (status, told["field"]) == (400, "worker_labels")


@pytest.mark.parametrize(
    "fields", [{"worker": "w0"}, {"worker_labels": ["gpu"]}, {"worker": "w0", "worker_labels": ["gpu"]}]
)
async def test_a_job_is_run_again_where_it_was_asked_for(tmp_path: Path, fields: dict[str, object]) -> None:
    async with api(tmp_path, worker(0, "gpu", slots_count=9)) as (v1, made):
        _, first = await v1.ask("POST", "/v1/jobs", {"command": "true", **fields})
        await until(lambda: len(made.engine.placed) == 1)
        _, again = await v1.ask("POST", f"/v1/jobs/{first['id']}/rerun")
        await until(lambda: len(made.engine.placed) == 2)
        assert made.engine.placed == [(first["id"], FAR), (again["id"], FAR)]
        assert again["worker_labels"] == first["worker_labels"]
