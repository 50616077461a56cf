"""Wakes readers when a file has grown: one inotify descriptor for all files, a watch only while somebody waits.

``Growth`` is a set of wake-up calls by job id. A reader takes the job's ``Watch``, asks for its current event, **then**
looks at the file and the job's state, and only then waits: whatever happens after the look sets that very event. The
core rings the same bell (``poke``) when a job's record changes.

While bulk output flows, wake-ups come at most every ``_PACE_S``: a wake-up per write would cost more than the bytes
(see "Processes" in the performance notes of the design). A single line is never delayed.

Source: inotify(7). The kernel tells inotify of splice only since Linux 6.4; before that pumps touch the file's times
after splicing, which is why IN_ATTRIB is watched as well.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_IN_NONBLOCK = os.O_NONBLOCK
_IN_CLOEXEC = os.O_CLOEXEC
_IN_MODIFY = 0x2
_IN_ATTRIB = 0x4
_IN_IGNORED = 0x8000
_EVENT = struct.Struct("iIII")
_PACE_S = 0.002
_FLOW_S = 0.004
_READ_SIZE_BYTES = 64 * 1024

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


class Watch:
    """The bell of one job: ``event`` is set at the next change and replaced by a fresh one."""

    __slots__ = ("descriptor", "event", "readers_count")

    def __init__(self) -> None:
        self.event = trio.Event()
        self.readers_count = 0
        self.descriptor: int | None = None

    def ring(self) -> None:
        """Wake all who wait on the present event, and all who took it and are about to."""
        self.event.set()
        self.event = trio.Event()


class Growth:
    """All bells of a server. ``run`` must be running for files to ring them."""

    def __init__(self) -> None:
        self._fd = _check(_libc.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC))
        self._watches: dict[str, Watch] = {}
        self._by_descriptor: dict[int, Watch] = {}

    def close(self) -> None:
        """Close the descriptor; no watch may be in use."""
        os.close(self._fd)

    @contextmanager
    def watch(self, job_id: str) -> Iterator[Watch]:
        """The bell of a job for as long as the block lasts."""
        watch = self._watches.setdefault(job_id, Watch())
        watch.readers_count += 1
        try:
            yield watch
        finally:
            watch.readers_count -= 1
            if not watch.readers_count:
                del self._watches[job_id]
                self._forget(watch)

    def attach(self, watch: Watch, path: Path) -> None:
        """Let growth of a file ring a bell. Does nothing the second time.

        Raises:
            OSError: The file is not there, or the user's limit of inotify watches is reached.
        """
        if watch.descriptor is None:
            descriptor = _check(_libc.inotify_add_watch(self._fd, os.fsencode(path), _IN_MODIFY | _IN_ATTRIB))
            watch.descriptor = descriptor
            self._by_descriptor[descriptor] = watch

    def poke(self, job_id: str) -> None:
        """Ring a job's bell, if anybody listens."""
        watch = self._watches.get(job_id)
        if watch is not None:
            watch.ring()

    async def run(self) -> None:
        """Ring bells until cancelled."""
        last = trio.current_time()
        while True:
            await trio.lowlevel.wait_readable(self._fd)
            for descriptor in self._changed():
                watch = self._by_descriptor.get(descriptor)
                if watch is not None:
                    watch.ring()
            now = trio.current_time()
            if now - last < _FLOW_S:
                await trio.sleep(_PACE_S)
            last = now

    def _changed(self) -> set[int]:
        try:
            data = os.read(self._fd, _READ_SIZE_BYTES)
        except BlockingIOError:
            return set()
        changed: set[int] = set()
        position = 0
        while position < len(data):
            descriptor, mask, _cookie, length = _EVENT.unpack_from(data, position)
            position += _EVENT.size + length
            if mask & _IN_IGNORED:
                gone = self._by_descriptor.pop(descriptor, None)
                if gone is not None:
                    gone.descriptor = None
            elif descriptor < 0:  # the kernel's queue ran over: anything may have changed
                changed.update(self._by_descriptor)
            else:
                changed.add(descriptor)
        return changed

    def _forget(self, watch: Watch) -> None:
        if watch.descriptor is not None:
            self._by_descriptor.pop(watch.descriptor, None)
            _libc.inotify_rm_watch(self._fd, watch.descriptor)
            watch.descriptor = None


def hears_splice(folder: Path) -> bool:
    """Try whether inotify hears of splice into a file of this folder. Blocks for as long as a file takes to write."""
    fd = _check(_libc.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC))
    reader, writer = os.pipe()
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix="inotify-") as file:
            _check(_libc.inotify_add_watch(fd, os.fsencode(file.name), _IN_MODIFY))
            os.write(writer, b"x")
            os.splice(reader, file.fileno(), 1, offset_dst=0)
            try:
                return bool(os.read(fd, _READ_SIZE_BYTES))
            except OSError as error:
                if error.errno == errno.EAGAIN:
                    return False
                raise
    finally:
        for each in (fd, reader, writer):
            os.close(each)
