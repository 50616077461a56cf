"""Bytes coming in: pieces are gathered while a thread hashes and writes the ones before them.

A thread gets ``backlog_bytes`` at a time, so that going there costs nothing beside hashing, and as much again gathers
meanwhile: with a second core an upload takes as long as the slower of receiving and hashing. What is no longer than one
such batch never costs more than one visit to a thread, in which it is hashed, written, synced and named.

An upload that is left without ``commit``, for whatever reason, takes its temporary file with it. A thread cannot be
stopped: one that is still at work then is waited for, and if that takes too long, the file goes when it has ended.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

import trio

from jobdeck_server.core.errors import TooLargeError

if TYPE_CHECKING:
    import outcome

    from jobdeck_server.core.blobfiles import Incoming
    from jobdeck_server.core.blobtypes import Content

__all__ = ["Upload"]

_log = logging.getLogger("jobdeck.blobs")
_LEAVE_LIMIT_S = 10.0


class Upload:
    """Bytes that are coming in; belongs to one task."""

    def __init__(
        self, incoming: Incoming, *, limiter: trio.CapacityLimiter, limit_bytes: int, backlog_bytes: int
    ) -> None:
        self._incoming = incoming
        self._limiter = limiter
        self._limit_bytes = limit_bytes
        self._backlog_bytes = backlog_bytes
        self._pieces: list[bytes] = []
        self._pieces_bytes = 0
        self._busy: trio.Event | None = None  # set when the thread at work has ended
        self._error: Exception | None = None
        self._over = False  # committed or left
        self._forsaken = False  # left, and the thread could not be waited for
        self.size_bytes = 0

    async def write(self, data: bytes) -> None:
        """Take a piece; waits only while too much of what came before is not yet hashed and written.

        Raises:
            TooLargeError: There are more bytes than may be.
            NoSpaceError: The disk is full.
            StoreError: The disk failed.
        """
        self.size_bytes += len(data)
        if self.size_bytes > self._limit_bytes:
            raise TooLargeError("The blob", self._limit_bytes)
        self._pieces.append(data)
        self._pieces_bytes += len(data)
        if self._pieces_bytes >= self._backlog_bytes:
            await self._settle()
            await self._hand_over()

    async def commit(self) -> Content:
        """Keep it: durable when this returns, under its hash; bytes that are here already are kept once.

        Raises:
            NoSpaceError: The disk is full.
            StoreError: The disk failed.
        """
        await self._settle()
        finish = partial(self._incoming.finish, self._taken())
        content = await trio.to_thread.run_sync(finish, limiter=self._limiter)
        self._over = True
        return content

    async def leave(self) -> None:
        """Remove what was not committed. Always ends within some seconds, cancelled or not."""
        if self._over:
            return
        self._over = True
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _LEAVE_LIMIT_S):
            if self._busy is not None:
                await self._busy.wait()
            await trio.to_thread.run_sync(self._incoming.discard)
            return
        self._forsaken = True
        _log.warning("the disk is slow: a half upload is removed once it has answered")

    # -- the thread --

    def _taken(self) -> list[bytes]:
        taken, self._pieces, self._pieces_bytes = self._pieces, [], 0
        return taken

    async def _settle(self) -> None:
        """Wait until no thread is at work, and tell what went wrong there."""
        if self._busy is not None:
            await self._busy.wait()
        if self._error is not None:
            raise self._error

    async def _hand_over(self) -> None:
        await self._limiter.acquire_on_behalf_of(self)
        # No checkpoint from here on: the token is given back by ``_done``
        self._busy = trio.Event()
        token = trio.lowlevel.current_trio_token()

        def deliver(result: outcome.Outcome[None]) -> None:
            try:
                token.run_sync_soon(self._done, result)
            except trio.RunFinishedError:
                self._incoming.discard()

        trio.lowlevel.start_thread_soon(partial(self._incoming.take, self._taken()), deliver, "jobdeck-upload")

    def _done(self, result: outcome.Outcome[None]) -> None:
        self._limiter.release_on_behalf_of(self)
        assert self._busy is not None
        try:
            result.unwrap()
        except Exception as error:  # noqa: BLE001  # whatever the thread raised belongs to the one who writes
            self._error = error
        self._busy.set()
        self._busy = None
        if self._forsaken:
            trio.lowlevel.start_thread_soon(self._incoming.discard, lambda _: None)
