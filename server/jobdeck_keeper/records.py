"""The formats on disk: a job's ``record`` and its index of runs, ``runs``.

Both the keeper's processes and the server read these files, so everything that knows their bytes stands here.

``record`` is one file of 4096 bytes in eight slots of 512. A slot is a u32 length, the crc32 of the payload and the
payload, JSON. Each slot is written by one ``pwrite``, so a killed writer leaves the old slot or the new one. The
file is born complete, under another name, and linked: who links first has claimed the job, for ever. All blocks are
there from that moment on, so that the record of an exit needs no new space on a full disk.

``runs`` is a header of 64 bytes, then records of 32 bytes: where a run starts in ``output``, when, on which stream.
A record is written before the first byte of its run; one without data is normal; among records with the same offset
the last one holds. 32 divides 4096, so no record crosses a page and none tears.

Times in slots named ``t_us`` are microseconds since 1970 UTC; ``b_us`` and the times in ``runs`` are microseconds of
CLOCK_BOOTTIME, which never goes back while the machine is up.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from struct import Struct
from typing import Any, NamedTuple
from zlib import crc32

__all__ = [
    "FINAL",
    "FLAG_LOWER_BOUND",
    "FLAG_ORDER_UNKNOWN",
    "FLAG_TAKEN_OVER",
    "HEADER",
    "KIND_GAP",
    "KIND_STDERR",
    "KIND_STDOUT",
    "KIND_TERMINAL",
    "KIND_UNKNOWN",
    "PAYLOAD_LIMIT_BYTES",
    "RECORD_BYTES",
    "RUN",
    "SLOTS",
    "SLOT_BYTES",
    "Header",
    "Payload",
    "RunRecord",
    "boot_us",
    "clear_slot",
    "clip",
    "create_empty",
    "create_record",
    "is_final",
    "pack_header",
    "pack_run",
    "pack_slot",
    "read_facts",
    "read_record",
    "read_slot",
    "runs_in",
    "unpack_header",
    "unpack_run",
    "unpack_slot",
    "wall_us",
    "write_slot",
]

Payload = dict[str, Any]
"""What one slot says: a JSON object."""

SLOTS = ("claim", "start", "stop", "exec", "error", "exit", "lost", "eof")
"""Names of the slots in the order in which they stand. ``exec`` is what a child says that could not start its
program; it becomes ``error`` once the job's output is complete."""
FINAL = ("error", "exit", "lost")
"""The slots of which one, once written, says that the job is over; a claim with ``never`` says so too."""
SLOT_BYTES = 512
RECORD_BYTES = SLOT_BYTES * len(SLOTS)
_HEAD = Struct("<II")
PAYLOAD_LIMIT_BYTES = SLOT_BYTES - _HEAD.size
_PLACE = {name: number * SLOT_BYTES for number, name in enumerate(SLOTS)}

HEADER = Struct("<8sHHI16sQQ16s")
MAGIC = b"JDRUNS1\0"
RUN = Struct("<QQQBBHI")
_RUN_BODY = Struct("<QQQBBH")
_CRC = Struct("<I")

KIND_STDOUT, KIND_STDERR, KIND_TERMINAL, KIND_GAP, KIND_UNKNOWN = 1, 2, 3, 4, 5
FLAG_ORDER_UNKNOWN, FLAG_TAKEN_OVER, FLAG_LOWER_BOUND = 1, 2, 4


class Header(NamedTuple):
    """The first 64 bytes of ``runs``.

    Attributes:
        record_bytes: Size of each record that follows, 32.
        flags: None is defined yet.
        boot: 16 bytes, the boot id of the machine's life in which the job started.
        wall_us: CLOCK_REALTIME and
        boot_us: CLOCK_BOOTTIME at the same moment, so that the records' times can be told in UTC.
    """

    record_bytes: int
    flags: int
    boot: bytes
    wall_us: int
    boot_us: int


class RunRecord(NamedTuple):
    """One record of ``runs``.

    Attributes:
        offset: Where in ``output`` the run starts.
        time_us: CLOCK_BOOTTIME at which its first byte was taken from the job.
        before: Bytes of stdout before ``offset``; for a gap, bytes dropped so far.
        kind: One of the ``KIND_*``.
        flags: Sum of ``FLAG_*``.
    """

    offset: int
    time_us: int
    before: int
    kind: int
    flags: int


def wall_us() -> int:
    """Tell the time in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def boot_us() -> int:
    """Tell the time of CLOCK_BOOTTIME in microseconds."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def clip(text: str, limit_bytes: int) -> str:
    """Cut a text so that its JSON form has at most ``limit_bytes`` bytes, quotes included."""
    if len(json.dumps(text)) <= limit_bytes:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if len(json.dumps(text[:middle] + "...")) <= limit_bytes:
            low = middle
        else:
            high = middle - 1
    return text[:low] + "..."


# Slots


def pack_slot(payload: Payload) -> bytes:
    """Make the 512 bytes of a slot.

    Raises:
        ValueError: The payload's JSON has more than ``PAYLOAD_LIMIT_BYTES``.
    """
    body = json.dumps(payload, separators=(",", ":")).encode()
    if len(body) > PAYLOAD_LIMIT_BYTES:
        raise ValueError(f"a slot holds {PAYLOAD_LIMIT_BYTES} bytes, not {len(body)}")
    return (_HEAD.pack(len(body), crc32(body)) + body).ljust(SLOT_BYTES, b"\0")


def unpack_slot(raw: bytes) -> Payload | None:
    """Read a slot; None if it is empty, cut short or damaged."""
    if len(raw) < _HEAD.size:
        return None
    length, crc = _HEAD.unpack_from(raw)
    body = raw[_HEAD.size : _HEAD.size + length]
    if not 0 < length <= PAYLOAD_LIMIT_BYTES or len(body) != length or crc32(body) != crc:
        return None
    payload = json.loads(body)
    return payload if isinstance(payload, dict) else None


