"""The pump: moves what a job writes from its two pipes into ``output``, and says in ``runs`` what it moved.

Bytes move by splice, which is atomic under SIGKILL: a byte is in the pipe or in the file, never lost between, and
the file's size is the position. The order of the two streams is exact when each pipe has one slot, in packet mode,
and is read one packet for one edge-triggered event: epoll's list of ready pipes is first come, first served. That
list lives in an epoll set of its own which keeper and shim share, so that a successor goes on with it.

Nothing is lost for want of disk space: the bytes stay in the pipe, the job waits, and so do we.

One event is one packet. What could be left behind without an event (a packet cut at the limit, a short write on a
full disk) is found by a look at the pipes once the burst is over, and the pipe is armed anew.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import time

from jobdeck_keeper import records
from jobdeck_keeper.indexfile import cut_to_valid, open_output, open_runs
from jobdeck_keeper.pipes import (
    BULK_PIPE_BYTES,
    Limits,
    ReadyList,
    inherited_order,
    note_lost_writers,
    set_size,
    waiting_bytes,
)

_SPLICE_BYTES = 1 << 20
_RUN_AGE_US = 5_000  # a run is named anew after that, so that times and a crash's damage stay fine-grained
_GAP_EVERY_S = 1.0
_RETRY_S = 0.25
_TOUCH_S = 0.001
_LOOK_AGAIN_S = 0.05
_LAST_COUNT = 1000


class Pump:
    """Moves one job's output. Not open until ``tick`` has succeeded in opening the files.

    Attributes:
        size: Bytes in ``output``.
        dropped: Bytes that were counted and not kept.
        dropping: Keeping is over, for good.
        trouble: Why nothing can be written at the moment; None if all is well. While there is trouble the ready
            list must not be waited for.
        folder: Where the files are, or will be.
        touch: inotify does not hear splice here, so the file's times must be set by hand.
        order_unknown: At a take-over both pipes held bytes and nobody can say which came first.
    """

    def __init__(
        self,
        *,
        folder: str,
        ends: tuple[int, int],
        ready: ReadyList,
        files: tuple[int, int] = (-1, -1),
        heir: bool = False,
    ) -> None:
        """Make ready; nothing is opened yet.

        Args:
            folder: The job's folder, or what will be it.
            ends: Read ends of its pipes; they stay the caller's.
            ready: The order in which they become ready.
            files: ``output`` and ``runs``, or -1 where ``open`` is to open them.
            heir: A pump went before this one.
        """
        self.size = self.dropped = 0
        self.dropping = self.order_unknown = False
        self.trouble: str | None = "not open"
        self.touch = False
        self.folder = folder
        self._limits = Limits(output_bytes=0, index_bytes=0, exact=True)
        self._ends, self._ready = ends, ready
        self._kinds = {ends[0]: records.KIND_STDOUT, ends[1]: records.KIND_STDERR}
        self._output, self._runs = files
        self._null = -1
        self._runs_size = self._stdout = 0
        self._kind = self._flags = self._run_us = 0
        self._held: list[int] = []  # pipes whose event was taken but whose bytes were not: first of all
        self._later: list[
            int
        ] = []  # pipes that may hold more, of which no event will tell: when others have had their turn
        self._retry_s = self._gap_s = self._touched_s = 0.0
        self._gap_told = -1
        self._look_s: float | None = None
        self._suspects: set[int] = set()
        self._touch_due = False
        self._heir = heir
        self._due: int | None = None  # the pipe whose packet a predecessor was about to move

    def begin(self, folder: str, limits: Limits, boot_id: str) -> None:
        """A job has come for files that are open already, or are to be opened in its folder."""
        self.folder, self._limits = folder, limits
        if self._runs >= 0:
            os.pwrite(self._runs, records.pack_header(boot_id), 0)  # as of now: the clock may have been set since
        self._retry_s = 0.0
        if not limits.exact:
            for fd in self._ends:
                set_size(fd, BULK_PIPE_BYTES)

    # Opening

    def open(self, boot_id: str) -> bool:
        """Open the files and go on where they end; what a predecessor left in the pipes waits for ``run``.

        Returns:
            False while another pump still holds the files or there is no space; ``tick`` tries again.
        """
        try:
            self._open(boot_id)
        except BlockingIOError:
            self._retry_s = time.monotonic() + 0.005
            return False
        except OSError as error:
            self._fail(error, None)
            return False
        self.trouble = None
        if self._heir:
            self._held, known = inherited_order(self._ends, self._ready, self._due)
            if not known:
                self.order_unknown = True
                self._flags |= records.FLAG_ORDER_UNKNOWN
        return True

    def _open(self, boot_id: str) -> None:
        if self._output < 0:
            self._output = open_output(self.folder)
        # Only the holder of this lock may write; a predecessor that was frozen and thawed does not hold it.
        fcntl.flock(self._output, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if self._runs < 0:
            self._runs = open_runs(self.folder, boot_id)
        self.size = os.fstat(self._output).st_size
        self._runs_size = os.fstat(self._runs).st_size
        if self._heir:
            self._flags = records.FLAG_TAKEN_OVER
        if self.size or self._runs_size > records.HEADER.size:
            self._recover()

    def _recover(self) -> None:
        """Read the end of ``runs``: who wrote last, how much of it was stdout, how much was dropped."""
        last, self._runs_size = cut_to_valid(self._runs, self._runs_size, self.size)
        self._flags = records.FLAG_TAKEN_OVER
        if last is None:
            if self.size:
                self._append(records.KIND_UNKNOWN, 0, 0)
            return
        self._run_us = last.time_us
        if last.offset == self.size and self._limits.exact:
            self._due = {kind: fd for fd, kind in self._kinds.items()}.get(last.kind)
        if last.kind == records.KIND_GAP:
            self.dropping, self.dropped = True, last.before
            self._stdout = 0
            self._flags |= records.FLAG_LOWER_BOUND
        else:
            own = self.size - last.offset if last.kind == records.KIND_STDOUT else 0
            self._stdout = last.before + own

    # Moving

    @property
    def has_work(self) -> bool:
        """Tell whether ``run`` has work that no event will announce."""
        return bool(self._held or self._later) and self.trouble is None

    def run(self, budget_count: int = 128) -> None:
        """Move what is ready, at most so many packets, so that the caller can look at other things between."""
        if self.trouble is not None:
            return
        while self._held:
            if not self._take(self._held.pop(0)):
                return
        poll, numbers, take = self._ready.epoll.poll, self._ready.numbers, self._take
        for _ in range(budget_count):
            if ready := poll(0, 1):
                number, events = ready[0]
                if events & select.EPOLLIN and not take(numbers[number]):
                    return
            elif not self._later or not take(self._later.pop(0)):
                return

    def settle(self) -> None:
        """New writers have opened the pipes, and none has written yet: rid the ready list of what is not ready.

        If the former writers were gone, that has put both pipes on it, in no order. See ``pipes.open_ready_list``.
        """
        if self.trouble is None:
            self.run()
        else:
            self._held += [fd for fd in self._ready.take() if fd not in self._held]

    def _take(self, fd: int) -> bool:
        """Move one packet, or in bulk mode what is there; False if it could not be written."""
        if self.dropping:
            self._drop(fd)
            return True
        kind = self._kinds[fd]
        now_us = records.boot_us()
        if kind != self._kind or now_us - self._run_us >= _RUN_AGE_US:
            if self._is_full():
                self._begin_gap(fd)
                return True
            if not self._begin_run(fd, kind, now_us):
                return False
        count = min(_SPLICE_BYTES, self._limits.output_bytes - self.size)
        try:
            count = os.splice(fd, self._output, count, None, self.size)
        except BlockingIOError:
            return True
        except OSError as error:
            self._fail(error, fd)
            return False
        self._moved(fd, kind, count)
        return True

    def _moved(self, fd: int, kind: int, count: int) -> None:
        """Account for bytes that have reached the file."""
        self.size += count
        if kind == records.KIND_STDOUT:
            self._stdout += count
        if self._look_s is None:
            self._look_s = time.monotonic() + _LOOK_AGAIN_S
        if self.touch:
            self._touch_soon()
        if self.size >= self._limits.output_bytes:
            self._kind = 0  # so that the next byte, if there is one, starts the gap
            self._look_at(fd)
        elif not self._limits.exact:
            self._look_at(fd)

    def _look_at(self, fd: int) -> None:
        """Come back to a pipe that still holds bytes."""
        if fd not in self._later and waiting_bytes(fd):
            self._later.append(fd)

    def _is_full(self) -> bool:
        """Tell whether a limit allows no further run."""
        over = self._runs_size + records.RUN.size > self._limits.index_bytes
        return over or self.size >= self._limits.output_bytes

    def _begin_gap(self, fd: int) -> None:
        """Stop keeping, if there is something to drop."""
        if waiting_bytes(fd):
            self.dropping = True
            self._tell_gap(time.monotonic())
            self._drop(fd)

    def _begin_run(self, fd: int, kind: int, now_us: int) -> bool:
        """Say whose bytes come next; False if there is no space to say it."""
        try:
            self._append(kind, now_us, self._stdout)
        except OSError as error:
            self._fail(error, fd)
            return False
        self._kind = kind
        return True

    def _append(self, kind: int, now_us: int, before: int) -> None:
        """Append a record; whole, or not at all."""
        self._run_us = max(self._run_us, now_us)
        record = records.pack_run(self.size, self._run_us, before, kind, self._flags)
        try:
            written = os.pwrite(self._runs, record, self._runs_size)
        except OSError:
            os.ftruncate(self._runs, self._runs_size)
            raise
        if written != len(record):
            os.ftruncate(self._runs, self._runs_size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._runs_size += written
        self._flags &= records.FLAG_LOWER_BOUND

    def _fail(self, error: OSError, fd: int | None) -> None:
        """Leave the bytes where they are, and try again later."""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        self.trouble = "waiting for disk space" if full else f"output cannot be written: {error.strerror}"
        self._retry_s = time.monotonic() + _RETRY_S
        if fd is not None:
            self._held.insert(0, fd)

    # Dropping

    def _drop(self, fd: int) -> None:
        """Count bytes and throw them away, so that the job is not disturbed."""
        if self._null < 0:
            self._null = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
        with contextlib.suppress(BlockingIOError):
            self.dropped += os.splice(fd, self._null, _SPLICE_BYTES)
        self._look_at(fd)

    def _tell_gap(self, now_s: float) -> None:
        """Write how much was dropped so far; best effort, since a full disk must not hold up dropping."""
        self._gap_s = now_s + _GAP_EVERY_S
        if self._gap_told == self.dropped:
            return
        with contextlib.suppress(OSError):
            self._append(records.KIND_GAP, records.boot_us(), self.dropped)
            self._gap_told = self.dropped

    # Time

    def tick(self, now_s: float, boot_id: str) -> None:
        """Do what is due at ``now_s`` (time.monotonic); then call ``run`` if there is work."""
        if self.trouble is not None:
            if now_s >= self._retry_s:
                self._retry(boot_id)
            return
        if self._look_s is not None and now_s >= self._look_s:
            self._look_again(now_s)
        if self.dropping and now_s >= self._gap_s:
            self._tell_gap(now_s)
        if self._touch_due and now_s >= self._touched_s + _TOUCH_S:
            self._touch_now(now_s)

    def _look_again(self, now_s: float) -> None:
        """See whether bytes wait of which no event will tell.

        The ready list is asked first: what stands on it is not forgotten, and its order must not be disturbed. A
        pipe that is full and not on it may have a writer just between its write and its wake-up; so only one that
        is found twice is taken.
        """
        full = {fd for fd in self._ends if waiting_bytes(fd)}
        self._look_s = now_s + _LOOK_AGAIN_S if full else None
        if ready := self._ready.epoll.poll(0, 1):
            number, events = ready[0]
            if events & select.EPOLLIN:
                self._held.append(self._ready.numbers[number])
            self._suspects = set()
            return
        self._held += sorted(full & self._suspects)
        self._suspects = full - self._suspects

    def _retry(self, boot_id: str) -> None:
        if self._runs < 0:
            self.open(boot_id)
            return
        self.trouble = None
        self._look_s = 0.0

    def due_s(self) -> float | None:
        """Tell when ``tick`` is needed next (time.monotonic); None if only events can bring work."""
        if self.trouble is not None:
            return self._retry_s
        if self.has_work:
            return 0.0
        due = self._look_s
        if self.dropping and self._gap_told != self.dropped:
            due = self._gap_s if due is None else min(due, self._gap_s)
        if self._touch_due:
            touch = self._touched_s + _TOUCH_S
            due = touch if due is None else min(due, touch)
        return due

    def _touch_soon(self) -> None:
        now_s = time.monotonic()
        if now_s >= self._touched_s + _TOUCH_S:
            self._touch_now(now_s)
        else:
            self._touch_due = True

    def _touch_now(self, now_s: float) -> None:
        self._touch_due, self._touched_s = False, now_s
        os.utime(self._output)

    # The end

    def writers_gone(self) -> bool:
        """Tell whether nobody holds a write end any more and all was moved."""
        poll = select.poll()
        for fd in self._ends:
            poll.register(fd, select.POLLIN)
        state = dict(poll.poll(0))
        return all(state.get(fd, 0) & select.POLLHUP and not state[fd] & select.POLLIN for fd in self._ends)

    def note_lost_writers(self, folder: str) -> None:
        """See ``pipes.note_lost_writers``."""
        note_lost_writers(folder, self._ends)

    def finish(self) -> bool:
        """Take what is left, in order, and close; False while that cannot be done for want of space."""
        self.run(_LAST_COUNT)
        for fd in self._ends:
            for _ in range(_LAST_COUNT):  # somebody outside the job may write for ever
                if self.trouble is not None or (waiting_bytes(fd) and not self._take(fd)):
                    return False
                if not waiting_bytes(fd):
                    break
        if self.dropping:
            self._tell_gap(0.0)
        self.close()
        return True

    def close(self) -> None:
        """Close the files, and with them give up the lock; the pipes belong to the caller."""
        if self._touch_due or (self.touch and self._output >= 0):
            os.utime(self._output)
        for fd in (self._output, self._runs, self._null):
            if fd >= 0:
                os.close(fd)
        self._output = self._runs = self._null = -1
