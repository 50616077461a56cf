"""The interpreters of contexts: the server's choice, one that the operator allows, or a virtual environment.

An environment is known by what it is made of: the interpreter, its version, and the bytes of its wheels. So contexts
that ask for the same have the same one, and of several that ask at once one makes it.

    DATA/venvs/<digest>-<random>/           one environment (``venvbuild``)
    DATA/venvs/<digest>-<random>/users/<id> a context that has it: as long as that lives, so does the environment

A context keeps what it was given, also over a restart and when the packages that it named are other ones by then.
Environments that no context has are kept for a while, a few of them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shutil
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from jobdeck_server.core import contextsettings, venvbuild
from jobdeck_server.core.errors import ContextInitError, NoSpaceError, TooLargeError
from jobdeck_server.core.venvbuild import PYTHON, READY, Base, Wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from jobdeck_server.core.blobs import Blobs
    from jobdeck_server.core.contextsettings import PythonWish
    from jobdeck_server.core.packagefinder import JobPackage, PackageFinder
    from jobdeck_server.settings import Settings

T = TypeVar("T")

_log = logging.getLogger("jobdeck.venvs")
_FORM = 1  # of the environments: another number makes all of them anew
_WHEEL, _JAR = "wheel", "jar"


class Venvs:
    """See the top of this file. ``load`` first.

    Args:
        settings: Those that begin with ``venv_``, and ``context_pythons``.
        blobs: Where wheels are.

    Attributes:
        in_use: Whether the context with an id lives.
        finder: What is meant by the names of packages.
    """

    def __init__(self, settings: Settings, *, blobs: Blobs) -> None:
        self._settings = settings
        self._blobs = blobs
        self._folder = settings.data_dir / "venvs"
        self._ready: dict[str, Path] = {}  # by their digests
        self._users: dict[str, Path] = {}  # by the ids of contexts
        self._locks: dict[str, trio.Lock] = {}  # by digests of those that somebody waits for
        self._making: set[Path] = set()
        self._bases: dict[tuple[str, int], Base] = {}  # by path and time of change
        self._builds = trio.CapacityLimiter(settings.venv_build_limit_count)
        self._threads = trio.CapacityLimiter(settings.thread_limit_count)
        self.in_use: Callable[[str], bool] = lambda _context_id: True
        self.finder: PackageFinder | None = None

    async def load(self) -> None:
        """Find the environments that are there; what was not finished is removed."""
        for digest, folder, users in await self._in_thread(self._found):
            self._ready[digest] = folder
            self._users |= dict.fromkeys(users, folder)

    def check(self, settings: Mapping[str, Any]) -> None:
        """Refuse settings of which can be seen at once that they lead to no interpreter. Never blocks.

        Raises:
            BadRequestError: They cannot be understood.
            ContextInitError: They name one that may not be used.
            TooLargeError: There are too many packages.
        """
        wish = contextsettings.python_wish(settings)
        self._base(wish)
        if len(wish.packages) > self._settings.venv_wheel_limit_count:
            raise TooLargeError("The list of packages", self._settings.venv_wheel_limit_count, "packages")

    async def python(self, settings: Mapping[str, Any], *, user: str, jars: bool = False) -> str:
        """The interpreter for the jobs of a context.

        Args:
            settings: Of the context.
            user: The id of the context: as long as it lives the interpreter stays, and is the same at each call.
            jars: Among its packages there may be jars, which are for others.

        Raises:
            BadRequestError, TooLargeError, ContextInitError: See ``check``; or an environment cannot be made.
            UnknownBinaryError, OutboundError, JobdeckError: There is no such package, or it cannot be fetched.
        """
        self.check(settings)
        wish = contextsettings.python_wish(settings)
        base = self._base(wish)
        if not wish.virtualenv:
            return base
        folder = self._users.get(user) or await self._made(base, wish, jars=jars)
        if user not in self._users:
            self._users[user] = folder
            await self._in_thread(_note, folder, user)
        return str(folder / PYTHON)

    async def sweep(self) -> None:
        """Remove what nobody has used for a while; what cannot be removed now stays."""
        try:
            await self._sweep()
        except OSError as error:
            _log.error("environments that nobody uses could not be removed: %s", error)

    async def _sweep(self) -> None:
        gone = [user for user in self._users if not self.in_use(user)]
        for user in gone:
            await self._in_thread(partial(_forget, self._users.pop(user), user))
        used = set(self._users.values())
        unused = [(digest, folder) for digest, folder in self._ready.items() if folder not in used]
        for digest, folder in await self._in_thread(self._stale, unused):
            if folder not in self._users.values() and digest not in self._locks:
                del self._ready[digest]  # from now on nobody is given it
                await self._in_thread(_remove, folder)
        for folder in await self._in_thread(lambda: list(self._folder.iterdir())):
            if folder not in self._making and folder not in self._ready.values():
                await self._in_thread(_remove, folder)

    # -- which --

    def _base(self, wish: PythonWish) -> str:
        """The interpreter that was asked for, as a path."""
        if wish.executable is None:
            return self._settings.package_python or sys.executable
        if wish.executable not in self._settings.context_pythons:
            raise ContextInitError(
                f"python.executable {wish.executable} is not among those that this server's operator allows."
            )
        found = shutil.which(wish.executable, path=self._settings.default_path)
        if found is None:
            raise ContextInitError(f"python.executable {wish.executable} is not there.")
        return found

    async def _made(self, base: str, wish: PythonWish, *, jars: bool) -> Path:
        """The environment that was asked for; made, if it is not there."""
        try:
            with trio.fail_after(self._settings.venv_time_s):
                wheels = await self._wheels(wish.packages, jars=jars)
                return await self._one(await self._asked(base), wheels)
        except trio.TooSlowError as error:
            raise ContextInitError(
                f"Its virtual environment was not made within {self._settings.venv_time_s:g} s."
            ) from error
        except OSError as error:
            raise ContextInitError(f"Its virtual environment cannot be made: {error.strerror or error}") from error

    async def _wheels(self, names: Sequence[str], *, jars: bool) -> list[Wheel]:
        assert self.finder is not None, "it is used before all is put together"
        packages = await self.finder.had(await self.finder.named(names))
        if jars:
            packages = [package for package in packages if package.kind != _JAR]
        return await self._in_thread(self._looked, packages)

    def _looked(self, packages: Sequence[JobPackage]) -> list[Wheel]:
        for package in packages:
            if package.kind != _WHEEL:
                raise ContextInitError(f"{package.name} is no wheel: an environment takes nothing else.")
        alone = {package.content: package for package in packages}.values()
        wheels = [venvbuild.look(self._blobs, each.name, each.content, self._settings) for each in alone]
        if sum(wheel.size_bytes for wheel in wheels) > self._settings.venv_limit_bytes:
            raise TooLargeError("What is in the wheels", self._settings.venv_limit_bytes)
        return wheels

    async def _asked(self, path: str) -> Base:
        """What an interpreter says of itself; it is asked once, until it is another one."""
        key = (path, (await trio.Path(path).stat()).st_mtime_ns)
        if key not in self._bases:
            self._bases[key] = await venvbuild.ask(path)
        return self._bases[key]

    async def _one(self, base: Base, wheels: Sequence[Wheel]) -> Path:
        """The environment that is made of these: of those who ask for it at once, one makes it."""
        digest = _digest(base, wheels)
        lock = self._locks.setdefault(digest, trio.Lock())
        try:
            async with lock:
                if digest not in self._ready:
                    async with self._builds:
                        self._ready[digest] = await self._built(digest, base, wheels)
                return self._ready[digest]
        finally:
            if not lock.statistics().tasks_waiting and not lock.locked():
                self._locks.pop(digest, None)

    async def _built(self, digest: str, base: Base, wheels: Sequence[Wheel]) -> Path:
        folder = self._folder / f"{digest}-{secrets.token_hex(4)}"
        started_s = trio.current_time()
        self._making.add(folder)
        try:
            await self._in_thread(self._check_room, sum(wheel.size_bytes for wheel in wheels))
            await venvbuild.build(folder, base, wheels, self._blobs, limiter=self._threads)
        except Exception:
            await self._in_thread(_remove, folder)
            raise
        finally:
            self._making.discard(folder)  # of one that was given up the sweep removes what there is
        _log.info("made environment %s in %.1f s", folder.name, trio.current_time() - started_s)
        return folder

    # -- on disk: for threads --

    def _found(self) -> list[tuple[str, Path, list[str]]]:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        found = []
        for folder in self._folder.iterdir():
            if (folder / READY).exists():
                users = folder / "users"
                found.append((folder.name.partition("-")[0], folder, os.listdir(users) if users.is_dir() else []))
            else:
                _remove(folder)
        return found

    def _check_room(self, size_bytes: int) -> None:
        """Refuse what would fill the disk.

        Raises:
            NoSpaceError: It would.
        """
        if shutil.disk_usage(self._folder).free - size_bytes < self._settings.blob_reserve_bytes:
            raise NoSpaceError

    def _stale(self, unused: Sequence[tuple[str, Path]]) -> list[tuple[str, Path]]:
        """Those that may go: too old, or too many."""
        times = {folder: folder.stat().st_mtime for _, folder in unused}
        kept = sorted(unused, key=lambda each: times[each[1]], reverse=True)[: self._settings.venv_unused_count]
        oldest = time.time() - self._settings.venv_unused_s
        return [each for each in unused if each not in kept or times[each[1]] < oldest]

    async def _in_thread(self, work: Callable[..., T], *args: object) -> T:
        return await trio.to_thread.run_sync(work, *args, limiter=self._threads)


def _digest(base: Base, wheels: Sequence[Wheel]) -> str:
    what = [_FORM, base.path, base.version, sorted((wheel.file_name, wheel.content) for wheel in wheels)]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]


def _note(folder: Path, user: str) -> None:
    """A context has an environment; durable enough: what is lost with the power, it is given again."""
    (folder / "users").mkdir(mode=0o700, exist_ok=True)
    (folder / "users" / user).touch()
    os.utime(folder)


def _forget(folder: Path, user: str) -> None:
    """It has it no more; the time from which on it is unused is now."""
    (folder / "users" / user).unlink(missing_ok=True)
    os.utime(folder)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
