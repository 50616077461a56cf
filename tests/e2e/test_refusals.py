"""What is wrong is told in clear words, changes nothing, and the server goes on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.program import JOBDECK, Server, server
from tests.e2e.wire import Answer, ask, jobs_count, parse, request, talk

GOOD = b'{"CommandLine":"true"}'


@pytest.fixture(autouse=True)
def _nothing_changes(deck: Server) -> Iterator[None]:
    """After each refusal the server has no more jobs than before, answers, and has logged no bug."""
    before = jobs_count(deck.port)
    yield
    assert jobs_count(deck.port) == before
    log = deck.log.read_text()
    assert "Traceback" not in log
    assert " error " not in log


def post(deck: Server, path: str, body: object, **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ask(deck.port, "POST", path, data, headers)


def problem(answer: Answer, status: int, detail: str, field: str | None = None) -> None:
    """The native API's errors (RFC 9457)."""
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    told = json.loads(answer.body)
    assert (told["type"], told["status"], told["detail"], told.get("field")) == ("about:blank", status, detail, field)


# -- jobs that do not exist --


@pytest.mark.parametrize("path", ["", "/output"])
@pytest.mark.parametrize("job_id", ["00000000-0000-4000-8000-000000000000", "nope", "deadbeef", "%00", "%ff"])
def test_unknown_jobs(deck: Server, job_id: str, path: str) -> None:
    answer = ask(deck.port, "GET", f"/v1/jobs/{job_id}{path}")
    if job_id == "%ff":
        problem(answer, 400, "The path is not UTF-8.")
    else:
        name = job_id.replace("%00", "\0")
        problem(answer, 404, f"Job {name} not found.")


@pytest.mark.parametrize(("path", "body"), [("/stop", b""), ("/signal", b'{"signal":15}')])
def test_unknown_jobs_cannot_be_stopped(deck: Server, path: str, body: bytes) -> None:
    problem(post(deck, f"/v1/jobs/nope{path}", body), 404, "Job nope not found.")
    problem(ask(deck.port, "DELETE", "/v1/jobs/nope"), 404, "Job nope not found.")


# -- bodies --


@pytest.mark.parametrize(
    ("body", "detail", "field"),
    [
        (b"", "EOF", None),
        (b"{}", "A command needs either a command line or a list of arguments.", "command"),
        (b"[]", "The body must be a JSON object.", None),
        (b'{"command":"true"} trailing', "invalid JSON: something follows the value", None),
        ({"command": ""}, "The command is empty.", "command"),
        ({"command": 5}, "command must be a string.", "command"),
        (
            {"command": "true", "argv": ["true"]},
            "A command needs either a command line or a list of arguments.",
            "command",
        ),
        ({"argv": []}, "The list of arguments is empty.", "argv"),
        ({"argv": [""]}, "The list of arguments is empty.", "argv"),
        ({"argv": ["echo", 5]}, "argv must be a list of strings.", "argv"),
        ({"argv": "echo"}, "argv must be a list.", "argv"),
        ({"argv": ["echo", "a\0b"]}, "A NUL character stands in argv.", "argv"),
        ({"command": "a\0b"}, "A NUL character stands in command.", "command"),
        ({"command": "true", "env": {"A": "x\0y"}}, "A NUL character stands in env.", "env"),
        ({"command": "true", "env": {"A": 5}}, "env must be an object of strings.", "env"),
        ({"command": "true", "env": ["A=5"]}, "env must be an object.", "env"),
        ({"command": "true", "env": {"A=B": "x"}}, "'A=B' is no name for an environment variable.", "env"),
        ({"command": "true", "cwd": "/no/such"}, "Working directory /no/such does not exist.", "cwd"),
        ({"command": "true", "cwd": "relative"}, "A working directory must be an absolute path.", "cwd"),
        ({"command": "true", "cwd": "/tmp\0"}, "A NUL character stands in cwd.", "cwd"),
        ({"command": "true", "colour": "red"}, "The body has a field that is not known: 'colour'.", "colour"),
        ({"command": "true", "time_limit_s": 0}, "time_limit_s must be greater than 0.", "time_limit_s"),
        ({"command": "true", "time_limit_s": -1}, "time_limit_s must be from 0 to 3.16224e+07.", "time_limit_s"),
        ({"command": "true", "time_limit_s": "1"}, "time_limit_s must be a number of seconds.", "time_limit_s"),
        (b'{"command":"true","linger_s":1e999}', "linger_s must be from 0 to 3.16224e+07.", "linger_s"),
        ({"command": "true", "labels": ["a", "a"]}, "A label stands twice.", "labels"),
        ({"command": "true", "labels": ["a\n"]}, "A label must be printable and not empty.", "labels"),
        ({"command": "true", "stdin": "yes"}, "stdin must be true or false.", "stdin"),
        ({"command": "true", "on_limit": "explode"}, "on_limit must be drop or stop.", "on_limit"),
        ({"steps": []}, "A job needs at least one command.", "steps"),
        ({"steps": [{}]}, "A command needs either a command line or a list of arguments.", "command"),
        ({"steps": ["true"]}, "A step must be a JSON object.", None),
        ({"steps": [{"command": "true"}], "command": "true"}, "Give one of command, argv and steps.", "steps"),
        (b'{"command":"\\ud800"}', "command cannot be encoded: surrogates not allowed.", "command"),
    ],
)
def test_bodies_that_make_no_sense(deck: Server, body: object, detail: str, field: str | None) -> None:
    problem(post(deck, "/v1/jobs", body), 400, detail, field)


