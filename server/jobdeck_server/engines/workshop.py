"""What the built-in executor does for a bundle before its program starts and after it has ended.

Before: the blob is found, its files are laid out in ``work/<job id>/files``, ``executor_config.json`` is read. What
will be needed after the end is put down beside the files (``plan.json``): the program may change its own config.

After: what the program said goes into ``job_stdout.txt`` and ``job_stderr.txt``; the files that a result pattern names
become blobs under their base names, each result artifact an artifact record of links to them, and all of them together
one more (the result super set). The names, and with them the hashes, are those of the original's worker.

Source: the WebGME executor walkthrough; wire reference sections 5 and 6. Statuses are the words of that API.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

import trio

from jobdeck_protocol.job import Step
from jobdeck_server.core.blobrecord import record_of
from jobdeck_server.core.blobs import FileTarget
from jobdeck_server.core.bundles.config import parse_config
from jobdeck_server.core.bundles.errors import LeftOutError, UnpackError, WalkError
from jobdeck_server.core.bundles.globs import Patterns
from jobdeck_server.core.bundles.limits import ConfigLimits, PatternLimits, UnpackLimits, WalkLimits
from jobdeck_server.core.bundles.unpack import unpack, unpack_tree
from jobdeck_server.core.bundles.walk import walk
from jobdeck_server.core.environment import standard
from jobdeck_server.core.errors import (
    BlobLinkError,
    JobdeckError,
    MissingContentError,
    TooLargeError,
    UnknownBlobError,
)
from jobdeck_server.core.store import StoreError
from jobdeck_server.engines.segments import Pace, SegmentLedger, tell_segments
from jobdeck_server.engines.shop import Made
from jobdeck_server.engines.workfiles import (
    StatusError,
    make_folder,
    read_plain,
    read_plan,
    remove,
    write_plan,
    write_streams,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from jobdeck_server.core.blobrecord import Record
    from jobdeck_server.core.blobs import Target
    from jobdeck_server.core.bundles.config import BundleConfig
    from jobdeck_server.core.bundles.walk import FoundFile
    from jobdeck_server.core.output import OutputReader
    from jobdeck_server.engines.base import Ended, Launch, Report
    from jobdeck_server.engines.shelf import Shelf
    from jobdeck_server.settings import Settings

_CONFIG = "executor_config.json"
_PLAN = "plan.json"
_SUPER_SET = "jobInfo_resultSuperSetHash"
T = TypeVar("T")

_SHELL_WORD = re.compile(r"[\s|&;<>()$`\"'*?~#=%{}\[\]!\\]")
"""What a program's name hardly has and a line for a shell has."""


class ResultLedger(Protocol):
    """Where it is kept what results a job has, beside their blobs."""

    async def note_results(self, job_id: str, results: Mapping[str, str], super_set: str | None) -> None:
        """All results of a job are kept: name to hash, and the artifact of all of them, where they have any.

        Raises:
            StoreError, OSError: It cannot be written now.
        """


