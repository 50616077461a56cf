"""The blob store: bytes by their SHA-1, and records that name them.

Two address spaces. **Content** is bytes, in files that are never changed (``blobfiles``). A **record** says what a blob
is called and of which content it is made; its hash (``blobrecord``) is what everybody passes around, and every ``hash``
here is that of a record unless it is called ``content_hash``.

    async with blobs.upload() as upload:            # leaving without commit leaves nothing behind
        await upload.fill(request.body)             # or await upload.write(data), any number of times
        content = await upload.commit()             # durable from here on
    stored = await blobs.put(file_record(name, content.size_bytes, mime, content.hash))

    target = await blobs.resolve(stored.hash)       # links followed
    if isinstance(target, FileTarget): file = await blobs.content(target.content_hash)
    else: pieces = blobs.archive(target)            # a zip, made as it is sent
"""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol.blob import Blob, from_wire
from jobdeck_server.core import artifacts, bloblist, blobrows
from jobdeck_server.core.aside import Aside
from jobdeck_server.core.blobfiles import BlobFiles
from jobdeck_server.core.blobgc import Collector
from jobdeck_server.core.bloblinks import Links
from jobdeck_server.core.blobtypes import (
    ArchiveTarget,
    BlobFile,
    BlobFilter,
    BlobPage,
    Collected,
    Content,
    Entry,
    Extent,
    FileTarget,
    ListedEntry,
    Stored,
    Target,
)
from jobdeck_server.core.errors import CapacityError, TooLargeError, UnknownBlobError
from jobdeck_server.core.live import now_us
from jobdeck_server.core.uploads import Upload

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncGenerator, Iterable
    from pathlib import Path

    from jobdeck_server.core.blobrecord import Record
    from jobdeck_server.core.events import EventLog
    from jobdeck_server.core.store import Store
    from jobdeck_server.settings import Settings

__all__ = [
    "ArchiveTarget",
    "BlobFile",
    "BlobFilter",
    "BlobPage",
    "Blobs",
    "Collected",
    "Content",
    "Entry",
    "Extent",
    "FileTarget",
    "ListedEntry",
    "Stored",
    "Target",
    "Upload",
]

_log = logging.getLogger("jobdeck.blobs")
_PREFIX_LENGTH = 8
_HASH_LENGTH = 40
_EVERY_COUNT = 200
_ENTRY_BYTES = 128  # of an artifact's entry as text, about