@pytest.mark.parametrize(
    "body", [b"not json", b'{"command":', b"\xff", b'{"command":"true",}', b"{'command':1}", b"[" * 90_000]
)
def test_bodies_that_are_no_json(deck: Server, body: bytes) -> None:
    answer = post(deck, "/v1/jobs", body)
    assert answer.status == 400
    assert json.loads(answer.body)["detail"].startswith("invalid JSON")


def test_a_huge_body_is_refused_before_it_is_sent(deck: Server) -> None:
    head = request("POST", "/v1/jobs", headers={"Content-Length": str(1 << 40), "Expect": "100-continue"})
    answer = parse(talk(deck.port, head))
    problem(answer, 413, "The body is over the limit of 4194304 bytes.")


def test_a_huge_chunked_body_is_refused_while_it_is_sent(deck: Server) -> None:
    chunk = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    head = request("POST", "/", headers={"Transfer-Encoding": "chunked"})
    answer = parse(talk(deck.port, head + chunk * 8))
    assert (answer.status, answer.text) == (413, "The body is over the limit of 4194304 bytes.\n")


def test_bodies_at_the_limit(deck: Server) -> None:
    """One byte over is refused as too large, the limit itself is read (and is no job here)."""
    for size, status in ((4194304, 400), (4194305, 413)):
        assert post(deck, "/", b'{"Unknown":"' + b"x" * (size - 14) + b'"}').status == status


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "x-unknown"])
def test_compressed_bodies_are_refused(deck: Server, coding: str) -> None:
    answer = ask(deck.port, "POST", "/", b"\x1f\x8b\x08\0", {"Content-Encoding": coding})
    assert (answer.status, answer.text) == (415, "A request body in a Content-Encoding is not accepted.\n")


# -- heads --


def test_a_huge_header(deck: Server) -> None:
    answer = ask(deck.port, "GET", "/", headers={"X-Big": "x" * 20_000})
    assert (answer.status, answer.text) == (431, "The request head is over the limit of 16384 bytes.\n")
    answer = ask(deck.port, "GET", "/v1/jobs", headers={"X-Big": "x" * 20_000})
    problem(answer, 431, "The request head is over the limit of 16384 bytes.")


