"""Blobs of one server: list, send, fetch, tag, pin, remove.

    blob = await client.blobs.upload(Path("data.bin"), on_progress=show)
    await client.blobs.download(blob.hash, Path("copy.bin"), on_progress=show)

What is sent and fetched is hashed on the way and compared with what the server says. A download that breaks goes on
where it stopped, in this run and in the next one: until it is whole and true it is a hidden file beside its target.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jobdeck_client.errors import RefusedError, ServerFaultError
from jobdeck_client.pages import every
from jobdeck_client.transfer import Part, Progress, Source, as_they_come, counted, open_pieces, read
from jobdeck_protocol.blob import Blob, from_wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping

    from jobdeck_client.requests import Requests

__all__ = ["BlobContent", "BlobEntry", "BlobPage", "Blobs", "Collected", "Progress"]

_BEYOND_ITS_END = 416
ANSWER_TIMEOUT_S = 600.0
"""How long a server may take over what it was given before it answers."""


@dataclass(frozen=True, slots=True)
class BlobPage:
    """A page of blobs, and the cursor of the next one; None at the end. A page may be short or empty."""

    items: tuple[Blob, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobEntry:
    """A file of an artifact.

    Attributes:
        path: Within the artifact.
        type: ``object``, ``softLink``, or what a client wrote.
        hash: Of the content, or of the record to which it links.
        size_bytes: None where what it names is not there.
    """

    path: str
    type: str
    hash: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobContent:
    """What bytes there are: their hash, empty for a zip that is made on the way; None for a length nobody knows."""

    etag: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a collection removed, or would have; see ``Blobs.collect``.

    Attributes:
        dry_run: Nothing was removed.
        records: Hashes of removed records, of very many the first.
        record_count: How many there are.
        content_count: Contents that nobody needed, of ``content_bytes``.
        content_bytes: See there.
        kept_count: Contents that stay, of ``kept_bytes``.
        kept_bytes: See there.
        young_count: Of those, contents that nobody needs but that came a moment ago.
    """

    dry_run: bool
    records: tuple[str, ...]
    record_count: int
    content_count: int
    content_bytes: int
    kept_count: int
    kept_bytes: int
    young_count: int


