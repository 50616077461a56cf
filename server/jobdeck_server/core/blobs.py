"""The blob store: bytes by their SHA-1, and records that name them.

Two address spaces. **Content** is bytes, in files that are never changed (``blobfiles``). A **record** says what a blob
is called and of which content it is made; its hash (``blobrecord``) is what everybody passes around, and every ``hash``
here is that of a record unless it is called ``content_hash``.

    async with blobs.upload() as upload:            # leaving without commit leaves nothing behind
        async for piece in request.body:
            await upload.write(piece)
        content = await upload.commit()             # durable from here on
    stored = await blobs.put(file_record(name, content.size_bytes, mime, content.hash))

    target = await blobs.resolve(stored.hash)       # links followed
    if isinstance(target, FileTarget): file = await blobs.content(target.content_hash)
    else: pieces = blobs.archive(target)            # a zip, made as it is sent
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path
    from types import TracebackType

    from jobdeck_server.core.blobrecord import Record
    from jobdeck_server.core.events import EventLog
    from jobdeck_server.core.store import Store
    from jobdeck_server.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Bytes that are kept."""

    hash: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A record that is kept.

    Attributes:
        hash: Of the record.
        record: See ``blobrecord``.
        created_us: When it came first, microseconds since 1970 UTC.
        modified_us: When it came last: the same record again renews it.
        labels: Tags given to it here, which are no part of the record and its hash.
        pinned: Never removed until unpinned.
        uploaded: Came from a client; else only jobs have made it, and it goes when they go.
    """

    hash: str
    record: Record
    created_us: int
    modified_us: int
    labels: tuple[str, ...] = ()
    pinned: bool = False
    uploaded: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file of an artifact: its path as written in the record, and the content that it has after all links."""

    path: str
    content_hash: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTarget:
    """What was asked for is one file. ``name`` is the asked record's, or the last part of the sub-path."""

    name: str
    content_hash: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveTarget:
    """What was asked for is an artifact: ``entries`` in the order in which the record keeps them."""

    name: str
    entries: tuple[Entry, ...]


Target = FileTarget | ArchiveTarget


class BlobFile:
    """An open content file; it can be read to its end whatever is removed meanwhile. ``close`` may be called again."""

    fd: int
    hash: str
    size_bytes: int

    def close(self) -> None:
        """Give it back."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Extent:
    """``length`` bytes of an open file from ``offset`` on; good until the next piece is asked for."""

    fd: int
    offset: int
    length: int


class Upload:
    """Bytes that are coming in; not shared between tasks."""

    async def write(self, data: bytes) -> None:
        """Take a piece; waits only while too much of what came before is not yet hashed and written.

        Raises:
            TooLargeError: There are more than ``limit_bytes``.
            NoSpaceError: The disk is full.
        """
        raise NotImplementedError

    async def commit(self) -> Content:
        """Keep it: durable when this returns, under its hash; bytes that are here already are kept once.

        Raises:
            NoSpaceError: The disk is full.
        """
        raise NotImplementedError


class Blobs:
    """See the top of this file. ``run`` must be running."""

    def __init__(self, settings: Settings, *, store: Store, events: EventLog, folder: Path) -> None:
        raise NotImplementedError

    def upload(self, limit_bytes: int | None = None) -> AbstractAsyncContextManager[Upload]:
        """Take in bytes of any number; left without ``commit``, nothing of them stays.

        Args:
            limit_bytes: The most that are taken; None for ``Settings.blob_limit_bytes``.

        Raises:
            CapacityError: There are as many uploads as there may be.
            NoSpaceError: The disk is full already.
        """
        raise NotImplementedError

    async def put(self, record: Record, *, job_id: str | None = None) -> Stored:
        """Keep a record; it is durable when this returns. One that is here already is renewed.

        Whether what it refers to is here is not checked.

        Args:
            record: See ``blobrecord``.
            job_id: The job that made it; None for a client's own.

        Raises:
            TooLargeError: Its text is over ``Settings.blob_record_limit_bytes``.
            StoreError: The database would not take it.
        """
        raise NotImplementedError

    async def get(self, blob_hash: str) -> Stored:
        """A record by its hash.

        Raises:
            UnknownBlobError: There is none, or this is no hash.
        """
        raise NotImplementedError

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
        """
        raise NotImplementedError

    async def content(self, content_hash: str) -> BlobFile:
        """Open bytes for reading.

        Raises:
            MissingContentError: They are not here.
        """
        raise NotImplementedError

    def archive(self, target: ArchiveTarget) -> AsyncGenerator[bytes | Extent, None]:
        """The zip of an artifact, made as it is read; a file descriptor is good until the next piece is asked for.

        Entries come in reverse of the record's order, stored, with data descriptors, zip64 where needed.

        Raises:
            MissingContentError: What was there a moment ago is gone.
        """
        raise NotImplementedError

    def every(self, *, private_too: bool = False) -> AsyncGenerator[Stored, None]:
        """All records that are public, or all there are, in the order in which they came."""
        raise NotImplementedError
