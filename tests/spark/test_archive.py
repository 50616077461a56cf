"""A class-data archive, made by a real Java once, used, and broken in the ways in which files break."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from jobdeck_server.spark.archive import Archives
from jobdeck_server.spark.install import Install
from jobdeck_server.spark.launch import Launch
from tests.spark.places import config_jar
from tests.spark.processes import SMALL, installed, process

MAKE_LIMIT_S = 240.0


@pytest.fixture(scope="module")
def install() -> Install:
    return installed()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data") / "spark"


@pytest.fixture(scope="module")
def archive(folder: Path, install: Install) -> Path:
    async def make() -> Path | None:
        with trio.fail_after(MAKE_LIMIT_S):
            return await Archives(folder, wanted=True).make(install, SMALL)

    folder.mkdir()
    (folder / "old.jsa").touch()
    path = trio.run(make)
    assert path is not None, (folder / "training" / "said").read_text()
    return path


@pytest.mark.timeout(300)
def test_it_is_made_and_used(tmp_path: Path, folder: Path, archive: Path, install: Install) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted([archive.name, "training"])
    assert archive.stat().st_size > 20 << 20
    other = replace(SMALL, heap_bytes=600 << 20, java_options=("-Dmine=1",))
    assert trio.run(Archives(folder, wanted=True).find, install, other) == archive
    with process(tmp_path / "p", install, launch=other, archive=archive) as running:
        assert running.make()["ok"]
        assert str(archive) in Path(f"/proc/{running.java}/maps").read_text()


def test_java_starts_without_an_empty_one(tmp_path: Path, install: Install) -> None:
    empty = tmp_path / "empty.jsa"
    empty.touch()
    check_starts(tmp_path / "p", install, empty)
    assert empty.exists()


def test_java_starts_without_one_of_another_class_path(tmp_path: Path, archive: Path, install: Install) -> None:
    launch = replace(SMALL, class_path=(str(config_jar()),))
    assert trio.run(Archives(archive.parent, wanted=True).find, install, launch) is None
    check_starts(tmp_path / "p", install, archive, launch)


def test_java_starts_without_one_that_is_gone(tmp_path: Path, install: Install) -> None:
    check_starts(tmp_path / "p", install, tmp_path / "gone.jsa")


def test_one_that_kills_java_is_put_away(tmp_path: Path, archive: Path, install: Install) -> None:
    """Java maps one that has been cut, and dies as it reads beyond its end."""
    short = tmp_path / "short.jsa"
    shutil.copyfile(archive, short)
    os.truncate(short, short.stat().st_size // 2)
    with process(tmp_path / "p", install, archive=short) as running:
        running.until_ready()
        assert "Java has died with its class-data archive" in running.said
    assert not short.exists()
    assert "Java has died with it" in (tmp_path / "short.failed").read_text()


def check_starts(folder: Path, install: Install, archive: Path, launch: Launch = SMALL) -> None:
    """Java comes up, and has nothing to say of it."""
    with process(folder, install, launch=launch, archive=archive) as running:
        running.until_ready()
        running.popen.send_signal(signal.SIGTERM)
        assert running.ended(20) == 0
        assert running.said == ""
