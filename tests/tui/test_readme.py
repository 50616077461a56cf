"""The README is true: its commands are run, and it names every setting."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from jobdeck_server.commands.configure import OPTIONS

from .conftest import PROGRAM, Server

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_its_commands(server: Server, tmp_path: Path) -> None:
    """All blocks marked `sh`, in their order, in one shell, on a port of our own."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 4
    script = "set -e\n" + "\n".join(blocks).replace("http://127.0.0.1:8080", server.url)
    environ = server.environment()
    environ["PATH"] = f"{Path(PROGRAM).parent}:{environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environ,
        stdin=subprocess.DEVNULL,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    in_order = iter(lines)
    for wanted in [
        "hello",
        "100000",
        "99999",
        "99998",
        "it ended with 3",
        "and that with 143",
        "line 1",
        "line 2",
        "line 3",
        "line 3",  # by its offset from the end
        "with a token",
    ]:
        assert any(line == wanted for line in in_order), f"{wanted!r} is missing in {lines}"
    assert any(line.startswith("ID ") for line in lines)
    assert any('{"IDs":["' in line for line in lines)
    assert any('"command":"for i in 1 2 3' in line for line in lines)


def test_it_names_every_setting() -> None:
    for option in OPTIONS:
        assert f"`{option.flag}" in README, option.flag


def test_what_it_links_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_the_architecture_is_short_and_its_places_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    assert len(text.splitlines()) <= 150
    rows = re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE)
    for place in re.findall(r"`([^`]+)`", " ".join(rows)):
        path = place.replace(".../", "server/jobdeck_server/")
        found = (ROOT / path).exists() or (ROOT / "server/jobdeck_server" / path).exists()
        assert found, f"there is no {place}"
