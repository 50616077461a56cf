"""How jobrunner runs a job (section 2 of what was seen of the original), the later body ``Commands``, and 2.1, 2.2."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tests.contract.test_routes import accepted, post, refused
from tests.e2e.program import Server
from tests.e2e.wire import ask, jobs_count


def output(server: Server, body: bytes | object) -> bytes:
    return server.attach(accepted(server, body))


def one(command_line: str, **more: object) -> dict[str, object]:
    return {"CommandLine": command_line, "Environment": {}, **more}


# -- 2: bash, environment, folder --


def test_bash_runs_the_command_line(jobrunner: Server) -> None:
    """Section 2: ``bash -c``, ``$0`` is ``bash``, no arguments, not a login shell."""
    told = output(jobrunner, one("echo $0 $# $-; shopt -q login_shell || echo no login; [[ a == a ]] && echo bash"))
    name, count, flags = told.splitlines()[0].split()
    assert (name, count, b"i" in flags) == (b"bash", b"0", False)
    assert told.splitlines()[1:] == [b"no login", b"bash"]


def test_environment_is_exactly_the_request(jobrunner: Server) -> None:
    """Section 2: the pairs of the request and nothing inherited; a PATH is added, so that ordinary commands work."""
    told = output(jobrunner, {"CommandLine": "env -0", "Environment": {"A": "1", "B": "two words\nand lines", "C": ""}})
    env = dict(pair.split(b"=", 1) for pair in told.split(b"\0") if pair)
    assert {name: env.pop(name) for name in (b"A", b"B", b"C")} == {
        b"A": b"1",
        b"B": b"two words\nand lines",
        b"C": b"",
    }
    assert b"/usr/bin" in env.pop(b"PATH")
    assert set(env) <= {b"PWD", b"SHLVL", b"_", b"OLDPWD"}


def test_path_of_the_request_is_not_touched(jobrunner: Server) -> None:
    told = output(jobrunner, {"CommandLine": "echo $PATH", "Environment": {"PATH": "/nowhere:/bin"}})
    assert told == b"/nowhere:/bin\n"


def test_names_that_are_no_shell_names_pass(jobrunner: Server) -> None:
    """Section 2: ``BAD NAME``."""
    body = {"CommandLine": "tr '\\0' '\\n' < /proc/$$/environ", "Environment": {"BAD NAME": "x", "ä.-": "y"}}
    assert {b"BAD NAME=x", "ä.-=y".encode()} <= set(output(jobrunner, body).splitlines())


@pytest.mark.parametrize("name", ["", "A=B"])
def test_names_that_cannot_be_are_refused(jobrunner: Server, name: str) -> None:
    answer = post(jobrunner, {"CommandLine": "true", "Environment": {name: "x"}})
    refused(answer, 400, f"{name!r} is no name for an environment variable.")


def test_null_in_the_environment_is_empty(jobrunner: Server) -> None:
    """As Go's decoder has it."""
    assert output(jobrunner, {"CommandLine": "echo [$A]", "Environment": {"A": None}}) == b"[]\n"


def test_stdin_is_empty(jobrunner: Server) -> None:
    """Section 2: /dev/null."""
    assert output(jobrunner, one("readlink /proc/self/fd/0; wc -c")) == b"/dev/null\n0\n"


def test_order_of_stdout_and_stderr_is_the_order_of_writing(jobrunner: Server) -> None:
    """Section 2: one pipe in the original; two here, told apart and in order all the same."""
    job_id = accepted(jobrunner, one("for i in $(seq 300); do echo out $i; echo err $i >&2; done"))
    lines = jobrunner.attach(job_id).splitlines()
    assert lines == [word % n for n in range(1, 301) for word in (b"out %d", b"err %d")]
    assert jobrunner.attach(job_id, "?stream=stderr").splitlines() == [b"err %d" % n for n in range(1, 301)]


def test_commands_may_be_any_bytes(jobrunner: Server) -> None:
    """A command line that is no UTF-8 arrives as it was sent."""
    assert output(jobrunner, b'{"CommandLine":"printf %s \xff\xfe\xe4","Environment":{"A":"\xe9"}}') == b"\xff\xfe\xe4"
    assert output(jobrunner, b'{"CommandLine":"printf %s $A","Environment":{"A":"\xe9\xff"}}') == b"\xe9\xff"
    assert output(jobrunner, {"CommandLine": "printf %s 'ä€🐌'"}) == "ä€🐌".encode()


