"""What is written down of jobs that are classes out of packages, for the core and for the engine that runs them.

A job's configuration is kept in its row, a large one in the blob store; its result is in the blob store always, as a
record that belongs to the job. So all of it goes with the job.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from jobdeck_server.core import blobrows, packagerows
from jobdeck_server.core.blobrecord import file_record
from jobdeck_server.core.errors import UnknownJobError
from jobdeck_server.core.live import now_us
from jobdeck_server.core.packagerows import Config
from jobdeck_server.packages.outcome import JSON

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from jobdeck_protocol.job import Job
    from jobdeck_server.core.blobrecord import Record
    from jobdeck_server.core.blobs import BlobFile, Blobs
    from jobdeck_server.core.events import Event, EventLog
    from jobdeck_server.core.packagerows import PackageResult, Row
    from jobdeck_server.core.store import Store
    from jobdeck_server.packages.outcome import Outcome
    from jobdeck_server.settings import Settings

_JSON_TYPE = "application/json"
_STREAM_TYPE = "application/octet-stream"


class NewJob:
    """A job's row before its job is accepted: bytes that must be kept are kept by ``PackageLedger.ready``."""

    def __init__(self, context_id: str, config: Config, record: blobrows.Put | None) -> None:
        self._context_id = context_id
        self._config = config
        self._record = record

    def add(self, connection: sqlite3.Connection, job: Job) -> Sequence[Event]:
        """In the transaction that accepts the job; see ``intake.Also``."""
        packagerows.add(connection, job, context_id=self._context_id, config=self._config)
        if self._record is None:
            return ()
        return blobrows.put(connection, self._record, job_id=job.id, own_tags=(), now_us=now_us())


class PackageLedger:
    """See the top of this file."""

    def __init__(self, settings: Settings, *, store: Store, events: EventLog, blobs: Blobs) -> None:
        self._settings = settings
        self._store = store
        self._events = events
        self._blobs = blobs

    # -- coming in --

    async def ready(self, context_id: str, config: bytes) -> NewJob:
        """Make a job's row ready.

        Args:
            context_id: Of its context.
            config: Its configuration, as JSON text.

        Raises:
            CapacityError, NoSpaceError, StoreError: A large configuration cannot be kept now.
        """
        if len(config) <= self._settings.package_config_inline_bytes:
            return NewJob(context_id, Config(text=config), None)
        async with self._blobs.upload(len(config), expected_bytes=len(config)) as upload:
            await upload.write(config)
            content = await upload.commit()
        return _large(context_id, content.hash, content.size_bytes)

    async def again(self, context_id: str, job_id: str) -> NewJob:
        """The same for a job that is told what another one was told.

        Raises:
            UnknownJobError: The other one is no class out of a package.
            MissingContentError: What it was told was removed from the blob store.
        """
        config = await self.config(job_id)
        if isinstance(config, bytes):
            return NewJob(context_id, Config(text=config), None)
        with config as file:
            return _large(context_id, file.hash, file.size_bytes)

    # -- the end --

    async def keep(self, job_id: str, outcome: Outcome, result: PackageResult | None) -> None:
        """Note how a job came out, with its result, once and for all; durable when this returns.

        Raises:
            StoreError: The database would not take it now.
        """
        record = None if result is None else blobrows.prepare(_record(result))

        def work(connection: sqlite3.Connection) -> Sequence[Event]:
            packagerows.note(connection, job_id, outcome, result)
            if record is None:
                return ()
            return blobrows.put(connection, record, job_id=job_id, own_tags=(), now_us=now_us())

        await self._events.commit(work)

    # -- looking --

    async def find(self, job_id: str) -> Row | None:
        """What is known of a job; None for one that is no class out of a package."""
        return await self._store.read(partial(packagerows.find, job_id=job_id))

    async def config(self, job_id: str) -> bytes | BlobFile:
        """The configuration of a job, as JSON text; or the file with a large one, which is the caller's to close.

        Raises:
            UnknownJobError: It is no class out of a package.
            MissingContentError: It was removed from the blob store.
        """
        found = await self._store.read(partial(packagerows.find_config, job_id=job_id))
        if found is None:
            raise UnknownJobError(job_id)
        if found.content is None:
            return found.text or b"{}"
        return await self._blobs.content(found.content)


def result_hash(result: PackageResult) -> str:
    """The hash of the record by which a result stands in the blob store."""
    return blobrows.prepare(_record(result)).blob.hash


def _record(result: PackageResult) -> Record:
    name, mime = ("result.json", _JSON_TYPE) if result.kind == JSON else ("result", _STREAM_TYPE)
    return file_record(name, result.size_bytes, mime, result.content)


def _large(context_id: str, content_hash: str, size_bytes: int) -> NewJob:
    record = file_record("config.json", size_bytes, _JSON_TYPE, content_hash)
    return NewJob(context_id, Config(content=content_hash), blobrows.prepare(record))