def test_head_limits_to_the_byte(deck: Server) -> None:
    plain = len(request("GET", "/", headers={"X": ""}))
    for size, status in ((16384, 200), (16385, 431)):
        assert ask(deck.port, "GET", "/", headers={"X": "x" * (size - plain)}).status == status
    for count, status in ((100, 200), (101, 431)):  # Host and Connection among them
        assert ask(deck.port, "GET", "/", headers={f"X{n}": "" for n in range(count - 2)}).status == status
    for size, status in ((8192, 404), (8193, 414)):
        assert ask(deck.port, "GET", "/" + "x" * (size - 8) + "/attach"[:7]).status == status


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 22\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 22\r\nContent-Length: 22\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 22\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 22, 22\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: +22\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\nContent-Length: 22\r\n\r\n",
        b"POST / HTTP/1.1\nHost: localhost\nContent-Length: 22\n\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\nContent-Length: 22\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost : localhost\r\nContent-Length: 22\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n16\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\nContent-Length: 22\r\n\r\n",
        b"POST / HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n16\r\n",
        b"POST / HTTP/2.0\r\nHost: localhost\r\nContent-Length: 22\r\n\r\n",
        b"POST  / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 22\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 22\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nContent-Length: 22\r\n\r\n",
        b"POST /\x00 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 22\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_requests_that_can_be_read_in_two_ways_start_nothing(deck: Server, head: bytes) -> None:
    """Each is followed by what would be a job, as its body or as a request of its own (threat 12)."""
    raw = talk(deck.port, head + GOOD + request("POST", "/", GOOD))
    answer = parse(raw)
    assert 400 <= answer.status < 600
    assert answer.headers.get("connection") == "close"
    assert raw.count(b"HTTP/1.1 ") == 1, "what follows was taken for a request"


def test_a_connection_that_is_cut_in_the_middle_of_a_request(deck: Server) -> None:
    whole = request("POST", "/", GOOD)
    for length in (1, 10, len(whole) // 2, len(whole) - 1):
        with socket.create_connection(("127.0.0.1", deck.port), 10) as sock:
            sock.sendall(whole[:length])
        with socket.create_connection(("127.0.0.1", deck.port), 10) as sock:
            sock.sendall(whole[:length])
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(4096):
                pass


# -- what cannot be run --


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"argv": ["/no/such/program"]}, "No such file or directory"),
        ({"argv": ["no-such-program-anywhere"]}, "command not found: no-such-program-anywhere"),
        ({"argv": ["/etc/passwd"]}, "Permission denied"),
        ({"argv": ["/tmp"]}, "Permission denied"),
    ],
)
def test_a_program_that_cannot_be_started(deck: Server, body: object, words: str) -> None:
    """The job was accepted and has failed; its record says why. (It is removed, so that nothing has changed.)"""
    job_id = json.loads(post(deck, "/v1/jobs", body).body)["id"]
    job = deck.wait(job_id)
    assert (job["state"], job["exit_code"], job["signal"]) == ("failed", None, None)
    assert words in job["error"]
    removed(deck, job_id)


def test_a_command_that_does_not_exist(deck: Server) -> None:
    """The shell's own words and code."""
    job_id = deck.submit("no-such-command-anywhere")
    assert deck.attach(job_id) == b"bash: line 1: no-such-command-anywhere: command not found\n"
    assert deck.wait(job_id)["exit_code"] == 127
    removed(deck, job_id)


def removed(deck: Server, job_id: str) -> None:
    assert ask(deck.port, "DELETE", f"/v1/jobs/{job_id}").status == 204


def test_a_running_job_is_not_removed(deck: Server) -> None:
    job_id = deck.submit("sleep 20")
    problem(ask(deck.port, "DELETE", f"/v1/jobs/{job_id}"), 409, f"Job {job_id} has not ended.")
    problem(post(deck, f"/v1/jobs/{job_id}/signal", {"signal": "NOPE"}), 400, "There is no signal 'NOPE'.", "signal")
    problem(post(deck, f"/v1/jobs/{job_id}/stop", {"signal": 999}), 400, "There is no signal 999.", "signal")
    problem(
        post(deck, f"/v1/jobs/{job_id}/stop", {"grace": 1}),
        400,
        "The body has a field that is not known: 'grace'.",
        "grace",
    )
    assert deck.job(job_id)["state"] in ("starting", "running")
    ask(deck.port, "DELETE", f"/{job_id}")
    deck.wait(job_id)
    problem(post(deck, f"/v1/jobs/{job_id}/signal", {"signal": 9}), 409, f"Job {job_id} is not running.")
    removed(deck, job_id)


