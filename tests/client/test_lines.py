"""Lines and searches as a client asks for them, of a real server and of one that answers nonsense."""

from __future__ import annotations

import json
from contextlib import aclosing
from pathlib import Path

import cbor2
import pytest
import trio

from jobdeck_client import (
    Client,
    Done,
    Hit,
    Line,
    LinePage,
    NotFoundError,
    OffsetError,
    Progress,
    RefusedError,
    ServerFaultError,
    UnreachableError,
)
from tests.client.helpers import ended
from tests.client.test_client import scripted

COMMAND = "echo one; sleep 0.05; echo two >&2; sleep 0.05; printf 'three\\r\\n\\377'"


async def finished(client: Client, command: str) -> str:
    job = await client.submit(command=command)
    await ended(client, job.id)
    return job.id


async def found(client: Client, job_id: str, pattern: str, **wanted: object) -> list[Hit | Progress | Done]:
    async with aclosing(client.find(job_id, pattern, **wanted)) as search:  # type: ignore[arg-type]  # a test's own
        return [each async for each in search if not isinstance(each, Progress)]


async def test_pages(url: str) -> None:
    async with Client(url) as client:
        job_id = await finished(client, COMMAND)
        page = await client.lines(job_id)
        assert (page.start, page.total, page.size_bytes, page.indexed_bytes, page.ended) == (0, 4, 16, 16, True)
        assert [(line.n, line.offset, line.length, line.newline, line.data) for line in page.lines] == [
            (0, 0, 3, True, b"one"),
            (1, 4, 3, True, b"two"),
            (2, 8, 6, True, b"three\r"),
            (3, 15, 1, False, b"\xff"),
        ]
        assert [[run[:2] for run in line.runs] for line in page.lines[:2]] == [[(3, "stdout")], [(3, "stderr")]]
        times = [line.time_us for line in page.lines]
        assert times == sorted(times)
        assert all(line.runs[0][2] == line.time_us for line in page.lines)
        assert (await client.lines(job_id, -2, count=1)).lines == page.lines[2:3]
        assert (await client.lines(job_id, offset=5)).lines == page.lines[1:]
        assert (await client.lines(job_id, offset=-1)).lines == page.lines[3:]
        assert [line.data for line in (await client.lines(job_id, 2, cap_bytes=2)).lines] == [b"th", b"\xff"]
        alone = await client.lines(job_id, stream="stderr")
        assert [(line.n, line.offset, line.data) for line in alone.lines] == [(0, 0, b"two")]


async def test_searches(url: str) -> None:
    async with Client(url) as client:
        job_id = await finished(client, COMMAND)
        hits = [Hit(0, 2, 2, 1), Hit(2, 11, 3, 1), Hit(2, 12, 4, 1)]
        assert await found(client, job_id, "e") == [*hits, Done(3, False, 3)]
        assert await found(client, job_id, "E", case=False, backward=True) == [*hits[::-1], Done(3, False, 0)]
        assert await found(client, job_id, "e", limit=2) == [*hits[:2], Done(2, True, 2)]
        assert await found(client, job_id, "e", start=1) == [*hits[1:], Done(2, False, 3)]
        assert await found(client, job_id, "e", start=1, backward=True) == [hits[0], Done(1, False, 0)]
        assert await found(client, job_id, "^t.o$", regex=True) == [Hit(1, 4, 0, 3), Done(1, False, 3)]
        assert await found(client, job_id, "o", stream="stderr") == [Hit(0, 2, 2, 1), Done(1, False, 1)]
        assert await found(client, job_id, "a+b&c=d%") == [Done(0, False, 3)]


async def test_what_is_refused(url: str) -> None:
    async with Client(url) as client:
        job_id = await finished(client, "echo x")
        with pytest.raises(OffsetError):
            await client.lines(job_id, offset=3)
        with pytest.raises(RefusedError) as caught:
            await client.lines(job_id, count=0)
        assert caught.value.status == 400
        with pytest.raises(RefusedError) as caught:
            await found(client, job_id, "(", regex=True)
        assert (caught.value.status, "missing )" in caught.value.detail) == (400, True)
        for ask in (client.lines("00000000-0000-4000-8000-000000000000"), found(client, "00000000", "x")):
            with pytest.raises(NotFoundError):
                await ask


