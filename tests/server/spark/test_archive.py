"""Archives that do not come about: contexts start without, and it is not tried for ever."""

from __future__ import annotations

import fcntl
import os
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from jobdeck_server.spark.archive import Archives, digest
from jobdeck_server.spark.install import Install
from jobdeck_server.spark.launch import Launch
from tests.server.spark.test_launch import install as any_install


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """With a Java that cannot do it."""
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho no memory >&2\nexit 1\n")
    java.chmod(0o755)
    known = any_install(tmp_path)
    return replace(known, java=replace(known.java, path=java))


async def test_none_is_wanted(tmp_path: Path, install: Install) -> None:
    assert await Archives(tmp_path / "spark", wanted=False).find(install, Launch()) is None
    assert await Archives(tmp_path / "spark", wanted=True).find(install, Launch(class_path=("/a.jar",))) is None
    assert not (tmp_path / "spark").exists()


async def test_the_one_that_is_there_is_found(tmp_path: Path, install: Install) -> None:
    folder = tmp_path / "spark"
    folder.mkdir()
    path = folder / f"{digest(install, Launch())}.jsa"
    path.touch()
    assert await Archives(folder, wanted=True).find(install, Launch()) == path


async def test_a_failure_is_remembered(tmp_path: Path, install: Install, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "spark"
    archives = Archives(folder, wanted=True)
    failed = folder / f"{digest(install, Launch())}.failed"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(archives.run)
        assert await archives.find(install, Launch()) is None
        with trio.fail_after(20):
            while not failed.exists():  # noqa: ASYNC110  # a file has no event
                await trio.sleep(0.02)
        nursery.cancel_scope.cancel()
    assert "Java has not come up" in failed.read_text()
    assert "start more slowly" in caplog.text
    # and nothing is tried again, by this server or the next, until a day has gone
    for again in (archives, Archives(folder, wanted=True)):
        assert await again.find(install, Launch()) is None
        assert not again.is_wishing
    os.utime(failed, (1, 1))
    later = Archives(folder, wanted=True)
    assert await later.find(install, Launch()) is None
    assert later.is_wishing


async def test_one_at_a_time(tmp_path: Path, install: Install) -> None:
    training = tmp_path / "spark" / "training"
    training.mkdir(parents=True)
    with (training / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert await Archives(tmp_path / "spark", wanted=True).make(install, Launch()) is None
    assert not list((tmp_path / "spark").glob("*.failed"))


async def test_a_folder_that_cannot_be_written(tmp_path: Path, install: Install) -> None:
    (tmp_path / "spark").write_text("a file")
    assert await Archives(tmp_path / "spark" / "below", wanted=True).make(install, Launch()) is None
