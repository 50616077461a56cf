"""Making one virtual environment out of wheels, and nothing else. Part of ``Venvs``.

    FOLDER/wheels/<n>/<name>.whl  copied from the blob store under the name that the wheel says it has; gone at the end
    FOLDER/venv/                  the environment
    FOLDER/log                    what the programs said
    FOLDER/ready                  written last: until then the folder is rubbish

The programs are Python's own ``venv`` and the pip that it brings along: run out of its wheel, for to install it first
takes longer than all the rest, and an environment needs none of its own. pip sees no index, no configuration of anybody
and no dependencies: what is not among the wheels is not there.

The names in an environment are those of its folder, so it can never be moved: it is made where it stays, and the
folder's name is used once.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import IO, TYPE_CHECKING

import trio

from jobdeck_server.core.bundles.errors import UnpackError
from jobdeck_server.core.bundles.limits import UnpackLimits
from jobdeck_server.core.bundles.unpack import never
from jobdeck_server.core.bundles.zipread import read_zip
from jobdeck_server.core.ends import syncfs
from jobdeck_server.core.errors import ContextInitError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jobdeck_server.core.blobs import BlobFile, Blobs
    from jobdeck_server.settings import Settings

_ASK_S = 20.0
_ASK = """
import glob, os, sys, sysconfig
try:
    import ensurepip
    found = glob.glob(os.path.join(os.path.dirname(ensurepip.__file__), "_bundled", "pip-*.whl"))
except ImportError:
    found = []
print(sys.version.replace("\\n", " "), sysconfig.get_platform())
print(found[0] if len(found) == 1 else "")
"""
_TOLD_COUNT = 2

READY = "ready"
PYTHON = "venv/bin/python"

_SHOWN_CHARS = 2000
_WHEEL_BYTES = 64 * 1024  # of the part of a wheel that tells what it is for
_TAG = re.compile(r"[\w.]+-[\w.]+-[\w.]+", re.ASCII)  # becomes part of a file's name
_INSTALL = (
    *("install", "--no-index", "--no-deps", "--no-input", "--no-cache-dir", "--no-color"),
    *("--disable-pip-version-check", "--no-warn-script-location", "--progress-bar", "off"),
    *("--root-user-action", "ignore"),
)
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PIP_CONFIG_FILE": os.devnull}


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """An interpreter.

    Attributes:
        path: Of its program.
        version: And the machine that it is for, in full.
        pip: The wheel of the pip that it brings, empty if there is none.
    """

    path: str
    version: str
    pip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """What goes into an environment.

    Attributes:
        name: As it was named, for people.
        content: The SHA-1 of its bytes, in the blob store.
        file_name: As a wheel with what is in it is called: pip goes by that.
        size_bytes: Of what is in it, as it says.
    """

    name: str
    content: str
    file_name: str
    size_bytes: int


def look(blobs: Blobs, name: str, content: str, settings: Settings) -> Wheel:
    """Look into a wheel. Blocks.

    Raises:
        ContextInitError: It is none, or unpacks to too much.
        MissingContentError: It is not here.
    """
    limits = replace(UnpackLimits.of(settings), total_bytes=settings.venv_limit_bytes)
    try:
        with blobs.read(content) as file:
            entries = [entry for entry, _ in read_zip(file.fd, limits, never)]
            found = [e.parts[0] for e in entries if len(e.parts) == 2 and e.parts[1] == "WHEEL"]
            stems = [part.removesuffix(".dist-info") for part in found if part.endswith(".dist-info")]
            if len(stems) != 1:
                raise ContextInitError(f"{name} is no wheel: it must have one WHEEL file in it, and has {len(stems)}.")
            return Wheel(
                name=name,
                content=content,
                file_name=f"{stems[0]}-{_tags(file, f'{stems[0]}.dist-info/WHEEL')}.whl",
                size_bytes=sum(entry.size_bytes for entry in entries),
            )
    except (UnpackError, zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError) as error:
        raise ContextInitError(f"{name} is no wheel: {error}") from error


def _tags(file: BlobFile, path: str) -> str:
    """The part of a wheel's name that says where it may be installed."""
    with os.fdopen(os.dup(file.fd), "rb") as source, zipfile.ZipFile(source) as archive, archive.open(path) as part:
        lines = part.read(_WHEEL_BYTES).decode().splitlines()
    said = [line.partition(":")[2].strip() for line in lines if line.startswith("Tag:")]
    if not said or not all(_TAG.fullmatch(tag) for tag in said):
        raise ValueError("its WHEEL file does not say where it may be installed")
    tags = [tag.split("-") for tag in said]
    # Each of the three may be several, joined by dots; they are given one by one there
    return "-".join(".".join(dict.fromkeys(tag[place] for tag in tags)) for place in range(3))


