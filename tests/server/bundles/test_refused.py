"""Zips that are refused: each before anything is written outside, quickly, with little memory, in a sentence."""

from __future__ import annotations

import os
import random
import struct
import time
import tracemalloc
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from jobdeck_server.core.bundles.errors import UnpackError
from jobdeck_server.core.bundles.limits import UnpackLimits
from jobdeck_server.core.bundles.unpack import unpack
from tests.server.bundles.zips import (
    DEFLATED,
    End,
    Item,
    build,
    central,
    deflated,
    finish,
    held,
    local,
    memory,
)

LIMITS = UnpackLimits()
MIB = 1024 * 1024
PLAIN = Item(name="a", data=b"hello")
LINK = 0o120777


def extra_64(*numbers: int) -> bytes:
    return struct.pack(f"<2H{len(numbers)}Q", 1, 8 * len(numbers), *numbers)


def named(*names: str | bytes, mode: int = 0o100644) -> bytes:
    return build([Item(name=name, mode=mode) for name in names])


REFUSED: dict[str, tuple[bytes, str]] = {
    # names
    "parent": (named("../a"), "'..'"),
    "parent inside": (named("d/../../a"), "'..'"),
    "parent at the end": (named("d/.."), "'..'"),
    "parent as folder": (named("../"), "'..'"),
    "absolute": (named("/etc/canary"), "absolute"),
    "two slashes": (named("//server/share"), "absolute"),
    "drive": (named("C:/a"), "absolute"),
    "drive alone": (named("c:a"), "absolute"),
    "drive and backslash": (named("C:\\a"), "absolute"),
    "backslash": (named("..\\a"), "backslash"),
    "backslash inside": (named("d\\..\\..\\a"), "backslash"),
    "backslash at the end": (named("d\\"), "backslash"),
    "empty name": (named(""), "the part ''"),
    "a slash alone": (named("/"), "the part ''"),
    "empty part": (named("a//b"), "the part ''"),
    "two slashes at the end": (named("a//"), "the part ''"),
    "dot": (named("./a"), "the part '.'"),
    "dot alone": (named("."), "the part '.'"),
    "nul": (named("a\0.txt"), "control"),
    "nul first": (named("\0"), "control"),
    "newline": (named("a\nb"), "control"),
    "escape": (named("\x1b[2Ja"), "control"),
    "delete": (named("a\x7f"), "control"),
    "c1": (named("a\x9b"), "control"),
    "overlong slash": (named(b"..\xc0\xafa"), "UTF-8"),
    "broken utf-8": (named(b"a\xff"), "UTF-8"),
    "surrogate": (named("a\ud800"), "UTF-8"),
    "long part": (named("x" * 256), "255"),
    "long part in bytes": (named("é" * 128), "255"),
    "long path": (named("/".join(["x" * 200] * 11)), "2048"),
    "deep path": (named("/".join("x" * 129)), "128"),
    "5000 bytes": (named("x" * 5000), "2048"),
    "parent in dos letters": (build([Item(name=b"../\x81", flags=0)]), "'..'"),
    # names that meet
    "twice": (named("a", "a"), "meets"),
    "twice but for case": (named("README", "readme"), "meets"),
    "twice but for accents": (named("\u00e9", "e\u0301"), "meets"),
    "twice when folded": (named("stra\u00dfe", "STRASSE"), "meets"),
    "folders but for case": (named("d/a", "D/b"), "meets"),
    "file, then folder": (named("a", "a/b"), "meets"),
    "folder, then file": (named("a/b", "a"), "meets"),
    "folder entry, then file": (named("a/", "A"), "meets"),
    # kinds
    "link": (build([Item(name="l", data=b"/etc/passwd", mode=LINK)]), "plain"),
    "link and what is behind it": (build([Item(name="l", data=b"/", mode=LINK), Item(name="l/a")]), "plain"),
    "pipe": (named("p", mode=0o010644), "plain"),
    "socket": (named("s", mode=0o140644), "plain"),
    "character device": (named("c", mode=0o020666), "plain"),
    "block device": (named("b", mode=0o060666), "plain"),
    "folder that is a link": (named("d/", mode=LINK), "plain"),
    "folder without a slash": (named("d", mode=0o040755), "plain"),
    "folder with bytes": (build([Item(name="d/", data=b"x")]), "bytes in it"),
    # ways of packing
    "encrypted": (build([Item(name="a", flags=1)]), "encrypted"),
    "strongly encrypted": (build([Item(name="a", flags=1 << 6)]), "encrypted"),
    "masked": (build([Item(name="a", flags=1 << 13)]), "encrypted"),
    "encrypted in its head alone": (build([Item(name="a", local_flags=1)]), "agree"),
    "bzip2": (build([Item(name="a", method=12)]), "bzip2"),
    "lzma": (build([Item(name="a", method=14)]), "LZMA"),
    "deflate64": (build([Item(name="a", method=9)]), "deflate64"),
    "unknown method": (build([Item(name="a", method=77)]), "method 77"),
    "patch": (build([Item(name="a", flags=1 << 5)]), "not taken"),
    "another method in its head": (build([Item(name="a", local_method=DEFLATED)]), "agree"),
    # the file
    "nothing": (b"", "no zip"),
    "text": (b"hello1", "no zip"),
    "only a head": (local(PLAIN), "no zip"),
    "json": (b'{"cmd": "echo"}' * 100, "no zip"),
    "gzip": (b"\x1f\x8b" + bytes(100), "no zip"),
    "bytes behind": (build([PLAIN]) + b"x", "no zip"),
    "bytes before": (b"x" * 10 + build([PLAIN]), "is not where"),
    "comment too long": (build([PLAIN], End(comment_length=9)), "no zip"),
    "list elsewhere": (build([PLAIN], End(offset=0)), "is not where"),
    "list too long": (build([PLAIN], End(size=100)), "is not where"),
    "list too short": (build([PLAIN], End(size=46, offset=37)), "broken"),
    "bytes behind the list": (build([PLAIN], End(before=b"x" * 9)), "is not where"),
    "list is nonsense": (build([PLAIN], End(list_bytes=b"x" * 47)), "broken"),
    "fewer entries than said": (build([PLAIN], End(count=2)), "broken"),
    "more entries than said": (build([PLAIN, Item(name="b")], End(count=1)), "longer"),
    "second of two disks": (build([PLAIN], End(disk=1)), "several parts"),
    "list on another disk": (build([PLAIN], End(list_disk=1)), "several parts"),
    "entry on another disk": (build([Item(name="a", disk=1)]), "several parts"),
    "counts that differ": (build([PLAIN], End(here=2)), "several parts"),
    "zip64 in parts": (build([PLAIN], End(zip64=True, disks_64=2)), "several parts"),
    "zip64 record elsewhere": (build([PLAIN], End(zip64=True, record_at=0)), "zip64"),
    "zip64 record far away": (build([PLAIN], End(zip64=True, record_at=2**64 - 1)), "zip64"),
    "zip64 record too long": (build([PLAIN], End(zip64=True, record_length=2**63)), "zip64"),
    "zip64 contradicts": (build([PLAIN], End(zip64=True, short=(2, 0xFFFFFFFF, 0xFFFFFFFF))), "contradict"),
    "zip64 far away": (build([PLAIN], End(zip64=True, offset=2**64 - 1)), "is not where"),
    "zip64 numbers missing": (build([Item(name="a", size=0xFFFFFFFF)]), "extra field"),
    "zip64 offset beyond all": (build([Item(name="a", offset=0xFFFFFFFF, extra=extra_64(2**64 - 1))]), "also those"),
    "broken extra field": (build([Item(name="a", extra=b"\1\0\xff\xffx")]), "extra field"),
    "two zip64 extra fields": (build([Item(name="a", extra=extra_64(1) + extra_64(2))]), "extra field"),
    # contents
    "another name in its head": (build([Item(name="a", local_name=b"b")]), "is not where"),
    "longer name in its head": (build([Item(name="a", local_name=b"ab")]), "is not where"),
    "no head": (build([Item(name="a", local_magic=b"PK\1\2")]), "is not where"),
    "wrong checksum": (build([Item(name="a", data=b"x", crc=1)]), "checksum"),
    "wrong checksum, deflated": (build([Item(name="a", data=b"x", crc=1, method=DEFLATED)]), "checksum"),
    "stored with two lengths": (build([Item(name="a", data=b"xy", size=1)]), "two different"),
    "more than it says": (build([Item(name="a", data=b"xy", size=1, method=DEFLATED)]), "more bytes"),
    "less than it says": (build([Item(name="a", data=b"xy", size=3, method=DEFLATED)]), "fewer bytes"),
    "not deflated": (build([Item(name="a", data=b"xy", packed=b"\xff\xff", method=DEFLATED)]), "inflated"),
    "cut": (build([Item(name="a", data=b"xyz" * 99, packed=deflated(b"xyz" * 99)[:-2], method=DEFLATED)]), "early"),
    "bytes behind its end": (
        build([Item(name="a", data=b"x", packed=deflated(b"x") + b"y", method=DEFLATED)]),
        "behind",
    ),
    "bytes of two": (build([PLAIN, Item(name="b", offset=0)]), "also those"),
    "bytes in the list": (build([Item(name="a", data=b"x", size=40, packed_size=40)]), "also those"),
    "head in the list": (build([Item(name="a", data=b"x", offset=32)]), "also those"),
}