async def test_a_job_that_writes(url: str, tmp_path: Path) -> None:
    go = tmp_path / "go"
    async with Client(url) as client:
        job = await client.submit(command=f"printf 'a\\nb'; while ! test -e {go}; do sleep 0.02; done; echo c")
        with trio.fail_after(20):
            while (page := await client.lines(job.id, -1)).size_bytes < 3:  # noqa: ASYNC110  # nobody tells
                await trio.sleep(0.01)
            assert (page.ended, page.total, page.lines[0].data, page.lines[0].newline) == (False, 2, b"b", False)
            assert await found(client, job.id, "b") == [Hit(1, 2, 0, 1), Done(1, False, 1)]
            go.touch()
            await ended(client, job.id)
            page = await client.lines(job.id, -1)
        assert (page.ended, page.total, page.lines[0].data, page.lines[0].newline) == (True, 2, b"bc", True)


async def test_a_search_may_be_left(url: str) -> None:
    async with Client(url) as client:
        job_id = await finished(client, "yes | head -c 3000000")
        async with aclosing(client.find(job_id, "y", limit=10_000)) as search:
            assert await anext(search) == Hit(0, 0, 0, 1)
        assert (await client.lines(job_id)).total == 1_500_000  # the client is as good as new


# -- nonsense --


def answer(content_type: str, body: bytes, *, promised: int | None = None) -> bytes:
    length = len(body) if promised is None else promised
    head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
    return head.encode() + body


PAGE = {"from": 1, "total": 2, "size": 4, "indexed": 4, "ended": True, "lines": []}
LINE = {"n": 1, "offset": 2, "length": 1, "newline": True, "time": 7, "runs": [[1, "stdout", 7]], "data": b"x"}


async def test_what_a_newer_server_adds_is_ignored() -> None:
    line = {**LINE, "runs": [[1, "sideways", 7, "more"]], "colour": "red"}
    async with (
        scripted(
            answer("application/cbor", cbor2.dumps({**PAGE, "lines": [line], "mood": 1})),
            answer("application/x-ndjson", b'{"mood":1}\n{"done":true,"hits":0,"more":false,"line":2,"x":1}\n'),
        ) as (url, seen),
        Client(url) as client,
    ):
        told = Line(1, 2, 1, True, 7, ((1, "sideways", 7),), b"x")
        assert await client.lines("x") == LinePage(1, 2, 4, 4, True, (told,))
        assert await found(client, "x", "y") == [Done(0, False, 2)]
        assert dict(seen[0].headers)[b"accept"] == b"application/cbor"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        json.dumps({**PAGE}).encode(),
        cbor2.dumps([]),
        cbor2.dumps({}),
        *(cbor2.dumps({**PAGE, name: None}) for name in PAGE),
        cbor2.dumps({**PAGE, "total": -1}),
        cbor2.dumps({**PAGE, "total": True}),
        *(cbor2.dumps({**PAGE, "lines": [{**LINE, name: {}}]}) for name in LINE),
        cbor2.dumps({**PAGE, "lines": [{**LINE, "runs": [[1]]}]}),
        cbor2.dumps({**PAGE, "lines": [{**LINE, "data": "x"}]}),
        cbor2.dumps({**PAGE, "lines": [7]}),
    ],
)
async def test_pages_that_are_none(body: bytes) -> None:
    async with scripted(answer("application/cbor", body)) as (url, _), Client(url) as client:
        with pytest.raises(ServerFaultError):
            await client.lines("x")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{\n",
        b"7\n",
        b"[]\n",
        b'{"hit":{"line":0}}\n',
        b'{"hit":7}\n',
        b'{"at":0}\n',
        b'{"done":true}\n',
        b'{"at":0,"offset":0}\n',
        b"x" * 100_000,
    ],
)
async def test_findings_that_are_none(body: bytes) -> None:
    async with scripted(answer("application/x-ndjson", body)) as (url, _), Client(url) as client:
        with pytest.raises(ServerFaultError):
            await found(client, "x", "y")


async def test_a_search_cut_in_the_middle() -> None:
    cut = answer("application/x-ndjson", b'{"at":0,"offset":0}\n', promised=1000)
    async with scripted(cut) as (url, _), Client(url) as client:
        with pytest.raises(UnreachableError):
            await found(client, "x", "y")
