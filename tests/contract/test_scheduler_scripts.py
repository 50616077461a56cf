"""``--only-scripts``: a server whose scheduler API runs nothing but some commands, on files of one folder."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobdeck_server.guard.errors import ScriptsError
from jobdeck_server.guard.limits import check_scripts
from jobdeck_server.settings import Settings
from tests.contract.scheduling import Deck, write_scripts
from tests.e2e.program import JOBDECK, server


@pytest.fixture(scope="module")
def strict() -> Iterator[Deck]:
    with tempfile.TemporaryDirectory(prefix="jd-", ignore_cleanup_errors=True) as made:
        yield from _strict(Path(made))


def _strict(folder: Path) -> Iterator[Deck]:
    scripts = folder / "scripts"
    write_scripts(scripts)
    (folder / "outside.sh").write_text("echo outside\n")
    (scripts / "-c").write_text("echo option\n")
    (scripts / "out.sh").symlink_to("../outside.sh")
    (scripts / "away").symlink_to(folder)
    (scripts / "inner.sh").symlink_to("worker/scripts/count.sh")
    (scripts / "round.sh").symlink_to("round.sh")
    os.mkfifo(scripts / "pipe")
    with server(folder / "data", "--scripts", str(scripts), "--only-scripts", "--commands", "bash,sh") as running:
        yield Deck(running, scripts)


@pytest.mark.parametrize("command", ["bash", "sh"])
@pytest.mark.parametrize("path", ["worker/scripts/count.sh", "./worker/../worker/scripts//count.sh", "inner.sh"])
def test_scripts_of_the_folder_run(strict: Deck, command: str, path: str) -> None:
    job_id = strict.start(command, path)
    assert strict.server.attach(job_id) == b"1\n2\n3\n"
    assert strict.server.job(job_id)["steps"][0]["argv"] == [command, path]


def test_so_does_one_by_its_whole_path(strict: Deck) -> None:
    job_id = strict.start("bash", str(strict.scripts / "exit0.sh"))
    assert strict.end(job_id) == '{"done":true,"error":false,"error_text":""}\n'


@pytest.mark.parametrize(
    ("command", "path", "words"),
    [
        ("python3", "exit0.sh", 'command "python3" is not allowed: this server runs bash, sh'),
        ("/bin/bash", "exit0.sh", 'command "/bin/bash" is not allowed'),
        ("BASH", "exit0.sh", 'command "BASH" is not allowed'),
        ("", "exit0.sh", 'command "" is not allowed'),
        ("./run.sh", "exit0.sh", 'command "./run.sh" is not allowed'),
        ("bash", "", 'path "" is no file in the folder of scripts'),
        ("bash", ".", 'path "." is no file'),
        ("bash", "nope.sh", 'path "nope.sh" is no file'),
        ("bash", "pipe", 'path "pipe" is no file'),
        ("bash", "round.sh", 'path "round.sh" is no file'),
        ("bash", "a\0b", 'path "a\\x00b" is no file'),
        ("bash", "\ud800", 'path "\\ud800" is no file'),
        ("bash", "-c", 'path "-c" is not allowed: it reads like an option'),
        ("bash", "../outside.sh", 'path "../outside.sh" is not allowed: it is outside'),
        ("bash", "/etc/passwd", 'path "/etc/passwd" is not allowed: it is outside'),
        ("bash", "out.sh", 'path "out.sh" is not allowed: it is outside'),
        ("bash", "away/outside.sh", 'path "away/outside.sh" is not allowed: it is outside'),
    ],
)
def test_nothing_else_does(strict: Deck, command: str, path: str, words: str) -> None:
    answer = strict.call("/start", command=command, path=path)
    assert answer.status == 500
    assert json.loads(answer.body)["error"].startswith(words)


def test_half_a_rule_is_no_rule(tmp_path: Path) -> None:
    """It does not start, and says why."""
    where = ("--listen", "127.0.0.1:0", "--data-dir", str(tmp_path / "data"))
    done = subprocess.run(
        [*JOBDECK, "serve", *where, "--only-scripts"], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (
        2,
        "jobdeck: --only-scripts needs --commands: the commands that may run.\n",
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"only_scripts": True}, "--only-scripts needs --commands"),
        ({"script_commands": ("bash",)}, "--commands is for --only-scripts"),
        ({"scripts_dir": "/no/such"}, "no folder of scripts /no/such"),
        ({"scripts_dir": "/etc/passwd"}, "no folder of scripts /etc/passwd"),
    ],
)
def test_rules_that_are_none(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ScriptsError, match=words):
        check_scripts(Settings(data_dir=tmp_path, **changes))
