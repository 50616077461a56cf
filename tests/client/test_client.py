from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h11
import pytest
import trio

from jobdeck_client import (
    Client,
    ConflictError,
    NotAllowedError,
    NotFoundError,
    OffsetError,
    RefusedError,
    ServerFaultError,
    UnreachableError,
)
from jobdeck_client.errors import refused
from jobdeck_protocol import JobState, to_wire
from tests.client.helpers import collect, ended
from tests.protocol.helpers import job as a_job


async def test_a_day_with_jobs(url: str) -> None:
    async with Client(url) as client:
        info = await client.info()
        assert info["name"] == "jobdeck"
        ids = [(await client.submit(command=f"echo {i}", labels=["day", f"day{i % 2}"])).id for i in range(7)]
        for job_id in ids:
            await ended(client, job_id)
        first = await client.jobs(limit=3, label="day")
        second = await client.jobs(limit=3, label="day", cursor=first.next)
        assert [job.id for job in (*first.items, *second.items)] == ids[:0:-1]
        assert [job.id async for job in client.all_jobs(limit=5, sort="created", label="day")] == ids[:5]
        assert [job.id async for job in client.all_jobs(label="day1", sort="created")] == ids[1::2]
        assert (await client.jobs(states=[JobState.RUNNING], label="day")).items == ()
        assert [job.id for job in (await client.jobs(label="day", after=ids[4], limit=2)).items] == [ids[3], ids[2]]
        above = await client.jobs(label="day", after=ids[4], sort="created")
        assert [job.id for job in above.items] == ids[5:]
        with pytest.raises(NotFoundError):
            await client.jobs(after="00000000-0000-4000-8000-000000000000")
        again = await client.rerun(ids[5])
        await ended(client, again.id)
        assert (again.rerun_of, again.labels) == (ids[5], ("day", "day1"))
        assert b"".join([piece async for piece in client.output(again.id)]) == b"5\n"
        one = await client.job(ids[3][:8])
        assert (one.id, one.state, one.exit_code) == (ids[3], JobState.SUCCEEDED, 0)
        assert b"".join([piece async for piece in client.output(ids[3])]) == b"3\n"
        assert b"".join([piece async for piece in client.output(ids[3], start=0, end=1)]) == b"3"
        await client.remove(ids[3])
        with pytest.raises(NotFoundError):
            await client.job(ids[3])


async def test_stop_and_signal(url: str) -> None:
    async with Client(url) as client:
        job = await client.submit(command="trap 'echo caught' USR1; echo ready; while :; do sleep 0.05; done")
        async with client.attach(job.id) as following:
            got = b""
            async for message in following:
                got += getattr(message, "data", b"")
                if got == b"ready\n" and message.kind == "output":
                    await client.signal(job.id, "USR1")
                if b"caught" in got and message.kind == "output":
                    with pytest.raises(ConflictError):
                        await client.remove(job.id)
                    stopping = await client.stop(job.id, signal=9)
                    assert stopping.stop_requested
            assert following.exit is not None
            assert (following.exit.signal, following.exit.state) == (9, JobState.STOPPED)
            assert following.job is not None
            assert following.job.ended
        with pytest.raises(ConflictError):
            await client.signal(job.id, 15)


async def test_what_is_refused(url: str) -> None:
    async with Client(url) as client:
        with pytest.raises(RefusedError) as caught:
            await client.submit(command="")
        assert (caught.value.status, caught.value.detail) == (400, "The command is empty.")
        job = await client.submit(argv=["true"])
        await ended(client, job.id)
        with pytest.raises(OffsetError):
            async for _ in client.output(job.id, start=5):
                pass
        with pytest.raises(NotFoundError):
            await client.stop("00000000-0000-0000-0000-000000000000")
        with pytest.raises(RefusedError):
            await client.jobs(sort="colour")


async def test_words_that_are_no_unicode(url: str) -> None:
    async with Client(url) as client:
        job = await client.submit(argv=["printf", "%s", "caf\udce9"], env={"PATH": "/usr/bin:/bin"})
        async with client.attach(job.id) as following:
            assert await collect(following) == b"caf\xe9"


async def test_an_idempotency_key_submits_once(url: str) -> None:
    async with Client(url) as client:
        first = await client.submit(command="true", idempotency_key="k")
        assert (await client.submit(command="true", idempotency_key="k")).id == first.id
        with pytest.raises(RefusedError) as caught:
            await client.submit(command="false", idempotency_key="k")
        assert caught.value.status == 422


async def test_nobody_answers() -> None:
    async with Client("http://127.0.0.1:1") as client:
        with pytest.raises(UnreachableError) as caught:
            await client.submit(command="true")
        assert caught.value.url == "http://127.0.0.1:1"
        with pytest.raises(UnreachableError):
            async with client.attach("x") as following:
                await collect(following)
        with pytest.raises(UnreachableError):
            async with client.events() as events:
                await anext(events)


@asynccontextmanager
async def scripted(*answers: bytes | None) -> AsyncIterator[tuple[str, list[h11.Request]]]:
    """A server that answers one request a connection; None closes without a word."""
    seen: list[h11.Request] = []
    left = list(answers)

    async def serve(stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some()))
            elif isinstance(event, h11.Request):
                seen.append(event)
        if (answer := left.pop(0)) is not None:
            await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, serve, 0)
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}", seen
        nursery.cancel_scope.cancel()


def answer(value: object, status: int = 200) -> bytes:
    body = json.dumps(value).encode()
    return b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


async def test_a_submit_cut_in_the_middle_is_asked_again_with_its_key() -> None:
    async with scripted(None, None, answer(to_wire(a_job()), 201)) as (url, seen), Client(url, "secret") as client:
        assert (await client.submit(command="true")).id == a_job().id
        headers = [dict(request.headers) for request in seen]
        assert len({fields[b"idempotency-key"] for fields in headers}) == 1
        assert len(headers) == 3
        assert headers[0][b"authorization"] == b"Bearer secret"


@pytest.mark.parametrize("wrong", [b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", answer([]), answer({"id": 1})])
async def test_answers_that_are_none(wrong: bytes) -> None:
    async with scripted(wrong) as (url, _), Client(url) as client:
        with pytest.raises(ServerFaultError):
            await client.job("12345678")


async def test_a_list_without_items() -> None:
    async with scripted(answer({})) as (url, _), Client(url) as client:
        with pytest.raises(ServerFaultError):
            await client.jobs()


@pytest.mark.parametrize(
    ("status", "kind", "content_type", "body", "text"),
    [
        (404, NotFoundError, "application/problem+json", b'{"title":"Not Found","detail":"No."}', "No."),
        (401, NotAllowedError, "text/plain; charset=utf-8", b"A token is needed.\n", "A token is needed."),
        (500, RefusedError, "application/json", b"{", "HTTP 500"),
        (502, RefusedError, "text/html", b"<html>", "HTTP 502"),
        (400, RefusedError, "application/json", b"[]", "HTTP 400"),
    ],
)
def test_refusals_are_told(status: int, kind: type, content_type: str, body: bytes, text: str) -> None:
    error = refused(status, content_type, body)
    assert type(error) is kind
    assert (error.status, str(error)) == (status, text)