class Workshop:
    """See the top of this file, and ``shop.Shop``.

    Args:
        settings: Those that begin with ``executor_``.
        shelf: Where bundles come from and results go.
        folder: For the files of jobs; made here.
        jobs_dir: Where the jobs' output is.
        origin: The server's URL, for the jobs.

    Attributes:
        ledger: See there; may be set later.
        segments: Where segments of output are told; None where nobody asks for them.
        output: Opens a job's output.
    """

    unready = "FAILED_SOURCE_COULD_NOT_BE_OBTAINED"
    unkept = "FAILED_TO_SAVE_ARTIFACT"
    unfollowed = "its output is told in segments no longer"

    def __init__(self, settings: Settings, *, shelf: Shelf, folder: Path, jobs_dir: Path, origin: str) -> None:
        self._settings = settings
        self._shelf = shelf
        self._folder = folder
        self._jobs_dir = jobs_dir
        self._origin = origin
        self._limiter = trio.CapacityLimiter(settings.executor_thread_limit_count)
        self.ledger: ResultLedger | None = None
        self.segments: SegmentLedger | None = None
        self.output: Callable[[str], Awaitable[OutputReader]] | None = None

    # -- before --

    async def prepare(self, launch: Launch, *, cancelled: Callable[[], bool]) -> Made:
        """Lay out a bundle's files and find out what to run.

        Raises:
            StatusError: It cannot be run.
        """
        job_id, blob_hash = launch.job_id, str(launch.spec["bundle"])
        files = self._folder / job_id / "files"
        await self._in_thread(partial(make_folder, self._folder / job_id))
        async with AsyncExitStack() as stack:
            target = await self._find(stack, blob_hash, job_id)
            await self._lay_out(target, files, cancelled)
        try:
            config = await self._in_thread(partial(self._read_config, files))
        except (ValueError, OSError) as error:  # ConfigError is one
            raise StatusError("FAILED_EXECUTOR_CONFIG", _why(error), was_started=True) from error
        env = standard(job_id, self._settings) | {"ORIGIN_URL": self._origin}
        argv = await self._in_thread(partial(_argv, config, files, env["PATH"]))
        step = {"argv": argv, "executable": None, "env": env, "cwd": str(files)}
        shown = Step(argv=tuple(argv), env_names=tuple(sorted(env)), cwd=str(files))
        await self._in_thread(partial(write_plan, self._folder / job_id / _PLAN, config, shown))
        return Made(spec={**launch.spec, "steps": [step]}, steps=(shown,))

    async def _find(self, stack: AsyncExitStack, blob_hash: str, job_id: str) -> Target:
        try:
            return await stack.enter_async_context(self._shelf.bundle(blob_hash, job_id=job_id))
        except UnknownBlobError as error:
            raise StatusError("FAILED_TO_GET_SOURCE_METADATA", str(error)) from error
        except UnpackError as error:
            raise StatusError("FAILED_UNZIP", str(error)) from error
        except (MissingContentError, BlobLinkError, TooLargeError) as error:
            raise StatusError("FAILED_SOURCE_COULD_NOT_BE_OBTAINED", str(error)) from error

    async def _lay_out(self, target: Target, files: Path, cancelled: Callable[[], bool]) -> None:
        limits = UnpackLimits.of(self._settings)

        def lay_out() -> None:
            if isinstance(target, FileTarget):
                with self._shelf.read(target.content_hash) as source:
                    unpack(source.fd, files, limits, cancelled)
            else:  # what has the store's own form needs no zip in between
                unpack_tree(target.entries, self._shelf.read, files, limits, cancelled)

        try:
            await self._in_thread(lay_out)
        except MissingContentError as error:
            raise StatusError("FAILED_SOURCE_COULD_NOT_BE_OBTAINED", str(error)) from error
        except UnpackError as error:
            raise StatusError("FAILED_UNZIP", str(error)) from error
        except OSError as error:
            raise StatusError("FAILED_CREATING_SOURCE_ZIP", f"its files cannot be written: {error.strerror}") from error

    def _read_config(self, files: Path) -> BundleConfig:
        limits = ConfigLimits.of(self._settings)
        return parse_config(read_plain(files / _CONFIG, limits.size_bytes + 1), limits)

    # -- meanwhile --

    async def follow(self, job_id: str, over: trio.Event, tell: Callable[[Report], None]) -> None:
        """Tell a job's standard output in segments, if its config asks for that, until ``over`` and all is told.

        Raises:
            StatusError: The plan is gone.
            JobdeckError, StoreError, OSError: They cannot be told.
        """
        del tell  # segments have a ledger of their own
        plan = await self._in_thread(partial(read_plan, self._folder / job_id / _PLAN))
        pace = Pace(lines_count=max(0, plan.segment_lines), interval_s=max(0, plan.interval_ms) / 1000)
        if (pace.lines_count or pace.interval_s) and self.segments is not None and self.output is not None:
            with await self.output(job_id) as reader:
                await tell_segments(reader, self.segments, job_id, pace, over)

    # -- after --

    async def collect(self, job_id: str, ended: Ended, *, cancelled: Callable[[], bool]) -> Ended:
        """Keep a job's results as blobs; done again, it does the same.

        Returns:
            The end, with the name of each result artifact, and the hash of its record.

        Raises:
            StatusError: There is something wrong with the files.
            StoppedError: ``cancelled`` said so.
            JobdeckError, StoreError, OSError: They cannot be kept now.
        """
        place = self._folder / job_id
        plan = await self._in_thread(partial(read_plan, place / _PLAN))
        files = place / "files"
        look = partial(
            _look,
            files,
            [patterns for _, patterns in plan.artifacts],
            limits=WalkLimits.of(self._settings),
            pattern_limits=ConfigLimits.of(self._settings).patterns,
            cancelled=cancelled,
        )
        try:
            await self._in_thread(partial(write_streams, self._jobs_dir / job_id, files, ended.output_bytes))
            found = await self._in_thread(look)
        except WalkError as error:
            raise StatusError("FAILED_TO_SAVE_ARTIFACT", str(error)) from error
        kept = await self._keep_all(job_id, [each for each, _ in found])
        own: list[dict[str, tuple[str, int]]] = [{} for _ in plan.artifacts]
        for each, numbers in found:
            for number in numbers if each.path in kept else ():
                own[number][each.path] = kept[each.path]
        results = {}
        for (name, _), files_of in zip(plan.artifacts, own, strict=True):
            results[name] = await self._keep_artifact(job_id, name, files_of)
        super_set = await self._keep_artifact(job_id, _SUPER_SET, kept) if plan.artifacts else None
        if self.ledger is not None:
            await self.ledger.note_results(job_id, results, super_set)
        return replace(ended, results=results)

    async def _keep_all(self, job_id: str, found: Sequence[FoundFile]) -> dict[str, tuple[str, int]]:
        """Upload files, some at a time.

        Returns:
            For each path the hash of its record, and its length in bytes.

        Raises:
            JobdeckError, StoreError, OSError: The first that went wrong; nothing more is begun then.
        """
        kept: dict[str, tuple[str, int]] = {}
        failed: list[Exception] = []
        left = iter(found)

        async def work() -> None:
            for each in left:
                try:
                    with suppress(LeftOutError):
                        kept[each.path] = await self._shelf.keep_file(each, job_id=job_id, limiter=self._limiter)
                except (JobdeckError, StoreError, OSError) as error:  # as it is, and not in a group
                    failed.append(error)
                if failed:
                    return

        async with trio.open_nursery() as nursery:
            for _ in range(min(len(found), self._settings.executor_upload_limit_count)):
                nursery.start_soon(work)
        if failed:
            raise failed[0]
        return kept

    async def _keep_artifact(self, job_id: str, name: str, files: dict[str, tuple[str, int]]) -> str:
        """Put the record of an artifact of links to files."""
        record = await self._in_thread(partial(_artifact, name, files))
        return await self._shelf.keep_record(record, job_id=job_id)

    # -- tidying --

    async def clear(self, job_id: str) -> None:
        """Remove a job's files."""
        await self._in_thread(partial(remove, self._folder / job_id))

    async def kept(self) -> list[str]:
        """The jobs that have files here."""
        return await self._in_thread(lambda: os.listdir(self._folder) if self._folder.exists() else [])

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(call, limiter=self._limiter)


