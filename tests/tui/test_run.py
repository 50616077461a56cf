"""`jobdeck run` behaves like the command that it runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from .conftest import PROGRAM, Jobdeck, Server, Terminal, wait_until

EVERYTHING = bytes(range(256)) * 3


def test_output_goes_to_its_streams_and_the_code_is_the_jobs(jobdeck: Jobdeck) -> None:
    done = jobdeck("run", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 3)


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (["true"], 0, b""),
        (["false"], 1, b""),
        (["sh", "-c", "kill -KILL $$"], 137, b"ended by SIGKILL"),
        (["no-such-command-here"], 127, b"command not found"),
        (["/etc/passwd"], 126, b"Permission denied"),
    ],
)
def test_how_it_ends(jobdeck: Jobdeck, command: list[str], code: int, words: bytes) -> None:
    done = jobdeck("run", *command)
    assert done.returncode == code
    assert words in done.stderr
    assert (done.stderr == b"") == (words == b"")


def test_a_time_limit_is_told(jobdeck: Jobdeck) -> None:
    done = jobdeck("run", "--time-limit", "0.2", "sleep", "60")
    assert done.returncode == 143
    assert b"time limit of 0.2 s reached" in done.stderr


def test_a_pipe_gets_every_byte_as_it_is(jobdeck: Jobdeck, tmp_path: Path) -> None:
    (tmp_path / "all").write_bytes(EVERYTHING + b"\x1b]52;c;AAAA\x07")
    done = jobdeck("run", "cat", str(tmp_path / "all"))
    assert done.stdout == (tmp_path / "all").read_bytes()


def test_standard_input_is_forwarded_to_its_end(server: Server) -> None:
    data = EVERYTHING * 300
    done = server.jobdeck("run", "cat", stdin=data)
    assert (done.stdout == data, done.returncode) == (True, 0)
    done = server.jobdeck("run", "--stdin", "off", "cat", stdin=data)
    assert (done.stdout, done.returncode) == (b"", 0)


def test_standard_input_that_nobody_wants_is_no_trouble(server: Server) -> None:
    done = server.jobdeck("run", "true", stdin=EVERYTHING * 300)
    assert (done.stderr, done.returncode) == (b"", 0)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["closed", "file", "null"])
def test_other_kinds_of_standard_input(server: Server, tmp_path: Path, how: str) -> None:
    (tmp_path / "in").write_bytes(b"from a file")
    redirect = {"closed": "<&-", "file": f"<{tmp_path}/in", "null": "</dev/null"}[how]
    shell = subprocess.run(
        ["bash", "-c", f"{PROGRAM} run cat {redirect}"],
        capture_output=True,
        env=server.environment(),
        timeout=30,
        check=False,
    )
    wanted = b"from a file" if how == "file" else b""
    assert (shell.stdout, shell.stderr, shell.returncode) == (wanted, b"", 0)


def test_the_callers_folder_and_environment(jobdeck: Jobdeck, tmp_path: Path) -> None:
    folder = tmp_path / "müll"
    folder.mkdir()
    done = jobdeck("run", "sh", "-c", 'pwd; echo "$COLOUR"', cwd=folder, COLOUR="blue")
    assert done.stdout.decode().splitlines() == [str(folder), "blue"]
    flags = ("-C", "müll", "-e", "COLOUR=red", "-e", "UNSET_HERE")
    done = jobdeck("run", *flags, "sh", "-c", 'pwd; echo "$COLOUR"', cwd=tmp_path, COLOUR="blue")
    assert done.stdout.decode().splitlines() == [str(folder), "red"]


def test_no_token_reaches_the_job(jobdeck: Jobdeck, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("x" * 20)
    done = jobdeck("run", "env", JOBDECK_TOKEN="canary-1")
    assert b"canary" not in done.stdout
    assert done.returncode == 0


def test_arguments_are_the_jobs_own(jobdeck: Jobdeck) -> None:
    done = jobdeck("run", "--", "printf", "%s|", "a b", "$HOME", "*", "--label", "", "-e")
    assert done.stdout == b"a b|$HOME|*|--label||-e|"


def test_a_reader_that_has_seen_enough_ends_the_job(server: Server) -> None:
    shell = subprocess.run(
        ["bash", "-c", f"{PROGRAM} run yes | head -n 2; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        env=server.environment(),
        stdin=subprocess.DEVNULL,
        timeout=30,
        check=False,
    )
    assert (shell.stdout, shell.stderr) == (b"y\ny\n141\n", b"")


def test_detached_it_prints_the_id(jobdeck: Jobdeck) -> None:
    done = jobdeck("run", "--detach", "sh", "-c", "exit 4")
    assert len(done.stdout) == 37
    done = jobdeck("attach", done.stdout.decode().strip())
    assert (done.returncode, done.stderr) == (4, b"")
    done = jobdeck("run", "--detach", "--json", "--label", "a b", "true")
    assert json.loads(done.stdout)["labels"] == ["a b"]


def test_json_is_one_line_an_event(jobdeck: Jobdeck) -> None:
    done = jobdeck("run", "--json", "sh", "-c", "echo out; printf '\\377' >&2; exit 2")
    first, *output, last = map(json.loads, done.stdout.splitlines())
    assert (first["event"], last["event"]) == ("job", "end")
    assert [(line["stream"], line["offset"], line.get("text"), line.get("base64")) for line in output] == [
        ("stdout", 0, "out\n", None),
        ("stderr", 4, None, "/w=="),
    ]
    assert (last["job"]["exit_code"], done.returncode) == (2, 2)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "Missing argument"),
        (["--time-limit", "0", "true"], 2, "--time-limit"),
        (["--time-limit", "nan", "true"], 2, "--time-limit"),
        (["-e", "=x", "true"], 2, "without a name"),
        (["-C", "/no/such/folder", "true"], 125, "/no/such/folder does not exist"),
        (["--label", "a\nb", "true"], 125, "label"),
        (["--server", "http://127.0.0.1:1", "true"], 125, "No server answers at http://127.0.0.1:1"),
        (["--server", "ftp://x", "true"], 125, "is no address of a server"),
        (["--token-file", "/no/such/file", "true"], 125, "/no/such/file cannot be read"),
    ],
)
def test_own_failures_are_told_apart(jobdeck: Jobdeck, arguments: list[str], code: int, words: str) -> None:
    done = jobdeck("run", *arguments)
    assert (done.returncode, done.stdout) == (code, b"")
    assert words in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_ctrl_c_goes_to_the_job(server: Server) -> None:
    terminal = Terminal(
        server, "run", "sh", "-c", "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.05; done"
    )
    terminal.wait_for("ready")
    terminal.type(b"\x03")
    assert terminal.end() == 5
    assert "caught" in terminal.lines()[-1]


def test_ctrl_c_ends_what_does_not_catch_it(server: Server) -> None:
    terminal = Terminal(server, "run", "sh", "-c", "echo ready; sleep 60")
    terminal.wait_for("ready")
    terminal.type(b"\x03")
    assert terminal.end() == 130


def test_a_second_ctrl_c_kills(server: Server) -> None:
    terminal = Terminal(server, "run", "sh", "-c", "trap 'echo no' INT TERM; echo ready; while :; do sleep 0.05; done")
    terminal.wait_for("ready")
    terminal.type(b"\x03")
    terminal.wait_for("no")
    terminal.type(b"\x03")
    assert terminal.end() == 137


def test_sigterm_goes_to_the_job(server: Server) -> None:
    terminal = Terminal(server, "run", "sh", "-c", "trap 'exit 6' TERM; echo ready; while :; do sleep 0.05; done")
    terminal.wait_for("ready")
    terminal.send_signal(signal.SIGTERM)
    assert terminal.end() == 6


def test_a_terminal_is_not_controlled_by_a_job(server: Server) -> None:
    script = r"printf '\033]0;owned\007\033[2J\033[6n\033[31mred\033[8m\xc2\x9b2J\n'; printf '\033]52;c;AA\007' >&2"
    terminal = Terminal(server, "run", "bash", "-c", script)
    assert terminal.end() == 0
    assert terminal.screen.title == ""
    assert terminal.lines()[0] == "␛]0;owned␇␛[2J␛[6nred<U+009B>2J"
    assert any("␛]52;c;AA␇" in line for line in terminal.lines())
    assert terminal.got.count(b"\x1b") == terminal.got.count(b"\x1b[31m") + terminal.got.count(b"\x1b[0m") == 2


@pytest.mark.slow
def test_a_terminal_is_no_standard_input_unless_asked(server: Server) -> None:
    terminal = Terminal(server, "run", "cat")
    assert terminal.end() == 0
    terminal = Terminal(server, "run", "--stdin", "on", "sh", "-c", "echo ready; head -n 1 | tr a-z A-Z")
    terminal.wait_for("ready")
    terminal.type(b"hello\n")
    terminal.wait_for("HELLO")
    assert terminal.end() == 0


@pytest.mark.slow
def test_it_survives_the_death_of_the_server(own_server: Server, tmp_path: Path) -> None:
    loop = "i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo line $i; sleep 0.01; done"
    script = f"{loop}; until [ -e {tmp_path}/go ]; do sleep 0.05; done; cat; echo done >&2; exit 9"
    reader, writer = os.pipe()
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        command = [PROGRAM, "run", "sh", "-c", script]
        run = subprocess.Popen(command, stdin=reader, stdout=out, stderr=err, env=own_server.environment())
    os.close(reader)
    os.write(writer, b"typed before\n")
    wait_until(lambda: (tmp_path / "out").stat().st_size > 100)
    own_server.kill()
    os.write(writer, b"typed while it was away\n")
    wait_until(lambda: b"the link to the server broke" in (tmp_path / "err").read_bytes())
    own_server.start()
    os.write(writer, b"typed after\n")
    os.close(writer)
    (tmp_path / "go").touch()
    assert run.wait(30) == 9
    lines = "".join(f"line {i}\n" for i in range(1, 201)) + "typed before\ntyped while it was away\ntyped after\n"
    assert (tmp_path / "out").read_text() == lines
    said = (tmp_path / "err").read_text().splitlines()
    assert len(said) == 3
    assert said[1].startswith("jobdeck: the link is back; going on at byte ")
    assert said[2] == "done"


@pytest.mark.slow
def test_a_third_ctrl_c_leaves_a_job_that_cannot_be_reached(own_server: Server) -> None:
    terminal = Terminal(own_server, "run", "sh", "-c", "echo ready; sleep 60")
    terminal.wait_for("ready")
    own_server.kill()
    terminal.wait_for("the link to the server broke")
    terminal.type(b"\x03")
    terminal.wait_for("the signal could not be sent")
    terminal.type(b"\x03")
    terminal.wait_for("the signal could not be sent", count=2)
    terminal.type(b"\x03")
    assert terminal.end() == 130
    assert any("may still run" in line for line in terminal.lines())
    own_server.start()
    assert [job["state"] for job in httpx.get(own_server.url + "/v1/jobs", trust_env=False).json()["items"]] == [
        "running"
    ]
