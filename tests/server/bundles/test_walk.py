"""Folders that jobs leave: what is found, what is left out, and that nothing of others is ever read."""

from __future__ import annotations

import gc
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from jobdeck_server.core.bundles.errors import LeftOutError, StoppedError, WalkError
from jobdeck_server.core.bundles.limits import WalkLimits
from jobdeck_server.core.bundles.unpack import never
from jobdeck_server.core.bundles.walk import FoundFile, LeftOut, walk

LIMITS = WalkLimits()
CANARY = b"canary: not the job's to read"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The job's; beside it lies what is not the job's."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/canary").write_bytes(CANARY)
    (tmp_path / "job").mkdir()
    return tmp_path / "job"


def found(folder: Path, limits: WalkLimits = LIMITS) -> tuple[list[FoundFile], list[LeftOut]]:
    left_out: list[LeftOut] = []
    return list(walk(folder, limits, cancelled=never, left_out=left_out)), left_out


def read(file: FoundFile) -> bytes:
    fd = file.open()
    try:
        return os.read(fd, file.size_bytes)
    finally:
        os.close(fd)


def write(path: Path, data: bytes = b"mine") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def writes(*names: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for name in names:
            write(folder / name, name.encode())

    return make


def own_names(folder: Path) -> None:
    write(folder / "x")
    (folder / "y").hardlink_to(folder / "x")


def pipe_below(folder: Path) -> None:
    (folder / "d").mkdir()
    os.mkfifo(folder / "d/p")


def unreadable(folder: Path) -> None:
    write(folder / "b")
    (folder / "b").chmod(0)


def removed(path: Path, outside: Path) -> None:
    path.unlink()


def chain(folder: Path) -> None:
    (folder / "b").symlink_to("c")
    (folder / "c").symlink_to("b")


def unix_socket(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(folder, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{here}/s")
        os.close(here)


def undecodable(folder: Path) -> None:
    (folder / os.fsdecode(b"\xff\xfe")).write_bytes(b"x")
    write(folder / os.fsdecode(b"dir\xff/inner"))


ODD = ["b\nc", "\x1b[2J", "é", "e\u0301", "日本", "*", "\\", " "]
MANY = [f"m/{number:04d}" for number in range(500)]

# what a job made -> the files that are found beside "a", and how many things are left out
TREES: dict[str, tuple[Callable[[Path], object], list[str], int]] = {
    "nothing": (writes(), [], 0),
    "files in folders": (writes("d/e/f", "d/b"), ["d/b", "d/e/f"], 0),
    "an empty folder": (lambda folder: (folder / "d").mkdir(), [], 0),
    "an empty file": (lambda folder: write(folder / "e", b""), ["e"], 0),
    "hidden ones": (writes(".x/.y", "..z"), ["..z", ".x/.y"], 0),
    "names of every kind": (writes(*ODD), ODD, 0),
    "names that are no text": (undecodable, [], 2),
    "a link to a file outside": (lambda folder: (folder / "l").symlink_to(folder.parent / "outside/canary"), [], 1),
    "a link to a folder outside": (lambda folder: (folder / "l").symlink_to(folder.parent / "outside"), [], 1),
    "a link that leads up": (lambda folder: (folder / "l").symlink_to(".."), [], 1),
    "a link to itself": (lambda folder: (folder / "l").symlink_to("l"), [], 1),
    "two links to each other": (chain, [], 2),
    "a link to nothing": (lambda folder: (folder / "l").symlink_to("none"), [], 1),
    "a link to a neighbour": (lambda folder: (folder / "l").symlink_to("a"), [], 1),
    "a link to a device": (lambda folder: (folder / "l").symlink_to("/dev/zero"), [], 1),
    "a link into proc": (lambda folder: (folder / "l").symlink_to("/proc/self/environ"), [], 1),
    "another name of a file outside": (
        lambda folder: (folder / "h").hardlink_to(folder.parent / "outside/canary"),
        [],
        1,
    ),
    "two names of an own file": (own_names, [], 2),
    "a pipe": (lambda folder: os.mkfifo(folder / "p"), [], 1),
    "a pipe in a folder": (pipe_below, [], 1),
    "a socket": (unix_socket, [], 1),
    "a file that nobody may read": (unreadable, ["b"], 0),
    "a file with a hole": (lambda folder: os.truncate(folder / "a", 1 << 22), [], 0),
    "as deep as may be": (writes("d/" * 127 + "f"), ["d/" * 127 + "f"], 0),
    "long names": (writes("x" * 255 + "/" + "y" * 255), ["x" * 255 + "/" + "y" * 255], 0),
    "many": (writes(*MANY), MANY, 0),
}


@pytest.mark.parametrize("name", TREES)
def test_trees(folder: Path, name: str) -> None:
    make, expected, left_out_count = TREES[name]
    write(folder / "a")
    make(folder)
    files, left_out = found(folder)
    assert [each.path for each in files] == sorted(["a", *expected])
    for each in files:
        try:
            assert CANARY not in read(each)
        except LeftOutError:
            assert name == "a file that nobody may read"  # but root may
    assert len(left_out) == left_out_count
    assert all(each.path.isascii() and each.path.isprintable() for each in left_out)
    assert found(folder)[0] == files  # the same again


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device(folder: Path) -> None:
    try:
        os.mknod(folder / "zero", 0o020666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("not even root, here")
    assert [(each.path, each.why) for each in found(folder)[1]] == [("'zero'", "it is a device")]


MOUNTED = """
import sys
from pathlib import Path
from jobdeck_server.core.bundles.limits import WalkLimits
from jobdeck_server.core.bundles.walk import walk
left_out = []
print([each.path for each in walk(Path("."), WalkLimits(), cancelled=lambda: False, left_out=left_out)], left_out)
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare")
def test_another_file_system_is_not_entered(folder: Path) -> None:
    write(folder / "a")
    (folder / "d").mkdir()
    mounts = "mount -t tmpfs none d && echo canary > d/f && touch b && mount --bind /dev/null b && echo mounted"
    shell = ["unshare", "-rm", "sh", "-c", f"{mounts} && {sys.executable} -"]
    done = subprocess.run(shell, cwd=folder, input=MOUNTED, capture_output=True, text=True)
    if not done.stdout.startswith("mounted"):
        pytest.skip("no mounts here")
    why = "it is on another file system"
    assert done.stdout.splitlines()[1:] == [f"['a'] {[LeftOut(repr(name), why) for name in 'bd']}"]


def test_sizes_and_contents(folder: Path) -> None:
    write(folder / "a", b"12345")
    write(folder / "d/b", b"")
    files, _ = found(folder)
    assert [(each.path, each.size_bytes, read(each)) for each in files] == [("a", 5, b"12345"), ("d/b", 0, b"")]


def test_no_descriptor_stays_open(folder: Path) -> None:
    for name in ("a", "b/c", "b/d/e", "f"):
        write(folder / name)
    os.mkfifo(folder / "b/p")
    gc.collect()  # what others left
    before = len(os.listdir("/proc/self/fd"))
    for file in walk(folder, LIMITS, cancelled=never):
        os.close(file.open())
    half: Iterator[FoundFile] = walk(folder, LIMITS, cancelled=never)
    assert [next(half).path for _ in range(3)] == ["a", "b/c", "b/d/e"]
    del half
    with pytest.raises(WalkError):
        list(walk(folder, WalkLimits(depth_count=2), cancelled=never))
    (folder / "f").unlink()
    with pytest.raises(LeftOutError):
        file.open()
    assert len(os.listdir("/proc/self/fd")) <= before


# -- what happens between finding and opening --


def link(path: Path, outside: Path) -> None:
    path.unlink()
    path.symlink_to(outside / "canary")


def hard_link(path: Path, outside: Path) -> None:
    path.unlink()
    path.hardlink_to(outside / "canary")


def pipe(path: Path, outside: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def other_file(path: Path, outside: Path) -> None:
    (path.parent / "kept").hardlink_to(path)  # so that its number is not given to the next one
    path.unlink()
    path.write_bytes(CANARY)


def second_name(path: Path, outside: Path) -> None:
    (path.parent / "second").hardlink_to(path)


def moved_folder(path: Path, outside: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))
    path.parent.symlink_to(outside)


def other_folder(path: Path, outside: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))
    outside.rename(path.parent)


def moved_root(path: Path, outside: Path) -> None:
    root = path.parent.parent
    root.rename(root.with_name("moved"))
    root.mkdir()
    outside.rename(root / "d")


def linked_root(path: Path, outside: Path) -> None:
    root = path.parent.parent
    root.rename(root.with_name("moved"))
    root.symlink_to(outside.parent)


@pytest.mark.parametrize(
    "change",
    [removed, link, hard_link, pipe, other_file, second_name, moved_folder, other_folder, moved_root, linked_root],
)
def test_what_was_exchanged_is_not_read(folder: Path, change: Callable[[Path, Path], None]) -> None:
    write(folder / "d/canary")
    file = found(folder)[0][0]
    assert file.path == "d/canary"
    change(folder / "d/canary", folder.parent / "outside")
    with pytest.raises(LeftOutError, match="'d/canary' ") as caught:
        file.open()
    assert change is not link or "symbolic" in str(caught.value)


def test_a_file_may_grow_and_shrink(folder: Path) -> None:
    write(folder / "a", b"12345")
    file = found(folder)[0][0]
    with (folder / "a").open("ab") as more:
        more.write(b"678")
    assert read(file) == b"12345"
    os.truncate(folder / "a", 2)
    assert read(file) == b"12"


SWAPPER = """
import itertools, os, sys
os.chdir(sys.argv[1])
print(flush=True)
for number in itertools.count():
    os.rename("d", "real"), os.rename("link", "d")
    os.rename("d", "link"), os.rename("real", "d")
    for name in ("link2", "hard", "f2"):
        os.rename("f", "kept"), os.rename(name, "f")
        os.rename("f", name), os.rename("kept", "f")
"""


@pytest.mark.slow
def test_a_process_that_exchanges_all_the_time(folder: Path) -> None:
    """Five seconds against one that exchanges a folder and a file for links to others' and back."""
    outside = folder.parent / "outside"
    write(outside / "f", CANARY)
    for name in ("d/f", "d/e/f", "f", "f2"):
        write(folder / name)
    (folder / "link").symlink_to(outside)
    (folder / "link2").symlink_to(outside / "canary")
    (folder / "hard").hardlink_to(outside / "canary")
    read_count = refused_count = 0
    with subprocess.Popen([sys.executable, "-c", SWAPPER, folder], stdout=subprocess.PIPE) as swapper:
        assert swapper.stdout is not None
        swapper.stdout.readline()
        try:
            end = time.monotonic() + 5
            while time.monotonic() < end:
                for file in walk(folder, LIMITS, cancelled=never):
                    try:
                        data = read(file)
                    except LeftOutError:
                        refused_count += 1
                        continue
                    assert data == b"mine"
                    read_count += 1
            assert swapper.poll() is None
        finally:
            swapper.kill()
    assert read_count > 0


# -- limits --


def test_limits_at_their_edges(folder: Path) -> None:
    write(folder / "a", b"123")
    write(folder / "d/b", b"45")
    (folder / "l").symlink_to("a")
    assert len(found(folder, WalkLimits(entry_count=4, total_bytes=5, depth_count=2))[0]) == 2
    for limits in (WalkLimits(entry_count=3), WalkLimits(total_bytes=4), WalkLimits(depth_count=1)):
        with pytest.raises(WalkError):
            found(folder, limits)


def test_a_folder_of_many_is_not_read_to_its_end(folder: Path) -> None:
    for number in range(300):
        write(folder / str(number), b"")
    with pytest.raises(WalkError, match="more than 100 files"):
        next(iter(walk(folder, WalkLimits(entry_count=100), cancelled=never)))


def test_holes_count_as_bytes(folder: Path) -> None:
    write(folder / "a")
    os.truncate(folder / "a", 1 << 42)
    with pytest.raises(WalkError, match="bytes"):
        found(folder)


def test_reasons_are_bounded(folder: Path) -> None:
    for number in range(1200):
        (folder / str(number)).symlink_to("none")
    assert len(found(folder)[1]) == 1000


def test_a_stop_ends_it(folder: Path) -> None:
    for number in range(10):
        write(folder / str(number))
    asked = count()
    with pytest.raises(StoppedError):
        list(walk(folder, LIMITS, cancelled=lambda: next(asked) >= 5))


def test_a_folder_that_is_none(folder: Path) -> None:
    (folder.parent / "link").symlink_to(folder)
    for path in (folder / "none", folder.parent / "link", folder.parent / "outside/canary"):
        with pytest.raises(WalkError):
            found(path)
