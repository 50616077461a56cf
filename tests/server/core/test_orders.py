"""Orders: what a worker elsewhere is told is what the client said, to the byte, and nothing of the server's machine."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobdeck_protocol import codec
from jobdeck_server.core import requests
from jobdeck_server.core.errors import BadRequestError, TooLargeError
from jobdeck_server.core.orders import order_of, parse_order, plan_order
from jobdeck_server.core.requests import JobRequest, StepRequest
from jobdeck_server.engines.base import WORKER
from jobdeck_server.settings import Settings

HERE = Settings(data_dir=Path("/here"), start_dir="/srv/here", default_path="/here/bin")
THERE = Settings(data_dir=Path("/there"), start_dir="/tmp", default_path="/usr/bin:/bin")
WORDS = st.binary(min_size=1, max_size=8).filter(lambda data: 0 not in data).map(os.fsdecode)
STEPS = st.builds(
    lambda argv, line, env: StepRequest(command_line=line, argv=None if line else argv, env=env),
    st.lists(WORDS, min_size=1, max_size=3).map(tuple),
    st.none() | WORDS,
    st.dictionaries(WORDS.filter(lambda name: "=" not in name), WORDS, max_size=3),
)


def ordered(request: JobRequest, settings: Settings = HERE) -> bytes:
    job, spec = requests.plan(request, settings, job_id="one", now_us=1)
    return order_of(job, spec)


def script(command: str, path: str) -> bytes:
    request = JobRequest(
        dialect="scheduler",
        steps=(StepRequest(argv=(command or "x", path)),),
        standard_env=True,
        engine=WORKER,
        worker="w",
    )
    wire = codec.decode(ordered(request))
    wire["steps"][0]["argv"][0] = command.encode()
    return codec.encode(wire)


@given(st.lists(STEPS, min_size=1, max_size=3).map(tuple), st.booleans(), st.sampled_from([None, 2.5]))
def test_the_worker_plans_what_the_server_would_have(
    steps: tuple[StepRequest, ...], stdin: bool, limit_s: float | None
) -> None:
    request = JobRequest(dialect="v1", steps=steps, stdin=stdin, time_limit_s=limit_s, linger_s=0.0, on_limit="stop")
    _, there = requests.plan(request, THERE, job_id="one", now_us=1)
    assert plan_order(ordered(request), THERE, job_id="one") == there


def test_nothing_of_the_servers_machine_goes_along() -> None:
    data = ordered(JobRequest(dialect="v1", steps=(StepRequest(command_line="pwd"),), standard_env=True))
    assert b"/here" not in data
    assert b"/srv" not in data
    (step,) = parse_order(data).steps
    assert (step.cwd, dict(step.env)) == (None, {})
    (ran,) = plan_order(data, THERE, job_id="job")["steps"]
    assert ran["cwd"] == "/tmp"
    assert ran["env"]["PATH"] == "/usr/bin:/bin"
    assert ran["env"]["JOBDECK_JOB_ID"] == "job"


def test_limits_of_the_server_go_along() -> None:
    data = ordered(JobRequest(dialect="v1", steps=(StepRequest(argv=("true",)),)), replace(HERE, output_limit_bytes=77))
    assert plan_order(data, THERE, job_id="j")["output_limit_bytes"] == 77


@pytest.mark.parametrize(
    ("settings", "command", "path", "words"),
    [
        (THERE, "", "x", "exec: no command"),
        (THERE, "no-such-cmd", "x", 'exec: "no-such-cmd": executable file not found in $PATH'),
        (THERE, "/etc/passwd", "x", "fork/exec /etc/passwd: permission denied"),
        (
            replace(THERE, only_scripts=True, script_commands=("bash",)),
            "python3",
            "x",
            'command "python3" is not allowed: this server runs bash',
        ),
        (
            replace(THERE, only_scripts=True, script_commands=("bash",), scripts_dir="/tmp"),
            "bash",
            "../etc/passwd",
            'path "../etc/passwd" is not allowed: it is outside the folder of scripts',
        ),
    ],
)
def test_a_script_that_cannot_run_there_or_may_not(settings: Settings, command: str, path: str, words: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        plan_order(script(command, path), settings, job_id="j")
    assert str(caught.value) == words


def test_a_script_runs_in_the_workers_folder_of_scripts(tmp_path: Path) -> None:
    (tmp_path / "count.sh").write_text("echo 1")
    settings = replace(THERE, scripts_dir=str(tmp_path), only_scripts=True, script_commands=("bash",))
    (step,) = plan_order(script("bash", "count.sh"), settings, job_id="j")["steps"]
    assert (step["argv"], step["cwd"]) == (["bash", "count.sh"], str(tmp_path))


def test_a_folder_that_is_not_there_or_is_outside(tmp_path: Path) -> None:
    data = ordered(JobRequest(dialect="v1", steps=(StepRequest(argv=("true",), cwd="/no/such"),)))
    with pytest.raises(BadRequestError, match="does not exist"):
        plan_order(data, THERE, job_id="j")
    data = ordered(JobRequest(dialect="v1", steps=(StepRequest(argv=("true",), cwd="/usr"),)))
    with pytest.raises(BadRequestError, match="work root"):
        plan_order(data, replace(THERE, work_root=str(tmp_path)), job_id="j")


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"steps": 1},
        {"steps": []},
        {"steps": [{"argv": ["text"]}]},
        {"steps": [{}]},
        {"steps": [{"argv": [b"a"], "env": [[b"a"]]}]},
        {"linger_s": "1"},
        {"output_limit_bytes": True},
        {"bundle": 3},
    ],
)
def test_what_is_no_order_is_refused(change: dict[str, object]) -> None:
    wire = codec.decode(ordered(JobRequest(dialect="v1", steps=(StepRequest(argv=("true",)),))))
    with pytest.raises(BadRequestError):
        plan_order(codec.encode({**wire, **change}), THERE, job_id="j")


@given(st.binary(max_size=64))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequestError):
        plan_order(data, THERE, job_id="j")


def test_an_order_has_a_limit() -> None:
    many = replace(HERE, argument_limit_count=1000, step_limit_count=1000)
    step = StepRequest(argv=tuple("x" * 100_000 for _ in range(200)))
    with pytest.raises(TooLargeError):
        ordered(JobRequest(dialect="v1", steps=(step,)), many)
