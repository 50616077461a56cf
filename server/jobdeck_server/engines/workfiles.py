"""A bundle's files on this machine: ``work/<job id>`` and what lies in it. Everything here blocks: for threads.

    files/       what the bundle brought, and what its program makes of it: the program's folder
    plan.json    what will be needed after the end, put down before the start

The program runs as the server's user and can reach all of it, so nothing that is found after its end is trusted.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobdeck_protocol.job import Step
from jobdeck_server.core.bundles.errors import WalkError
from jobdeck_server.core.streams import Kind, write_stream

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jobdeck_server.core.bundles.config import BundleConfig


_PLAN_LIMIT_BYTES = 16 * 1024 * 1024  # a config's limit, escaped


class StatusError(Exception):
    """A bundle cannot be run, or its results not be kept; the text begins with the API's status.

    Attributes:
        was_started: The original says of such a job that it was started.
    """

    def __init__(self, status: str, text: str, *, was_started: bool = False) -> None:
        super().__init__(f"{status}: {text}")
        self.was_started = was_started


def make_folder(place: Path) -> None:
    """A new empty folder for a job's files, whatever an earlier try has left."""
    remove(place)
    (place / "files").mkdir(mode=0o700, parents=True)


def remove(place: Path) -> None:
    """Remove a job's folder, also what the job has forbidden itself to change."""
    shutil.rmtree(place, ignore_errors=True)
    if place.exists():
        with suppress(OSError):
            place.chmod(stat.S_IRWXU)
        for above, names, _ in os.walk(place):  # a folder is made accessible before it is entered
            for name in names:
                path = os.path.join(above, name)
                with suppress(OSError):
                    if stat.S_ISDIR(os.lstat(path).st_mode):
                        os.chmod(path, stat.S_IRWXU)
        shutil.rmtree(place, ignore_errors=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is needed after the end; see ``BundleConfig`` for the fields.

    Attributes:
        artifacts: See there.
        interval_ms: See there.
        segment_lines: See there.
        step: What it runs, for its record.
    """

    artifacts: tuple[tuple[str, tuple[str, ...]], ...]
    interval_ms: int
    segment_lines: int
    step: Step | None = None


def read_plain(path: Path, limit_bytes: int) -> bytes:
    """What stands in a file, as far as ``limit_bytes``; a link or a pipe is not followed or waited for.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no plain file.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError(f"{path.name} is no file")
        return file.read(limit_bytes)


def write_plan(path: Path, config: BundleConfig, step: Step) -> None:
    """Put down what ``read_plan`` gives back."""
    plan = {
        "artifacts": [[each.name, list(each.patterns)] for each in config.artifacts],
        "output_interval_ms": config.output_interval_ms,
        "output_segment_lines": config.output_segment_lines,
        "step": {"argv": step.argv, "env_names": step.env_names, "cwd": step.cwd},
    }
    path.write_text(json.dumps(plan))


def read_plan(path: Path) -> Plan:
    """Read it back.

    Raises:
        StatusError: It is gone or is another one: the program can reach it.
    """
    try:
        found = json.loads(read_plain(path, _PLAN_LIMIT_BYTES))
        return Plan(
            artifacts=tuple((str(name), tuple(map(str, patterns))) for name, patterns in found["artifacts"]),
            interval_ms=int(found["output_interval_ms"]),
            segment_lines=int(found["output_segment_lines"]),
            step=_step(found.get("step")),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StatusError(
            "FAILED_TO_SAVE_ARTIFACT", "the job has removed or changed what was beside its files"
        ) from error


def _step(found: Mapping[str, Any] | None) -> Step | None:
    """None of a plan that an older program has put down."""
    if found is None:
        return None
    argv, env_names = (tuple(str(word) for word in found[name]) for name in ("argv", "env_names"))
    return Step(argv=argv, env_names=env_names, cwd=str(found["cwd"]))


def write_streams(job: Path, files: Path, output_bytes: int) -> None:
    """Put what the job said beside its files, in place of whatever the job has put there.

    Raises:
        WalkError: The folder is gone.
    """
    try:
        folder = os.open(files, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise WalkError(f"The job's folder cannot be read: {error.strerror}.") from error
    try:
        for name, kind in (("job_stdout.txt", Kind.STDOUT), ("job_stderr.txt", Kind.STDERR)):
            _make_way(folder, name)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(name, flags, 0o644, dir_fd=folder)
            try:
                write_stream(job, kind, output_bytes, fd)
            finally:
                os.close(fd)
    finally:
        os.close(folder)


def _make_way(folder: int, name: str) -> None:
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            shutil.rmtree(name, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)
