"""`ls`, `show`, `attach` and `stop`, as a user and as a program see them."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import httpx
import pytest

from .conftest import Jobdeck, Server, Terminal, wait_until

SLEEPER = "echo ready; sleep 60"


def submit(server: Server, command: str, **more: object) -> str:
    """A job by the native API; its id."""
    answer = httpx.post(server.url + "/v1/jobs", json={"command": command, **more}, trust_env=False)
    assert answer.status_code == 201, answer.text
    job_id: str = answer.json()["id"]
    return job_id


def state(server: Server, job_id: str) -> str:
    found: str = httpx.get(f"{server.url}/v1/jobs/{job_id}", trust_env=False).json()["state"]
    return found


def wait_ended(server: Server, job_id: str) -> None:
    httpx.get(f"{server.url}/{job_id}/attach", trust_env=False, timeout=30)
    wait_until(lambda: state(server, job_id) not in ("queued", "starting", "running"))


def test_ls(server: Server, jobdeck: Jobdeck) -> None:
    ended = submit(server, "exit 3", labels=["ls-test"])
    wait_ended(server, ended)
    running = submit(server, "sleep 60 # \x1b[2J\u202e", labels=["ls-test"])
    wait_until(lambda: state(server, running) == "running")

    done = jobdeck("ls", "--label", "ls-test")
    head, line = done.stdout.decode().splitlines()
    assert (head.split()[:3], line.split()[:2]) == (["ID", "STATE", "END"], [running[:8], "running"])
    assert line.endswith("sleep 60 # ␛[2J<U+202E>")
    assert (done.stderr, done.returncode) == (b"", 0)

    done = jobdeck("ls", "-a", "--label", "ls-test")
    lines = done.stdout.decode().splitlines()
    assert [line.split()[0] for line in lines[1:]] == [running[:8], ended[:8]]  # the newest first
    assert lines[2].split()[1:3] == ["failed", "3"]

    done = jobdeck("ls", "-a", "--json", "--label", "ls-test", "--limit", "1")
    (record,) = map(json.loads, done.stdout.splitlines())
    assert record["id"] == running

    done = jobdeck("ls", "--state", "failed", "--text", "ls-test")
    assert [line.split()[0] for line in done.stdout.decode().splitlines()[1:]] == [ended[:8]]
    jobdeck("stop", "--kill", running)

    done = jobdeck("ls", "--label", "ls-test")
    assert (done.stdout, done.returncode) == (b"", 0)
    assert b"nothing runs or waits" in done.stderr


def test_ls_fits_its_terminal(server: Server) -> None:
    job_id = submit(server, "true " + "x" * 200)
    wait_ended(server, job_id)
    terminal = Terminal(server, "ls", "--all", "--limit", "3")
    assert terminal.end() == 0
    lines = terminal.lines()
    assert len(lines) <= 4
    assert lines[1].startswith(job_id[:8])
    assert lines[1].endswith("…")
    assert terminal.screen.buffer[1][10].fg == "green"
    assert re.fullmatch(rb"(\x1b\[[0-9;]*m|[^\x1b])*", terminal.got)


def test_show(server: Server, jobdeck: Jobdeck) -> None:
    job_id = submit(server, "echo hi; exit 3", cwd="/usr", env={"A": "secret-value"})
    wait_ended(server, job_id)
    done = jobdeck("show", job_id[:8])
    lines = done.stdout.decode().splitlines()
    assert f"id        {job_id}" in lines
    assert "state     failed, exit code 3" in lines
    assert "folder    /usr" in lines
    assert "output    3 B" in lines
    assert "secret-value" not in done.stdout.decode()
    record = json.loads(jobdeck("show", "--json", job_id).stdout)
    assert (record["id"], record["exit_code"]) == (job_id, 3)


@pytest.mark.parametrize("command", ["show", "attach", "stop"])
def test_an_unknown_job(jobdeck: Jobdeck, command: str) -> None:
    done = jobdeck(command, "ffffffff")
    assert done.returncode == (125 if command == "attach" else 1)
    assert (done.stdout, done.stderr) == (b"", b"jobdeck: Job ffffffff not found.\n")


@pytest.mark.parametrize("command", [["ls"], ["show", "x"], ["stop", "x"]])
def test_no_server(jobdeck: Jobdeck, command: list[str]) -> None:
    done = jobdeck(*command, "--server", "http://127.0.0.1:1")
    assert done.returncode == 3
    assert b"No server answers at http://127.0.0.1:1" in done.stderr
    assert b"jobdeck serve" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["stop"],
        ["stop", "--all", "x"],
        ["stop", "--data-dir", "/", "x"],
        ["stop", "--kill", "--signal", "INT", "x"],
        ["stop", "--signal", "NOPE", "x"],
        ["ls", "--limit", "0"],
        ["ls", "--state", "dead"],
        ["attach"],
        ["attach", "--stream", "stdin", "x"],
        ["ls", "--server", "http://user:password@host/"],
    ],
)
def test_wrong_usage(jobdeck: Jobdeck, arguments: list[str]) -> None:
    done = jobdeck(*arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"password@" not in done.stderr


def test_attach_after_the_end(server: Server, jobdeck: Jobdeck) -> None:
    job_id = submit(server, "echo out; echo err >&2; printf '\\377\\033[2J'; exit 4")
    done = jobdeck("attach", job_id[:8])
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n\xff\x1b[2J", b"err\n", 4)
    assert jobdeck("attach", job_id, "--offset", "4").stdout == b"\xff\x1b[2J"
    assert jobdeck("attach", job_id, "--offset", "-4").stdout == b"\x1b[2J"
    assert jobdeck("attach", job_id, "--stream", "stderr").stdout == b"err\n"
    done = jobdeck("attach", job_id, "--no-follow")
    assert (done.stdout, done.returncode) == (b"out\n\xff\x1b[2J", 0)
    done = jobdeck("attach", job_id, "--offset", "1000")
    assert done.returncode == 125
    assert b"beyond the end" in done.stderr
    *_, last = map(json.loads, jobdeck("attach", job_id, "--json").stdout.splitlines())
    assert (last["event"], last["job"]["exit_code"]) == ("end", 4)


def test_attach_to_a_job_of_another_api(server: Server, jobdeck: Jobdeck) -> None:
    answer = httpx.post(server.url, json={"CommandLine": "echo from jobrunner; kill -9 $$"}, trust_env=False)
    done = jobdeck("attach", answer.json()["ID"])
    assert (done.stdout, done.returncode) == (b"from jobrunner\n", 137)


@pytest.mark.slow
def test_attach_live_in_a_terminal_and_ctrl_c_leaves_the_job_alone(server: Server, jobdeck: Jobdeck) -> None:
    job_id = submit(server, "printf '\\033]52;c;AA\\007'; " + SLEEPER)
    terminal = Terminal(server, "attach", job_id)
    terminal.wait_for("␛]52;c;AA␇ready")
    terminal.type(b"\x03")
    assert terminal.end() == 130
    assert state(server, job_id) == "running"

    terminal = Terminal(server, "attach", "--raw", "--no-follow", job_id)
    assert terminal.end() == 0
    assert b"\x1b]52;c;AA\x07ready" in terminal.got

    done = jobdeck("stop", job_id)
    assert (done.stdout.decode(), done.returncode) == (f"{job_id}  stopped, SIGTERM\n", 0)


def test_stop_ends_all_that_are_named(server: Server, jobdeck: Jobdeck) -> None:
    first, second = (submit(server, "trap '' INT; " + SLEEPER, grace_s=0.2) for _ in range(2))
    done = jobdeck("stop", first[:8], "ffffffff", second, "--signal", "INT")
    assert done.returncode == 1
    assert done.stdout.decode() == f"{first}  stopped, SIGKILL\n{second}  stopped, SIGKILL\n"
    assert b"Job ffffffff not found." in done.stderr
    again = jobdeck("stop", first, "--json")
    assert (json.loads(again.stdout)["signal"], again.returncode) == (signal.SIGKILL, 0)


def test_stop_need_not_wait(server: Server, jobdeck: Jobdeck) -> None:
    job_id = submit(server, "trap '' TERM; " + SLEEPER)
    wait_until(lambda: state(server, job_id) == "running")
    done = jobdeck("stop", job_id, "--no-wait")
    assert done.stdout.decode() == f"{job_id}  running, being stopped\n"
    assert jobdeck("stop", job_id, "--kill").returncode == 0


@pytest.mark.slow
def test_stop_all_without_a_server(own_server: Server) -> None:
    job_id = submit(own_server, SLEEPER)
    wait_until(lambda: state(own_server, job_id) == "running")
    own_server.kill()
    done = own_server.jobdeck("stop", "--all")
    assert (done.stdout.decode(), done.returncode) == (f"{job_id}  ended by SIGTERM\n", 0)
    own_server.start()
    assert state(own_server, job_id) == "stopped"


@pytest.mark.slow
def test_with_a_token(own_server: Server, tmp_path: Path) -> None:
    own_server.kill()
    own_server.environ["JOBDECK_REQUIRE_TOKEN"] = "1"
    own_server.start()
    done = own_server.jobdeck("ls")
    assert done.returncode == 1
    assert b"token" in done.stderr

    path = tmp_path / "secret"
    assert own_server.jobdeck("token", "create", "--role", "run", "--output", str(path)).returncode == 0
    done = own_server.jobdeck("run", "env", JOBDECK_TOKEN_FILE=str(path))
    assert done.returncode == 0
    secret = path.read_bytes().strip()
    assert secret not in done.stdout
    assert secret not in (own_server.data / "log").read_bytes()
    path.write_text("jd_wrong")
    done = own_server.jobdeck("run", "--token-file", str(path), "true")
    assert done.returncode == 125
    assert b"jd_wrong" not in done.stderr
