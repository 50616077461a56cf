"""What a job's interpreter is told before it starts: its private folder, the plan in it, and its command line.

    FOLDER/plan.json, config.json   written before the start, by ``write_plan``
    FOLDER/packages/...             packages that had to be unpacked, by ``lay_out``
    FOLDER/...                      what the job's interpreter tells: see ``outcome``

The folder is the job's own to read and to write, 0700, and goes when the job's end is committed and its result kept.
Everything here blocks: for threads.

A wheel or egg is put on the path as it is where Python can load it so: what is no zip of pure Python must be unpacked.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from jobdeck_server.core.bundles.unpack import never, unpack
from jobdeck_server.core.bundles.zipread import read_zip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jobdeck_server.core.bundles.limits import UnpackLimits

PLAIN = "plain"
PYTHON, JVM = LANGUAGES = ("python", "jvm")

_JOBPATH = Path(__file__).parent / "jobpath"
_RUNNER = _JOBPATH / "jobdeck_package_runner.py"
_BINARY = (".so", ".pyd", ".dylib", ".dll")
_WORKING_FOLDER = "files"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerPlan:
    """A job out of a package.

    Attributes:
        job_id: Its id.
        main_class: ``package.module.Class``.
        language: What its class is written in: one of ``LANGUAGES``.
        package: The job's own wheel or egg, or the folder that it was unpacked into; first on the path. Of jobs in
            Python alone.
        wheels: What it depends on, behind it.
        jars: Of a job on the JVM: its own first, then what it depends on.
        config: Its configuration, as JSON text; None for one that stands in ``config.json`` already.
        context_kind: What makes its context: ``plain`` or ``spark``.
        context_name: The context's name.
        link: The socket of the context's process; None for a context that has none.
        settings: How the context was set up.
        alone: The context is this job's alone.
        result_limit_bytes: More than that is no result.
    """

    job_id: str
    main_class: str
    language: str = PYTHON
    package: Path | None = None
    wheels: Sequence[Path] = ()
    jars: Sequence[Path] = ()
    config: bytes | None = b"{}"
    context_kind: str = PLAIN
    context_name: str
    link: Path | None = None
    settings: Mapping[str, Any]
    alone: bool = False
    result_limit_bytes: int


def write_plan(folder: Path, plan: RunnerPlan) -> None:
    """Put down what the job's interpreter reads, in place of what an earlier try has left.

    The folder is made if need be. The job's working folder is ``working_folder``.
    """
    folder = folder.absolute()  # the job is started in another one
    working_folder(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    if plan.config is not None:
        _put(folder / "config.json", plan.config)
    told = {
        "job_id": plan.job_id,
        "main_class": plan.main_class,
        "folder": str(folder),
        "language": plan.language,
        "package": None if plan.package is None else str(plan.package.absolute()),
        "wheels": [str(wheel.absolute()) for wheel in plan.wheels],
        "jars": [str(jar.absolute()) for jar in plan.jars],
        "config": str(folder / "config.json"),
        "context": {
            "kind": plan.context_kind,
            "name": plan.context_name,
            "settings": dict(plan.settings),
            "alone": plan.alone,
            "link": None if plan.link is None else {"control": str(plan.link.absolute())},
        },
        "result_bytes": plan.result_limit_bytes,
    }
    _put(folder / "plan.json", json.dumps(told).encode())


def working_folder(folder: Path) -> Path:
    """Where the job runs: a folder of its own beside what the server needs."""
    return folder / _WORKING_FOLDER


def command(folder: Path, python: str) -> list[str]:
    """What runs the job of a folder, by a Python of 3.8 or later: an operator's own, or that of a virtual environment.

    Isolated: of the environment and of a user's packages nothing gets in; what the interpreter itself has installed is
    there. Text is UTF-8, whatever the locale.
    """
    return [python, "-I", "-X", "utf8", str(_RUNNER), str(folder.absolute() / "plan.json")]


def lay_out(
    source: BinaryIO,
    package: Path,
    name: str,
    folder: Path,
    limits: UnpackLimits,
    cancelled: Callable[[], bool] = never,
) -> Path:
    """What of a package goes on the path: itself, or if Python cannot load it so, a folder with what was in it.

    Args:
        source: The package, opened.
        package: Its path, which must stay there for as long as the job runs. Ends in ``.whl`` or ``.egg`` or not.
        name: A plain file name, for the folder; no two packages of a job have the same.
        folder: The job's own.
        limits: Of what is unpacked.
        cancelled: See ``unpack``.

    Raises:
        UnpackError: It is no zip that can be used.
        StoppedError: ``cancelled`` said so.
        OSError: The disk failed, or is full.
    """
    entries = [entry for entry, _ in read_zip(source.fileno(), limits, cancelled)]
    if not any(_needs_folder(entry.parts) for entry in entries):
        return package
    place = folder / "packages" / name
    place.mkdir(mode=0o700, parents=True)
    unpack(source, place, limits, cancelled)
    return place


def _needs_folder(parts: tuple[str, ...]) -> bool:
    """Whether an entry says that Python cannot load the zip that it is in."""
    last = parts[-1]
    return last.endswith(_BINARY) or ".so." in last or parts == ("EGG-INFO", "not-zip-safe")


def _put(path: Path, data: bytes) -> None:
    """Write a private file anew."""
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