class Blobs:
    """See the top of this file. ``run`` must be running.

    Args:
        settings: Those that begin with ``blob_``.
        store: See there.
        events: Told of what comes and goes: ``blob`` (``jobdeck_protocol.blob``) and ``blob_removed`` (``{"hash"}``).
        folder: Of the content.
    """

    def __init__(self, settings: Settings, *, store: Store, events: EventLog, folder: Path) -> None:
        self.settings = settings
        self._store = store
        self._events = events
        self._files = BlobFiles(folder, sync=settings.sync == "full", reserve_bytes=settings.blob_reserve_bytes)
        self._writers = trio.CapacityLimiter(settings.blob_thread_limit_count)
        self._readers = trio.CapacityLimiter(settings.blob_thread_limit_count)
        self._aside = Aside(settings.thread_limit_count)
        self._upload_count = 0
        self._collector = Collector(
            store, self._files, events, grace_us=int(settings.blob_grace_s * 1e6), limiter=self._readers
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Make the folder, remove what a crash left half done, then collect from time to time, until cancelled."""
        left_count = await trio.to_thread.run_sync(self._files.open)
        if left_count:
            _log.info("%d half uploads removed", left_count)
        task_status.started()
        await self._collector.run(self.settings.blob_sweep_interval_s)

    # -- coming in --

    @asynccontextmanager
    async def upload(
        self, limit_bytes: int | None = None, *, expected_bytes: int | None = None
    ) -> AsyncGenerator[Upload, None]:
        """Take in bytes of any number; left without ``commit``, nothing of them stays.

        Args:
            limit_bytes: The most that are taken; None for ``Settings.blob_limit_bytes``.
            expected_bytes: How many will come, if the client has said so.

        Raises:
            TooLargeError: More are expected than are taken.
            CapacityError: There are as many uploads as there may be.
            NoSpaceError: The disk is full already.
        """
        limit_bytes = self.settings.blob_limit_bytes if limit_bytes is None else limit_bytes
        if (expected_bytes or 0) > limit_bytes:
            raise TooLargeError("The blob", limit_bytes)
        if self._upload_count >= self.settings.blob_upload_limit_count:
            raise CapacityError("There are too many uploads at the same time; try again later.")
        self._files.check_space(expected_bytes or 0)  # one quick question to the kernel
        upload = Upload(
            self._files.incoming(),
            limiter=self._writers,
            limit_bytes=limit_bytes,
            backlog_bytes=self.settings.blob_backlog_bytes,
            expected_bytes=expected_bytes,
        )
        self._upload_count += 1
        try:
            yield upload
        finally:
            self._upload_count -= 1
            await upload.leave()

    async def put(self, record: Record, *, job_id: str | None = None) -> Stored:
        """Keep a record; it is durable when this returns. One that is here already is renewed.

        Whether what it refers to is here is not checked.

        Args:
            record: See ``blobrecord``.
            job_id: The job that made it; None for a client's own.

        Raises:
            TooLargeError: Its text is too long.
            StoreError: The database would not take it.
        """
        blob = await self.keep(record, job_id=job_id)
        return Stored(
            hash=blob.hash,
            record=record,
            created_us=blob.created_us,
            modified_us=blob.modified_us,
            own_tags=blob.own_tags,
            pinned=blob.pinned,
            uploaded=blob.uploaded,
        )

    async def keep(self, record: Record, *, job_id: str | None = None, own_tags: Iterable[str] = ()) -> Blob:
        """The same, and tags of its own are added to those that it has; returns what is told of it.

        Raises:
            BadRequestError, TooLargeError: See ``put`` and ``set_tags``.
        """
        tags = self.check_tags(own_tags)
        new = await self._aside.run(_text_bytes(record), lambda: blobrows.prepare(record))
        if len(new.text) > self.settings.blob_record_limit_bytes:
            raise TooLargeError("The record", self.settings.blob_record_limit_bytes)
        when = now_us()
        told = await self._events.commit(
            lambda connection: blobrows.put(connection, new, job_id=job_id, own_tags=tags, now_us=when)
        )
        return from_wire(told[0].data)

    async def renew(self, content: Content) -> bool:
        """Whether these bytes are here; if so, they stay for a while as if they had come now."""
        return await trio.to_thread.run_sync(self._files.renew, content, limiter=self._writers)

    # -- looking --

    async def get(self, blob_hash: str) -> Stored:
        """A record by its hash.

        Raises:
            UnknownBlobError: There is none, or this is no hash.
        """
        found = await self._store.read(lambda connection: blobrows.find(connection, blob_hash))
        if found is None:
            raise UnknownBlobError(blob_hash)
        return found

    async def show(self, blob_hash: str) -> Blob:
        """What is told of a blob.

        Raises:
            UnknownBlobError: There is none, or this is no hash.
        """
        found = await self._store.read(lambda connection: blobrows.find_blob(connection, blob_hash))
        if found is None:
            raise UnknownBlobError(blob_hash)
        return found

    async def find(self, name: str) -> str:
        """The hash that starts so: 8 digits at least, and only one.

        Raises:
            UnknownBlobError: None, or more than one.
        """
        if not _PREFIX_LENGTH <= len(name) < _HASH_LENGTH:
            return name
        found = await self._store.read(lambda connection: blobrows.find_prefix(connection, name.lower()))
        if len(found) != 1:
            raise UnknownBlobError(name)
        return found[0]

    async def page(self, wanted: BlobFilter) -> BlobPage:
        """One page of the list of blobs.

        Raises:
            BadRequestError: The sort or the cursor is none.
        """
        limit = self.settings.text_scan_limit_count
        return await self._store.read(lambda connection: bloblist.page(connection, wanted, scan_limit_count=limit))

    async def every(self, *, private_too: bool = False) -> AsyncGenerator[Stored, None]:
        """All records that are public, or all there are, in the order in which they came first."""
        at = 0
        while True:
            read = partial(blobrows.after, seq=at, private_too=private_too, limit_count=_EVERY_COUNT)
            found = await self._store.read(read)
            for at, stored in found:  # noqa: B007  # where the next page begins
                yield stored
            if len(found) < _EVERY_COUNT:
                return

    async def entries(self, blob_hash: str, *, start: int = 0, count: int) -> tuple[list[ListedEntry], int]:
        """Some files of an artifact, in the order of its record, and how many it has.

        Raises:
            UnknownBlobError: There is no such record.
            BlobLinkError: It is no artifact.
        """
        return await self._store.read(lambda connection: self._links(connection).entries(blob_hash, start, count))

    # -- going out --

    async def resolve(self, blob_hash: str, subpath: str | None = None) -> Target:
        """What a hash stands for: links are followed, a path within an artifact is found.

        Args:
            blob_hash: Of a record.
            subpath: Within an artifact, as its record writes it; None or empty for the whole. A file has no paths in
                it, and then this only changes the name.

        Raises:
            UnknownBlobError: There is no such record.
            UnknownEntryError: The artifact has no such path.
            MissingContentError: A link leads to nothing, or the bytes are not here.
            BlobLinkError: Links lead in a circle or too far, or an entry is neither a file nor a link.
            TooLargeError: An artifact of artifacts has too many files.
        """
        return await self._store.read(lambda connection: self._links(connection).resolve(blob_hash, subpath))

    async def content(self, content_hash: str) -> BlobFile:
        """Open bytes for reading.

        Raises:
            MissingContentError: They are not here.
        """
        return await trio.to_thread.run_sync(self._files.read, content_hash, limiter=self._readers)

    def read(self, content_hash: str) -> BlobFile:
        """Open bytes for reading. Blocks: for threads.

        Raises:
            MissingContentError: They are not here.
        """
        return self._files.read(content_hash)

    def path(self, content_hash: str) -> Path:
        """Where bytes are, or would be: to be read, and never to be changed.

        Raises:
            ValueError: This is no hash.
        """
        return self._files.path(content_hash)

    async def archive(self, target: ArchiveTarget) -> AsyncGenerator[bytes | Extent, None]:
        """The zip of an artifact, made as it is read; a file descriptor is good until the next piece is asked for.

        Entries come in reverse of the record's order, stored, with data descriptors, zip64 where needed.

        Raises:
            MissingContentError: What was there a moment ago is gone.
        """
        release = self._files.use(target.contents())
        made = artifacts.pieces(target.entries, self._files.read)
        try:
            following = partial(next, made, None)
            while (piece := await trio.to_thread.run_sync(following, limiter=self._readers)) is not None:
                yield piece
        finally:
            made.close()
            release()

    async def archive_bytes(self, target: ArchiveTarget) -> int:
        """How long that zip will be."""
        entries = target.entries
        return await self._aside.run(_ENTRY_BYTES * len(entries), lambda: artifacts.archive_bytes(entries))

    def _links(self, connection: sqlite3.Connection) -> Links:
        return Links(connection, self._files.size, self.settings)

    # -- keeping and removing --

    def check_tags(self, tags: Iterable[str]) -> list[str]:
        """Tags that a blob may be given, each once, sorted: to be known before its bytes have come.

        Raises:
            BadRequestError, TooLargeError: See ``set_tags``.
        """
        return blobrows.check_tags(tags, self.settings)

    async def set_tags(self, blob_hash: str, tags: Iterable[str]) -> Blob:
        """Give a blob these tags of its own, instead of those that it was given here before.

        Raises:
            UnknownBlobError: There is no such record.
            BadRequestError, TooLargeError: A tag is empty or too long, or there are too many.
        """
        wanted = self.check_tags(tags)
        await self._events.commit(lambda connection: blobrows.set_tags(connection, blob_hash, wanted))
        return await self.show(blob_hash)

    async def pin(self, blob_hash: str, pinned: bool) -> Blob:
        """Keep a blob, and all it leads to, from being removed; or no longer.

        Raises:
            UnknownBlobError: There is no such record.
        """
        when = now_us()
        await self._events.commit(
            lambda connection: blobrows.set_pinned(connection, blob_hash, pinned=pinned, now_us=when)
        )
        return await self.show(blob_hash)

    async def delete(self, blob_hash: str, *, recursive: bool = False, force: bool = False) -> int:
        """Remove a record; its bytes go with the next collection, if nothing else needs them.

        Args:
            blob_hash: Of the record.
            recursive: Also what it links to, if nothing else needs it.
            force: Even if another record links to it.

        Returns:
            How many records were removed.

        Raises:
            UnknownBlobError: There is no such record.
            ConflictError: It is pinned, a job that has not ended needs it, or another record links to it.
        """
        return len(
            await self._events.commit(
                lambda connection: blobrows.delete(connection, blob_hash, recursive=recursive, force=force)
            )
        )

    async def collect(self, *, dry_run: bool = False, unused_s: float | None = None) -> Collected:
        """Remove what no record, no job and no pin needs; never what came within ``Settings.blob_grace_s``.

        Args:
            dry_run: Only tell what would go.
            unused_s: Also take what clients have sent, if nobody has sent or linked to it for so long.
        """
        return await self._collector.collect(
            dry_run=dry_run, unused_us=None if unused_s is None else int(unused_s * 1e6)
        )


def _text_bytes(record: Record) -> int:
    """How long a record's text will be, about."""
    return _ENTRY_BYTES * len(record.content) if isinstance(record.content, dict) else 0
