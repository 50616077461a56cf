"""The `jobdeck` command as a newcomer meets it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from jobdeck_tui.main import main

COMMANDS = [
    *("run", "ls", "show", "attach", "stop", "blobs", "packages", "contexts", "workers"),
    *("serve", "worker", "token", "backup", "demo"),
]


def jobdeck(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = str(Path(sys.executable).with_name("jobdeck"))
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def test_alone_it_prints_help() -> None:
    done = jobdeck()
    assert (done.returncode, done.stderr) == (0, "")
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout
    assert jobdeck("--help").stdout == done.stdout


def test_its_version() -> None:
    assert jobdeck("--version").stdout.startswith("jobdeck 0.")


def test_an_unknown_command_is_wrong_usage() -> None:
    done = jobdeck("frobnicate")
    assert done.returncode == 2
    assert "No such command 'frobnicate'" in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"], terminal_width=100)
    assert result.exit_code == 0
    assert f"Usage: main {name}" in result.stdout
    if name != "demo":
        assert "jobdeck " + name in result.stdout, "no example"
    context = click.Context(main)
    command = main.get_command(context, name)
    assert command is not None
    for parameter in command.params:
        assert isinstance(parameter, click.Argument) or parameter.help, f"{name}: {parameter.name} is not explained"


def test_help_loads_no_command_and_ls_no_server() -> None:
    program = (
        "import sys; from click.testing import CliRunner; from jobdeck_tui.main import main; "
        "assert CliRunner().invoke(main, {0}).exit_code == 0; "
        "print(*sorted(name for name in sys.modules if name.startswith(('jobdeck_server', 'trio', 'httpx'))))"
    )
    done = subprocess.run([sys.executable, "-c", program.format([])], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
    listing = program.format(["ls", "--help"])
    done = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    assert not [name for name in done.stdout.split() if name.startswith("jobdeck_server")]
