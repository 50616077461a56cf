"""Binaries: wheels, eggs and jars under the names that clients gave them, in versions.

    async with binaries.upload(name, "wheel") as upload:    # leaving without commit leaves nothing behind
        await upload.fill(request.body)                     # or await upload.write(data), any number of times
        binary = await upload.commit()                      # durable, and what the name stands for from here on

The bytes are in the blob store, each content once, however often it was sent. The record that holds a version is a
file like all others there: it stands in the list of blobs under the binary's name with the tag ``package``, so that
what takes up the disk can be seen and downloaded. It is nobody's upload, though: it cannot be removed while a version
is made of it, and goes by itself afterwards.

A job runs the version that was the newest when it was submitted. The bytes that a job which has not ended needs stay,
whatever is sent, deleted or collected meanwhile (``packageuse``).
"""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol.packageinfo import EGG, JAR, KINDS, MIMES, TYPES, WHEEL
from jobdeck_server.core import binaryrows, blobrows
from jobdeck_server.core.binaryrows import Binary
from jobdeck_server.core.blobrecord import Record
from jobdeck_server.core.errors import (
    BadBinaryError,
    BadRequestError,
    BinaryInUseError,
    BinaryTypeError,
    TooLargeError,
    UnknownBinaryError,
)
from jobdeck_server.core.live import now_us
from jobdeck_server.core.packageclasses import ClassFinder

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from jobdeck_server.core.blobs import Blobs
    from jobdeck_server.core.blobtypes import Content
    from jobdeck_server.core.events import EventLog
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.journal import Event
    from jobdeck_server.core.packageclasses import Classes
    from jobdeck_server.core.store import Store
    from jobdeck_server.core.uploads import Source, Upload
    from jobdeck_server.settings import Settings

__all__ = ["KINDS", "TAG", "Binaries", "Binary", "BinaryUpload", "PreloadError", "kind_of"]

TAG = "package"
"""Of the records that hold binaries."""
_MAGIC = b"PK\x03\x04"
_SUFFIXES: Mapping[str, str] = {".jar": JAR, ".egg": EGG, ".whl": WHEEL}
_READ_BYTES = 1024 * 1024
_log = logging.getLogger("jobdeck.packages")


def kind_of(content_type: str | None) -> str:
    """The kind that a Content-Type says; what stands behind a semicolon is of no interest.

    Raises:
        BinaryTypeError: It says none, or there is none.
    """
    kind = TYPES.get((content_type or "").partition(";")[0].strip().lower())
    if kind is None:
        raise BinaryTypeError(content_type)
    return kind


class PreloadError(OSError):
    """A binary that the server was told to start with cannot be had."""