def refusal(data: bytes, folder: Path, limits: UnpackLimits = LIMITS) -> str:
    fd = memory(data)
    try:
        with pytest.raises(UnpackError) as caught:
            unpack(fd, folder, limits)
    finally:
        os.close(fd)
    return str(caught.value)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path: Path, name: str) -> None:
    data, word = REFUSED[name]
    folder = tmp_path / "in"
    folder.mkdir()
    told = refusal(data, folder)
    assert word in told
    assert told.endswith(".")
    assert told.isascii()
    assert told.isprintable()
    assert len(told) < 250
    assert [each.name for each in tmp_path.iterdir()] == ["in"]
    assert not held(folder).others


# -- what is there already --


@pytest.mark.parametrize("name", ["link", "folder/a", "file", "file/a", "pipe", "empty/../x"])
def test_nothing_that_is_there_is_followed_or_overwritten(tmp_path: Path, name: str) -> None:
    folder, outside = tmp_path / "in", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (outside / "canary").write_text("alive")
    (folder / "link").symlink_to(outside / "new")
    (folder / "folder").symlink_to(outside)
    (folder / "file").write_text("mine")
    os.mkfifo(folder / "pipe")
    refusal(named(name), folder)
    assert [each.name for each in outside.iterdir()] == ["canary"]
    assert (folder / "file").read_text() == "mine"


