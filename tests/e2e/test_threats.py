"""What can be done to a job server, done to it, with a canary: something that must not happen and would be seen.

Threats that need a web page, a hostile client or a hostile job. What one part defends alone (spellings of Host, frames,
sequences for terminals, reuse of process numbers) is tested beside that part.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.program import JOBDECK, Server, server
from tests.e2e.wire import Answer, ask, jobs_count, parse, request, talk, tell

KINDS = (
    "application/json",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/octet-stream",
    "text/xml",
    "application/csp-report",
    "",
)
PATHS = {"/": b'{"CommandLine":"true"}', "/v1/jobs": b'{"command":"true"}'}
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


def handshake(port: int, path: str, host: str | None = "localhost", **more: str) -> Answer:
    """The answer to a WebSocket handshake, read no further than its head where it was taken."""
    lines = {**HANDSHAKE, **{name.replace("_", "-"): value for name, value in more.items()}}
    wanted = request("GET", path, headers=lines, host=host).replace(b"Connection: close\r\n", b"")
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.sendall(wanted)
        text = b""
        while b"\r\n\r\n" not in text:
            data = sock.recv(4096)
            assert data, text
            text += data
    return parse(text.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")


# -- 1 to 3: web pages --


@pytest.mark.parametrize("path", PATHS)
def test_01_a_web_page_starts_no_job(deck: Server, path: str) -> None:
    """Every content type, from no page, a sandboxed one, a foreign one, and our own."""
    own = f"http://localhost:{deck.port}"
    foreign = (
        "null",
        "http://evil.example",
        f"http://localhost:{deck.port + 1}",
        f"https://evil.example:{deck.port}",
        "",
    )
    before = jobs_count(deck.port)
    for kind in KINDS:
        for origin in foreign:
            answer = ask(deck.port, "POST", path, PATHS[path], {"Content-Type": kind, "Origin": origin})
            assert answer.status == 403
            assert "This Origin is not allowed" in answer.text
            assert "access-control-allow-origin" not in answer.headers
        for site in ("cross-site", "same-site"):
            answer = ask(deck.port, "POST", path, PATHS[path], {"Content-Type": kind, "Sec-Fetch-Site": site})
            assert (answer.status, "Sec-Fetch-Site" in answer.text) == (403, True)
    assert jobs_count(deck.port) == before
    for kind in KINDS:
        assert ask(deck.port, "POST", path, PATHS[path], {"Content-Type": kind}).status in (200, 201)
        headers = {"Content-Type": kind, "Origin": own, "Sec-Fetch-Site": "same-origin"}
        status = ask(deck.port, "POST", path, PATHS[path], headers, host=f"localhost:{deck.port}").status
        assert status in (200, 201)
    assert jobs_count(deck.port) == before + 2 * len(KINDS)


@pytest.mark.parametrize("path", ["/", "/v1/jobs", "/v1/info", "/healthz", "/openapi.json", "/nope/attach"])
def test_01_a_web_page_reads_nothing(deck: Server, path: str) -> None:
    answer = ask(deck.port, "GET", path, headers={"Origin": "http://evil.example"})
    assert answer.status == 403
    answer = ask(
        deck.port, "OPTIONS", path, headers={"Origin": "http://e.example", "Access-Control-Request-Method": "PUT"}
    )
    assert answer.status == 403


HOSTS = (
    "evil.example",
    "localhost.evil.example",
    "localhost.",
    "127.0.0.1.",
    "127.0.0.1.nip.io",
    "127.1",
    "2130706433",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "[::ffff:127.0.0.1]",
    "[::]",
    "0.0.0.0",
    "user@localhost",
    "localhost:1",
    "localhost:0",
    "localhost:99999",
    "localhost:{port}@evil.example",
    "localhost:{port}:80",
    "evil.example:{port}",
    "localhost/",
    "localhost, evil.example",
    "",
    "*",
    "\u217cocalhost",
)


@pytest.mark.parametrize("host", HOSTS)
def test_02_a_foreign_host_is_refused(deck: Server, host: str) -> None:
    """DNS rebinding: the page's own name points here."""
    named = host.format(port=deck.port)
    for path in ("/", "/v1/info"):
        answer = ask(deck.port, "GET", path, host=named)
        assert answer.status in (400, 403), answer
        if answer.status == 403:
            assert "This Host is not allowed; a server allows others with --allow-host." in answer.text
    assert handshake(deck.port, "/v1/events", named).status in (400, 403)


def test_02_hosts_that_are_ours(deck: Server) -> None:
    for host in (
        "localhost",
        "LOCALHOST",
        f"localhost:{deck.port}",
        "127.0.0.1",
        f"127.0.0.1:{deck.port}",
        "[::1]",
        "127.8.8.8",
    ):
        assert ask(deck.port, "GET", "/", host=host).status == 200


