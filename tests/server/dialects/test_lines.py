"""``/v1/jobs/{id}/lines`` and ``/find``: their queries, and their answers in each form."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from jobdeck_protocol import codec
from jobdeck_server.core.errors import BadRequestError, UnknownJobError
from jobdeck_server.core.find import FindQuery
from jobdeck_server.core.linepage import PageQuery
from jobdeck_server.core.runs import Kind
from jobdeck_server.dialects.v1 import problem
from jobdeck_server.dialects.v1.lines import LogLines, find_query, page_query
from jobdeck_server.http.message import Request, Response
from jobdeck_server.settings import Settings
from tests.server.core.harness import Bench, bench, shell
from tests.server.core.logs import LogWriter
from tests.server.nobody import NoBody

SETTINGS = Settings(data_dir=Path())


def asked(job_id: str, *accept: str, **query: object) -> Request:
    headers = tuple(("accept", value) for value in accept)
    return Request(
        method="GET", path="/", query=urlencode(query), headers=headers, body=NoBody(), params={"id": job_id}
    )


async def body_of(response: Response) -> bytes:
    if isinstance(response.body, bytes):
        return response.body
    assert isinstance(response.body, AsyncIterator)
    return b"".join([piece async for piece in response.body if isinstance(piece, bytes)])


async def a_job(bench: Bench) -> tuple[str, LogWriter]:
    job = await bench.core.submit(shell("true"))
    writer = LogWriter(bench.engine.follow(job.id))
    writer.write(Kind.STDOUT, b"one\ntw", 5)
    writer.write(Kind.STDERR, b"o\xff\n", 7)
    writer.write(Kind.STDOUT, b"three", 9)
    return job.id, writer


# -- queries --


def test_what_a_query_leaves_out() -> None:
    assert page_query({}, SETTINGS) == PageQuery(start=0, limit_count=256, cap_bytes=8192)
    assert find_query({"pattern": "x"}, SETTINGS) == FindQuery(pattern="x")


def test_what_a_query_may_say() -> None:
    assert page_query({"from": "-5", "count": "1000", "cap": "65536", "stream": "stderr"}, SETTINGS) == PageQuery(
        start=-5, limit_count=1000, cap_bytes=65536, stream=Kind.STDERR
    )
    assert page_query({"offset": "-7"}, SETTINGS).offset == -7
    query = {
        "pattern": "a b",
        "regex": "true",
        "case": "false",
        "from": "-1",
        "direction": "backward",
        "limit": "10000",
        "stream": "stdout",
    }
    assert find_query(query, SETTINGS) == FindQuery(
        pattern="a b",
        regex=True,
        case=False,
        start=-1,
        backward=True,
        limit_count=10_000,
        stream=Kind.STDOUT,
    )


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "x"}, "from"),
        ({"from": ""}, "from"),
        ({"from": "1.5"}, "from"),
        ({"from": "9" * 30}, "from"),
        ({"offset": "--1"}, "offset"),
        ({"from": "0", "offset": "0"}, "offset"),
        ({"count": "0"}, "count"),
        ({"count": "1001"}, "count"),
        ({"count": "-1"}, "count"),
        ({"cap": "0"}, "cap"),
        ({"cap": "65537"}, "cap"),
        ({"stream": "stdin"}, "stream"),
    ],
)
def test_pages_that_make_no_sense(query: dict[str, str], field: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        page_query(query, SETTINGS)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "pattern"),
        ({"pattern": ""}, "pattern"),
        ({"pattern": "a\nb"}, "pattern"),
        ({"pattern": "(", "regex": "true"}, "pattern"),
        ({"pattern": "x", "regex": "yes"}, "regex"),
        ({"pattern": "x", "case": "x"}, "case"),
        ({"pattern": "x", "from": "end"}, "from"),
        ({"pattern": "x", "direction": "up"}, "direction"),
        ({"pattern": "x", "limit": "0"}, "limit"),
        ({"pattern": "x", "limit": "10001"}, "limit"),
        ({"pattern": "x", "stream": "both"}, "stream"),
    ],
)
async def test_searches_that_make_no_sense(tmp_path: Path, query: dict[str, str], field: str) -> None:
    async with bench(tmp_path) as each:
        job_id, _ = await a_job(each)
        with pytest.raises(BadRequestError) as caught:
            await LogLines(each.core).find(asked(job_id, **query))
        answer = problem.failure(caught.value)
        assert isinstance(answer.body, bytes)
        assert (answer.status, json.loads(answer.body)["field"]) == (400, field)


async def test_a_pattern_that_is_no_text(tmp_path: Path) -> None:
    async with bench(tmp_path) as each:
        job_id, _ = await a_job(each)
        with pytest.raises(BadRequestError) as caught:
            await LogLines(each.core).find(replace(asked(job_id), query="pattern=%ff"))
        assert caught.value.field == "pattern"


async def test_what_the_core_refuses(tmp_path: Path) -> None:
    async with bench(tmp_path) as each:
        for handler in (LogLines(each.core).lines, LogLines(each.core).find):
            with pytest.raises(UnknownJobError):
                await handler(asked("00000000-0000-4000-8000-000000000000", pattern="x"))


# -- answers --


async def test_a_page_in_json_and_in_cbor(tmp_path: Path) -> None:
    async with bench(tmp_path) as each:
        job_id, writer = await a_job(each)
        handler = LogLines(each.core).lines
        plain = await handler(asked(job_id, "*/*"))
        assert dict(plain.headers) == {
            "Content-Type": "application/json",
            "Vary": "Accept",
            "Cache-Control": "no-store",
        }
        told = json.loads(await body_of(plain))
        packed = await handler(asked(job_id, "application/json;q=0.5, Application/CBOR; q=1"))
        assert dict(packed.headers)["Content-Type"] == "application/cbor"
        binary = codec.decode(await body_of(packed))
        shift_us = writer.written[0][1] - 5
        assert binary == {
            "from": 0,
            "total": 3,
            "size": 14,
            "indexed": 14,
            "ended": False,
            "lines": [
                a_line(0, 0, 3, True, [[3, "stdout", 5 + shift_us]], b"one"),
                a_line(1, 4, 4, True, [[2, "stdout", 5 + shift_us], [2, "stderr", 7 + shift_us]], b"two\xff"),
                a_line(2, 9, 5, False, [[5, "stdout", 9 + shift_us]], b"three"),
            ],
        }
        for line in told["lines"]:
            line["data"] = base64.b64decode(line["data"])
        assert told == binary
        cut = json.loads(await body_of(await handler(asked(job_id, stream="stdout", count=1, cap=2, **{"from": -1}))))
        assert (cut["from"], cut["total"], cut["size"]) == (1, 2, 11)
        assert cut["lines"] == [a_line(1, 4, 7, False, [[2, "stdout", 5 + shift_us]], "dHc=")]


def a_line(n: int, offset: int, length: int, newline: bool, runs: list[list[Any]], data: object) -> dict[str, Any]:
    return {
        "n": n,
        "offset": offset,
        "length": length,
        "newline": newline,
        "time": runs[0][2],
        "runs": runs,
        "data": data,
    }


async def test_the_largest_page_of_the_busiest_log(tmp_path: Path) -> None:
    async with bench(tmp_path) as each:
        job = await each.core.submit(shell("true"))
        folder = each.engine.follow(job.id)
        LogWriter(folder)
        (folder / "output").write_bytes((b"y" * 4000 + b"\n") * 1000)
        answer = await LogLines(each.core).lines(asked(job.id, "application/cbor", count=1000, cap=65536))
        lines = codec.decode(await body_of(answer), limit_bytes=1 << 24)["lines"]
        assert len(lines) == (1 << 20) // 4000


async def test_what_a_search_tells(tmp_path: Path) -> None:
    async with bench(tmp_path) as each:
        job_id, _ = await a_job(each)
        handler = LogLines(each.core).find
        answer = await handler(asked(job_id, pattern="O", case="false", direction="backward"))
        assert dict(answer.headers)["Content-Type"] == "application/x-ndjson"
        assert answer.follow
        assert (await body_of(answer)).decode().splitlines() == [
            '{"hit":{"line":1,"offset":6,"column":2,"length":1}}',
            '{"hit":{"line":0,"offset":0,"column":0,"length":1}}',
            '{"done":true,"hits":2,"more":false,"line":0}',
        ]
        answer = await handler(asked(job_id, pattern="^t", regex="true", limit=1, **{"from": 1}))
        assert (await body_of(answer)).decode().splitlines() == [
            '{"hit":{"line":1,"offset":4,"column":0,"length":1}}',
            '{"done":true,"hits":1,"more":true,"line":1}',
        ]


async def test_many_hits_come_in_pieces(tmp_path: Path) -> None:
    async with bench(tmp_path) as each:
        job_id, writer = await a_job(each)
        writer.write(Kind.STDOUT, b"z" * 1000)
        answer = await LogLines(each.core).find(asked(job_id, pattern="z", limit=500))
        assert isinstance(answer.body, AsyncIterator)
        pieces = [piece async for piece in answer.body if isinstance(piece, bytes)]
        assert len(pieces) > 3
        assert len(b"".join(pieces).splitlines()) == 501