async def ask(path: str) -> Base:
    """What an interpreter says of itself.

    Raises:
        ContextInitError: It is none that works.
        OSError: It cannot be started.
    """
    told: list[str] = []
    with trio.move_on_after(_ASK_S):
        done = await trio.run_process(
            [path, "-I", "-c", _ASK], capture_stdout=True, check=False, env=_ENVIRONMENT, start_new_session=True
        )
        told = done.stdout.decode(errors="replace").splitlines() if done.returncode == 0 else []
    if len(told) != _TOLD_COUNT:
        raise ContextInitError(f"{path} is no Python that works.")
    return Base(path=path, version=told[0], pip=told[1])


async def build(
    folder: Path, base: Base, wheels: Sequence[Wheel], blobs: Blobs, *, limiter: trio.CapacityLimiter
) -> None:
    """Make an environment in a folder that is not there yet.

    Args:
        folder: See the top of this file.
        base: The interpreter.
        wheels: All that goes in.
        blobs: Where they are.
        limiter: Of threads.

    Raises:
        ContextInitError: It cannot be made; with the words of the program that failed.
        MissingContentError, OSError: A wheel is not here; the disk failed.
    """
    in_thread = partial(trio.to_thread.run_sync, limiter=limiter)
    files = await in_thread(_lay_out, folder, wheels, blobs)
    without = ["--without-pip"] if base.pip else []
    make = [base.path, "-I", "-m", "venv", *without, str(folder / "venv")]
    await _run(folder, make, "The virtual environment cannot be made")
    if files:
        pip = [f"{base.pip}/pip"] if base.pip else ["-m", "pip"]
        names = ", ".join(wheel.name for wheel in wheels)
        await _run(folder, [str(folder / PYTHON), "-I", *pip, *_INSTALL, "--", *files], f"{names} cannot be installed")
    await in_thread(_finish, folder, wheels)


def _lay_out(folder: Path, wheels: Sequence[Wheel], blobs: Blobs) -> list[str]:
    files = []
    (folder / "wheels").mkdir(mode=0o700, parents=True)
    folder.chmod(0o700)
    for number, wheel in enumerate(wheels):
        place = folder / "wheels" / str(number)
        place.mkdir()
        with blobs.read(wheel.content) as source, (place / wheel.file_name).open("xb") as target:
            _copy(source.fd, target)
        files.append(str(place / wheel.file_name))
    return files


def _copy(fd: int, target: IO[bytes]) -> None:
    offset = 0
    while count := os.sendfile(target.fileno(), fd, offset, 1 << 30):
        offset += count


def _finish(folder: Path, wheels: Sequence[Wheel]) -> None:
    shutil.rmtree(folder / "wheels")
    syncfs(folder)
    told = {"wheels": [[wheel.file_name, wheel.content] for wheel in wheels]}
    (folder / (READY + ".new")).write_text(json.dumps(told))
    (folder / (READY + ".new")).rename(folder / READY)


async def _run(folder: Path, command: Sequence[str], failure: str) -> None:
    """Run a program to its end; cancelled, it is killed with all that it started.

    Raises:
        ContextInitError: It failed; with the last that it said.
    """
    with (folder / "log").open("wb") as log:
        done = await trio.run_process(
            command,
            stdout=log,
            stderr=log,
            check=False,
            env=_ENVIRONMENT,
            cwd=folder,
            start_new_session=True,
            deliver_cancel=_kill,
        )
    if done.returncode:
        said = (folder / "log").read_text(errors="replace").strip()[-_SHOWN_CHARS:]
        raise ContextInitError(f"{failure}: {said or f'exit code {done.returncode}'}")


async def _kill(process: trio.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
