"""What is done for a class out of a package before its interpreter starts and after that has ended.

Before: the packages come out of the blob store into ``work/<job id>``, under names that are made here; beside them
stands the plan (``packages.plan``). While it runs, what the job says of how far it has come is told. After: what it
left is judged (``packages.outcome``), its result becomes a blob, and both are committed before its end is told, so
nobody ever sees a job that has finished and has no result.

The job's interpreter is its context's (``venvs``). Where that says nothing it is ``Settings.package_python``, or the
one that runs this server: surely there, and known to work. The modules that are installed beside jobdeck can be
imported then, behind everything that the job's packages bring. A job that must not see them, or needs others, has a
context with another interpreter, or with a virtual environment.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import trio

from jobdeck_protocol.job import Step
from jobdeck_server.core.blobfiles import bring
from jobdeck_server.core.bundles.errors import StoppedError, UnpackError, shown
from jobdeck_server.core.bundles.limits import UnpackLimits
from jobdeck_server.core.environment import standard
from jobdeck_server.core.packageledger import result_hash
from jobdeck_server.core.packagerows import PackageResult
from jobdeck_server.engines.base import Progressed
from jobdeck_server.engines.shop import Made
from jobdeck_server.engines.workfiles import StatusError, remove
from jobdeck_server.packages import outcome as outcomes
from jobdeck_server.packages.outcome import FINISHED, JSON, NONE, JobError, Outcome
from jobdeck_server.packages.plan import JVM, PLAIN, PYTHON, RunnerPlan, command, lay_out, working_folder, write_plan

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from jobdeck_server.core.blobs import BlobFile, Blobs
    from jobdeck_server.core.packageledger import PackageLedger
    from jobdeck_server.core.venvs import Venvs
    from jobdeck_server.engines.base import Ended, Launch, Report
    from jobdeck_server.settings import Settings

    Link = Callable[[str], Awaitable[Path | None]]

T = TypeVar("T")
_SUFFIXES = {"wheel": ".whl", "egg": ".egg", "jar": ".jar"}
_NO_NAME = re.compile(r"[^A-Za-z0-9._+-]+")
_NAME_LIMIT_COUNT = 100
_PIECE_BYTES = 1024 * 1024
_ERROR_LIMIT_COUNT = 500
_PROGRESS_LIMIT_COUNT = 1024  # each change is kept as an event for a while


class PackageShop:
    """See the top of this file, and ``shop.Shop``.

    Args:
        settings: Those that begin with ``package_`` and, for what is in packages, ``bundle_``.
        blobs: Where packages come from and results go.
        ledger: What is known of the jobs.
        venvs: The interpreters of contexts.
        folder: For the files of jobs; made here.

    Attributes:
        link: Where a job finds the context of an id, if there is something to find (``Contexts.link``).
    """

    unready = "The job could not be made ready"
    unkept = "The result could not be kept"
    unfollowed = "how far it has come is told no longer"

    def __init__(self, settings: Settings, *, blobs: Blobs, ledger: PackageLedger, venvs: Venvs, folder: Path) -> None:
        self._settings = settings
        self._blobs = blobs
        self._ledger = ledger
        self._venvs = venvs
        self._folder = folder
        self._limiter = trio.CapacityLimiter(settings.thread_limit_count)
        self._laying_out = trio.CapacityLimiter(settings.thread_limit_count)  # which may take long, and holds up no end
        self.link: Link = _no_link
        self._fresh: set[str] = set()  # made ready here, and so without an outcome until it is noted here

    # -- before --

    async def prepare(self, launch: Launch, *, cancelled: Callable[[], bool]) -> Made:
        """Put packages and plan into the job's folder, and say how to start it.

        Raises:
            StatusError: A package cannot be used.
            StoppedError: ``cancelled`` said so.
            JobdeckError, StoreError, OSError: Something is missing, or the disk failed.
        """
        job_id, package = launch.job_id, launch.spec["package"]
        assert launch.job is not None, "an engine of the server's is given the record"
        context = package["context"]
        python = await self._venvs.python(context["settings"], user=context["id"])
        link = await self.link(context["id"]) if context["kind"] != PLAIN else None
        config = await self._ledger.config(job_id)
        try:
            lay = partial(self._lay_out, job_id, launch.job.main_class or "", package, config, link, cancelled)
            folder = await trio.to_thread.run_sync(lay, limiter=self._laying_out)
        finally:
            if not isinstance(config, bytes):
                config.close()
        self._fresh.add(job_id)
        env = standard(job_id, self._settings)
        cwd = str(working_folder(folder))
        argv = command(folder, python)
        step = {"argv": argv, "executable": None, "env": env, "cwd": cwd}
        public = Step(argv=tuple(argv), env_names=tuple(sorted(env)), cwd=cwd)
        return Made(spec={**launch.spec, "steps": [step]}, steps=(public,))

    def _lay_out(
        self,
        job_id: str,
        main_class: str,
        package: Mapping[str, Any],
        config: bytes | BlobFile,
        link: Path | None,
        cancelled: Callable[[], bool],
    ) -> Path:
        """Make the job's folder anew, with all that its interpreter needs. Blocks."""
        folder = (self._folder / job_id).absolute()
        remove(folder)
        (folder / "brought").mkdir(mode=0o700, parents=True)
        if not isinstance(config, bytes):
            bring(config, self._blobs.path(config.hash), folder / "config.json")
        paths = []
        for number, each in enumerate(package["packages"]):
            if cancelled():
                raise StoppedError
            paths.append(self._bring(folder, number, each, cancelled))
        context, language = package["context"], package.get("language", PYTHON)
        plan = RunnerPlan(
            job_id=job_id,
            main_class=main_class,
            language=language,
            package=None if language == JVM else paths[0],
            wheels=() if language == JVM else paths[1:],
            jars=paths if language == JVM else (),
            config=config if isinstance(config, bytes) else None,
            context_kind=context["kind"],
            context_name=context["name"],
            link=link,
            settings=context["settings"],
            alone=context["adhoc"],
            result_limit_bytes=self._settings.package_result_limit_bytes,
        )
        write_plan(folder, plan)
        return folder

    def _bring(self, folder: Path, number: int, package: Mapping[str, str], cancelled: Callable[[], bool]) -> Path:
        """Put a package into the job's folder; what of it goes on the path of modules, or of classes."""
        name = f"{number}-{_plain_name(package['name'])}"
        path = folder / "brought" / f"{name}{_SUFFIXES.get(package['kind'], '')}"
        with self._blobs.read(package["content"]) as file:
            bring(file, self._blobs.path(file.hash), path)
        if package["kind"] == "jar":
            return path
        try:
            with path.open("rb") as brought:
                return lay_out(brought, path, name, folder, UnpackLimits.of(self._settings), cancelled)
        except UnpackError as error:
            raise StatusError(f"The package {shown(package['name'])} cannot be used", str(error)) from error

    # -- meanwhile --

    async def follow(self, job_id: str, over: trio.Event, tell: Callable[[Report], None]) -> None:
        """Tell how far a job says it has come, until ``over``."""
        folder = self._folder / job_id
        seen: tuple[int, ...] | None = None
        while True:
            with trio.move_on_after(self._settings.package_progress_s):
                await over.wait()
            was_over = over.is_set()
            stamp = _stamp(folder / "progress.json")  # one quick question to the kernel
            if stamp is not None and stamp != seen:
                seen = stamp
                progress = await self._in_thread(partial(outcomes.read_progress, folder))
                if progress is not None:
                    tell(Progressed(fraction=progress.fraction, text=progress.text[:_PROGRESS_LIMIT_COUNT]))
            if was_over:
                return

    # -- after --

    async def collect(self, job_id: str, ended: Ended, *, cancelled: Callable[[], bool]) -> Ended:
        """Judge how a job came out and keep its result; what was committed once stays so.

        Raises:
            StoppedError: ``cancelled`` said so.
            JobdeckError, StoreError, OSError: It cannot be kept now.
        """
        row = None if job_id in self._fresh else await self._ledger.find(job_id)
        if row is not None and row.outcome is not None:
            return _told(ended, row.outcome, row.result)
        judge = partial(_judged, self._folder / job_id, ended, self._settings.package_result_limit_bytes)
        left = await self._in_thread(judge)
        outcome, result = (left.outcome, None) if left.fd is None else await self._keep_result(left, cancelled)
        await self._ledger.keep(job_id, outcome, result)
        self._fresh.discard(job_id)
        return _told(ended, outcome, result)

    async def _keep_result(self, left: _Left, cancelled: Callable[[], bool]) -> tuple[Outcome, PackageResult | None]:
        """Bring a job's result into the blob store, as it is now: some process of the job's may live on and change it.

        Returns:
            What has come of the job, and the result if it can be used.
        """
        assert left.fd is not None, "there is a result"
        piece = left.head
        try:
            async with self._blobs.upload(expected_bytes=left.size_bytes) as upload:
                while True:
                    await upload.write(piece)
                    if upload.size_bytes == left.size_bytes:
                        break
                    if cancelled():
                        raise StoppedError
                    read = partial(os.read, left.fd, min(left.size_bytes - upload.size_bytes, _PIECE_BYTES))
                    piece = await self._in_thread(read)
                    if not piece:
                        return _spoilt("The result is shorter than it was: something has changed it."), None
                content = await upload.commit()
        finally:
            os.close(left.fd)
        kind = left.outcome.result_kind
        return left.outcome, PackageResult(kind=kind, content=content.hash, size_bytes=content.size_bytes)

    # -- tidying --

    async def clear(self, job_id: str) -> None:
        """Remove a job's files."""
        self._fresh.discard(job_id)
        await self._in_thread(partial(remove, self._folder / job_id))

    async def kept(self) -> list[str]:
        """The jobs that have files here."""
        return await self._in_thread(lambda: os.listdir(self._folder) if self._folder.exists() else [])

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(call, limiter=self._limiter)