def test_such_a_command_is_shown_as_json(jobrunner: Server) -> None:
    job_id = accepted(jobrunner, b'{"CommandLine":"true # \xff"}')
    assert jobrunner.wait(job_id)["state"] == "succeeded"
    assert job_id in [job["id"] for job in json.loads(ask(jobrunner.port, "GET", "/v1/jobs").body)["items"]]


def test_job_goes_on_until_the_holders_of_its_output_are_gone(jobrunner: Server) -> None:
    """Section 2: the job ends when bash has exited and every holder of the pipe has closed it."""
    job_id = accepted(jobrunner, one("(sleep 0.6; echo late) & exit 3"))
    time.sleep(0.3)
    assert jobrunner.job(job_id)["state"] in ("starting", "running")
    assert jobrunner.attach(job_id) == b"late\n"
    assert jobrunner.wait(job_id)["exit_code"] == 3


# -- WorkingDir --


def test_working_dir_is_where_the_command_runs(jobrunner: Server, tmp_path: Path) -> None:
    """Section 2 and 7.12: the original parsed it and ignored it."""
    assert output(jobrunner, one("pwd -P", WorkingDir=str(tmp_path))) == os.fsencode(tmp_path.resolve()) + b"\n"


def test_working_dir_is_by_default_where_the_server_was_started(jobrunner: Server) -> None:
    assert output(jobrunner, one("pwd -P")) == os.fsencode(Path.cwd().resolve()) + b"\n"
    assert output(jobrunner, one("pwd -P", WorkingDir="tests/../tests")) == os.fsencode(Path("tests").resolve()) + b"\n"


def test_working_dir_that_is_missing_is_refused(jobrunner: Server) -> None:
    refused(post(jobrunner, one("pwd", WorkingDir="/no/such")), 400, "Working directory /no/such does not exist.")
    refused(post(jobrunner, one("pwd", WorkingDir="/etc/passwd")), 400, "Working directory /etc/passwd does not exist.")


# -- Commands --


def test_commands_run_in_order_each_with_its_own_environment_and_folder(jobrunner: Server, tmp_path: Path) -> None:
    """The later revision's body."""
    commands = [
        {"CommandLine": "echo $A; A=9; pwd -P", "Environment": {"A": "1"}, "WorkingDir": str(tmp_path)},
        {"CommandLine": "echo $A; pwd -P", "Environment": {"A": "2"}, "WorkingDir": "/"},
        {"CommandLine": "echo [$A]"},
    ]
    job_id = accepted(jobrunner, {"Commands": commands})
    assert jobrunner.attach(job_id).decode().split() == ["1", str(tmp_path.resolve()), "2", "/", "[]"]
    assert (jobrunner.wait(job_id)["step"], jobrunner.job(job_id)["exit_code"]) == (2, 0)


def test_commands_stop_at_the_first_failure(jobrunner: Server) -> None:
    """Section 2: the original went on after a failing command."""
    commands = [one("echo one"), one("echo two; exit 5"), one("echo three")]
    job_id = accepted(jobrunner, {"Commands": commands})
    assert jobrunner.attach(job_id) == b"one\ntwo\n"
    job = jobrunner.wait(job_id)
    assert (job["state"], job["exit_code"], job["step"]) == ("failed", 5, 1)
    assert job["error"] == "exit code 5 in step 2 of 3"


def test_commands_stop_when_one_is_killed(jobrunner: Server) -> None:
    job_id = accepted(jobrunner, {"Commands": [one("kill -TERM $$; sleep 5"), one("echo never")]})
    job = jobrunner.wait(job_id)
    assert (job["signal"], job["error"], jobrunner.attach(job_id)) == (15, "ended by SIGTERM in step 1 of 2", b"")


def test_commands_share_the_job_level_folder(jobrunner: Server, tmp_path: Path) -> None:
    """The last revision's job-level ``WorkingDir``."""
    (tmp_path / "sub").mkdir()
    body = {"WorkingDir": str(tmp_path), "Commands": [one("pwd -P"), one("pwd -P", WorkingDir="/")]}
    assert output(jobrunner, body) == os.fsencode(tmp_path.resolve()) + b"\n/\n"


