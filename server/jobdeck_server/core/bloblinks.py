"""What a hash stands for: links followed, paths within artifacts found, sizes looked up. Run on the store's threads.

A record's hash covers what it links to, so that links cannot honestly lead in a circle; but whether what they name is
here is checked by nobody, and a database may be damaged. So the way is bounded, and nothing is looked at twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from jobdeck_protocol.blob import ARTIFACT, FILE, LINK
from jobdeck_server.core.artifacts import archive_bytes
from jobdeck_server.core.blobrecord import is_hash
from jobdeck_server.core.blobtypes import ArchiveTarget, Entry, FileTarget, ListedEntry
from jobdeck_server.core.errors import (
    BlobLinkError,
    MissingContentError,
    TooLargeError,
    UnknownBlobError,
    UnknownEntryError,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from jobdeck_server.core.blobtypes import Target
    from jobdeck_server.settings import Settings

Entries = Mapping[str, Mapping[str, Any]]


class _Node(NamedTuple):
    """A record at the end of all links; ``content`` is None for an artifact, and where it names no content."""

    hash: str
    type: str
    name: str
    content: str | None


class Links:
    """Answers from one connection.

    Args:
        connection: A reading one.
        size_of: Bytes of content, None if it is not here.
        settings: How far links may lead, and to how many files.
    """

    def __init__(
        self, connection: sqlite3.Connection, size_of: Callable[[str], int | None], settings: Settings
    ) -> None:
        self._connection = connection
        self._size_of = size_of
        self._depth_limit_count = settings.blob_link_depth_limit_count
        self._files_limit_count = settings.blob_archive_limit_count
        self._files_count = 0

    def resolve(self, blob_hash: str, subpath: str | None) -> Target:
        """See ``Blobs.resolve``."""
        first = self._node(blob_hash)
        if first is None:
            raise UnknownBlobError(blob_hash)
        if not subpath:
            return self._target(self._follow(first), first.name)
        name = subpath.rpartition("/")[2]
        if first.type != ARTIFACT:
            return self._target(self._follow(first), name)
        entry = self._entries(blob_hash).get(subpath)
        if entry is None:
            raise UnknownEntryError(blob_hash, subpath)
        if entry.get("contentType") == LINK:
            return self._target(self._linked(entry["content"]), name)
        content = _content(subpath, entry)
        return FileTarget(name=name, content_hash=content, size_bytes=self._size(content))

    def entries(self, blob_hash: str, start: int, count: int) -> tuple[list[ListedEntry], int]:
        """Some files of an artifact, with their sizes, and how many it has.

        Raises:
            UnknownBlobError: There is no such record.
            BlobLinkError: It is no artifact.
        """
        first = self._node(blob_hash)
        if first is None:
            raise UnknownBlobError(blob_hash)
        if first.type != ARTIFACT:
            raise BlobLinkError(f"Blob {blob_hash} is no artifact.")
        entries = self._entries(blob_hash)
        paths = list(entries)[start : start + count]
        return [self._listed(path, entries[path]) for path in paths], len(entries)

    def _target(self, node: _Node, name: str) -> Target:
        if node.type == ARTIFACT:
            return ArchiveTarget(name=name, entries=tuple(self._files(node.hash)))
        assert node.content is not None
        return FileTarget(name=name, content_hash=node.content, size_bytes=self._size(node.content))

    def _files(self, blob_hash: str, depth: int = 0) -> Iterator[Entry]:
        """The entries of an artifact, and of artifacts within it.

        Raises:
            MissingContentError, BlobLinkError: See ``Blobs.resolve``.
            TooLargeError: There are too many.
        """
        if depth > self._depth_limit_count:
            raise BlobLinkError(f"More than {self._depth_limit_count} artifacts are within one another.")
        for path, entry in self._entries(blob_hash).items():
            self._files_count += 1
            if self._files_count > self._files_limit_count:
                raise TooLargeError("The archive", self._files_limit_count, "files")
            node = self._linked(entry["content"]) if entry.get("contentType") == LINK else None
            if node is not None and node.type == ARTIFACT:
                inner = tuple(self._files(node.hash, depth + 1))
                yield Entry(path=path, content_hash="", size_bytes=archive_bytes(inner), entries=inner)
                continue
            content = _content(path, entry) if node is None else node.content
            assert content is not None
            yield Entry(path=path, content_hash=content, size_bytes=self._size(content))

    def _listed(self, path: str, entry: Mapping[str, Any]) -> ListedEntry:
        kind, target = entry.get("contentType"), entry["content"]
        content: str | None = target
        if kind == LINK:
            try:
                content = self._linked(target).content
            except (BlobLinkError, MissingContentError):
                content = None
        return ListedEntry(
            path=path,
            type=kind if isinstance(kind, str) else "",
            hash=target,
            size_bytes=None if content is None else self._size_of(content),
        )

    def _linked(self, blob_hash: str) -> _Node:
        node = self._node(blob_hash)
        if node is None:
            raise MissingContentError(blob_hash)
        return self._follow(node)

    def _follow(self, node: _Node) -> _Node:
        """The artifact or file to which a record leads at last.

        Raises:
            MissingContentError: A link leads to nothing.
            BlobLinkError: In a circle, too far, or to something else.
        """
        seen = {node.hash}
        while node.type == LINK:
            target = node.content
            following = None if target is None else self._node(target)
            if following is None:
                raise MissingContentError(target or "nothing")
            if following.hash in seen:
                raise BlobLinkError(f"The links of blob {following.hash} lead in a circle.")
            if len(seen) > self._depth_limit_count:
                raise BlobLinkError(f"More than {self._depth_limit_count} links follow one another.")
            seen.add(following.hash)
            node = following
        if node.type == FILE and node.content is None:
            raise MissingContentError("nothing")
        if node.type not in (FILE, ARTIFACT):
            raise BlobLinkError(f"Blob {node.hash} is neither a file nor a link nor an artifact.")
        return node

    def _node(self, blob_hash: str) -> _Node | None:
        if not is_hash(blob_hash):
            return None
        found = self._connection.execute(
            "select hash, type, name, content from blob where hash = ?", (blob_hash,)
        ).fetchone()
        return None if found is None else _Node(*found)

    def _entries(self, blob_hash: str) -> Entries:
        """Of an artifact, in the order in which they are kept. ``record_of`` has checked them when they came."""
        text = self._connection.execute("select record from blob where hash = ?", (blob_hash,)).fetchone()[0]
        entries: Entries = json.loads(text)["content"]
        return entries

    def _size(self, content_hash: str) -> int:
        size = self._size_of(content_hash)
        if size is None:
            raise MissingContentError(content_hash)
        return size


def _content(path: str, entry: Mapping[str, Any]) -> str:
    """The content that an entry of an artifact names."""
    kind = entry.get("contentType")
    if kind != FILE:
        raise BlobLinkError(f"{path!r} is neither a file nor a link.")
    content: str = entry["content"]
    return content
