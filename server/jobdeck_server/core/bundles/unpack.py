"""A bundle's files into a folder: from a zip, or from the files of an artifact as the store has them.

Everything that can be refused without writing is refused before the first byte is written. What is then inflated is
counted as it comes, and ends where the zip said that it would: a zip that says too little is an error, not a surprise.
Memory is flat, whatever the sizes. A refusal or a stop leaves what was written; the folder is the caller's to remove.

The files are plain, mode 644 or 755, the folders 755. Nothing is synced: a crash does it again.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from jobdeck_server.core import artifacts
from jobdeck_server.core.blobtypes import Extent
from jobdeck_server.core.bundles.copying import copy, write
from jobdeck_server.core.bundles.errors import StoppedError, UnpackError, shown
from jobdeck_server.core.bundles.names import Names
from jobdeck_server.core.bundles.place import Place
from jobdeck_server.core.bundles.zipread import STORED, ZipEntry, read_zip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from jobdeck_server.core.blobtypes import BlobFile, Entry
    from jobdeck_server.core.bundles.limits import UnpackLimits

_READ_BYTES = 256 * 1024
_STEP_BYTES = 1024 * 1024  # inflated at once
_SMALL_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """What was written: files, folders not counted, and their bytes."""

    file_count: int
    total_bytes: int


def never() -> bool:
    """For callers that do not stop."""
    return False


def unpack(
    source: int | BinaryIO, folder: Path, limits: UnpackLimits, cancelled: Callable[[], bool] = never
) -> Unpacked:
    """Unpack a zip.

    Args:
        source: The zip from its first byte on: a descriptor, or an open file that has one. Its position is not used.
        folder: An existing one; what lies in it stays as it is.
        limits: See there.
        cancelled: Asked at each MiB, and between files; true ends it.

    Raises:
        UnpackError: The zip is refused, or broken.
        StoppedError: ``cancelled`` said so.
        OSError: The disk failed, or is full.
    """
    fd = source if isinstance(source, int) else source.fileno()
    entries = read_zip(fd, limits, cancelled)
    with Place(folder) as place:
        for entry, offset in entries:
            _go_on(cancelled)
            if entry.folder:
                place.folder(entry.parts)
                continue
            with place.file(entry.parts, executable=entry.executable) as target:
                _unpack_one(fd, entry, offset, target, cancelled)
    files = [entry for entry, _ in entries if not entry.folder]
    return Unpacked(file_count=len(files), total_bytes=sum(entry.size_bytes for entry in files))


def unpack_tree(
    entries: Sequence[Entry],
    read: Callable[[str], BlobFile],
    folder: Path,
    limits: UnpackLimits,
    cancelled: Callable[[], bool] = never,
) -> Unpacked:
    """Write the files of an artifact; an artifact within it is a zip, as when it is downloaded.

    Args:
        entries: Of the artifact, links resolved.
        read: Opens content.
        folder: See ``unpack``, as for the others; the ratio is of no interest here.
        limits: See there.
        cancelled: See there.

    Raises:
        UnpackError, StoppedError, OSError: See there.
        MissingContentError: Content is gone.
    """
    total_bytes = sum(entry.size_bytes for entry in entries)
    if len(entries) > limits.entry_count:
        raise UnpackError(f"The artifact has {len(entries)} files; {limits.entry_count} are taken.")
    if total_bytes > limits.total_bytes:
        raise UnpackError(f"The artifact has {total_bytes} bytes; {limits.total_bytes} are taken.")
    names = Names(limits)
    parts = [names.add(entry.path) for entry in entries]
    with Place(folder) as place:
        for entry, path in zip(entries, parts, strict=True):
            _go_on(cancelled)
            with place.file(path) as target:
                if entry.entries is None:
                    _copy_one(entry, read, target, cancelled)
                else:
                    _pack_one(entry.entries, read, target, cancelled)
    return Unpacked(file_count=len(entries), total_bytes=total_bytes)


def _go_on(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise StoppedError


def _copy_one(entry: Entry, read: Callable[[str], BlobFile], target: int, cancelled: Callable[[], bool]) -> None:
    with read(entry.content_hash) as file:
        if file.size_bytes != entry.size_bytes:
            raise UnpackError(f"{shown(entry.path)} is not as long as its record says.")
        copy(file.fd, target, 0, entry.size_bytes, cancelled)


def _pack_one(
    entries: Sequence[Entry], read: Callable[[str], BlobFile], target: int, cancelled: Callable[[], bool]
) -> None:
    for piece in artifacts.pieces(entries, read):
        _go_on(cancelled)
        if isinstance(piece, Extent):
            copy(piece.fd, target, piece.offset, piece.length, cancelled)
        else:
            write(target, piece)


def _unpack_one(fd: int, entry: ZipEntry, offset: int, target: int, cancelled: Callable[[], bool]) -> None:
    crc = 0
    size_bytes = 0
    pieces = _pieces(fd, entry, offset) if entry.method == STORED else _inflated(fd, entry, offset)
    for piece in pieces:
        _go_on(cancelled)
        size_bytes += len(piece)
        if size_bytes > entry.size_bytes:
            raise UnpackError(f"{entry.told} unpacks to more bytes than it says.")
        crc = zlib.crc32(piece, crc)
        write(target, piece)
    if size_bytes != entry.size_bytes:
        raise UnpackError(f"{entry.told} unpacks to fewer bytes than it says.")
    if crc != entry.crc:
        raise UnpackError(f"{entry.told} is damaged: its checksum is wrong.")


def _pieces(fd: int, entry: ZipEntry, offset: int) -> Iterator[bytes]:
    """The bytes of an entry as they stand in the zip."""
    at, end = offset, offset + entry.packed_bytes
    while at < end:
        data = os.pread(fd, min(_READ_BYTES, end - at), at)
        if not data:
            raise UnpackError("The zip ends too early.")
        at += len(data)
        yield data


def _inflated(fd: int, entry: ZipEntry, offset: int) -> Iterator[bytes]:
    """What they inflate to, in pieces of bounded length. More than the entry says is found by the first such piece."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    step_bytes = min(_STEP_BYTES, max(entry.size_bytes + 1, _SMALL_BYTES))
    try:
        for data in _pieces(fd, entry, offset):
            left = data
            while left and not inflate.eof:
                yield inflate.decompress(left, step_bytes)
                left = inflate.unconsumed_tail
            if inflate.unused_data or (left and inflate.eof):
                raise UnpackError(f"{entry.told} has bytes behind its end.")
        while not inflate.eof and (piece := inflate.decompress(b"", step_bytes)):
            yield piece
    except zlib.error:
        raise UnpackError(f"{entry.told} is damaged: it cannot be inflated.") from None
    if not inflate.eof:
        raise UnpackError(f"{entry.told} is damaged: it ends too early.")