async def _no_link(context_id: str) -> Path | None:
    """There is nothing to be found."""
    del context_id
    return None


def _plain_name(name: str) -> str:
    """What of a name from outside can be part of a file's: for people, who meet it in tracebacks."""
    last = re.split(r"[/\\]", name)[-1]
    for suffix in _SUFFIXES.values():
        last = last.removesuffix(suffix)
    return _NO_NAME.sub("_", last)[:_NAME_LIMIT_COUNT].strip(".") or "package"


def _stamp(path: Path) -> tuple[int, ...] | None:
    """What is another one for another file, or for one that was changed."""
    with suppress(OSError):
        found = os.stat(path, follow_symlinks=False)
        return found.st_ino, found.st_mtime_ns, found.st_size
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Left:
    """What a job has left.

    Attributes:
        outcome: What came of it.
        fd: Its result, opened and to be closed; None if it has none that can be used.
        size_bytes: Of the result.
        head: Its first piece.
    """

    outcome: Outcome
    fd: int | None = None
    size_bytes: int = 0
    head: bytes = b""


def _judged(folder: Path, ended: Ended, limit_bytes: int) -> _Left:
    """Look at what a job has left. Blocks.

    The files among which it ran go first: they may have filled the disk, and nothing could be kept then.
    """
    remove(working_folder(folder))
    outcome = outcomes.conclude(folder, ended)
    if outcome.result_kind == NONE:
        return _Left(outcome=outcome)
    try:
        fd, size_bytes = outcomes.open_result(folder)
    except OSError as error:
        return _Left(outcome=_spoilt(f"The result is gone: {error}"))
    try:
        head = os.read(fd, min(size_bytes, _PIECE_BYTES))
    except OSError:
        os.close(fd)
        raise
    text = ""
    if size_bytes > limit_bytes:
        text = f"The result has more than {limit_bytes} bytes."
    elif outcome.result_kind == JSON and size_bytes <= outcomes.CHECKED_BYTES and not _is_json(head):
        text = "The result is no JSON: something has changed it."
    if text:
        os.close(fd)
        return _Left(outcome=_spoilt(text))
    return _Left(outcome=outcome, fd=fd, size_bytes=size_bytes, head=head)


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def _spoilt(text: str) -> Outcome:
    return Outcome(kind="result_error", error=JobError(message=text, error_class="java.lang.Exception"))


def _told(ended: Ended, outcome: Outcome, result: PackageResult | None) -> Ended:
    """The end as the core is to hear of it: what happened, and what the job failed with."""
    if outcome.kind == FINISHED:
        return ended if result is None else replace(ended, results={"result": result_hash(result)})
    if ended.how != "exit" or ended.code is None or ended.stop_reason is not None:
        return ended
    text = _line(outcome)
    # Nobody would take an end with 0 for a failure
    return replace(ended, text=text) if ended.code else replace(ended, how="error", code=None, text=text)


def _line(outcome: Outcome) -> str:
    """What a job failed with, in one line."""
    error = outcome.error
    if error is None:
        return outcome.kind
    is_raised = outcome.kind in ("run_raised", "validate_raised")
    text = f"{error.error_class}: {error.message}" if is_raised and error.message else error.message
    return " ".join(_first(text or error.error_class).split())[:_ERROR_LIMIT_COUNT]


def _first(text: str) -> str:
    lines: Sequence[str] = text.strip().splitlines()
    return lines[0] if lines else ""
