"""The class-data archive: classes that Java has read and checked once, for all later ones to map into memory.

    DATA/spark/<digest>.jsa      for one Java, one Spark, and one class path: all that the digest is made of
    DATA/spark/<digest>.failed   why there is none; after a day it is tried once more
    DATA/spark/training/         what the one that makes it works in

It saves a context about half of the CPU time of its start. It is made once, in the background and at the lowest
priority, by a program of its own (``processpath/sparkprocess/training.py``); contexts that start meanwhile do without.
So they do whenever there is none: on a full disk, with a Java that cannot make one, with a class path of their own.
An archive that Java cannot use it leaves aside by itself; one that kills Java is put away by the process that saw it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import trio

from jobdeck_server.spark.install import Install
from jobdeck_server.spark.launch import Launch, class_path, defaults, environment, java_command

__all__ = ["Archives", "digest"]

_log = logging.getLogger("jobdeck.spark")
NEW = "new.jsa"
_TRAINER = Path(__file__).parent / "processpath" / "jobdeck_spark_trainer.py"
_FORMAT = "1"  # of what is loaded, and of the flags: another one makes others
_FREE_BYTES = 512 << 20  # of the disk, below which none is made: it takes 120 MB
_LIMIT_S = 600.0
_FAILED_S = 86400.0
_WHY_CHARS = 500
_BUSY = 75
_HEAP_BYTES = 512 << 20


class Archives:
    """Those of a data directory, of which there is one at a time.

    Args:
        folder: ``DATA/spark``.
        wanted: Whether there are to be any.
    """

    def __init__(self, folder: Path, *, wanted: bool) -> None:
        self._folder = folder.absolute()
        self._wanted = wanted
        self._wish: tuple[Install, Launch] | None = None
        self._wished = trio.Event()
        self._failures: set[str] = set()  # of this server

    @property
    def is_wishing(self) -> bool:
        """Whether one is to be made, or is being made."""
        return self._wish is not None

    async def find(self, install: Install, launch: Launch) -> Path | None:
        """Find the archive for a launch.

        Returns:
            None if there is none. Then one is wished for, if there can be.
        """
        if not self._wanted or launch.class_path:
            return None
        name = await trio.to_thread.run_sync(digest, install, launch)
        path = self._folder / f"{name}.jsa"
        if await trio.to_thread.run_sync(path.is_file):
            return path
        if (
            self._wish is None
            and name not in self._failures
            and not await trio.to_thread.run_sync(_has_failed, self._folder / f"{name}.failed")
        ):
            self._wish = (install, launch)
            self._wished.set()
        return None

    async def run(self) -> None:
        """Make those that are wished for, for ever; when it is cancelled the one at work is left."""
        while True:
            await self._wished.wait()
            self._wished = trio.Event()
            if self._wish is not None:
                try:
                    await self.make(*self._wish)
                finally:
                    self._wish = None

    async def make(self, install: Install, launch: Launch) -> Path | None:
        """Make the archive for a launch, which takes half a minute and more.

        Returns:
            None if that did not work; the log says why.
        """
        name = await trio.to_thread.run_sync(digest, install, launch)
        place = self._folder / "training"
        try:
            if not await trio.to_thread.run_sync(_prepare, place, install, launch):
                await self._failed(name, "the disk is nearly full")
                return None
            code, said = await _train(place)
            if code == _BUSY:  # that of a server that was killed just now; another time
                return None
            if code != 0:
                await self._failed(name, said or f"its program ended with {code}")
                return None
            path = self._folder / f"{name}.jsa"
            size_bytes = await trio.to_thread.run_sync(_keep, place / NEW, path)
        except OSError as error:
            await self._failed(name, f"{error.strerror or error}")
            return None
        _log.info("Contexts on Spark start from a class-data archive of %d MB now", size_bytes >> 20)
        return path

    async def _failed(self, name: str, why: str) -> None:
        """Tell why there is none, and remember it."""
        self._failures.add(name)
        _log.warning("There is no class-data archive, so contexts on Spark start more slowly: %s", why)
        await trio.to_thread.run_sync(_tell_failed, self._folder / f"{name}.failed", why)


def digest(install: Install, launch: Launch) -> str:
    """What an archive is called: nobody else's fits. Blocks, for as long as asking for 250 files takes."""
    known = hashlib.sha256()
    known.update("\0".join((_FORMAT, str(install.java.path), install.java.said, install.spark.version)).encode())
    for path in class_path(install, launch).split(":"):
        facts = os.stat(path) if os.path.exists(path) else None
        about = None if facts is None else (facts.st_size, facts.st_mtime_ns)
        known.update(f"\0{path}\0{about}".encode())
    return known.hexdigest()[:32]


