"""Workers through the client."""

from __future__ import annotations

import pytest

from jobdeck_client import Client, NotFoundError, ServerFaultError, Workers
from jobdeck_client.requests import Requests
from jobdeck_client.trust import Trust
from jobdeck_protocol.workerinfo import WorkerState


async def test_list_and_show(url: str) -> None:
    async with Client(url) as client:
        (worker,) = await client.workers.all()
        assert (worker.state, worker.engine, worker.slots_count) == (WorkerState.ONLINE, "local", 64)
        assert url.endswith(worker.address)
        for name in (worker.id, worker.id[:8], worker.name):
            found = await client.workers.show(name)
            assert found.worker.id == worker.id
            assert set(found.jobs) <= {job.id async for job in client.all_jobs()}  # of tests that share the server
        for name in ("nobody", worker.id[:7], "a/b", "..", "%"):
            with pytest.raises(NotFoundError):
                await client.workers.show(name)


@pytest.mark.parametrize(
    "answer", [[], {}, {"items": 5}, {"items": [5]}, {"items": [{"id": "x"}]}, {"items": [{"id": "x", "state": "odd"}]}]
)
async def test_what_is_no_list_is_the_servers_fault(monkeypatch: pytest.MonkeyPatch, answer: object) -> None:
    async def ask(*_: object, **__: object) -> object:
        return answer

    monkeypatch.setattr(Requests, "ask", ask)
    workers = Workers(Requests("http://127.0.0.1:1", None, timeout_s=1, trust=Trust()))
    with pytest.raises(ServerFaultError):
        await workers.all()
    with pytest.raises(ServerFaultError):
        await workers.show("x")