def test_the_folder_itself_may_be_no_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "in").symlink_to(tmp_path / "real")
    fd = memory(named("a"))
    with pytest.raises(OSError, match=r"symbolic|directory"):
        unpack(fd, tmp_path / "in", LIMITS)
    os.close(fd)
    assert list((tmp_path / "real").iterdir()) == []


# -- bombs --


def same_bytes_for_all() -> bytes:
    """Full overlap: one piece of 5 MB, a thousand names."""
    data = zeros(5 * MIB)
    items = [
        Item(name=f"{number}", packed=data, size=5 * MIB, method=DEFLATED, offset=0, crc=0) for number in range(1000)
    ]
    head = local(items[0]) + data
    list_ = b"".join(central(item, 0) for item in items)
    return head + list_ + finish(len(head), list_, len(items), End())


def heads_in_bodies() -> bytes:
    """Quoted overlap: the body of each begins with the head of the next."""
    heads = [local(Item(name=f"{number:04d}", method=DEFLATED)) for number in range(1000)]
    kernel = zeros(MIB)
    body = b"".join(heads) + kernel
    list_ = b""
    for number in range(1000):
        at = number * len(heads[0])
        left = len(body) - at - len(heads[0])
        list_ += central(Item(name=f"{number:04d}", method=DEFLATED, packed_size=left, size=MIB, offset=at), at)
    return body + list_ + finish(len(body), list_, 1000, End())


def many_names(count: int, said: int | None = None, *, zip64: bool = True) -> bytes:
    item = Item(name="x/")
    one = local(item)
    list_ = central(item, 0) * count
    return one + list_ + finish(len(one), list_, count if said is None else said, End(zip64=zip64))


def deep_names() -> bytes:
    """A quarter of a million folders in a list of 600 kB."""
    return build([Item(name=f"{number}/" + "x/" * 120) for number in range(2100)])


def endless_blocks() -> bytes:
    """10 MB that inflate to nothing: empty blocks, one after another."""
    return build([Item(name="a", packed=b"\0\0\0\xff\xff" * (2 * MIB), method=DEFLATED)])


