"""Classes out of packages through the client: what came of them, their results and configurations as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from jobdeck_client import ClassOutcome, Client, NotFoundError, ServerFaultError
from jobdeck_client.classes import Classes
from jobdeck_client.requests import Requests
from jobdeck_client.trust import Trust
from jobdeck_protocol.job import Job
from jobdeck_protocol.packageinfo import WHEEL
from tests.client.test_packages import zipped

SOURCE = """
from sparkjobserver.api import Stream, build_problems


class Any:
    def validate(self, context, runtime, config):
        kind = config["kind"]
        return build_problems(["no kind", "none at all"]) if kind == "refuse" else kind

    def run_job(self, context, runtime, kind):
        if kind == "raise":
            raise KeyError("x")
        if kind == "stream":
            return Stream([b"\\x00\\xff" * 100])
        return {"a": 10**30, "b": [1.5]} if kind == "json" else None
"""


async def ended(client: Client, kind: str) -> Job:
    """A job of this kind, when it is over."""
    job = await client.start_class("any_job.Any", ["anyjob"], config=f'kind = {kind}, "x y" = 1.50')
    with trio.fail_after(30):
        while not job.ended:
            await trio.sleep(0.02)
            job = await client.job(job.id)
    return job


async def test_what_came_of_it(url: str, tmp_path: Path) -> None:
    file = tmp_path / "any.whl"
    file.write_bytes(zipped(any_job=SOURCE))
    async with Client(url) as client:
        await client.upload_package("anyjob", file, WHEEL)
        done = await ended(client, "json")
        told = await client.job_outcome(done.id)
        assert told == ClassOutcome(kind="finished", result_kind="json", result_bytes=told.result_bytes)
        text = b"".join([piece async for piece in client.result(done.id)])
        assert (len(text), b"1" + b"0" * 30 in text) == (told.result_bytes, True)
        assert [piece async for piece in client.result(done.id, start=1, end=4)] == [text[1:4]]
        assert b'"x y"' in await client.job_config_text(done.id)
        assert await client.job_config(done.id) == {"kind": "json", "x y": 1.5}
        streamed = await ended(client, "stream")
        told = await client.job_outcome(streamed.id)
        assert (told.kind, told.result_kind, told.result_bytes) == ("finished", "stream", 200)
        assert (await client.job_outcome((await ended(client, "nothing")).id)).result_kind is None
        raised = await client.job_outcome((await ended(client, "raise")).id)
        assert (raised.kind, raised.error_class, raised.result_kind) == ("run_raised", "KeyError", None)
        assert "x" in (raised.message or "")
        assert "run_job" in raised.stack
        refused = await client.job_outcome((await ended(client, "refuse")).id)
        assert (refused.kind, refused.problems) == ("validation", ("no kind", "none at all"))
        plain = await client.submit(command="true")
        for asked in (client.job_outcome, client.job_config_text):
            with pytest.raises(NotFoundError):
                await asked(plain.id)


@pytest.mark.parametrize("answer", [None, [], {}, {"kind": None, "error": 5, "problems": [], "result": None}])
async def test_what_is_no_answer_is_the_servers_fault(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    async def ask(*_: object, **__: object) -> object:
        return answer

    monkeypatch.setattr(Requests, "ask", ask)
    classes = Classes(Requests("http://127.0.0.1:1", None, timeout_s=1, trust=Trust()))
    for verb in (classes.outcome, classes.callback):
        with pytest.raises(ServerFaultError):
            await verb("x")
