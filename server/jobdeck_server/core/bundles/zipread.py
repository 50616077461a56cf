"""The list at the end of a zip, read with suspicion: nothing in it is believed that the file itself does not bear out.

Before the list is read into memory, its length and its count must be within limits; before anything is unpacked, all of
it must make sense: each entry has its own bytes before the list, its own head there says the same, it is a plain file
or a folder, stored or deflated, not encrypted, and what all of them unpack to is within limits. So a refused zip costs
its list alone. What is deflated may still be longer than it says: who unpacks it counts.

Stored and deflated are what every program writes that was not told otherwise; the other methods of the format (bzip2,
LZMA, zstd, deflate64) are refused by name. So are zips in several files, and bytes before or behind the zip.

Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 to 4.5 and appendix D; Info-ZIP's extra field 0x7075.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobdeck_server.core.bundles.errors import StoppedError, UnpackError, shown
from jobdeck_server.core.bundles.names import Names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jobdeck_server.core.bundles.limits import UnpackLimits

STORED = 0
DEFLATED = 8

_METHODS = {6: "imploded", 9: "deflate64", 12: "bzip2", 14: "LZMA", 93: "zstd", 95: "xz", 99: "encrypted"}
_ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13
_PATCH = 1 << 5
_UTF8 = 1 << 11
_NO_MODE = 0xFFFF  # written by old Java programs that did not know it
_SENTINEL_16, _SENTINEL_32 = 0xFFFF, 0xFFFFFFFF
_COMMENT_LIMIT_BYTES = 0xFFFF
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_EXTRA_64, _EXTRA_NAME = 0x0001, 0x7075


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipEntry:
    """A file or folder of a zip.

    Attributes:
        raw_name: As its bytes stand there.
        parts: Of its path; checked.
        folder: It is one.
        executable: Its owner may run it.
        method: ``STORED`` or ``DEFLATED``.
        crc: Of what it unpacks to.
        packed_bytes: In the zip.
        size_bytes: Unpacked, as it says.
        offset: Of its head.
    """

    raw_name: bytes
    parts: tuple[str, ...]
    folder: bool
    executable: bool
    method: int
    crc: int
    packed_bytes: int
    size_bytes: int
    offset: int

    @property
    def told(self) -> str:
        """Its name, for a sentence."""
        return shown("/".join(self.parts))


@dataclass(frozen=True, slots=True)
class _End:
    """Where the list is, and how much of it."""

    count: int
    size_bytes: int
    offset: int


def read_zip(fd: int, limits: UnpackLimits, cancelled: Callable[[], bool]) -> list[tuple[ZipEntry, int]]:
    """All entries, each checked as above, and where their bytes begin; in that order.

    Args:
        fd: The zip from its first byte on; its position is not used.
        limits: Of all of it.
        cancelled: Asked now and then.

    Raises:
        UnpackError: The zip is refused.
        StoppedError: ``cancelled`` said so.
    """
    size_bytes = os.fstat(fd).st_size
    end = _end(fd, size_bytes)
    if end.count > limits.entry_count:
        raise UnpackError(f"The zip has {end.count} entries; {limits.entry_count} are taken.")
    if end.size_bytes > limits.directory_bytes:
        raise UnpackError(f"The list of the zip has {end.size_bytes} bytes; {limits.directory_bytes} are taken.")
    entries = list(_entries(_read(fd, end.offset, end.size_bytes), end, Names(limits)))
    _check_sizes(entries, size_bytes, limits)
    return _located(fd, sorted(entries, key=lambda entry: entry.offset), end.offset, cancelled)


def _read(fd: int, offset: int, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = os.pread(fd, length - len(data), offset + len(data))
        if not more:
            raise UnpackError("The zip ends too early.")
        data = data + more if data else more
    return data


def _end(fd: int, size_bytes: int) -> _End:
    tail_bytes = min(size_bytes, _END.size + _COMMENT_LIMIT_BYTES)
    tail = _read(fd, size_bytes - tail_bytes, tail_bytes)
    at = _end_at(tail)
    _, *disks, here_count, count, list_bytes, offset, _ = _END.unpack_from(tail, at)
    end_at = size_bytes - tail_bytes + at
    disks, end_at, here_count, found = _end_64(fd, end_at, (disks, here_count, _End(count, list_bytes, offset)))
    if any(disks) or here_count != found.count:
        raise UnpackError("The zip is one of several parts.")
    if found.offset + found.size_bytes != end_at:
        raise UnpackError("The list of the zip is not where the record at its end says.")
    return found


def _end_at(tail: bytes) -> int:
    """Where the record begins: the last one whose comment reaches to the end of the file."""
    at = tail.rfind(b"PK\5\6")
    while at >= 0:
        behind = at + _END.size
        if behind <= len(tail) and behind + _END.unpack_from(tail, at)[7] == len(tail):
            return at
        at = tail.rfind(b"PK\5\6", 0, at + 3)
    raise UnpackError("This is no zip: the record at its end is missing.")


def _end_64(fd: int, end_at: int, plain: tuple[list[int], int, _End]) -> tuple[list[int], int, int, _End]:
    """The same with the numbers of zip64, where there are any; ``end_at`` is then where that record begins."""
    disks, here_count, end = plain
    locator_at = end_at - _LOCATOR_64.size
    locator = _read(fd, locator_at, _LOCATOR_64.size) if locator_at >= _END_64.size else b""
    if not locator.startswith(b"PK\6\7"):
        return disks, end_at, here_count, end
    _, disk, record_at, disk_count = _LOCATOR_64.unpack(locator)
    if disk or disk_count > 1:
        raise UnpackError("The zip is one of several parts.")
    if record_at + _END_64.size > locator_at:
        raise UnpackError("The zip64 record is not where the zip says.")
    magic, length, _, _, *disks_64, here_64, count, list_bytes, offset = _END_64.unpack(
        _read(fd, record_at, _END_64.size)
    )
    if magic != b"PK\6\6" or record_at + 12 + length != locator_at:
        raise UnpackError("The zip64 record is not where the zip says.")
    for short, sentinel, long in (
        *((disk, _SENTINEL_16, disk_64) for disk, disk_64 in zip(disks, disks_64, strict=True)),
        (here_count, _SENTINEL_16, here_64),
        (end.count, _SENTINEL_16, count),
        (end.size_bytes, _SENTINEL_32, list_bytes),
        (end.offset, _SENTINEL_32, offset),
    ):
        if short not in (sentinel, long):
            raise UnpackError("The two records at the end of the zip contradict each other.")
    return disks_64, record_at, here_64, _End(count, list_bytes, offset)


def _entries(data: bytes, end: _End, names: Names) -> Iterator[ZipEntry]:
    at = 0
    for _ in range(end.count):
        if at + _CENTRAL.size > len(data) or data[at : at + 4] != b"PK\1\2":
            raise UnpackError("The list of the zip is broken.")
        fields = _CENTRAL.unpack_from(data, at)
        name_bytes, extra_bytes, comment_bytes = fields[10:13]
        name_at = at + _CENTRAL.size
        extra_at = name_at + name_bytes
        at = extra_at + extra_bytes + comment_bytes
        if at > len(data):
            raise UnpackError("The list of the zip is broken.")
        yield _entry(fields, data[name_at:extra_at], data[extra_at : extra_at + extra_bytes], names)
    if at < len(data):
        raise UnpackError("The list of the zip is longer than its count of entries.")


def _entry(fields: tuple[int, ...], raw_name: bytes, extra: bytes, names: Names) -> ZipEntry:
    flags, method, crc = fields[3], fields[4], fields[7]
    extras = _extras(extra, raw_name) if extra else {}
    name = _name(raw_name, flags, extras)
    folder = name.endswith("/")
    parts = names.add(name.removesuffix("/"), folder=folder)
    mode = fields[15] >> 16
    mode = 0 if mode == _NO_MODE else mode
    packed_bytes, size_bytes, offset, disk = _long(fields, extras.get(_EXTRA_64, b""), name)
    if flags & _ENCRYPTED:
        raise UnpackError(f"{shown(name)} is encrypted.")
    if method not in (STORED, DEFLATED) or flags & _PATCH:
        told = _METHODS.get(method, f"method {method}")
        raise UnpackError(f"{shown(name)} is packed in a way that is not taken ({told}); use deflate.")
    # some programs write a folder's mode as that of a file: the slash decides
    if stat.S_IFMT(mode) not in ((0, stat.S_IFDIR, stat.S_IFREG) if folder else (0, stat.S_IFREG)):
        raise UnpackError(f"{shown(name)} is neither a plain file nor a folder.")
    if disk:
        raise UnpackError("The zip is one of several parts.")
    if folder and size_bytes:
        raise UnpackError(f"{shown(name)} is a folder with bytes in it.")
    if method == STORED and packed_bytes != size_bytes:
        raise UnpackError(f"{shown(name)} is stored, with two different lengths.")
    return ZipEntry(
        raw_name=raw_name,
        parts=parts,
        folder=folder,
        executable=bool(mode & 0o100),
        method=method,
        crc=crc,
        packed_bytes=packed_bytes,
        size_bytes=size_bytes,
        offset=offset,
    )


def _extras(data: bytes, raw_name: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):  # fewer bytes are padding, as some programs leave them
        kind, length = struct.unpack_from("<2H", data, at)
        if at + 4 + length > len(data) or (kind == _EXTRA_64 and kind in found):
            raise UnpackError(f"{shown(raw_name)} has a broken extra field.")
        found.setdefault(kind, data[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def _name(raw: bytes, flags: int, extras: dict[int, bytes]) -> str:
    """UTF-8 where the zip says so, or where it can be: many write it and do not say so. Else what DOS wrote."""
    unicode = extras.get(_EXTRA_NAME, b"")
    if len(unicode) > 5 and unicode[0] == 1 and struct.unpack_from("<L", unicode, 1)[0] == zlib.crc32(raw):
        raw, flags = unicode[5:], flags | _UTF8
    try:
        return raw.decode()
    except UnicodeDecodeError:
        if flags & _UTF8:
            raise UnpackError(f"{shown(raw)} is not the UTF-8 that it says it is.") from None
        return raw.decode("cp437")


def _long(fields: tuple[int, ...], extra: bytes, name: str) -> tuple[int, int, int, int]:
    """Packed and unpacked length, offset and disk, with the numbers of zip64 where those are too small for theirs."""
    if _SENTINEL_32 not in (fields[8], fields[9], fields[16]) and fields[13] != _SENTINEL_16:
        return fields[8], fields[9], fields[16], fields[13]
    values = []
    at = 0
    for number, sentinel, form in (
        (fields[9], _SENTINEL_32, "<Q"),
        (fields[8], _SENTINEL_32, "<Q"),
        (fields[16], _SENTINEL_32, "<Q"),
        (fields[13], _SENTINEL_16, "<L"),
    ):
        if number != sentinel:
            values.append(number)
            continue
        if at + struct.calcsize(form) > len(extra):
            raise UnpackError(f"{shown(name)} has a broken extra field.")
        values.append(struct.unpack_from(form, extra, at)[0])
        at += struct.calcsize(form)
    size_bytes, packed_bytes, offset, disk = values
    return packed_bytes, size_bytes, offset, disk


def _check_sizes(entries: list[ZipEntry], zip_bytes: int, limits: UnpackLimits) -> None:
    total_bytes = sum(entry.size_bytes for entry in entries)
    if total_bytes > limits.total_bytes:
        raise UnpackError(f"The zip unpacks to {total_bytes} bytes; {limits.total_bytes} are taken.")
    if total_bytes > max(limits.ratio_floor_bytes, zip_bytes * limits.ratio):
        raise UnpackError(
            f"The zip unpacks to {total_bytes} bytes, more than {limits.ratio} times as many as it has itself."
        )


def _located(fd: int, entries: list[ZipEntry], end: int, cancelled: Callable[[], bool]) -> list[tuple[ZipEntry, int]]:
    """The entries and where their bytes begin, none of which belongs to two."""
    located = []
    free_at = 0
    for number, entry in enumerate(entries):
        if number % 256 == 0 and cancelled():
            raise StoppedError
        begin = entry.offset + _LOCAL.size + len(entry.raw_name)
        if entry.offset < free_at or begin > end:
            raise UnpackError(f"The bytes of {entry.told} are also those of something else.")
        data = _read(fd, entry.offset, begin - entry.offset)
        magic, _, flags, method, _, _, _, _, _, name_bytes, extra_bytes = _LOCAL.unpack_from(data)
        if magic != b"PK\3\4" or name_bytes != len(entry.raw_name) or data[_LOCAL.size :] != entry.raw_name:
            raise UnpackError(f"{entry.told} is not where the list of the zip says.")
        if method != entry.method or flags & _ENCRYPTED:
            raise UnpackError(f"What the zip says of {entry.told} in two places does not agree.")
        begin += extra_bytes
        free_at = begin + entry.packed_bytes
        if free_at > end:
            raise UnpackError(f"The bytes of {entry.told} are also those of something else.")
        located.append((entry, begin))
    return located
