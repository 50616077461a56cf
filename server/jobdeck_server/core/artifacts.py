"""A zip of an artifact, made as it is sent: no temporary copy, whatever the sizes.

Entries are stored as they are, in reverse of the record's order as from the original, with the sizes and the checksum
behind each (general flag bit 3): its checksum is made by reading the file just before it is sent, which also brings it
into memory, and then the kernel sends it. zip64 is used where a number does not fit, and nowhere else. Everything but
the checksums is known beforehand, so the length of the whole is too.

Names are paths for whoever unpacks: what would lead out of the folder (drives, leading slashes, ``..``) is left out of
them, as the original does. An artifact within an artifact is a zip within the zip.

Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 to 4.5.
"""

from __future__ import annotations

import os
import re
import struct
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobdeck_server.core.blobtypes import Extent
from jobdeck_server.core.errors import MissingContentError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from jobdeck_server.core.blobtypes import BlobFile, Entry

__all__ = ["archive_bytes", "pieces", "zip_name"]

LIMIT_BYTES = 0xFFFFFFFF  # from here on a size or an offset needs zip64 (4.4.8: this very value says so)
LIMIT_COUNT = 0xFFFF
_SMALL_BYTES = 64 * 1024  # a file up to this length is copied together with what stands around it
_GATHER_BYTES = 256 * 1024  # of small files that leave together
_EXTENT_BYTES = 8 * 1024 * 1024  # read for the checksum, then sent
_READ_BYTES = 256 * 1024
_NAME_LIMIT_BYTES = 0xFFFF

