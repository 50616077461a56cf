from __future__ import annotations

import io
import json

import pytest

from jobdeck_server.http.log import Exchange, JsonFormatter, open_log
from jobdeck_server.http.message import Request, Response
from tests.server.http.toy import serving

NASTY = [
    "a\nb", "a\r\nb", "a\x1b[2Jb", "a\x1b]52;c;aGk=\x07", "a\x00b", "a\x7fb", "a\x85b", "a\x9b31mb", "a\u2028b",
    "a\u202eb",
    'a"b', "a\\b", "a\ud800b", "é", "\N{SNOWMAN}", "x" * 10_000, '{"level": "x"}', "\t", "\x0b", "\x0c",
    "%0d%0a", "', --", "</script>", "\ufeff", "\x1f", "\u0000\n", "\r", "\n\n\n", "a\u2029b", "\x9d",
]  # fmt: skip


def lines_of(*records: tuple[str, dict[str, str]]) -> list[str]:
    out = io.StringIO()
    log = open_log(out)
    for event, fields in records:
        log.info("%s", event, extra={"fields": fields})
    return out.getvalue().splitlines()


def test_a_line_is_a_line_whatever_is_in_it() -> None:
    assert len(NASTY) == 30
    lines = lines_of(*[(text, {"path": text, text: text}) for text in NASTY])
    assert len(lines) == len(NASTY)
    for line, text in zip(lines, NASTY, strict=True):
        assert line.isascii()
        assert line.isprintable()
        assert json.loads(line)["path"] == text[:2048]


def test_a_traceback_stays_in_its_line() -> None:
    out = io.StringIO()
    log = open_log(out)
    try:
        raise RuntimeError("a\nb")
    except RuntimeError:
        log.exception("bug")
    (line,) = out.getvalue().splitlines()
    assert "RuntimeError: a\nb" in json.loads(line)["traceback"]


def test_exchange_has_what_it_has() -> None:
    out = io.StringIO()
    log = open_log(out)
    exchange = Exchange(
        method="GET", path="/a", peer="p", started_s=1.0, status=200, sent_bytes=5, note={"token": "t1"}
    )
    exchange.log(log, 1.5)
    entry = json.loads(out.getvalue())
    del entry["time"]
    assert entry == {
        "level": "info",
        "event": "request",
        "method": "GET",
        "path": "/a",
        "status": 200,
        "bytes": 5,
        "ms": 500.0,
        "peer": "p",
        "token": "t1",
    }


@pytest.mark.parametrize("text", NASTY)
async def test_one_request_one_line_and_nothing_secret(text: str) -> None:
    async def app(request: Request) -> Response:
        return Response(body=b"ok")

    raw = text.encode("utf-8", "surrogatepass").replace(b" ", b"_")
    async with serving(app, linger_timeout_s=0.02) as toy:
        await toy.talk(
            b"GET /" + raw + b"?token=canary HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            b"Authorization: Bearer canary\r\nX: " + raw + b"\r\n\r\n",
            end=True,
        )
        assert not toy.log.bugs()
        formatted = [JsonFormatter().format(record) for record in toy.log.records]
        assert len(formatted) == 1
        assert formatted[0].isascii()
        assert formatted[0].isprintable()
        assert "canary" not in formatted[0]