def test_02_an_absolute_target_is_a_host_too(deck: Server) -> None:
    raw = talk(deck.port, b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert parse(raw).status == 403
    raw = talk(deck.port, b"GET http://localhost/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    assert parse(raw).status == 403


def test_03_a_web_page_opens_no_websocket(deck: Server) -> None:
    job_id = deck.submit("sleep 20")
    for path in (f"/{job_id}/attach", "/v1/events"):
        for origin in ("null", "http://evil.example", f"http://localhost:{deck.port + 1}", "file://"):
            assert handshake(deck.port, path, Origin=origin).status == 403
        assert handshake(deck.port, path, Sec_Fetch_Site="cross-site").status == 403
        assert handshake(deck.port, path).status == 101
        own = f"http://localhost:{deck.port}"
        assert handshake(deck.port, path, f"localhost:{deck.port}", Origin=own).status == 101
    ask(deck.port, "DELETE", f"/{job_id}")


# -- 4 and 5: tokens --


def token(data_dir: Path, role: str) -> str:
    made = subprocess.run(
        [*JOBDECK, "token", "create", "--role", role, "--data-dir", str(data_dir)],
        check=True,
        capture_output=True,
        text=True,
        timeout=20,
    )
    return made.stdout.strip()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    """A server that is open to others and so needs tokens, and one token of each role. Its log is in JSON."""
    data_dir = tmp_path_factory.mktemp("guarded") / "data"
    tokens = {role: token(data_dir, role) for role in ("view", "run", "admin", "worker")}
    env = {**os.environ, "JOBDECK_CANARY": "canary-of-the-server", "AWS_SECRET": "canary-of-the-server"}
    with server(data_dir, "--listen", "0.0.0.0:0", "--log-format", "json", env=env) as running:
        yield running, tokens


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_04_an_open_server_needs_a_token(guarded: tuple[Server, dict[str, str]]) -> None:
    running, tokens = guarded
    for headers in ({}, bearer("jd_wrong"), bearer(""), {"x-api-token": "jd_wrong"}, {"Authorization": "Basic Ojo="}):
        for method, path in (("GET", "/"), ("POST", "/"), ("DELETE", "/x"), ("GET", "/x/attach"), ("GET", "/v1/jobs")):
            answer = ask(running.port, method, path, headers=headers)
            assert answer.status == 401
            assert "Bearer" in answer.headers["www-authenticate"] or "Basic" in answer.headers["www-authenticate"]
            assert ("A token is needed." if not headers else "This token is not known.") in answer.text
    assert handshake(running.port, "/v1/events").status == 401
    assert handshake(running.port, "/v1/events", Authorization=f"Bearer {tokens['view']}").status == 101
    assert ask(running.port, "GET", "/healthz").body == b'{"status":"SUCCESS"}'
    for headers in (bearer(tokens["view"]), {"x-api-token": tokens["view"]}):
        assert ask(running.port, "GET", "/", headers=headers).status == 200


@pytest.mark.parametrize(
    ("role", "allowed"),
    [("view", (200, 403, 403)), ("run", (200, 200, 200)), ("admin", (200, 200, 200)), ("worker", (403,) * 3)],
)
def test_04_a_role_allows_what_it_says(
    guarded: tuple[Server, dict[str, str]], role: str, allowed: tuple[int, ...]
) -> None:
    running, tokens = guarded
    headers = bearer(tokens[role])
    told = [
        ask(running.port, "GET", "/", headers=headers),
        ask(running.port, "POST", "/", b'{"CommandLine":"true"}', headers),
        ask(running.port, "DELETE", "/nope", headers=headers),
    ]
    assert tuple(answer.status for answer in told) == allowed
    assert all("does not allow this" in answer.text for answer in told if answer.status == 403)


def test_04_a_method_named_in_the_query_needs_the_role_of_that_method(guarded: tuple[Server, dict[str, str]]) -> None:
    """Where a path knows such a thing at all."""
    running, tokens = guarded

    def asked(role: str, path: str) -> int:
        return ask(running.port, "GET", path, headers=bearer(tokens[role])).status

    for path, found in (("/binaries/nope?_method=DELETE", 404), ("/jobs?_method=post", 400)):
        assert [asked(role, path) for role in ("view", "run", "worker")] == [403, found, 403]
    assert [asked("view", path) for path in ("/?_method=POST", "/v1/jobs?_method=POST")] == [200, 200]


@pytest.mark.slow
def test_04_who_says_so_may_do_without_and_is_warned(tmp_path: Path) -> None:
    with server(tmp_path / "data", "--listen", "0.0.0.0:0", "--insecure-no-auth") as running:
        assert ask(running.port, "GET", "/").status == 200
        assert "NO TOKEN IS NEEDED: everybody who reaches this port can run anything" in running.log.read_text()


def test_05_a_token_is_nowhere(guarded: tuple[Server, dict[str, str]]) -> None:
    """Not in a command line, a job's environment, a log, an answer or a file of the data directory."""
    running, tokens = guarded
    secret = tokens["run"]
    body = json.dumps({"command": "tr '\\0' '\\n' </proc/self/environ; cat /proc/$PPID/cmdline; sleep 20"}).encode()
    answers = [ask(running.port, "POST", "/v1/jobs", body, bearer(secret))]
    job_id = json.loads(answers[0].body)["id"]
    paths = ("/", f"/v1/jobs/{job_id}", "/v1/jobs", "/v1/info", f"/nope?token={secret}", f"/nope/attach?token={secret}")
    answers += [ask(running.port, "GET", path, headers=bearer(secret)) for path in paths]
    time.sleep(0.2)
    answers.append(ask(running.port, "GET", f"/{job_id}/attach?follow=false", headers=bearer(secret)))
    places = {f"answer {n}": answer.head + answer.body for n, answer in enumerate(answers)}
    places["log"] = running.log.read_bytes()
    places |= {str(path): path.read_bytes() for path in running.data_dir.rglob("*") if path.is_file()}
    own = {os.getpid()}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) not in own:
            for name in ("cmdline", "environ"):
                try:
                    places[f"{entry}/{name}"] = (entry / name).read_bytes()
                except OSError:
                    continue
    ask(running.port, "DELETE", f"/{job_id}", headers=bearer(secret))
    assert [place for place, data in places.items() if secret.encode() in data] == []
    assert len(places) > 20
    assert (running.data_dir / "tokens.json").stat().st_mode & 0o777 == 0o600
    assert running.data_dir.stat().st_mode & 0o777 == 0o700


# -- 24: the server's environment --


def test_24_the_server_environment_reaches_no_job(guarded: tuple[Server, dict[str, str]]) -> None:
    running, tokens = guarded
    script = "env; for p in $$ $PPID; do tr '\\0' '\\n' </proc/$p/environ; done"
    for path, body in (("/", {"CommandLine": script}), ("/v1/jobs", {"argv": ["bash", "-c", script]})):
        answer = ask(running.port, "POST", path, json.dumps(body).encode(), bearer(tokens["run"]))
        told = json.loads(answer.body)
        output = ask(running.port, "GET", f"/{told.get('ID') or told['id']}/attach", headers=bearer(tokens["run"])).text
        assert "PATH=" in output
        assert "canary" not in output
        assert "HOME=" not in output


# -- 17: the log --


@pytest.mark.slow
def test_17_a_line_of_the_log_is_a_line(guarded: tuple[Server, dict[str, str]]) -> None:
    """Whatever is asked for, each event is one line of JSON without a control character."""
    running, tokens = guarded
    before = len(running.log.read_bytes().split(b"\n"))
    names = [f"/%{code:02X}{{%22level%22:%22error%22}}%0A%0D%1B[2J%C2%9B2J" for code in range(32)]
    for name in names:
        ask(running.port, "GET", name + "/attach", headers={**bearer(tokens["view"]), "User-Agent": "\x1b[31m"[1:]})
    time.sleep(0.1)
    data = running.log.read_bytes()
    lines = data.decode("ascii").split("\n")
    assert len(lines) == before + len(names)
    assert all(line.isprintable() and "event" in json.loads(line) for line in lines[before - 1 : -1])
    assert "[2J" not in data.decode() or "\x1b" not in data.decode()


# -- 11: slow clients --


@pytest.mark.slow
def test_11_slow_clients_hold_nobody_up(tmp_path: Path) -> None:
    """300 that stop in their head, in their body or before both: a job runs beside them, and they are gone in time."""
    config = tmp_path / "config.toml"
    config.write_text("[limits]\nhead_timeout_s = 1.0\nbody_grace_s = 1.0\nidle_timeout_s = 1.0\n")
    with server(tmp_path / "data", "--config", str(config)) as running:
        starts = (
            b"GET / HTTP/1.1\r\nHost: loc",
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
            b"",
        )
        slow = [socket.create_connection(("127.0.0.1", running.port), 10) for _ in range(300)]
        for number, sock in enumerate(slow):
            sock.sendall(starts[number % 3])
        begin = time.monotonic()
        assert running.attach(running.submit("echo quick")) == b"quick\n"
        assert time.monotonic() - begin < 1
        for sock in slow:
            sock.settimeout(max(0.1, begin + 10 - time.monotonic()))
            while sock.recv(4096):
                pass
            sock.close()
        tell(f"300 slow clients were gone after {time.monotonic() - begin:.1f} s")
        assert running.ask("GET", "/healthz")[0] == 200
