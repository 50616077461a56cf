"""Bytes coming in: they gather in blocks while a thread hashes and writes the blocks before them.

The thread takes all that has gathered, again and again, and only ends when nothing comes for a moment, after
``_TURN_BYTES`` (others want its place too), or when all is done. So while bytes come fast enough it never waits for the
loop to get its turn on a processor, nor does the loop for it before ``backlog_bytes`` have gathered; with a second core
an upload takes as long as the slower of receiving and hashing. Blocks are large and used again and again: a thread
that hashes gives the interpreter up, and to get it back costs more the more often it is done. What is shorter than a
block costs one visit to a thread, in which it is hashed, written, synced and named.

An upload that is left without ``commit``, for whatever reason, takes its temporary file with it. A thread cannot be
stopped: one that is still at work then is waited for, and if that takes too long, the file goes when it has ended.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Protocol

import trio

from jobdeck_server.core.errors import TooLargeError

if TYPE_CHECKING:
    import outcome

    from jobdeck_server.core.blobfiles import Incoming
    from jobdeck_server.core.blobtypes import Content

__all__ = ["Upload"]

_log = logging.getLogger("jobdeck.blobs")
_LEAVE_LIMIT_S = 10.0
_IDLE_S = 0.02
_TURN_BYTES = 64 * 1024 * 1024
_BLOCK_COUNT = 4  # into which the backlog is divided

Piece = bytes | memoryview


class _Goal(Enum):
    MORE = "take what comes"
    COMMIT = "take what is left and keep the whole"
    LEAVE = "take no more"


class Source(Protocol):
    """Where bytes come from."""

    async def read_into(self, room: memoryview) -> int:
        """Put what comes next there, as much as is there already; how many bytes that is, 0 at the end."""


class Upload:
    """Bytes that are coming in; belongs to one task."""

    def __init__(
        self,
        incoming: Incoming,
        *,
        limiter: trio.CapacityLimiter,
        limit_bytes: int,
        backlog_bytes: int,
        expected_bytes: int | None = None,
    ) -> None:
        self._incoming = incoming
        self._limiter = limiter
        self._limit_bytes = limit_bytes
        self._backlog_bytes = backlog_bytes
        self._block_limit_bytes = max(1, backlog_bytes // _BLOCK_COUNT)
        self._expected_bytes = expected_bytes
        self._token = trio.lowlevel.current_trio_token()
        self.size_bytes = 0
        # of the trio thread
        self._running = False
        self._changed = trio.Event()
        self._content: Content | None = None
        self._error: Exception | None = None
        self._left = False
        self._forsaken = False  # left, and the thread could not be waited for
        self._block: memoryview | None = None  # that is being filled
        self._block_bytes = 0  # in it so far
        # of both; each changes hands in steps that cannot be torn, without a lock that one would wait for
        self._goal = _Goal.MORE
        self._pieces: deque[Piece] = deque()  # that wait for the thread
        self._free: deque[memoryview] = deque()
        self._added_bytes = 0  # to the pieces, counted by the task
        self._done_bytes = 0  # of these, counted by the thread
        self._awaited = False  # the task waits for room
        self._idle = False  # the thread waits for pieces
        self._bell = threading.Event()

    async def fill(self, source: Source) -> None:
        """Take all that comes from a source.

        Raises:
            TooLargeError, NoSpaceError, StoreError: See ``write``.
            Exception: What the source raised.
        """
        while True:
            if self._block is None:
                self._block, self._block_bytes = await self._new_block(), 0
            count = await source.read_into(self._block[self._block_bytes :])
            if not count:
                return
            self._count(count)
            self._block_bytes += count
            if self._block_bytes == len(self._block):
                self._flush()

    async def write(self, data: bytes) -> None:
        """Take a piece; waits only while too much of what came before is not yet hashed and written.

        Raises:
            TooLargeError: There are more bytes than may be.
            NoSpaceError: The disk is full.
            StoreError: The disk failed.
        """
        self._count(len(data))
        self._flush()
        self._add(data)
        await self._room()

    async def commit(self) -> Content:
        """Keep it: durable when this returns, under its hash; bytes that are here already are kept once.

        Raises:
            NoSpaceError: The disk is full.
            StoreError: The disk failed.
        """
        self._flush()
        self._aim(_Goal.COMMIT)
        while self._content is None:
            if self._error is not None:
                raise self._error
            changed = self._changed
            await self._run()
            await changed.wait()
        assert self._content.size_bytes == self.size_bytes, "a piece was lost"
        return self._content

    async def leave(self) -> None:
        """Remove what was not committed. Always ends within some seconds, cancelled or not."""
        if self._left or self._content is not None:
            return
        self._left = True
        self._aim(_Goal.LEAVE)
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _LEAVE_LIMIT_S):
            while self._running:
                await self._changed.wait()
            await trio.to_thread.run_sync(self._incoming.discard)
            return
        self._forsaken = True
        _log.warning("the disk is slow: a half upload is removed once it has answered")

    # -- blocks --

    def _count(self, count: int) -> None:
        self.size_bytes += count
        if self.size_bytes > self._limit_bytes:
            raise TooLargeError("The blob", self._limit_bytes)

    async def _new_block(self) -> memoryview:
        """A block to be filled, as soon as there may be another one; no longer than what is expected."""
        await self._room()
        with suppress(IndexError):
            return self._free.popleft()
        size = self._block_limit_bytes
        if self._expected_bytes is not None:
            size = min(size, max(1, self._expected_bytes - self.size_bytes))
        return memoryview(bytearray(size))

    def _flush(self) -> None:
        """Give the block that is being filled to the thread."""
        if self._block is not None:
            self._add(self._block[: self._block_bytes])
            self._block = None

    def _add(self, piece: Piece) -> None:
        if len(piece):
            self._added_bytes += len(piece)
            self._pieces.append(piece)
            if self._idle:
                self._bell.set()

    def _held_bytes(self) -> int:
        return self._added_bytes - self._done_bytes

    async def _room(self) -> None:
        """Have a thread at work if there is enough for one, and wait until less than the backlog is held."""
        while True:
            changed = self._changed
            if self._error is not None:
                raise self._error
            if self._held_bytes() >= self._block_limit_bytes:
                await self._run()
            if self._held_bytes() < self._backlog_bytes:
                return
            self._awaited = True
            if self._held_bytes() > self._backlog_bytes // 2:  # else the thread may have looked before it was awaited
                await changed.wait()
            self._awaited = False

    # -- having a thread --

    def _aim(self, goal: _Goal) -> None:
        self._goal = goal
        self._bell.set()

    async def _run(self) -> None:
        """Have a thread at work, once there is a place for one."""
        if not self._running:
            await self._limiter.acquire_on_behalf_of(self)
            # No checkpoint from here on: the place is given back by ``_done``
            self._running = True
            trio.lowlevel.start_thread_soon(self._turn, self._deliver, "jobdeck-upload")

    def _ring(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _done(self, result: outcome.Outcome[Content | None]) -> None:
        self._limiter.release_on_behalf_of(self)
        self._running = False
        try:
            self._content = result.unwrap()
        except Exception as error:  # noqa: BLE001  # whatever the thread raised belongs to the one who writes
            self._error = error
        if self._forsaken:
            trio.lowlevel.start_thread_soon(self._incoming.discard, lambda _: None)
        self._ring()

    # -- in the thread --

    def _turn(self) -> Content | None:
        """Hash and write what comes until the turn is over; the content if all was kept."""
        end_bytes = self._done_bytes + _TURN_BYTES
        while self._done_bytes < end_bytes:
            goal = self._goal  # before the look: once it is to commit, all pieces are there
            if goal is _Goal.LEAVE:
                return None
            try:
                piece = self._pieces.popleft()
            except IndexError:
                if goal is _Goal.COMMIT:
                    return self._incoming.finish()
                if not self._more():
                    return None
                continue
            self._incoming.take(piece)
            self._give_back(piece)
        return None

    def _more(self) -> bool:
        """Wait a moment; whether there is something to do."""
        self._bell.clear()
        self._idle = True  # before the look: what is added after it rings
        if not self._pieces and self._goal is _Goal.MORE:
            self._bell.wait(_IDLE_S)
        self._idle = False
        return bool(self._pieces) or self._goal is not _Goal.MORE

    def _give_back(self, piece: Piece) -> None:
        """What this piece held is on its way to the disk."""
        if isinstance(piece, memoryview) and len(piece) == self._block_limit_bytes:
            self._free.append(piece)
        self._done_bytes += len(piece)
        if self._awaited and self._held_bytes() <= self._backlog_bytes // 2:
            self._awaited = False
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._ring)

    def _deliver(self, result: outcome.Outcome[Content | None]) -> None:
        try:
            self._token.run_sync_soon(self._done, result)
        except trio.RunFinishedError:
            self._incoming.discard()
