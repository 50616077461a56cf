"""Attach over plain HTTP against the real program: what comes is what was asked for, and all of it."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import statistics
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.program import Server
from tests.e2e.wire import Answer, ask, curl, parse, request, talk, tell


def attach(deck: Server, job_id: str, query: str = "", **headers: str) -> Answer:
    return ask(deck.port, "GET", f"/{job_id}/attach{query}", headers=headers)


@pytest.fixture(scope="module")
def both(deck: Server) -> str:
    """An ended job with 12 bytes of stdout and 8 of stderr: ``out1 err1 out2 err2``, a line each."""
    job_id = deck.submit("echo out1; echo er1 >&2; echo out-2; echo er2 >&2; exit 5")
    deck.wait(job_id)
    return job_id


BOTH = b"out1\ner1\nout-2\ner2\n"


# -- every byte --


def binary() -> bytes:
    """All byte values in all pairs, then 10 MB without a line end, then noise; no line end at the end."""
    pairs = bytes(value for first in range(256) for second in range(256) for value in (first, second))
    return pairs + b"\n" + b"x" * 10_000_000 + b"\0\r\n\r\n0\r\n\r\n" + os.urandom(1_000_003)


def test_binary_output_is_exact(deck: Server, tmp_path: Path) -> None:
    data = binary()
    (tmp_path / "data").write_bytes(data)
    job_id = deck.submit(f"cat {tmp_path}/data")
    live = deck.attach(job_id)
    assert hashlib.sha256(live).digest() == hashlib.sha256(data).digest()
    assert deck.attach(job_id) == live
    assert curl(f"{deck.url}/{job_id}/attach?offset={65536 * 2}") == data[65536 * 2 :]
    assert deck.ask("GET", f"/v1/jobs/{job_id}/output")[2] == data


def test_binary_output_in_the_smallest_pieces_is_exact(deck: Server) -> None:
    """One write for each byte, on two streams in turn."""
    script = "import os\nfor n in range(3000): os.write(1 + n % 2, bytes([n * 7 % 256]))"
    job_id = deck.submit(f"{sys.executable} -c '{script}'")
    expected = bytes(n * 7 % 256 for n in range(3000))
    assert deck.attach(job_id) == expected
    assert deck.attach(job_id, "?stream=stdout") == expected[::2]
    assert deck.attach(job_id, "?stream=stderr") == expected[1::2]


@pytest.mark.parametrize("count", range(5))
def test_output_of_a_child_after_the_shell_has_gone(deck: Server, count: int) -> None:
    """``exec > >(sleep 0.2; cat)``: the shell is gone before anything is written."""
    begin = time.monotonic()
    job_ids = [deck.submit(f"{{ bash -c 'exec > >(sleep 0.2; cat); echo hi {n}'; }}") for n in range(10)]
    job_ids += [deck.submit(f"exec > >(sleep 0.2; cat); echo hi {n}") for n in range(10, 20)]
    assert [deck.attach(job_id) for job_id in job_ids] == [b"hi %d\n" % n for n in range(20)]
    assert {deck.wait(job_id)["exit_code"] for job_id in job_ids} == {0}
    assert time.monotonic() - begin < 8, "they were waited for until linger_s"


def test_no_output_is_an_empty_answer_with_its_last_chunk(deck: Server) -> None:
    raw = talk(deck.port, request("GET", f"/{deck.submit('true')}/attach"))
    assert raw.endswith(b"\r\n\r\n0\r\n\r\n")


def test_a_printed_line_is_there_at_once(deck: Server) -> None:
    """The median is measured against its goal in benchmarks; here it must only be no poll."""
    job_id = deck.submit("for i in {1..40}; do echo $EPOCHREALTIME; sleep 0.02; done")
    late_s = []
    with socket.create_connection(("127.0.0.1", deck.port), 20) as sock:
        sock.sendall(request("GET", f"/{job_id}/attach"))
        text = b""
        while b"\r\n0\r\n" not in text:
            data = sock.recv(65536)
            now = time.time()
            assert data
            text += data
            late_s += [
                now - float(line)
                for line in data.split(b"\n")
                if line.strip().replace(b".", b"").isdigit() and b"." in line
            ]
    assert len(late_s) >= 35
    tell(f"a printed line is at the client after {statistics.median(late_s) * 1000:.2f} ms (median of {len(late_s)})")
    assert statistics.median(late_s) < 0.25


# -- what is asked for --


@pytest.mark.parametrize(
    ("query", "expected", "offset"),
    [
        ("", BOTH, 0),
        ("?offset=0", BOTH, 0),
        ("?offset=7", BOTH[7:], 7),
        ("?offset=19", b"", 19),
        ("?offset=-4", BOTH[-4:], 15),
        ("?offset=-19", BOTH, 0),
        ("?offset=-999999", BOTH, 0),
        ("?stream=stdout", b"out1\nout-2\n", 0),
        ("?stream=stderr", b"er1\ner2\n", 0),
        ("?stream=stderr&offset=2", b"1\ner2\n", 2),
        ("?stream=stdout&offset=-6", b"out-2\n", 5),
        ("?stream=stdout&offset=11", b"", 11),
        ("?follow=false", BOTH, 0),
        ("?follow=true&offset=5&unknown=x", BOTH[5:], 5),
    ],
)
def test_offsets_and_streams(deck: Server, both: str, query: str, expected: bytes, offset: int) -> None:
    answer = attach(deck, both, query)
    assert (answer.status, answer.body, answer.headers["jobdeck-offset"]) == (200, expected, str(offset))
    assert answer.whole


def test_every_offset(deck: Server, both: str) -> None:
    assert [attach(deck, both, f"?offset={n}").body for n in range(20)] == [BOTH[n:] for n in range(20)]


@pytest.mark.parametrize(("query", "size"), [("?offset=20", 19), ("?stream=stdout&offset=12", 11)])
def test_an_offset_beyond_the_end_is_416(deck: Server, both: str, query: str, size: int) -> None:
    answer = attach(deck, both, query)
    assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{size}")
    assert f"is beyond the end of the output, which has {size} bytes." in answer.text


def test_an_offset_beyond_what_a_running_job_has_written_waits(deck: Server) -> None:
    job_id = deck.submit("echo one; sleep 0.4; echo two")
    answer = attach(deck, job_id, "?offset=4")
    assert (answer.body, answer.headers["jobdeck-offset"], answer.whole) == (b"two\n", "4", True)
    answer = attach(deck, deck.submit("sleep 0.2; echo one"), "?offset=2")
    assert answer.body == b"e\n"


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("?offset=x", "offset must be a number of bytes, not 'x'."),
        ("?offset=1.5", "offset must be a number of bytes, not '1.5'."),
        ("?offset=", "offset must be a number of bytes, not ''."),
        ("?offset=99999999999999999999", "offset must be a number of bytes, not '99999999999999999999'."),
        ("?stream=both", "stream must be stdout or stderr, not 'both'."),
        ("?follow=maybe", "follow must be true or false, not 'maybe'."),
    ],
)
def test_a_query_that_makes_no_sense_is_told(deck: Server, both: str, query: str, text: str) -> None:
    answer = attach(deck, both, query)
    assert (answer.status, answer.text) == (400, text + "\n")


def test_without_following_comes_what_is_there(deck: Server) -> None:
    job_id = deck.submit("echo there; sleep 20; echo never")
    while not (answer := attach(deck, job_id, "?follow=false")).body:
        time.sleep(0.01)
    assert (answer.body, answer.whole) == (b"there\n", True)
    ask(deck.port, "DELETE", f"/{job_id}")
    assert attach(deck, job_id).body == b"there\n"


# -- how the end is told --


@pytest.mark.parametrize(
    ("script", "trailers"),
    [
        ("exit 0", {"jobdeck-state": "succeeded", "jobdeck-exit-code": "0"}),
        ("exit 7", {"jobdeck-state": "failed", "jobdeck-exit-code": "7"}),
        ("kill -TERM $$; sleep 5", {"jobdeck-state": "failed", "jobdeck-signal": "15"}),
    ],
)
def test_trailers_for_who_asked(deck: Server, script: str, trailers: dict[str, str]) -> None:
    job_id = deck.submit(f"echo x; {script}")
    answer = attach(deck, job_id, TE="trailers")
    assert (answer.body, answer.trailers) == (b"x\n", trailers)
    assert answer.headers["trailer"] == "Jobdeck-State, Jobdeck-Exit-Code, Jobdeck-Signal"
    assert attach(deck, job_id).trailers == {}
    assert "trailer" not in attach(deck, job_id).headers


@pytest.mark.parametrize("te", ["trailers, deflate;q=0.5", "gzip, Trailers", "trailers;q=1"])
def test_trailers_among_other_wishes(deck: Server, both: str, te: str) -> None:
    answer = attach(deck, both, TE=te)
    assert answer.trailers == {"jobdeck-state": "failed", "jobdeck-exit-code": "5"}
    assert "trailer" in answer.headers


def test_no_trailers_when_the_end_was_not_waited_for(deck: Server) -> None:
    job_id = deck.submit("sleep 20")
    answer = attach(deck, job_id, "?follow=false", TE="trailers")
    assert answer.trailers.get("jobdeck-state") in ("starting", "running")
    assert "jobdeck-exit-code" not in answer.trailers
    ask(deck.port, "DELETE", f"/{job_id}")


def test_http_1_0_ends_by_close(deck: Server, both: str) -> None:
    raw = talk(deck.port, f"GET /{both}/attach HTTP/1.0\r\n\r\n".encode())
    answer = parse(raw)
    assert answer.body == BOTH
    assert "transfer-encoding" not in answer.headers
    assert parse(talk(deck.port, f"GET /{both}/attach?offset=20 HTTP/1.0\r\n\r\n".encode())).status == 416


def test_the_connection_can_be_used_again_after_an_attach(deck: Server, both: str) -> None:
    one = f"GET /{both}/attach HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    raw = talk(deck.port, one * 3 + request("GET", f"/{both}/attach"))
    assert raw.count(BOTH) == 4
    assert raw.count(b"\r\n0\r\n\r\n") == 4


# -- kept output --


@pytest.mark.parametrize(
    ("wanted", "status", "body", "span"),
    [
        ("bytes=0-3", 206, BOTH[:4], "bytes 0-3/19"),
        ("bytes=5-", 206, BOTH[5:], "bytes 5-18/19"),
        ("bytes=-4", 206, BOTH[-4:], "bytes 15-18/19"),
        ("bytes=0-999", 206, BOTH, "bytes 0-18/19"),
        ("bytes=19-", 416, b"", "bytes */19"),
        ("bytes=3-1", 200, BOTH, None),
        ("lines=1-2", 200, BOTH, None),
        ("bytes=0-1,4-5", 200, BOTH, None),
    ],
)
def test_ranges_of_kept_output(
    deck: Server, both: str, wanted: str, status: int, body: bytes, span: str | None
) -> None:
    answer = ask(deck.port, "GET", f"/v1/jobs/{both}/output", headers={"Range": wanted})
    assert (answer.status, answer.body, answer.headers.get("content-range")) == (status, body, span)


def test_kept_output_of_one_stream(deck: Server, both: str) -> None:
    answer = ask(deck.port, "GET", f"/v1/jobs/{both}/output?stream=stdout", headers={"Range": "bytes=3-6"})
    assert (answer.status, answer.body) == (206, b"1\nou")


def test_kept_output_never_follows(deck: Server) -> None:
    job_id = deck.submit("echo x; sleep 20")
    while not (answer := ask(deck.port, "GET", f"/v1/jobs/{job_id}/output")).body:
        assert (answer.status, answer.headers["content-length"]) == (200, "0")
    assert (answer.body, answer.headers["content-length"]) == (b"x\n", "2")
    ask(deck.port, "DELETE", f"/{job_id}")


def test_an_attach_is_told_in_the_log_and_no_query_is(deck: Server, both: str) -> None:
    attach(deck, both, "?offset=3&note=canary-of-a-query")
    text = deck.log.read_text()
    assert f"path=/{both}/attach status=200" in text
    assert "canary-of-a-query" not in text


def test_a_key_of_the_attach_address_is_the_uuid(deck: Server, both: str) -> None:
    assert ask(deck.port, "GET", f"/{both[:8]}/attach").status == 404
    found = json.loads(ask(deck.port, "GET", f"/v1/jobs/{both[:8]}").body)
    assert found["id"] == both
