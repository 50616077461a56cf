"""SQLite behind one writer thread with group commit, and a few reading threads.

All writing is done by one thread, which takes whatever work is queued, runs it in one transaction and commits once:
under load many submissions share one disk sync. Each piece of work stands in a savepoint of its own, so that one that
fails changes nothing and hurts nobody else. Work is called with the connection, runs on the writer thread, and must
not touch anything of the trio thread.

A batch with ``durable`` work in it is committed with ``synchronous=FULL`` (it survives a power cut); one without is
committed with NORMAL (it survives a killed process, which is all that its writers promised). WAL keeps the order, so a
durable commit carries all commits before it. ``sync="normal"`` never asks for FULL.

Reads see committed data only, on connections of their own, in threads with a limit.
"""

from __future__ import annotations

import logging
import os
import queue
import sqlite3
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import trio

from jobdeck_server.core import schema

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

_log = logging.getLogger("jobdeck.store")
_BUSY_TIMEOUT_S = 10.0
_CACHE_KIB = 16 * 1024
_WAL_BYTES = 8 * 1024 * 1024
# Pieces of work (each of some pages of 4 KiB) after which the WAL is copied back: in a quiet moment, or at the latest.
_CHECKPOINT_COUNT = 200
_CHECKPOINT_LATEST_COUNT = 2000


class StoreError(Exception):
    """The database would not take a change (disk full, I/O error); nothing of it was kept."""


@dataclass(slots=True, eq=False)
class _Item(Generic[T]):
    work: Callable[[sqlite3.Connection], T]
    done: Callable[[T | None, Exception | None], None]
    durable: bool
    result: T | None = None
    error: Exception | None = None


