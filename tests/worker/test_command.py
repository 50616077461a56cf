"""Flags, environment and file of ``jobdeck worker``; what it was given is not run here."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jobdeck_server.commands.worker import worker
from jobdeck_server.settings import Settings
from jobdeck_server.worker import program
from jobdeck_server.worker.settings import WorkerSettings

Given = tuple[Settings, WorkerSettings]


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Given]:
    """What the program was run with."""
    found: list[Given] = []

    def run(settings: Settings, own: WorkerSettings) -> int:
        found.append((settings, own))
        return 0

    monkeypatch.setattr(program, "run", run)
    monkeypatch.setattr("jobdeck_server.commands.worker.set_up_log", lambda form: None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token").write_text("secret")
    return found


def call(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(worker, list(arguments), env=env, auto_envvar_prefix="JOBDECK_WORKER")


NEEDED = ("--server", "https://a.example:1", "--token-file", "token")


def test_defaults(given: list[Given], tmp_path: Path) -> None:
    result = call(*NEEDED)
    assert (result.exit_code, result.output) == (0, "")
    ((settings, own),) = given
    assert settings.data_dir.name == "jobdeck-worker"
    assert (settings.start_dir, settings.scripts_dir, settings.only_scripts) == (str(tmp_path), None, False)
    assert (own.server, own.token_file) == ("https://a.example:1", tmp_path / "token")
    assert (own.name, own.slots_count, own.labels) == (socket.gethostname(), os.cpu_count(), ())
    assert (own.ca_file, own.client_cert, own.client_key) == (None, None, None)


def test_all_of_them(given: list[Given], tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    flags = "--name n --slots 3 --labels a,b --labels c --data-dir d --scripts s/../s --only-scripts --commands bash,sh"
    flags += " --ca ca --client-cert cc --client-key ck --log-format json"
    result = call(*NEEDED, *flags.split())
    assert (result.exit_code, result.output) == (0, "")
    ((settings, own),) = given
    assert (settings.data_dir, settings.scripts_dir) == (tmp_path / "d", str(tmp_path / "s"))
    assert (settings.only_scripts, settings.script_commands) == (True, ("bash", "sh"))
    assert (own.name, own.slots_count, own.labels) == ("n", 3, ("a", "b", "c"))
    assert (own.ca_file, own.client_cert, own.client_key) == (tmp_path / "ca", tmp_path / "cc", tmp_path / "ck")


def test_flags_win_over_the_environment_and_that_over_the_file(given: list[Given], tmp_path: Path) -> None:
    (tmp_path / "w.toml").write_text(
        'server = "http://file:1"\ntoken_file = "token"\nname = "file"\nslots = 5\nlabels = "x,y"'
    )
    env = {"JOBDECK_WORKER_NAME": "env", "JOBDECK_WORKER_SLOTS": "6"}
    result = call("--config", "w.toml", "--slots", "7", env=env)
    assert (result.exit_code, result.output) == (0, "")
    ((_, own),) = given
    assert (own.server, own.name, own.slots_count, own.labels) == ("http://file:1", "env", 7, ("x", "y"))
    (tmp_path / "w.toml").write_text('labels = ["x", "y"]')
    call(*NEEDED, "--config", "w.toml")
    assert given[1][1].labels == ("x", "y")
    call(*NEEDED, env={"JOBDECK_WORKER_LABELS": "l,m"})
    assert given[2][1].labels == ("l", "m")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Missing option '--server'"),
        (("--server", "a.example", "--token-file", "token"), "is no address such as"),
        (("--server", "ftp://a.example", "--token-file", "token"), "is no address such as"),
        ((*NEEDED[:2], "--token-file", "none"), "the token cannot be read"),
        ((*NEEDED, "--slots", "-1"), "no whole number"),
        ((*NEEDED, "--labels", ","), "is no text"),
        ((*NEEDED, "--log-format", "xml"), "is none of text, json"),
        ((*NEEDED, "--only-scripts"), "--only-scripts needs --commands"),
        ((*NEEDED, "--scripts", "none"), "There is no folder of scripts"),
        ((*NEEDED, "--config", "token"), "token: Expected"),
        ((*NEEDED, "--config", "none.toml"), "none.toml: No such file"),
        ((*NEEDED, "--config", "odd.toml"), "there is no setting 'odd'"),
    ],
)
def test_what_is_wrong_is_said(given: list[Given], tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    (tmp_path / "odd.toml").write_text("odd = 1")
    result = call(*arguments)
    assert (result.exit_code, given) == (2, [])
    assert words in result.output
