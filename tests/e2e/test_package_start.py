"""Packages that a server has from its start, and a server that cannot have them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.program import JOBDECK, server

pytestmark = pytest.mark.slow


def test_there_from_the_start(tmp_path: Path) -> None:
    files = [tmp_path / "one.whl", tmp_path / "two.egg"]
    for file in files:
        file.write_bytes(b"PK\x03\x04" + file.name.encode())
    with server(tmp_path / "data", "--package", f"a={files[0]}", "--package", f"b={files[1]}") as deck:
        for life, wanted in enumerate(((11, 1), (11, 1), (15, 2))):
            found = json.loads(deck.ask("GET", "/v1/packages")[2])["packages"]
            assert [(each["name"], each["kind"]) for each in found] == [("a", "wheel"), ("b", "egg")]
            assert (found[0]["size_bytes"], found[0]["versions_count"]) == wanted
            assert found[1]["versions_count"] == 1
            if life == 1:
                files[0].write_bytes(b"PK\x03\x04" + b"another one")
            assert deck.stop() == 0
            deck.start()


@pytest.mark.parametrize("given", ["a.txt", "missing.whl", "text.whl"])
def test_one_that_cannot_be_had(tmp_path: Path, given: str) -> None:
    (tmp_path / "text.whl").write_text("text")
    done = subprocess.run(
        [*JOBDECK, "serve", "--listen", "127.0.0.1:0", "--data-dir", "data", "--package", f"x={given}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert f"jobdeck: cannot load the package 'x' from {tmp_path / given}: " in done.stderr
    assert "Traceback" not in done.stderr
