"""Zips made by hand, with every number in them open to lies; and what a folder holds."""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

STORED, DEFLATED = 0, 8


@dataclass(frozen=True, kw_only=True)
class Item:
    """An entry; None means the truth."""

    name: str | bytes
    data: bytes = b""
    method: int = STORED
    mode: int = 0o100644
    flags: int = 1 << 11
    packed: bytes | None = None
    crc: int | None = None
    size: int | None = None
    packed_size: int | None = None
    offset: int | None = None
    extra: bytes = b""
    local_extra: bytes = b""
    local_name: bytes | None = None
    local_method: int | None = None
    local_flags: int | None = None
    local_magic: bytes = b"PK\3\4"
    disk: int = 0

    @property
    def raw(self) -> bytes:
        return self.name if isinstance(self.name, bytes) else self.name.encode("utf-8", "surrogatepass")

    @property
    def body(self) -> bytes:
        if self.packed is not None:
            return self.packed
        return deflated(self.data) if self.method == DEFLATED else self.data


@dataclass(frozen=True, kw_only=True)
class End:
    """The records at the end; None means the truth."""

    count: int | None = None
    here: int | None = None
    size: int | None = None
    offset: int | None = None
    disk: int = 0
    list_disk: int = 0
    comment: bytes = b""
    comment_length: int | None = None
    before: bytes = b""  # between the list and the end record
    zip64: bool = False
    magic: bytes = b"PK\5\6"
    count_64: int | None = None
    record_at: int | None = None
    record_length: int = 44
    disks_64: int = 1
    short: tuple[int, int, int] = (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    list_bytes: bytes | None = None


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def local(item: Item) -> bytes:
    raw = item.raw if item.local_name is None else item.local_name
    method = item.method if item.local_method is None else item.local_method
    flags = item.flags if item.local_flags is None else item.local_flags
    crc = zlib.crc32(item.data) if item.crc is None else item.crc
    sizes = (min(len(item.body), 0xFFFFFFFF), min(len(item.data), 0xFFFFFFFF))
    head = struct.pack("<5H3L2H", 20, flags, method, 0, 33, crc, *sizes, len(raw), len(item.local_extra))
    return item.local_magic + head + raw + item.local_extra


def central(item: Item, at: int) -> bytes:
    crc = zlib.crc32(item.data) if item.crc is None else item.crc
    size = len(item.data) if item.size is None else item.size
    packed_size = len(item.body) if item.packed_size is None else item.packed_size
    offset = at if item.offset is None else item.offset
    head = struct.pack(
        "<6H3L5H2L",
        *(3 << 8 | 20, 20, item.flags, item.method, 0, 33, crc, packed_size, size),
        *(len(item.raw), len(item.extra), 0, item.disk, 0, item.mode << 16, offset),
    )
    return b"PK\1\2" + head + item.raw + item.extra


def finish(length: int, list_: bytes, count: int, end: End) -> bytes:
    """What comes behind the list; ``length`` is that of all before the list."""
    list_bytes = len(list_) if end.size is None else end.size
    offset = length if end.offset is None else end.offset
    count = count if end.count is None else end.count
    here = count if end.here is None else end.here
    tail = b""
    if end.zip64:
        count_64 = count if end.count_64 is None else end.count_64
        record_at = length + len(list_) + len(end.before) if end.record_at is None else end.record_at
        disks = (end.disk, end.list_disk)
        tail += struct.pack(
            "<4sQ2H2L4Q", b"PK\6\6", end.record_length, 45, 45, *disks, count_64, count_64, list_bytes, offset
        )
        tail += struct.pack("<4sLQL", b"PK\6\7", 0, record_at, end.disks_64)
        count, list_bytes, offset = end.short
        here = count
    comment_length = len(end.comment) if end.comment_length is None else end.comment_length
    numbers = (end.disk, end.list_disk, here, count, list_bytes, offset, comment_length)
    return end.before + tail + struct.pack("<4s4H2LH", end.magic, *numbers) + end.comment


def build(items: Iterable[Item], end: End | None = None, *, first: bytes = b"") -> bytes:
    end = end or End()
    data, list_, count = bytearray(first), bytearray(), 0
    for item in items:
        list_ += central(item, len(data))
        data += local(item) + item.body
        count += 1
    kept = bytes(list_) if end.list_bytes is None else end.list_bytes
    return bytes(data) + kept + finish(len(data), kept, count, end)


def memory(data: bytes) -> int:
    """A descriptor of bytes; the caller closes it."""
    fd = os.memfd_create("zip")
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    return fd


@dataclass(frozen=True)
class Held:
    """What a folder holds: files with bytes and mode, folders, and anything else, which should not be there."""

    files: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)


def held(folder: Path) -> Held:
    found = Held()
    for above, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(above, name)
            told = str(path.relative_to(folder))
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                found.files[told] = (path.read_bytes(), stat.S_IMODE(status.st_mode))
            elif stat.S_ISDIR(status.st_mode):
                found.folders.add(told)
            else:
                found.others.add(told)
    return found
