"""Forms read into requests, requests told as curl lines, and what is kept of them."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobdeck_protocol.job import Job, Step
from jobdeck_tui.console.curl import curl_of, curl_of_job
from jobdeck_tui.console.history import History
from jobdeck_tui.console.request import Fields, StartRequest, read, seconds_of


def body(**fields: str | bool) -> dict[str, object]:
    found = read(Fields(**fields))  # type: ignore[arg-type]  # names of fields, given by hand
    assert isinstance(found, StartRequest), found
    return dict(found.body)


def test_a_class_is_started_again_with_its_configuration_said_beside_it() -> None:
    job = Job(
        id="a", dialect="v1", main_class="jobs.Count", packages=("words",), context="py1", labels=("x",), linger_s=0
    )
    line = curl_of_job("http://h", job, token=False)
    body = {"main_class": "jobs.Count", "packages": ["words"], "context": "py1", "labels": ["x"]}
    assert json.loads(shlex.split(line, comments=True)[-1]) == body
    assert line.endswith("# its configuration, for the field config: http://h/v1/jobs/a/config")
    own = curl_of_job("http://h", replace(job, context="b7ea0eb5-jobs.Count"), token=False)
    assert "context" not in json.loads(shlex.split(own, comments=True)[-1])


def test_where_it_is_to_run() -> None:
    assert body(command="x", worker=" far ", worker_labels="gpu, linux gpu") == {
        "command": "x",
        "worker": "far",
        "worker_labels": ["gpu", "linux"],
    }
    job = Job(id="i", dialect="v1", steps=(Step(command_line="x"),), worker="f", worker_labels=("gpu",))
    assert '"worker_labels": ["gpu"]' in curl_of_job("http://h", job, token=False)


def test_a_command_alone_is_a_request() -> None:
    assert body(command=" make test ") == {"command": "make test"}
    assert body(command="echo 'a b' c", plain=True) == {"argv": ["echo", "a b", "c"]}


def test_all_fields() -> None:
    found = read(
        Fields(
            command="cat",
            env="A=1\n\nB=x=y\nC=",
            cwd="/tmp",
            labels="nightly, x nightly",
            time_limit="1.5m",
            stdin="in\n",
        )
    )
    assert isinstance(found, StartRequest)
    assert found.body == {
        "command": "cat",
        "env": {"A": "1", "B": "x=y", "C": ""},
        "cwd": "/tmp",
        "labels": ["nightly", "x"],
        "time_limit_s": 90.0,
        "stdin": True,
    }
    assert found.stdin == b"in\n"


@pytest.mark.parametrize(
    ("fields", "name", "words"),
    [
        (Fields(), "command", "what is to run?"),
        (Fields(command="a\0b"), "command", "holds a NUL"),
        (Fields(command="x" * 131072), "command", "is longer than 131071 bytes"),
        (Fields(command="echo 'a", plain=True), "command", "no closing quotation"),
        (Fields(command="x", env="A=1\nB"), "env", "line 2 is not NAME=value"),
        (Fields(command="x", env="=1"), "env", "line 1 is not NAME=value"),
        (Fields(command="x", cwd="tmp"), "cwd", "begins with /"),
        (Fields(command="x", labels="l" * 257), "labels", "may have 256 bytes each"),
        (Fields(command="x", labels=" ".join(map(str, range(65)))), "labels", "are more than 64"),
        (Fields(command="x", time_limit="soon"), "time_limit", "is seconds, or 90s, 15m, 2h, 1d"),
        (Fields(command="x", time_limit="0"), "time_limit", "is seconds, or 90s, 15m, 2h, 1d"),
    ],
)
def test_what_is_wrong_is_told_beside_its_field(fields: Fields, name: str, words: str) -> None:
    assert read(fields) == {name: words}


@pytest.mark.parametrize(("text", "wanted"), [("90", 90), ("2h", 7200), ("1 d", 86400), ("0.5S", 0.5), ("-1", None)])
def test_spans_of_time(text: str, wanted: float | None) -> None:
    assert seconds_of(text) == wanted


@given(st.text(st.characters(exclude_characters="\0"), min_size=1), st.text("abc =", max_size=20))
def test_a_shell_gives_curl_exactly_the_body(command: str, value: str) -> None:
    wanted = {"command": command, "env": {"A": value}}
    words = shlex.split(curl_of("http://127.0.0.1:1", wanted, token=False))
    assert words[:3] == ["curl", "-sS", "http://127.0.0.1:1/v1/jobs"]
    assert json.loads(words[words.index("-d") + 1]) == wanted


def test_a_real_shell_agrees_and_the_token_comes_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    line = curl_of("http://127.0.0.1:1", {"command": 'echo "it\'s $HOME"'}, token=True)
    assert "secret" not in line
    done = subprocess.run(
        ["bash", "-c", line.replace("curl", "printf '%s\\n'", 1)],
        env={"JOBDECK_TOKEN_FILE": str(tmp_path / "token"), "PATH": os.environ["PATH"], "HOME": "/home"},
        capture_output=True,
        text=True,
        check=True,
    )
    words = done.stdout.splitlines()
    assert "Authorization: Bearer secret" in words
    assert json.loads(words[-1]) == {"command": 'echo "it\'s $HOME"'}


def test_a_job_as_a_curl_line_tells_all_but_the_secrets() -> None:
    job = Job(
        id="x",
        dialect="v1",
        labels=("a",),
        time_limit_s=5.0,
        steps=(Step(argv=("ls", "-l"), cwd="/tmp", env_names=("KEY", "new\nline")),),
    )
    line = curl_of_job("http://127.0.0.1:1", job, token=False)
    assert "\n" not in line
    command, _, names = line.partition("  # its environment had values for ")
    words = shlex.split(command)
    assert json.loads(words[-1]) == {"argv": ["ls", "-l"], "cwd": "/tmp", "labels": ["a"], "time_limit_s": 5.0}
    assert json.loads(names) == ["KEY", "new\nline"]
    steps = Job(id="x", dialect="v1", steps=(Step(command_line="a"), Step(command_line="\udcff")))
    words = shlex.split(curl_of_job("http://127.0.0.1:1", steps, token=False))
    assert json.loads(words[-1]) == {"steps": [{"command": "a"}, {"command": "\udcff"}]}


def test_history_lasts_is_bounded_and_holds_no_values(tmp_path: Path) -> None:
    path = tmp_path / "state" / "history.json"
    history = History(path)
    for number in range(120):
        history.add(Fields(command=f"job {number}", env="TOKEN=secret\nB=2"))
    history.add(Fields(command="job 60", env="TOKEN=another"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "secret" not in path.read_text()
    again = History(path)
    assert again.entries == history.entries
    assert len(again.entries) == 100
    assert again.entries[-1] == Fields(command="job 60", env="TOKEN")
    assert read(again.entries[-1]) == {"env": "line 1 is not NAME=value"}
    again.add(again.entries[50])
    assert len(again.entries) == 100
    assert len({entry.command + entry.env for entry in again.entries}) == 100


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"command": 1}]', '{"a": 1}', '[{"unknown": "x"}]'])
def test_a_broken_history_costs_nothing_but_itself(tmp_path: Path, text: str) -> None:
    path = tmp_path / "history.json"
    path.write_text(text)
    history = History(path)
    assert [entry for entry in history.entries if entry != Fields()] == []
    history.add(Fields(command="x"))
    assert History(path).entries[-1] == Fields(command="x")


def test_a_history_that_cannot_be_written_is_kept_for_now(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    history = History(tmp_path / "file" / "history.json")
    history.add(Fields(command="x"))
    assert history.entries == [Fields(command="x")]