@cache
def zeros(size_bytes: int) -> bytes:
    return deflated(bytes(size_bytes))


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "one that says what it is": (
        lambda: build([Item(name="a", packed=zeros(70 * MIB), size=70 * MIB, method=DEFLATED)]),
        "times as many",
    ),
    "a hundred small ones": (
        lambda: build([Item(name=f"{n}", packed=zeros(MIB), size=MIB, method=DEFLATED) for n in range(100)]),
        "times as many",
    ),
    "one that says 10 bytes": (
        lambda: build([Item(name="a", packed=zeros(70 * MIB), size=10, method=DEFLATED)]),
        "more bytes",
    ),
    "one that says nothing, its length behind it": (
        lambda: build([Item(name="a", packed=zeros(70 * MIB), size=0, flags=8, method=DEFLATED)]),
        "more bytes",
    ),
    "one that says 16 EiB": (
        lambda: build([Item(name="a", size=0xFFFFFFFF, extra=extra_64(2**64 - 1), method=DEFLATED)]),
        "unpacks to",
    ),
    "the same bytes for all": (same_bytes_for_all, "times as many"),
    "heads in bodies": (heads_in_bodies, "times as many"),
    "150 000 names": (lambda: many_names(150_000), "150000 entries"),
    "150 000 names, one said": (lambda: many_names(150_000, 1), "longer"),
    "20 000 names for nothing": (lambda: many_names(20_000, zip64=False), "also those"),
    "a long list": (lambda: many_names(400_000, 99_999), "19200000 bytes"),
    "folders in folders": (deep_names, "more than 100000"),
    "blocks of nothing": (endless_blocks, "early"),
    "the end record again and again": (lambda: b"PK\5\6" * 16_000, "no zip"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_bombs_do_not_go_off(tmp_path: Path, name: str) -> None:
    make, word = BOMBS[name]
    data = make()
    begin = time.thread_time()
    assert word in refusal(data, tmp_path)
    assert time.thread_time() - begin < 1
    assert sum(len(found) for found, _ in held(tmp_path).files.values()) < MIB
    tracemalloc.start()
    try:
        refusal(data, tmp_path, LIMITS)
        assert tracemalloc.get_traced_memory()[1] < 64 * MIB
    finally:
        tracemalloc.stop()


def test_overlaps_are_seen_whatever_the_ratio(tmp_path: Path) -> None:
    wide = UnpackLimits(ratio=10**9)
    assert "also those" in refusal(same_bytes_for_all(), tmp_path, wide)
    assert "also those" in refusal(heads_in_bodies(), tmp_path, wide)
    assert list(tmp_path.iterdir()) == []


def test_a_zip_in_a_zip_stays_one(tmp_path: Path) -> None:
    inner = build([Item(name="a", data=bytes(MIB), method=DEFLATED)])
    for _ in range(3):
        inner = build([Item(name=f"{number}.zip", data=inner) for number in range(10)])
    fd = memory(inner)
    assert unpack(fd, tmp_path, LIMITS).file_count == 10
    os.close(fd)


def test_limits_at_their_edges(tmp_path: Path) -> None:
    def tried(items: list[Item], **limits: int) -> bool:
        folder = tmp_path / str(random.random())
        folder.mkdir()
        fd = memory(build(items))
        try:
            unpack(fd, folder, UnpackLimits(**limits))
        except UnpackError:
            return False
        finally:
            os.close(fd)
        return True

    two = [Item(name="a", data=b"x" * 60), Item(name="d/b", data=b"x" * 40)]
    assert tried(two, entry_count=3)
    assert not tried(two, entry_count=2)  # the folder counts
    assert tried(two, total_bytes=100)
    assert not tried(two, total_bytes=99)
    assert tried(two, directory_bytes=2 * 46 + 4)
    assert not tried(two, directory_bytes=2 * 46 + 3)
    assert tried(two, depth_count=2)
    assert not tried(two, depth_count=1)
    assert tried(two, name_bytes=3)
    assert not tried(two, name_bytes=2)
    same = [Item(name="a", data=bytes(100_000), method=DEFLATED)]
    assert tried(same, ratio=1, ratio_floor_bytes=100_000)
    assert not tried(same, ratio=1, ratio_floor_bytes=99_999)
    assert tried(same, ratio=1000, ratio_floor_bytes=0)