def _argv(config: BundleConfig, files: Path, search_path: str) -> list[str]:
    """What to start: the program, or if there is none of that name and it reads like a line for the shell, the shell.

    The document calls ``cmd`` a shell command, and its original never used a shell.
    """
    there = os.path.exists(files / config.cmd) if "/" in config.cmd else shutil.which(config.cmd, path=search_path)
    if there or not _SHELL_WORD.search(config.cmd):
        return [config.cmd, *config.args]
    line = f'{config.cmd} "$@"' if config.args else config.cmd
    return ["/bin/sh", "-c", line, "sh", *config.args]


def _look(
    files: Path,
    wanted: Sequence[Sequence[str]],
    *,
    limits: WalkLimits,
    pattern_limits: PatternLimits,
    cancelled: Callable[[], bool],
) -> list[tuple[FoundFile, tuple[int, ...]]]:
    """The files that some artifact wants, and the numbers of those that do. Blocks: patterns and files may be many."""
    artifacts = [Patterns(patterns, pattern_limits) for patterns in wanted]
    found = []
    for each in walk(files, limits, cancelled=cancelled):
        numbers = tuple(number for number, patterns in enumerate(artifacts) if patterns.matches(each.path))
        if numbers:
            found.append((each, numbers))
    return found


def _artifact(name: str, files: dict[str, tuple[str, int]]) -> Record:
    """The record of an artifact of links to files, which may be many."""
    return record_of(
        {
            "name": f"{name}.zip",
            "size": sum(size for _, size in files.values()),
            "mime": "application/zip",
            "content": {path: {"content": own, "contentType": "softLink"} for path, (own, _) in files.items()},
            "contentType": "complex",
        }
    )


def _why(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"there is no {_CONFIG}"
    return f"{_CONFIG} cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
