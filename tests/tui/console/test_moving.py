"""Paths that are typed, and how far something is."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobdeck_tui.console.moving import Meter, bar_text, completed, files_meant, restarted


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("report-1.csv", "report-2.csv", "readme.txt", ".hidden", "evil\x1b[2J"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "runs").mkdir()
    return tmp_path


def test_tab_goes_on_as_far_as_it_can(folder: Path) -> None:
    assert completed(f"{folder}/rep") == (f"{folder}/report-", ["report-1.csv", "report-2.csv"])
    assert completed(f"{folder}/ru") == (f"{folder}/runs/", ["runs/"])
    assert completed(f"{folder}/re") == (f"{folder}/re", ["readme.txt", "report-1.csv", "report-2.csv"])
    assert completed(f"{folder}/x") == (f"{folder}/x", [])
    assert completed(f"{folder}/") == (f"{folder}/r", ["readme.txt", "report-1.csv", "report-2.csv", "runs/"])
    assert completed(f"{folder}/.h") == (f"{folder}/.hidden", [".hidden"])
    assert completed("/no/such/folder/x") == ("/no/such/folder/x", [])
    assert completed("~nobody-has-this-name/x")[1] == []
    assert completed("a\0/b")[1] == []


def test_a_second_beginning_counts() -> None:
    assert restarted("/home/me//etc/x") == "/etc/x"
    assert restarted("/home/me/~/x") == "~/x"
    assert restarted("/home/me/x~") == "/home/me/x~"


def test_files_that_are_meant(folder: Path) -> None:
    assert files_meant(f" {folder}/readme.txt ") == [folder / "readme.txt"]
    assert files_meant(f"{folder}/*.csv") == [folder / "report-1.csv", folder / "report-2.csv"]
    assert files_meant(f"/x/{folder}/readme.txt") == [folder / "readme.txt"]
    for nothing, why in (
        ("", "name"),
        (str(folder), "is a folder"),
        (f"{folder}/*.zip", "There is no file"),
        ("~x/a", "home"),
    ):
        with pytest.raises(ValueError, match=why):
            files_meant(nothing)


def test_how_far_it_is() -> None:
    assert bar_text(512, 1024, 256.0) == "██████████░░░░░░░░░░  512 B of 1.0 KiB, 50 %, 256 B/s, 2.0s left"
    assert bar_text(512, None, 256.0) == "512 B, 256 B/s"
    said: list[str] = []
    meter = Meter(said.append)
    for done in range(1001):
        meter.update(done, 1000)
    assert len(said) < 100
    assert "100 %" in said[-1]
