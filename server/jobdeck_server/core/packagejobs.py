"""Jobs that are classes out of packages, as the APIs that start them see it.

    job = await jobs.submit(PackageOrder(main_class="jobs.WordCount", packages=("counting",), config=config))
    problems = await jobs.validated(job.id, timeout_s=10)    # the job's own word on its configuration, before it ends
    told = await jobs.told(job.id)                           # with outcome and result, once it has ended

A job is accepted together with its row (``packagerows``), its configuration and its callback. It waits in its context's
pool, and an interpreter of its own runs it (``engines/packageshop``), supervised like every job.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from jobdeck_server.core import contextsettings, journal, packagekinds, packagerows
from jobdeck_server.core.callbackbody import Piece
from jobdeck_server.core.errors import (
    ConflictError,
    MissingContentError,
    NoResultError,
    UnknownJobError,
)
from jobdeck_server.core.hocon import EMPTY
from jobdeck_server.core.packagerows import PackageResult
from jobdeck_server.core.packagevalues import CLASS, STATUS, PackageJob, PackageOrder, guessed
from jobdeck_server.core.requests import CONTEXTS_POOL, JobRequest
from jobdeck_server.engines.base import PACKAGES
from jobdeck_server.packages.outcome import FINISHED, STOPPED, STREAM, VALIDATION, JobError
from jobdeck_server.packages.validated import validated

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from jobdeck_protocol.job import Job
    from jobdeck_server.core.blobs import BlobFile, Blobs
    from jobdeck_server.core.callbackbody import Body
    from jobdeck_server.core.callbacks import Callbacks
    from jobdeck_server.core.contexts import Context, Contexts
    from jobdeck_server.core.events import Event
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.outbound.urls import Url
    from jobdeck_server.core.packagefinder import Named, PackageFinder
    from jobdeck_server.core.packageledger import NewJob, PackageLedger
    from jobdeck_server.core.packagerows import Row
    from jobdeck_server.core.requests import Idempotency
    from jobdeck_server.settings import Settings

    Problems = tuple[str, ...] | None

__all__ = ["STATUS", "PackageJob", "PackageJobs", "PackageOrder", "PackageResult"]

_PASSED = frozenset({FINISHED, "run_raised", "result_error"})  # outcomes of jobs that had no problems to tell
_STREAM_TEXT = b'"<Stream result>"'


class PackageJobs:
    """See the top of this file.

    Args:
        core: Whose jobs they are.
        settings: Those that begin with ``package_``.
        finder: Of their packages.
        contexts: In which they run.
        callbacks: See there; None if there are none.
        blobs: Where packages and results are.
        ledger: What is known of them.
    """

    def __init__(
        self,
        core: JobCore,
        settings: Settings,
        *,
        finder: PackageFinder,
        contexts: Contexts,
        callbacks: Callbacks | None,
        blobs: Blobs,
        ledger: PackageLedger,
    ) -> None:
        self._core = core
        self._settings = settings
        self._contexts = contexts
        self._callbacks = callbacks
        self._blobs = blobs
        self._ledger = ledger
        self._finder = finder
        core.reruns[PACKAGES] = self._rerun

    # -- coming in --

    async def submit(self, order: PackageOrder, *, idempotency: Idempotency | None = None) -> Job:
        """Accept a job: committed when this returns. What can be refused is looked at in the order of the API.

        Raises:
            OutboundError: The callback may not be called, or a package not be fetched.
            UnknownBinaryError, UnknownContextError: There is none of this name.
            ContextStoppingError, NoSlotsError: The context takes no job now.
            PackageError, WrongKindError: Its packages are not what such a job needs.
            BadRequestError, TooLargeError, CapacityError, NoSpaceError, StoreError: See ``JobCore.submit``.
        """
        earlier = await self._earlier(idempotency)
        if earlier is not None:
            return earlier
        url = None
        if order.callback_url is not None:
            if self._callbacks is None:
                raise ConflictError("This server makes no callbacks.")
            url = self._callbacks.check(order.callback_url)
        named = await self._finder.named(order.packages)
        context = await self._context(order, named)
        with self._contexts.coming(context):
            package = await self._packages(order, named, context)
            request = JobRequest(
                dialect=order.dialect,
                main_class=order.main_class,
                packages=tuple(each.shown for each in named),
                context=context.name,
                package=package,
                engine=PACKAGES,
                pool=CONTEXTS_POOL,
                labels=order.labels,
                time_limit_s=order.time_limit_s,
            )
            new = await self._ledger.ready(context.id, order.config.text)
            return await self._accept(request, new, url, idempotency)

    async def _earlier(self, idempotency: Idempotency | None) -> Job | None:
        """The job that was accepted with a key: whatever has become since of what it needed.

        Raises:
            IdempotencyError: The key was used with another body.
        """
        if idempotency is None:
            return None
        job_id = await self._core.store.read(partial(journal.find_repeated, idempotency=idempotency))
        return None if job_id is None else await self._core.find(job_id)

    async def _packages(self, order: PackageOrder, named: Sequence[Named], context: Context) -> dict[str, Any]:
        """A job's own packages, and those that they stand on, all of them here and of their kinds, as they are kept."""
        of_job = await self._finder.named(packagekinds.dependencies_of_job(order.config))
        packages = await self._finder.had(named)
        language = packagekinds.language_of(packages, context)
        of_context = await self._finder.named(packagekinds.dependencies_of_context(context.settings, language))
        packages += packagekinds.taken(await self._finder.had(of_context), context, language)
        own = await self._finder.had(of_job)
        packagekinds.check(own, language)
        return packagekinds.spec([*packages, *own], context, language)

    async def _context(self, order: PackageOrder, named: Sequence[Named]) -> Context:
        if order.context is not None:
            return self._contexts.choose(order.context)
        jar = bool(named) and all(each.is_jar for each in named)
        context = self._contexts.adhoc(order.main_class, query=order.query, config=order.config, jar=jar)
        await self._contexts.look(context)
        return context

    async def _accept(self, request: JobRequest, new: NewJob, url: Url | None, idempotency: Idempotency | None) -> Job:
        def also(connection: sqlite3.Connection, job: Job) -> Sequence[Event]:
            if url is not None and self._callbacks is not None:
                self._callbacks.note(connection, job.id, url)
            return new.add(connection, job)

        return await self._core.submit(request, idempotency=idempotency, also=also)

    async def _rerun(self, job: Job, idempotency: Idempotency | None) -> Job:
        """Accept a job that is what another one was; see ``JobCore.rerun``. Nobody is called back.

        Raises:
            ConflictError, MissingContentError: What it ran, or was told, is not here any more.
            UnknownContextError, ContextStoppingError, NoSlotsError: Its context takes no job (any more).
        """
        earlier = await self._earlier(idempotency)
        if earlier is not None:
            return earlier
        live = self._core.live(job.id)
        spec = live.spec if live is not None else await self._core.store.read(partial(journal.find_spec, job_id=job.id))
        package = spec.get("package")
        if not package:
            raise ConflictError(f"Job {job.id} cannot be run again: what it ran is not known.")
        for each in package["packages"]:
            await self._check_here(job, each)
        former = package["context"]
        if former["adhoc"]:
            fresh = self._contexts.adhoc(job.main_class or "", query={}, config=EMPTY)
            context = replace(fresh, kind=former["kind"], settings=former["settings"])
        else:
            context = self._contexts.choose(former["name"])
        request = JobRequest(
            dialect=job.dialect,
            main_class=job.main_class,
            packages=job.packages,
            context=context.name,
            package={**package, "context": contextsettings.job_spec(context)},
            engine=PACKAGES,
            pool=CONTEXTS_POOL,
            labels=job.labels,
            time_limit_s=job.time_limit_s,
            rerun_of=job.id,
        )
        with self._contexts.coming(context):
            return await self._accept(request, await self._ledger.again(context.id, job.id), None, idempotency)

    # -- looking --

    async def validated(self, job_id: str, *, timeout_s: float) -> Problems:
        """Wait for what a job says of its configuration.

        Returns:
            Its problems, none if it has none; None if it ended without a word, or has said nothing for so long.

        Raises:
            UnknownJobError: There is no such job.
        """
        said: Problems = None
        if not (await self._core.get(job_id)).ended:
            over = trio.Event()
            with trio.move_on_after(timeout_s):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._tell_end, job_id, over)
                    said = await validated(self._settings.data_dir / "work" / job_id, over)
                    nursery.cancel_scope.cancel()
        if said is None:
            row = await self._ledger.find(job_id)
            outcome = None if row is None else row.outcome
            if outcome is not None and (outcome.kind == VALIDATION or outcome.kind in _PASSED):
                return outcome.problems
        return said

    async def _tell_end(self, job_id: str, over: trio.Event) -> None:
        await self._core.wait(job_id)
        over.set()

    async def told(self, job_id: str) -> PackageJob:
        """A job by its id.

        Raises:
            UnknownJobError: There is none, or it is no class out of a package.
        """
        job = await self._core.get(job_id)
        row = await self._ledger.find(job.id) if job.engine == PACKAGES else None
        if row is None:
            raise UnknownJobError(job_id)
        return self._told(job, row)

    async def page(self, *, limit_count: int, status: str | None = None) -> list[PackageJob]:
        """The newest jobs, newest first.

        Args:
            limit_count: How many at most.
            status: Only those with this one of ``STATUS``; none have one that is not there.
        """
        states = None if status is None else {state for state, word in STATUS.items() if word == status}
        ahead = {} if states is None else {job.id: job.state in states for job in self._core.ahead() if job.main_class}
        read = partial(packagerows.page, states=states, ahead=ahead, limit_count=max(0, limit_count))
        found = []
        for job, row in await self._core.store.read(read):
            now = await self._now(job)
            if now is not None and (states is None or now.state in states):
                found.append(self._told(now, row) if now.ended is job.ended else await self.told(job.id))
        return found

    async def _now(self, job: Job) -> Job | None:
        """A job that was read a moment ago: never older than another answer was."""
        if job.ended:
            return job
        live = self._core.live(job.id)
        return live.job if live is not None else await self._core.find(job.id)

    async def open_result(self, told: PackageJob) -> BlobFile:
        """The bytes of a job's result; the caller's to close.

        Raises:
            NoResultError: It has none.
            MissingContentError: They were removed from the blob store.
        """
        if told.result is None:
            raise NoResultError(told.job.id)
        return await self._blobs.content(told.result.content)

    async def config(self, job_id: str) -> bytes | BlobFile:
        """What a job was told: one JSON object; a large one is a file, the caller's to close.

        Raises:
            UnknownJobError: There is no such job.
            MissingContentError: It was removed from the blob store.
        """
        return await self._ledger.config(job_id)

    async def callback_body(self, job_id: str) -> Body | None:
        """What is told of a job that has ended, see ``Callbacks``; None if it is gone."""
        try:
            told = await self.told(job_id)
        except UnknownJobError:
            return None
        if told.outcome is None:
            return None
        head = b'{"jobId":' + json.dumps(job_id).encode()
        if told.outcome.kind != FINISHED:
            error = told.outcome.error or JobError(message=f"Job {job_id} killed", error_class=CLASS)
            return (head + b',"status":"ERROR","result":' + json.dumps(error.to_wire()).encode() + b"}",)
        if told.result is None:
            return (head + b',"result":null}',)
        if told.result.kind == STREAM:
            return (head + b',"result":' + _STREAM_TEXT + b"}",)
        path, size_bytes = self._blobs.path(told.result.content), told.result.size_bytes
        return head + b',"result":', Piece(path=path, offset=0, size_bytes=size_bytes), b"}"

    async def _check_here(self, job: Job, package: Mapping[str, str]) -> None:
        try:
            (await self._blobs.content(package["content"])).close()
        except MissingContentError as error:
            text = f"Job {job.id} cannot be run again: its package {package['name']} is not here any more."
            raise ConflictError(text) from error

    def _told(self, job: Job, row: Row) -> PackageJob:
        if not job.ended:
            return PackageJob(job=job, context_id=row.context_id)
        outcome = row.outcome or guessed(job)
        if outcome.kind == STOPPED:
            why = self._contexts.ended_with(job.id)
            if why is not None:
                outcome = replace(outcome, error=JobError(message=why, error_class=""))
        return PackageJob(job=job, context_id=row.context_id, outcome=outcome, result=row.result)