def test_an_ended_job_can_be_removed_as_soon_as_it_is_seen(deck: Server) -> None:
    """Whoever was told that it has ended is not told that it has not."""
    for _ in range(20):
        job_id = deck.submit("true")
        deck.wait(job_id)
        removed(deck, job_id)


# -- servers that do not start --


def refused(*words: str, env: dict[str, str] | None = None) -> str:
    """What a server says that does not start."""
    done = subprocess.run([*JOBDECK, "serve", *words], capture_output=True, text=True, timeout=20, check=False, env=env)
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_second_server_on_the_same_directory(deck: Server) -> None:
    said = refused("--data-dir", str(deck.data_dir), "--listen", "127.0.0.1:0")
    assert deck.process is not None
    assert said.strip() == f"jobdeck: another server (process {deck.process.pid}) holds {deck.data_dir}"
    assert json.loads((deck.data_dir / "server.json").read_text())["pid"] == deck.process.pid


@pytest.mark.slow
def test_a_port_in_use(deck: Server, tmp_path: Path) -> None:
    said = refused("--data-dir", str(tmp_path / "data"), "--listen", f"127.0.0.1:{deck.port}")
    assert said == f"jobdeck: cannot listen on 127.0.0.1:{deck.port}: Address already in use\n"
    assert not (tmp_path / "data" / "server.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
def test_an_open_bind_without_a_token(tmp_path: Path, host: str) -> None:
    """Asked for by a flag or by jobrunner's own variables."""
    data_dir = str(tmp_path / "data")
    env = {**os.environ, "JOBRUNNER_PORT": "0", "JOBRUNNER_HOSTNAME": host}
    for said in (refused("--data-dir", data_dir, "--listen", f"{host}:0"), refused("--data-dir", data_dir, env=env)):
        assert "would let others run commands here. Make a token first (jobdeck token create)" in said
    assert not (tmp_path / "data" / "jobdeck.sqlite3").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--listen", "nonsense:port"), "--listen: "),
        (("--listen", "127.0.0.1:99999"), "--listen: "),
        (("--running-limit", "none"), "--running-limit: "),
        (("--retain-age", "soon"), "--retain-age: "),
        (("--output-limit", "much"), "--output-limit: "),
        (("--config", "/no/such/file"), "/no/such/file: No such file or directory"),
        (("--data-dir", "/proc/nothing"), "cannot use /proc/nothing as data directory"),
        (("--no-such-flag",), "No such option"),
    ],
)
@pytest.mark.slow
def test_settings_that_make_no_sense(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    more = () if "--data-dir" in words else ("--data-dir", str(tmp_path / "data"))
    assert said in refused(*words, *more)


# -- disk full --


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", folder], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def until(condition: Callable[[], object], limit_s: float = 15.0) -> None:
    limit = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.05)


@pytest.mark.slow
def test_a_full_disk_loses_nothing(small_disk: Path) -> None:
    """The job waits, says so, and goes on to its exact end when there is space again; new jobs are refused clearly."""
    with server(small_disk / "data") as running:
        other = running.submit("while :; do sleep 0.1; done")
        filler = small_disk / "filler"
        filler.write_bytes(bytes(shutil.disk_usage(small_disk).free - (6 << 20)))
        job_id = running.submit("seq 1 2000000; exit 3")  # 14.9 MB
        until(lambda: running.job(job_id)["note"] == "waiting for disk space")
        assert running.job(job_id)["state"] == "running"
        answer = ask(running.port, "POST", "/", GOOD)
        assert answer.status in (200, 507), answer.text
        if answer.status == 507:
            assert "disk is full" in answer.text
        part = running.attach(job_id, "?follow=false")
        filler.unlink()
        job = running.wait(job_id)
        assert (job["state"], job["exit_code"], job["note"]) == ("failed", 3, None)
        output = running.attach(job_id)
        expected = subprocess.run(["seq", "1", "2000000"], capture_output=True, check=True).stdout
        assert hashlib.sha256(output).digest() == hashlib.sha256(expected).digest()
        assert output.startswith(part)
        assert running.job(other)["state"] == "running"
        assert running.wait(running.submit("exit 4"))["exit_code"] == 4
        assert "Traceback" not in running.log.read_text()