_FLAGS = 1 << 3 | 1 << 11  # sizes follow; the name is UTF-8
_MADE_BY_UNIX = 3 << 8
_MODE = 0o100644 << 16
_LOCAL = struct.Struct("<4s5H3L2H")
_DESCRIPTOR = struct.Struct("<4s3L")
_DESCRIPTOR_64 = struct.Struct("<4sL2Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_EXTRA_LOCAL_64 = struct.pack("<2H2Q", 1, 16, 0, 0)
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_DRIVE = re.compile("^[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class _Written:
    """What the directory at the end tells of an entry."""

    name: bytes
    size: int
    offset: int
    crc: int


def pieces(entries: Sequence[Entry], read: Callable[[str], BlobFile]) -> Generator[bytes | Extent, None, None]:
    """The zip. Blocks; an extent's file is open until the next piece is asked for.

    Args:
        entries: In the order of the record.
        read: Opens content.

    Raises:
        MissingContentError: A file is gone, or is not as long as its entry says.
    """
    gathered = bytearray()  # small parts that leave together
    for part in _parts(entries, read):
        if isinstance(part, bytes):
            gathered += part
        if gathered and (isinstance(part, Extent) or len(gathered) >= _GATHER_BYTES):
            yield bytes(gathered)
            gathered.clear()
        if isinstance(part, Extent):
            yield part
    yield bytes(gathered)


def _parts(entries: Sequence[Entry], read: Callable[[str], BlobFile]) -> Iterator[bytes | Extent]:
    when = _dos_time(time.localtime())
    written: list[_Written] = []
    at = 0
    for entry in reversed(entries):
        name = zip_name(entry.path)
        head = _local(name, entry.size_bytes, when)
        yield head
        crc = 0
        for part in _body(entry, read):
            crc = zlib.crc32(part, crc) if isinstance(part, bytes) else _checksum(part, crc)
            yield part
        tail = _descriptor(entry.size_bytes, crc)
        yield tail
        written.append(_Written(name, entry.size_bytes, at, crc))
        at += len(head) + entry.size_bytes + len(tail)
    yield from _directory(written, at, when)


def _body(entry: Entry, read: Callable[[str], BlobFile]) -> Iterator[bytes | Extent]:
    if entry.entries is not None:
        yield from _parts(entry.entries, read)
        return
    with read(entry.content_hash) as file:
        if file.size_bytes != entry.size_bytes:
            raise MissingContentError(entry.content_hash)
        if entry.size_bytes <= _SMALL_BYTES:
            yield _read(file.fd, 0, entry.size_bytes)
            return
        for offset in range(0, entry.size_bytes, _EXTENT_BYTES):
            yield Extent(file.fd, offset, min(_EXTENT_BYTES, entry.size_bytes - offset))


def archive_bytes(entries: Sequence[Entry]) -> int:
    """How long the zip will be."""
    when = (0, 0)
    written = []
    at = 0
    for entry in reversed(entries):
        name = zip_name(entry.path)
        written.append(_Written(name, entry.size_bytes, at, 0))
        head, tail = _local(name, entry.size_bytes, when), _descriptor(entry.size_bytes, 0)
        at += len(head) + entry.size_bytes + len(tail)
    return at + sum(map(len, _directory(written, at, when)))


def zip_name(path: str) -> bytes:
    """An entry's name: the path, without what would lead out of the folder in which it is unpacked."""
    parts = _DRIVE.sub("", path.replace("\\", "/")).replace("\0", "_").split("/")
    kept = [part for part in parts if part not in ("", ".", "..")]
    name = "/".join(kept or ["_"]).encode(errors="replace")
    return name[:_NAME_LIMIT_BYTES].decode(errors="ignore").encode()


def _local(name: bytes, size: int, when: tuple[int, int]) -> bytes:
    if size < LIMIT_BYTES:
        return _LOCAL.pack(b"PK\3\4", 20, _FLAGS, 0, *when, 0, 0, 0, len(name), 0) + name
    fields = (b"PK\3\4", 45, _FLAGS, 0, *when, 0, LIMIT_BYTES, LIMIT_BYTES, len(name), len(_EXTRA_LOCAL_64))
    return _LOCAL.pack(*fields) + name + _EXTRA_LOCAL_64


def _descriptor(size: int, crc: int) -> bytes:
    form = _DESCRIPTOR if size < LIMIT_BYTES else _DESCRIPTOR_64
    return form.pack(b"PK\7\x08", crc, size, size)


def _directory(written: Sequence[_Written], at: int, when: tuple[int, int]) -> Iterator[bytes]:
    """The directory and what ends the file; ``at`` is where it starts."""
    size = 0
    for each in written:
        record = _central(each, when)
        size += len(record)
        yield record
    count = len(written)
    if count >= LIMIT_COUNT or at >= LIMIT_BYTES or size >= LIMIT_BYTES:
        yield _END_64.pack(b"PK\6\6", 44, _MADE_BY_UNIX | 45, 45, 0, 0, count, count, size, at)
        yield _LOCATOR_64.pack(b"PK\6\7", 0, at + size, 1)
    few = min(count, LIMIT_COUNT)
    yield _END.pack(b"PK\5\6", 0, 0, few, few, min(size, LIMIT_BYTES), min(at, LIMIT_BYTES), 0)


def _central(each: _Written, when: tuple[int, int]) -> bytes:
    large = [each.size, each.size] if each.size >= LIMIT_BYTES else []
    large += [each.offset] if each.offset >= LIMIT_BYTES else []
    extra = struct.pack(f"<2H{len(large)}Q", 1, 8 * len(large), *large) if large else b""
    version = 45 if large else 20
    size, offset = min(each.size, LIMIT_BYTES), min(each.offset, LIMIT_BYTES)
    head = _CENTRAL.pack(
        *(b"PK\1\2", _MADE_BY_UNIX | version, version, _FLAGS, 0, *when, each.crc, size, size),
        *(len(each.name), len(extra), 0, 0, 0, _MODE, offset),
    )
    return head + each.name + extra


def _checksum(extent: Extent, crc: int) -> int:
    end = extent.offset + extent.length
    for begin in range(extent.offset, end, _READ_BYTES):
        crc = zlib.crc32(_read(extent.fd, begin, min(_READ_BYTES, end - begin)), crc)
    return crc


def _read(fd: int, offset: int, length: int) -> bytes:
    data = os.pread(fd, length, offset)
    while len(data) < length:
        more = os.pread(fd, length - len(data), offset + len(data))
        if not more:
            raise MissingContentError("the end of a file")
        data += more
    return data


def _dos_time(now: time.struct_time) -> tuple[int, int]:
    """Time and date as two words of 16 bits (4.4.6)."""
    year = min(max(now.tm_year, 1980), 2107) - 1980
    return now.tm_hour << 11 | now.tm_min << 5 | now.tm_sec // 2, year << 9 | now.tm_mon << 5 | now.tm_mday