def write_slot(fd: int, name: str, payload: Payload) -> None:
    """Put a slot on disk by one ``pwrite``; a reader sees the old slot or this one."""
    os.pwrite(fd, pack_slot(payload), _PLACE[name])


def read_slot(fd: int, name: str) -> Payload | None:
    """Read one slot, again if it was caught while it was being written."""
    for _ in range(_TRIES):
        raw = os.pread(fd, SLOT_BYTES, _PLACE[name])
        payload = unpack_slot(raw)
        if payload is not None or not any(raw[: _HEAD.size]):
            return payload
    return None


_TRIES = 4
"""A write of 512 bytes is over long before a fourth look: then the slot is not half written but damaged."""


def read_facts(fd: int) -> dict[str, Payload]:
    """Read all slots of an open record: slot name -> payload, empty ones left out."""
    raw = os.pread(fd, RECORD_BYTES, 0)
    facts: dict[str, Payload] = {}
    for name, place in _PLACE.items():
        if any(raw[place : place + _HEAD.size]):
            payload = unpack_slot(raw[place : place + SLOT_BYTES]) or read_slot(fd, name)
            if payload is not None:
                facts[name] = payload
    return facts


def read_record(path: str | os.PathLike[str]) -> dict[str, Payload]:
    """Read a job's record.

    Args:
        path: The file ``record`` in the job's folder.

    Returns:
        Slot name -> payload, empty and damaged slots left out; {} if there is no record.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return {}
    try:
        return read_facts(fd)
    finally:
        os.close(fd)


def is_final(facts: dict[str, Payload]) -> bool:
    """Tell whether the record says that the job is over, or will never run."""
    return any(name in facts for name in FINAL) or bool(facts.get("claim", {}).get("never"))


def create_empty(folder: str) -> int:
    """Make a record that claims nothing yet, with all its blocks.

    Returns:
        The open record (read and write, not inherited by programs).

    Raises:
        OSError: The file could not be written, for example ENOSPC.
    """
    path = f"{folder}/record"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        if os.write(fd, bytes(RECORD_BYTES)) != RECORD_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    except OSError:
        os.close(fd)
        os.unlink(path)
        raise
    return fd


def clear_slot(fd: int, name: str) -> None:
    """Empty a slot."""
    os.pwrite(fd, bytes(SLOT_BYTES), _PLACE[name])


def create_record(folder: str, claim: Payload) -> int | None:
    """Claim a job: of all who try, for ever, exactly one succeeds.

    The folder must exist; in it one process at a time may call this (the keeper, under its lock).

    Args:
        folder: The job's folder.
        claim: Payload of the first slot.

    Returns:
        The open record (read and write, not inherited by programs), or None if the job was claimed before.

    Raises:
        OSError: The file could not be written, for example ENOSPC; the job is not claimed.
        ValueError: The claim is too long.
    """
    content = pack_slot(claim).ljust(RECORD_BYTES, b"\0")
    fresh = f"{folder}/record.new"
    fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if os.write(fd, content) != RECORD_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), fresh)
        os.link(fresh, f"{folder}/record")
    except FileExistsError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    finally:
        with contextlib.suppress(OSError):
            os.unlink(fresh)
    return fd


# Runs


def pack_header(boot_id: str) -> bytes:
    """Make the header of ``runs`` for now and the boot id (36 characters)."""
    boot = bytes.fromhex(boot_id.replace("-", ""))
    return HEADER.pack(MAGIC, RUN.size, 0, 0, boot, wall_us(), boot_us(), b"")


def unpack_header(raw: bytes) -> Header:
    """Read the header of ``runs``.

    Raises:
        ValueError: These are not the first 64 bytes of such a file.
    """
    if len(raw) < HEADER.size:
        raise ValueError("runs: the header is cut short")
    magic, record_bytes, flags, _, boot, wall, since_boot, _ = HEADER.unpack_from(raw)
    if magic != MAGIC or record_bytes != RUN.size:
        raise ValueError("runs: the header is not one of this version")
    return Header(record_bytes, flags, boot, wall, since_boot)


def pack_run(offset: int, time_us: int, before: int, kind: int, flags: int = 0) -> bytes:
    """Make one record of ``runs``; see ``RunRecord`` for the fields."""
    body = _RUN_BODY.pack(offset, time_us, before, kind, flags, 0)
    return body + _CRC.pack(crc32(body))


def unpack_run(raw: bytes) -> RunRecord | None:
    """Read one record of ``runs``; None if it is cut short or damaged."""
    if len(raw) < RUN.size:
        return None
    offset, time_us, before, kind, flags, _, crc = RUN.unpack_from(raw)
    if crc != crc32(raw[: _RUN_BODY.size]):
        return None
    return RunRecord(offset, time_us, before, kind, flags)


def runs_in(data: bytes, size_bytes: int) -> list[RunRecord]:
    """Read records and keep what holds: valid ones before ``size_bytes``, the last of each offset.

    Gaps are kept also at ``size_bytes``, where they stand when nothing was kept after them.

    Args:
        data: Whole records, without the header.
        size_bytes: Size of ``output``, taken before ``data`` was read (the other order can name a wrong stream).

    Returns:
        Records in the order of their offsets.
    """
    kept: list[RunRecord] = []
    for place in range(0, len(data) - RUN.size + 1, RUN.size):
        run = unpack_run(data[place : place + RUN.size])
        if run is None or run.offset > size_bytes or (run.offset == size_bytes and run.kind != KIND_GAP):
            continue
        while kept and kept[-1].offset >= run.offset:
            kept.pop()
        kept.append(run)
    return kept
