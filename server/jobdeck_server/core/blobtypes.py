"""The values that the blob store takes and gives; ``blobs`` hands them on, and is what to read first."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from jobdeck_protocol.blob import Blob
    from jobdeck_server.core.blobrecord import Record


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
        own_tags: Given to it here, no part of the record and its hash; sorted.
        pinned: Never removed until unpinned.
        uploaded: Came from a client; else only jobs have made it, and it goes when they go.
    """

    hash: str
    record: Record
    created_us: int
    modified_us: int
    own_tags: tuple[str, ...] = ()
    pinned: bool = False
    uploaded: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file of an artifact.

    Attributes:
        path: As written in the record.
        content_hash: The content that it has after all links; empty for an artifact.
        size_bytes: Of the file, or of the zip.
        entries: Of an artifact within the artifact; None for a file.
    """

    path: str
    content_hash: str
    size_bytes: int
    entries: tuple[Entry, ...] | None = None


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

    def contents(self) -> Iterator[str]:
        """The hashes of all files."""
        left = [self.entries]
        while left:
            for entry in left.pop():
                if entry.entries is None:
                    yield entry.content_hash
                else:
                    left.append(entry.entries)


Target = FileTarget | ArchiveTarget


class BlobFile:
    """An open content file; it can be read to its end whatever is removed meanwhile. ``close`` may be called again."""

    __slots__ = ("_open", "fd", "hash", "size_bytes")

    def __init__(self, fd: int, content_hash: str, size_bytes: int) -> None:
        self.fd = fd
        self.hash = content_hash
        self.size_bytes = size_bytes
        self._open = True

    def close(self) -> None:
        """Give it back."""
        if self._open:
            self._open = False
            os.close(self.fd)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobFilter:
    """Which blobs to list, and from where on.

    Attributes:
        name: Only those that are called exactly so.
        tag: Only those with this tag, the record's or an own one.
        text: Only those whose hash, name, type or tags hold this, case folded.
        type: Only ``object``, ``softLink`` or ``complex``.
        pinned: Only pinned ones, or only others.
        sort: ``created`` (the order in which they came first) or ``size``, with ``-`` before it for the greatest first.
        limit_count: Longest page.
        cursor: Where the last page stopped, as given out with it.
        after: Hash of a blob instead; the page begins with what follows it, whether or not it is on the list itself.
    """

    name: str | None = None
    tag: str | None = None
    text: str | None = None
    type: str | None = None
    pinned: bool | None = None
    sort: str = "-created"
    limit_count: int = 50
    cursor: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class BlobPage:
    """A page of blobs; ``next`` is the cursor of the following page, None at the end. It may be short or empty."""

    items: tuple[Blob, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedEntry:
    """A path of an artifact as a list of its files tells it.

    Attributes:
        path: As the record writes it.
        type: ``object``, ``softLink``, or whatever the record says.
        hash: Of the content or of the record that it names.
        size_bytes: Of the file after all links; None where that is not here, or an artifact itself.
    """

    path: str
    type: str
    hash: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a collection removed, or without its ``dry_run`` would have.

    Attributes:
        records: Hashes of records that nobody needs, at most ``SHOWN_COUNT`` of them.
        record_count: How many there are.
        content_count: Contents that no record refers to.
        content_bytes: Of all these together.
        kept_count: Contents that stay.
        kept_bytes: Of all these together.
        young_count: Contents that no record refers to and that stay, since they came a moment ago.
        dry_run: Nothing was removed.
    """

    records: tuple[str, ...] = ()
    record_count: int = 0
    content_count: int = 0
    content_bytes: int = 0
    kept_count: int = 0
    kept_bytes: int = 0
    young_count: int = 0
    dry_run: bool = False