class Binaries:
    """See the top of this file. ``blobs.run`` must be running.

    Args:
        settings: Those that begin with ``binary_``.
        store: See there.
        events: Told of what comes and goes: ``package`` (``jobdeck_protocol.packageinfo``) and ``package_removed``
            (``{"name"}``).
        blobs: Where the bytes are.
        core: Asked whether a job that stands in a binary's way has ended just now; None if there are no jobs.
    """

    def __init__(
        self, settings: Settings, *, store: Store, events: EventLog, blobs: Blobs, core: JobCore | None = None
    ) -> None:
        self.settings = settings
        self._store = store
        self._events = events
        self._blobs = blobs
        self._core = core
        self._classes = ClassFinder(settings, blobs=blobs)

    # -- looking --

    async def list(self) -> list[Binary]:
        """The newest version of each, by name."""
        return await self._store.read(binaryrows.newest)

    async def get(self, name: str) -> Binary:
        """The newest version of one.

        Raises:
            UnknownBinaryError: There is none of this name.
        """
        try:
            name.encode()
        except UnicodeEncodeError as error:  # nor could there be, and the database is not asked
            raise UnknownBinaryError(name) from error
        return await self._store.read(lambda connection: binaryrows.find(connection, name))

    async def versions(self, name: str) -> Sequence[Binary]:
        """All versions that are kept of one, newest first; none if it is not known."""
        return await self._store.read(lambda connection: binaryrows.versions(connection, name))

    async def classes(self, binary: Binary) -> Classes:
        """The classes of one that can be run as jobs.

        Raises:
            MissingContentError: Its bytes are not here.
        """
        return await self._classes.find(binary)

    # -- coming in --

    @asynccontextmanager
    async def upload(
        self, name: str, kind: str, *, expected_bytes: int | None = None
    ) -> AsyncGenerator[BinaryUpload, None]:
        """Take in a new version; left without ``commit``, nothing of it stays and the name stands for what it did.

        Args:
            name: Any text; not empty, without NUL.
            kind: ``jar``, ``egg`` or ``wheel``.
            expected_bytes: How many will come, if the client has said so.

        Raises:
            BadRequestError: This is no name, or no kind.
            TooLargeError: The name is too long, or more bytes are expected than are taken.
            CapacityError, NoSpaceError: See ``Blobs.upload``.
        """
        self._check_name(name)
        if kind not in KINDS:
            raise BadRequestError(f"The kind must be one of {', '.join(KINDS)}, not {kind!r}.", field="kind")
        async with self._blobs.upload(expected_bytes=expected_bytes) as upload:
            yield BinaryUpload(self, upload, name, kind)

    async def keep(self, name: str, kind: str, content: Content) -> Binary:
        """Make content that is in the blob store the newest version of a binary; see ``BinaryUpload.commit``."""
        record = blobrows.prepare(
            Record(name=name, size=content.size_bytes, mime=MIMES[kind], tags=(TAG,), content=content.hash)
        )
        kept: list[Binary] = []

        def work(connection: sqlite3.Connection) -> Sequence[Event]:
            binary, events = binaryrows.add(
                connection,
                record,
                name=name,
                kind=kind,
                now_us=now_us(),
                names_limit_count=self.settings.binary_limit_count,
                versions_limit_count=self.settings.binary_version_limit_count,
            )
            kept.append(binary)
            return events

        await self._events.commit(work)
        return kept[0]

    async def load(self, paths: Iterable[tuple[str, Path]]) -> None:
        """Have binaries that the operator wants to be there; one that is what the name stands for is left as it is.

        Args:
            paths: Of each its name and its file, whose name says of which kind it is: ``.whl``, ``.egg`` or ``.jar``.

        Raises:
            PreloadError: One cannot be read, or is no binary.
        """
        for name, path in paths:
            try:
                await self._load(name, path)
            except (OSError, BadRequestError, TooLargeError) as error:
                why = error.strerror if isinstance(error, OSError) and error.strerror else error
                raise PreloadError(f"cannot load the package {name!r} from {path}: {why}") from error

    # -- removing --

    async def delete(self, name: str) -> None:
        """Remove all versions of one; durable when this returns. Their bytes go with a later collection.

        Raises:
            UnknownBinaryError: There is none of this name.
            BinaryInUseError: Jobs that have not ended name it.
        """
        while True:
            try:
                await self._events.commit(lambda connection: binaryrows.delete(connection, name, now_us=now_us()))
            except BinaryInUseError as error:
                if not await self._ended_since(error.job_ids):
                    raise
            else:
                return

    async def _ended_since(self, job_ids: Sequence[str]) -> bool:
        """Whether one of these jobs has been told as ended, though the database did not say so yet; by now it does."""
        if self._core is None:
            return False
        ended = [each for each in job_ids if (job := await self._core.find(each)) is None or job.ended]
        for each in ended:
            await self._core.committed(each)
        return bool(ended)

    # -- parts --

    def _check_name(self, name: str) -> None:
        if not name or "\0" in name:
            raise BadRequestError("A binary needs a name, without NUL in it.", field="name")
        try:
            size_bytes = len(name.encode())
        except UnicodeEncodeError:
            raise BadRequestError("The name of a binary must be text.", field="name") from None
        if size_bytes > self.settings.binary_name_limit_bytes:
            raise TooLargeError("The name of a binary", self.settings.binary_name_limit_bytes)

    async def _load(self, name: str, path: Path) -> None:
        kind = _SUFFIXES.get(path.suffix.lower())
        if kind is None:
            raise BadRequestError(f"its name must end in one of {', '.join(_SUFFIXES)}")
        async with await trio.open_file(path, "rb") as file, self.upload(name, kind) as upload:
            while piece := await file.read(_READ_BYTES):
                await upload.write(piece)
            binary = await upload.commit(again=False)
        _log.info("package %s: %s of %d bytes", name, binary.kind, binary.size_bytes)


class BinaryUpload:
    """A version that is coming in; belongs to one task. Bytes that are no zip are refused as soon as that is seen."""

    def __init__(self, binaries: Binaries, upload: Upload, name: str, kind: str) -> None:
        self._binaries = binaries
        self._upload = upload
        self._name = name
        self._kind = kind
        self._head = b""

    async def fill(self, source: Source) -> None:
        """Take all that comes from a source; see ``Upload.fill``.

        Raises:
            BadBinaryError: It does not begin as a zip does.
            TooLargeError, NoSpaceError, StoreError: See ``Upload.write``.
            Exception: What the source raised.
        """
        await self._upload.fill(_Looked(source, self._look))

    async def write(self, piece: bytes) -> None:
        """Take a piece; see ``Upload.write``.

        Raises:
            BadBinaryError: It does not begin as a zip does.
            TooLargeError, NoSpaceError, StoreError: See there.
        """
        self._look(piece)
        await self._upload.write(piece)

    async def commit(self, *, again: bool = True) -> Binary:
        """Keep it: durable, and the newest version of its name, when this returns.

        That it can be read as a zip is not checked, nor what is in it: who runs it will see.

        Args:
            again: Make a new version also if the newest one has the same bytes.

        Raises:
            BadBinaryError: It is too short.
            CapacityError: There are as many binaries as there may be.
            NoSpaceError: The disk is full.
            StoreError: The disk or the database failed.
        """
        if self._upload.size_bytes <= len(_MAGIC):
            raise BadBinaryError
        content = await self._upload.commit()
        if not again:
            found = (*await self._binaries.versions(self._name), None)[0]
            if found is not None and (found.content, found.kind) == (content.hash, self._kind):
                return found
        return await self._binaries.keep(self._name, self._kind, content)

    def _look(self, piece: bytes | memoryview) -> None:
        if len(self._head) < len(_MAGIC):
            self._head += bytes(piece[: len(_MAGIC) - len(self._head)])
            if not _MAGIC.startswith(self._head):
                raise BadBinaryError


class _Looked:
    """A source whose bytes are looked at as they come."""

    def __init__(self, source: Source, look: Callable[[memoryview], None]) -> None:
        self._source = source
        self._look = look

    async def read_into(self, room: memoryview) -> int:
        count = await self._source.read_into(room)
        self._look(room[:count])
        return count