class Blobs:
    """See the top of this file. A blob is named by its hash, or the first 8 digits or more if only it has them."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    # -- looking --

    async def page(
        self,
        *,
        name: str | None = None,
        tag: str | None = None,
        text: str | None = None,
        kind: str | None = None,
        pinned: bool | None = None,
        sort: str = "-created",
        limit: int = 50,
        cursor: str | None = None,
        after: str | None = None,
    ) -> BlobPage:
        """One page of the list.

        Args:
            name: Only blobs that are called exactly so.
            tag: Only blobs with this tag.
            text: Only blobs whose hash, name, type or tags hold this.
            kind: ``object``, ``softLink`` or ``complex``.
            pinned: Only pinned ones, or only others.
            sort: ``created`` or ``size``; ``-`` before it for the greatest first.
            limit: Longest page.
            cursor: ``next`` of the page before.
            after: Hash of a blob instead: the page is what follows it in this order, whether or not it is on the list.

        Raises:
            NotFoundError: The blob ``after`` which to go on is not there any more.
        """
        given = {
            "name": name,
            "tag": tag,
            "text": text,
            "type": kind,
            "pinned": None if pinned is None else str(pinned).lower(),
            "sort": sort,
            "limit": str(limit),
            "cursor": cursor,
            "after": after,
        }
        query = {field: value for field, value in given.items() if value is not None}
        wire = await self._requests.ask("GET", "/v1/blobs", query=query)
        items, following = _page(wire)
        return BlobPage(tuple(_blob(item) for item in items), following)

    def all(self, *, limit: int | None = None, **wanted: Any) -> AsyncGenerator[Blob, None]:
        """The blobs of all pages, at most ``limit``; the other arguments are those of ``page``."""
        return every(self.page, limit=limit, **wanted)

    async def show(self, blob: str) -> Blob:
        """One blob."""
        return _blob(await self._requests.ask("GET", _path(blob)))

    async def entries(self, blob: str) -> AsyncGenerator[BlobEntry, None]:
        """The files of an artifact, in the order of its record."""
        cursor: str | None = "0"
        while cursor is not None:
            found, cursor = await self.entry_page(blob, cursor)
            for entry in found:
                yield entry

    async def entry_page(
        self, blob: str, cursor: str = "0", *, limit: int = 1000
    ) -> tuple[tuple[BlobEntry, ...], str | None]:
        """Some files of an artifact, in the order of its record, and the cursor of those that follow; None at the end.

        Args:
            blob: See ``Blobs``.
            cursor: Of the page before, ``0`` for the first.
            limit: Longest page.
        """
        query = {"limit": str(limit), "cursor": cursor}
        items, following = _page(await self._requests.ask("GET", _path(blob, "/entries"), query=query))
        return tuple(_entry(item) for item in items), following

    # -- sending --

    async def upload(
        self,
        source: Path | AsyncIterator[bytes],
        *,
        name: str | None = None,
        tags: Iterable[str] = (),
        on_progress: Progress | None = None,
    ) -> Blob:
        """Send a file; it is durable when this returns.

        Args:
            source: A file or a pipe, or bytes as they come.
            name: Under which it is kept; None for the file's own.
            tags: Given to it beside its record.
            on_progress: Told now and then.

        Raises:
            OSError: The file cannot be read.
            FileChangedError: It became shorter while it was read.
            ServerFaultError: The server has kept other bytes than were sent.
        """
        sha1 = hashlib.sha1(usedforsecurity=False)
        length: int | None = None
        if isinstance(source, Path):
            name = source.name if name is None else name
            pieces, length = await open_pieces(source)
        else:
            pieces = as_they_come(source)
        if name is None:
            raise ValueError("bytes without a file need a name")
        query = [("name", name), *(("tag", tag) for tag in tags)]
        async with aclosing(counted(pieces, sha1, length, on_progress)) as body:
            wire = await self._requests.send(
                "PUT", "/v1/blobs", body, query=query, length=length, answer_timeout_s=ANSWER_TIMEOUT_S
            )
        blob = _blob(wire)
        if blob.content != sha1.hexdigest():
            raise ServerFaultError("The server has kept other bytes than were sent.")
        return blob

    async def store(self, record: Mapping[str, Any]) -> Blob:
        """Store a record, of an artifact or a link; see the documentation of ``/rest/blob/createMetadata``."""
        return _blob(await self._requests.ask("POST", "/v1/blobs/records", body=dict(record)))

    # -- fetching --

    async def read(
        self,
        blob: str,
        path: str | None = None,
        *,
        start: int = 0,
        on_progress: Progress | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """The bytes of a file, or the zip of an artifact, in pieces. A file goes on after a break where it stopped.

        Args:
            blob: See ``Blobs``.
            path: Within an artifact.
            start: First byte wanted; for files only.
            on_progress: Told now and then.

        Raises:
            NotFoundError: There is no such blob, or path.
            ServerFaultError: It became another one, or is shorter than it was said to be.
            UnreachableError: No server answers, or it went away and did not come back.
        """
        source = await self._source(blob, path)
        async with aclosing(read(self._requests, source, start, on_progress)) as pieces:
            async for piece in pieces:
                yield piece

    async def look(self, blob: str, path: str | None = None) -> BlobContent:
        """How long the bytes are and of which type; what ``part`` reads some of.

        Raises:
            NotFoundError: There is no such blob, or path.
        """
        source = await self._source(blob, path)
        return BlobContent(etag=source.etag, size_bytes=source.size_bytes)

    async def part(self, blob: str, path: str | None = None, *, start: int, end: int) -> bytes:
        """Bytes from ``start`` up to ``end``, of a file alone; fewer where it ends before.

        Raises:
            NotFoundError: There is no such blob, or path.
        """
        try:
            return await self._requests.get(
                _content_path(blob, path), query={}, headers={"Range": f"bytes={start}-{end - 1}"}
            )
        except RefusedError as error:
            if error.status == _BEYOND_ITS_END:
                return b""
            raise

    async def download(
        self,
        blob: str,
        target: Path,
        *,
        path: str | None = None,
        on_progress: Progress | None = None,
    ) -> int:
        """Fetch into a file, which is there when it is whole, and replaces one that is there already.

        Args:
            blob: See ``Blobs``.
            target: The file.
            path: Within an artifact.
            on_progress: Told now and then.

        Returns:
            Its size in bytes.

        Raises:
            OSError: The file cannot be written.
            ServerFaultError: What came is not what it should be.
            NotFoundError, UnreachableError: See ``read``.
        """
        source = await self._source(blob, path)
        part = target.with_name(f".{target.name}.{source.etag[:16] or os.urandom(8).hex()}.part")
        most_bytes = (source.size_bytes or 0) if source.etag else 0
        try:
            async with await Part.open(part, most_bytes=most_bytes) as file:
                async with aclosing(read(self._requests, source, file.size_bytes, on_progress)) as pieces:
                    async for piece in pieces:
                        await file.write(piece)
                if not await file.keep(target, source.etag):
                    part.unlink()
                    raise ServerFaultError("What came is not what the server said that it would be; try again.")
                return file.size_bytes
        except BaseException:
            if not source.etag:  # it cannot be taken up again
                part.unlink(missing_ok=True)
            raise

    # -- keeping and removing --

    async def set_tags(self, blob: str, tags: Iterable[str]) -> Blob:
        """Give it these tags of its own, instead of those that it was given before."""
        return _blob(await self._requests.ask("PUT", _path(blob, "/tags"), body={"tags": list(tags)}))

    async def pin(self, blob: str) -> Blob:
        """Keep it, and all it links to, from being removed."""
        return _blob(await self._requests.ask("PUT", _path(blob, "/pin")))

    async def unpin(self, blob: str) -> Blob:
        """Let it be removed again."""
        return _blob(await self._requests.ask("DELETE", _path(blob, "/pin")))

    async def remove(self, blob: str, *, recursive: bool = False, force: bool = False) -> None:
        """Remove it; its bytes go with the next collection, if nothing else needs them.

        Args:
            blob: See ``Blobs``.
            recursive: Also what it links to, if nothing else needs it.
            force: Even if another blob links to it.

        Raises:
            ConflictError: It is pinned, needed by a job, or part of another one.
        """
        given = (("recursive", recursive), ("force", force))
        query = {name: "true" for name, value in given if value}
        await self._requests.ask("DELETE", _path(blob), query=query)

    async def collect(self, *, dry_run: bool = False, unused_s: float | None = None) -> Collected:
        """Remove what nobody needs.

        Args:
            dry_run: Only tell what would go.
            unused_s: Also what clients have sent, if nobody has sent or linked to it for so long.
        """
        wire = await self._requests.ask("POST", "/v1/blobs/gc", body={"dry_run": dry_run, "unused_s": unused_s})
        try:
            assert isinstance(wire, dict)
            known = {name: wire[name] for name in Collected.__slots__}
            return Collected(**{**known, "records": tuple(known["records"])})
        except (AssertionError, KeyError, TypeError) as error:
            raise ServerFaultError("The server's answer tells of no collection.") from error

    # -- parts --

    async def _source(self, blob: str, path: str | None) -> Source:
        where = _content_path(blob, path)
        headers = await self._requests.head(where)
        size = headers.get("content-length") or headers.get("jobdeck-archive-bytes") or ""
        return Source(where, headers.get("etag", "").strip('"'), int(size) if size.isdigit() else None)


def _path(blob: str, rest: str = "") -> str:
    return f"/v1/blobs/{quote(blob, safe='')}{rest}"


def _content_path(blob: str, path: str | None) -> str:
    return _path(blob, "/content" + ("" if path is None else "/" + quote(path, safe="/")))


def _page(wire: object) -> tuple[list[object], str | None]:
    items = wire.get("items") if isinstance(wire, dict) else None
    if not isinstance(items, list):
        raise ServerFaultError("The server's list has no items.")
    assert isinstance(wire, dict)
    return items, wire.get("next")


def _blob(wire: object) -> Blob:
    try:
        return from_wire(wire)  # type: ignore[arg-type]  # what is no map raises
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ServerFaultError(f"The server's answer is no blob: {error}.") from error


def _entry(wire: object) -> BlobEntry:
    try:
        return BlobEntry(**{name: wire[name] for name in BlobEntry.__slots__})  # type: ignore[index]  # as above
    except (KeyError, TypeError) as error:
        raise ServerFaultError(f"The server's answer is no file of an artifact: {error}.") from error