def test_keys_of_commands_match_in_any_case(jobrunner: Server) -> None:
    assert output(jobrunner, {"commands": [{"commandline": "echo $a", "ENVIRONMENT": {"a": "x"}}]}) == b"x\n"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"Commands": []}, "Missing Commands key."),
        ({"Commands": None}, "Missing Commands key."),
        ({"Commands": "true"}, "Missing Commands key."),
        ({"Commands": [{}]}, "Missing CommandLine from command."),
        ({"Commands": [{"CommandLine": ""}]}, "Missing CommandLine from command."),
        ({"Commands": ["true"]}, "json: cannot unmarshal string into Go value of type main.JobCommand"),
        (
            {"Commands": [{"CommandLine": 1}]},
            "json: cannot unmarshal number into Go struct field JobCommand.CommandLine of type string",
        ),
        (
            {"Commands": [{"CommandLine": "true", "WorkingDir": "/no/such"}]},
            "Working directory /no/such does not exist.",
        ),
    ],
)
def test_commands_that_are_refused(jobrunner: Server, body: object, text: str) -> None:
    """Section 1.1, the second revision."""
    refused(post(jobrunner, body), 400, text)


def test_too_many_commands_are_refused(jobrunner: Server) -> None:
    answer = post(jobrunner, {"Commands": [one("true")] * 1000})
    assert answer.status == 413
    assert "over the limit of 64" in answer.text


def test_kind_bash_is_what_runs_anyway(jobrunner: Server) -> None:
    """The last revision's ``Kind``."""
    assert output(jobrunner, {"Commands": [one("echo x", Kind="bash")]}) == b"x\n"
    assert output(jobrunner, one("echo x", Kind="")) == b"x\n"


@pytest.mark.parametrize("body", [one("true", Kind="docker"), {"Commands": [one("true", Kind="docker")]}])
def test_kind_docker_is_refused(jobrunner: Server, body: object) -> None:
    """The last revision ran a container, or answered status 800."""
    refused(post(jobrunner, body), 400, "Kind 'docker' is not supported; bash is.")


# -- 2.1 and 2.2 --


def test_nul_in_the_environment_is_refused_at_once(jobrunner: Server) -> None:
    """Section 2.1: the original accepted it, never started it, listed it for ever, and hung on its DELETE."""
    before = jobs_count(jobrunner.port)
    refused(
        post(jobrunner, {"CommandLine": "true", "Environment": {"A": "x\0y"}}), 400, "A NUL character stands in env."
    )
    refused(post(jobrunner, {"CommandLine": "true\0"}), 400, "A NUL character stands in command.")
    assert jobs_count(jobrunner.port) == before


def test_delete_kills_everything_that_the_job_started(jobrunner: Server, tmp_path: Path) -> None:
    """Section 2.2: the original killed bash alone. Here a child, one in a session of its own, and an orphan die too."""
    script = "echo $$ >a; sleep 60 & echo $! >b; setsid sleep 60 & echo $! >c; (sleep 60 & echo $! >d); echo >e; wait"
    job_id = accepted(jobrunner, one(script, WorkingDir=str(tmp_path)))
    while not (tmp_path / "e").exists():
        time.sleep(0.01)
    pids = [int((tmp_path / name).read_text()) for name in "abcd"]
    ask(jobrunner.port, "DELETE", f"/{job_id}")
    job = jobrunner.wait(job_id, 5)
    assert (job["state"], job["signal"], job["exit_code"]) == ("stopped", 9, None)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.mark.slow
def test_delete_right_after_post_never_hangs(jobrunner: Server) -> None:
    """Section 2.2: 4 of 60 hung in the original. Each job has ended one way or the other, and says which."""
    job_ids = []
    for _ in range(60):
        job_id = jobrunner.submit("true")
        begin = time.monotonic()
        assert ask(jobrunner.port, "DELETE", f"/{job_id}").status == 200
        assert time.monotonic() - begin < 2
        job_ids.append(job_id)
    for job_id in job_ids:
        job = jobrunner.wait(job_id, 5)
        ended = (job["state"], job["exit_code"], job["signal"])
        assert ended in {("succeeded", 0, None), ("stopped", 0, None), ("stopped", None, 9), ("stopped", None, None)}
