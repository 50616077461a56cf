"""`jobdeck demo`, whole: it ends by itself, tells what it saw, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from jobdeck_server.commands import demo as module
from jobdeck_server.commands.demo_scene import Check, DemoError, Watched


def keepers() -> set[str]:
    """The data directories of all keepers that run."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        found |= {os.fsdecode(words[i + 1]) for i, word in enumerate(words[:-1]) if word.endswith(b"/jobdeck_keeper")}
    return found


@pytest.mark.slow
def test_it_holds_and_leaves_nothing(tmp_path: Path) -> None:
    here, scratch = tmp_path / "here", tmp_path / "scratch"
    here.mkdir()
    scratch.mkdir()
    # a user's own configuration must not reach it
    environ = {**os.environ, "TMPDIR": str(scratch), "JOBDECK_LISTEN": "nonsense", "JOBRUNNER_PORT": "nonsense"}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("jobdeck")), "demo"],
        capture_output=True,
        text=True,
        cwd=here,
        env=environ,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert max(len(line) for line in done.stdout.splitlines() if str(scratch) not in line) <= 80
    assert "\x1b" not in done.stdout
    assert done.stdout.count("  ok ") == 12
    assert " NOT " not in done.stdout
    assert list(here.iterdir()) == []
    (folder,) = scratch.iterdir()
    (picture,) = folder.iterdir()  # all that stays
    svg = picture.read_text()
    assert "jobdeck" in svg
    assert "@font-face" not in svg
    assert not [folder for folder in keepers() if folder.startswith(str(scratch))]


def play(monkeypatch: pytest.MonkeyPatch, *checks: Check, error: Exception | None = None) -> tuple[int, str]:
    async def performance(_data: Path, _picture: Path, found: list[Check]) -> None:
        found += checks
        if error is not None:
            raise ExceptionGroup("as a nursery does", [error])

    monkeypatch.setattr(module, "_play", performance)
    result = CliRunner().invoke(module.demo)
    return result.exit_code, result.stdout


def test_what_did_not_hold_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    code, text = play(monkeypatch, Check("a", True, "1"), Check("water flows uphill", False, "it does not"))
    assert code == 1
    assert " NOT  water flows uphill\n        seen: it does not" in text
    assert "1 of 3 did not hold." in text


def test_a_demo_that_cannot_go_on_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    code, text = play(monkeypatch, Check("a", True, "1"), error=DemoError("the server ended: why"))
    assert code == 1
    assert "The demo could not go on: the server ended: why" in text


def test_exact_means_every_byte() -> None:
    job = Watched(name="x", what="", command="", wanted=b"abc")
    job.got_bytes, job.tail = 3, b"12\n34\n5"
    job.digest.update(b"abd")
    assert not job.exact()
    assert job.last_line() == "34"