class Store:
    """The database of one data directory. ``open`` first, ``close`` last; both block and belong into a thread."""

    def __init__(
        self, path: Path, *, sync: str = "full", batch_limit_count: int = 2000, readers_count: int = 4
    ) -> None:
        self._path = path
        self._wal = path.with_name(path.name + "-wal")
        self._full = sync == "full"
        self._batch_limit_count = batch_limit_count
        self._items: queue.SimpleQueue[_Item[Any] | None] = queue.SimpleQueue()
        self._readers: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        self._readers_count = readers_count
        self._read_limiter = trio.CapacityLimiter(readers_count)
        self._thread: threading.Thread | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self.commit_count = 0
        self._unchecked_count = 0  # pieces of work since the last checkpoint

    def open(self, token: trio.lowlevel.TrioToken) -> None:
        """Open or create the database, bring its schema up to date, start the writer.

        Raises:
            schema.NewerSchemaError: A newer jobdeck wrote it.
            sqlite3.Error: It cannot be opened.
        """
        self._token = token
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # specs hold environment values
        connection = self._connect()
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma wal_autocheckpoint=0")
        schema.migrate(connection)
        self._extend_wal()
        for _ in range(self._readers_count):
            reader = self._connect()
            reader.execute("pragma query_only=1")
            self._readers.put(reader)
        self._thread = threading.Thread(target=self._run, args=(connection,), name="jobdeck-writer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Commit what is queued, then close. Work queued later is never run."""
        if self._thread is not None:
            self._items.put(None)
            self._thread.join()
            self._thread = None
        for _ in range(self._readers_count):
            self._readers.get().close()

    def write_soon(
        self,
        work: Callable[[sqlite3.Connection], T],
        done: Callable[[T | None, Exception | None], None],
        *,
        durable: bool = True,
    ) -> None:
        """Queue work; ``done(result, error)`` is called on the trio thread after its commit, in commit order."""
        self._items.put(_Item(work, done, durable))

    async def write(self, work: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        """Run work and wait for its commit. Cancelled while waiting, the work is still done.

        Raises:
            StoreError: The database would not take it.
            Exception: What ``work`` raised; nothing of it was kept.
        """
        finished = trio.Event()
        outcome: list[tuple[T | None, Exception | None]] = []

        def done(result: T | None, error: Exception | None) -> None:
            outcome.append((result, error))
            finished.set()

        self.write_soon(work, done, durable=durable)
        await finished.wait()
        result, error = outcome[0]
        if error is not None:
            raise error
        return result  # type: ignore[return-value]  # T may include None; no error means it is work's result

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run reading work in a thread; it sees all that was committed before the call."""

        def run() -> T:
            connection = self._readers.get()
            try:
                return work(connection)
            finally:
                self._readers.put(connection)

        return await trio.to_thread.run_sync(run, limiter=self._read_limiter)

    # -- the writer thread --

    def _extend_wal(self) -> None:
        """Give the WAL its blocks ahead of need: syncing a file that grows costs many times one that is overwritten.

        SQLite takes no notice of what stands behind the last valid frame. A full disk is found later, by a commit.
        """
        with suppress(OSError), self._wal.open("r+b") as file:
            missing = _WAL_BYTES - file.seek(0, os.SEEK_END)
            file.write(bytes(max(0, missing)))
            file.flush()
            os.fsync(file.fileno())

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, timeout=_BUSY_TIMEOUT_S, cached_statements=256
        )
        connection.execute(f"pragma cache_size=-{_CACHE_KIB}")
        connection.execute("pragma foreign_keys=on")
        return connection

    def _run(self, connection: sqlite3.Connection) -> None:
        while True:
            batch, last = self._take()
            if batch:
                self._commit(connection, batch)
                self._tell(batch)
            if last:
                break
            self._checkpoint(connection)
        connection.execute("pragma wal_checkpoint(truncate)")
        connection.close()

    def _take(self) -> tuple[list[_Item[Any]], bool]:
        """All that is queued now, waiting for at least one piece; and whether the writer is to end after it."""
        batch: list[_Item[Any]] = []
        item = self._items.get()
        while item is not None:
            batch.append(item)
            if len(batch) >= self._batch_limit_count:
                return batch, False
            try:
                item = self._items.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _commit(self, connection: sqlite3.Connection, batch: list[_Item[Any]]) -> None:
        durable = self._full and any(item.durable for item in batch)
        try:
            connection.execute("pragma synchronous=full" if durable else "pragma synchronous=normal")
            connection.execute("begin immediate")
            for item in batch:
                self._run_item(connection, item)
            connection.execute("commit")
            self.commit_count += 1
            self._unchecked_count += len(batch)
        except sqlite3.Error as error:
            _log.error("commit failed: %s", error)
            if connection.in_transaction:
                connection.execute("rollback")
            for item in batch:
                item.result, item.error = None, StoreError(f"the database would not take a change: {error}")

    def _run_item(self, connection: sqlite3.Connection, item: _Item[Any]) -> None:
        connection.execute("savepoint item")
        try:
            item.result = item.work(connection)
        except sqlite3.OperationalError:
            raise  # disk full, I/O: nothing of this batch can be trusted
        except Exception as error:  # noqa: BLE001  # whatever a piece of work raises belongs to its caller
            item.error = error
            connection.execute("rollback to item")
        connection.execute("release item")

    def _tell(self, batch: list[_Item[Any]]) -> None:
        def deliver() -> None:
            for item in batch:
                item.done(item.result, item.error)

        assert self._token is not None
        try:
            self._token.run_sync_soon(deliver)
        except trio.RunFinishedError:
            _log.info("%d results came after the end", len(batch))

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        """Copy a grown WAL back, rather while nobody waits; a reader in the way only delays it to a later moment."""
        if self._unchecked_count < (_CHECKPOINT_COUNT if self._items.empty() else _CHECKPOINT_LATEST_COUNT):
            return
        self._unchecked_count = 0
        try:
            connection.execute("pragma wal_checkpoint(restart)")
        except sqlite3.Error as error:
            _log.warning("checkpoint failed: %s", error)