def _prepare(place: Path, install: Install, launch: Launch) -> bool:
    """Clear the trainer's folder and write its plan; False if there is no room for what it makes."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    for each in place.iterdir():
        if each.is_dir():
            shutil.rmtree(each)
        elif each.name != "lock":  # an old trainer may hold it still
            each.unlink()
    if shutil.disk_usage(place).free < _FREE_BYTES:
        return False
    scratch = place / "scratch"
    trained = replace(launch, heap_bytes=_HEAP_BYTES, java_options=(), proxy_user=None)
    java, *words = java_command(install, trained, scratch)
    new = place / NEW
    quietly = ["-Xlog:disable", "-Xlog:all=error:stderr", "-XX:TieredStopAtLevel=1"]  # it is not to run for long
    plan = {
        "java": [java, f"-XX:ArchiveClassesAtExit={new}", *quietly, *words],
        "check": [java, f"-XX:SharedArchiveFile={new}", "-Xshare:on", "-cp", class_path(install, trained), "-version"],
        "env": environment(install, trained),
        "paths": [str(install.spark.home / "python" / "lib" / "pyspark.zip"), str(install.spark.py4j)],
        "conf": {**defaults(trained, scratch), "spark.master": "local[2]", "spark.app.name": "training"},
        "scratch": str(scratch),
        "limit_s": _LIMIT_S,
    }
    (place / "plan.json").write_text(json.dumps(plan))
    return True


async def _train(place: Path) -> tuple[int, str]:
    """Run the trainer; when this is cancelled it ends, and so it does when this process dies.

    Returns:
        Its exit code, and its last words.
    """
    inner, outer = os.pipe()  # its standard input, which ends when we do
    try:
        with (place / "said").open("w+b") as said:
            try:
                done = await trio.run_process(
                    [sys.executable, "-I", "-S", str(_TRAINER), str(place)],
                    check=False,
                    stdin=inner,
                    stdout=said,
                    stderr=said,
                    cwd="/",
                    env={"LANG": "C.UTF-8", "PATH": os.environ.get("PATH", os.defpath)},
                )
            finally:
                os.close(inner)
            said.seek(max(0, said.tell() - _WHY_CHARS))
            return done.returncode, said.read().decode(errors="replace").strip()
    finally:
        os.close(outer)


def _keep(new: Path, path: Path) -> int:
    """Put an archive where it is found, and take away what it replaces.

    Returns:
        Its size.
    """
    with new.open("rb") as file:
        os.fsync(file.fileno())
    new.rename(path)
    for other in path.parent.iterdir():
        if other.suffix in (".jsa", ".failed") and other != path:
            other.unlink(missing_ok=True)  # a Java that runs keeps what it has mapped
    shutil.rmtree(path.parent / "training" / "scratch", ignore_errors=True)
    return path.stat().st_size


def _tell_failed(path: Path, why: str) -> None:
    with suppress(OSError):  # the disk is full: this server does not try again for as long as it lives
        path.write_text(f"{why}\n")


def _has_failed(path: Path) -> bool:
    """Whether it is not yet worth another try."""
    try:
        return time.time() - path.stat().st_mtime < _FAILED_S
    except OSError:
        return False
