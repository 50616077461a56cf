"""Removes what nobody needs any more: records that only jobs made and whose jobs are gone, and bytes without a record.

A record stays if it is pinned, came from a client, belongs to a job that is still listed (its input or its result),
holds a version of a binary, came or was linked to a moment ago, or if one that stays leads to it. What a client sent
goes on request only, by an age.
Bytes stay if a record names them, if a job that has not ended runs them as a package, if somebody is reading them as
part of an archive, or if they came a moment ago.

Marking reads a picture of the database that is old by the time of removing, so each record is looked at once more in
the transaction that removes it; and one to which another leads goes only after that one. Bytes are moved away in the
transaction that has seen that no record names them, so that none can come in between.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import trio

from jobdeck_server.core import blobrows, packageuse
from jobdeck_server.core.blobtypes import Collected
from jobdeck_server.core.live import now_us
from jobdeck_server.core.store import StoreError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from jobdeck_server.core.blobfiles import BlobFiles, Found
    from jobdeck_server.core.events import EventLog
    from jobdeck_server.core.journal import Event
    from jobdeck_server.core.store import Store

T = TypeVar("T")

SHOWN_COUNT = 1000
"""Hashes of records that a collection names."""
_BATCH_COUNT = 50  # removed in one piece: others wait for the writer no longer than that takes
_log = logging.getLogger("jobdeck.blobs")

# By the record's own row alone: what keeps it, whatever leads to it. Values: young_us, old_us (None: however old).
_ROOT = """(
    blob.pinned or blob.used_us >= :young_us or (blob.uploaded and (:old_us is null or blob.used_us >= :old_us))
    or exists (select 1 from blob_job join job on job.id = blob_job.job_id where blob_job.seq = blob.seq)
    or exists (select 1 from job where job.key = blob.hash)
    or exists (select 1 from binary_version where binary_version.blob = blob.hash)
)"""
_UNNEEDED = f"""with recursive kept(hash) as (
    select hash from blob where {_ROOT}
    union
    select target from kept join blob using (hash) join blob_link on blob_link.seq = blob.seq and kind = 1
)
select hash from blob where hash not in (select hash from kept)"""
_STILL_UNNEEDED = f"""select 1 from blob where hash = :hash and not {_ROOT}
    and not exists (select 1 from blob_link where target = :hash and kind = 1)"""


class Collector:
    """One collection at a time.

    Args:
        store: See there.
        files: See there.
        events: Told of what goes.
        grace_us: What came within this time stays.
        limiter: Of threads.
    """

    def __init__(
        self, store: Store, files: BlobFiles, events: EventLog, *, grace_us: int, limiter: trio.CapacityLimiter
    ) -> None:
        self._store = store
        self._files = files
        self._events = events
        self._grace_us = grace_us
        self._limiter = limiter
        self._lock = trio.Lock()

    async def collect(self, *, dry_run: bool, unused_us: int | None) -> Collected:
        """See ``Blobs.collect``."""
        async with self._lock:
            young_us = now_us() - self._grace_us
            old_us = None if unused_us is None else now_us() - unused_us
            values = {"young_us": young_us, "old_us": old_us}
            hashes = await self._store.read(lambda connection: _column(connection, _UNNEEDED, values))
            gone = hashes if dry_run else await self._remove(hashes, values)
            found = Collected(records=tuple(gone[:SHOWN_COUNT]), record_count=len(gone), dry_run=dry_run)
            unnamed = set(gone) if dry_run else set()
            for name in await self._run(self._files.groups):
                found = await self._contents(
                    found, await self._run(partial(self._files.group, name)), unnamed, young_us
                )
            if found.record_count or found.content_count:
                _log.info(
                    "%s %d blobs and %d contents of %d bytes",
                    "would collect" if dry_run else "collected",
                    *(found.record_count, found.content_count, found.content_bytes),
                )
            return found

    async def run(self, interval_s: float) -> None:
        """Collect at every interval, until cancelled. A disk that fails now may be well at the next."""
        while True:
            await trio.sleep(interval_s)
            try:
                await self.collect(dry_run=False, unused_us=None)
            except (OSError, StoreError) as error:
                _log.warning("blobs were not collected: %s", error)

    # -- records --

    async def _remove(self, hashes: list[str], values: dict[str, int | None]) -> list[str]:
        """Remove those that are still not needed, those that lead to others first; returns their hashes."""
        gone: list[str] = []
        left = hashes
        while True:
            before = len(gone)
            for at in range(0, len(left), _BATCH_COUNT):
                work = partial(_remove_some, left[at : at + _BATCH_COUNT], values)
                events = await self._events.commit(work, durable=False)
                gone += [event.data["hash"] for event in events]
            if len(gone) == before:
                await self._store.write(_forget_jobs, durable=False)
                return gone
            done = set(gone[before:])
            left = [each for each in left if each not in done]

    # -- contents --

    async def _contents(self, so_far: Collected, group: list[Found], unnamed: set[str], young_us: int) -> Collected:
        """Add one group of files to the account, removing those that are not named, but for a dry run."""
        free = set(await self._store.read(lambda connection: _unnamed(connection, group, unnamed)))
        young = [each for each in free if each.time_s * 1e6 >= young_us]
        free.difference_update(young)
        if not so_far.dry_run:
            free = set(await self._take_away(list(free), young_us))
        kept = [each for each in group if each not in free]
        return replace(
            so_far,
            content_count=so_far.content_count + len(free),
            content_bytes=so_far.content_bytes + sum(each.size_bytes for each in free),
            kept_count=so_far.kept_count + len(kept),
            kept_bytes=so_far.kept_bytes + sum(each.size_bytes for each in kept),
            young_count=so_far.young_count + len(young),
        )

    async def _take_away(self, found: list[Found], young_us: int) -> list[Found]:
        gone: list[Found] = []
        for at in range(0, len(found), _BATCH_COUNT):
            some = found[at : at + _BATCH_COUNT]

            def work(connection: sqlite3.Connection, some: list[Found] = some) -> list[Found]:
                return self._files.take_away(_unnamed(connection, some, set()), young_us / 1e6)

            taken = await self._store.write(work, durable=False)
            await self._run(partial(self._files.clear, taken))
            gone += taken
        return gone

    async def _run(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, limiter=self._limiter)


def _remove_some(hashes: Sequence[str], values: dict[str, int | None], connection: sqlite3.Connection) -> list[Event]:
    return [
        blobrows.remove(connection, each)
        for each in hashes
        if connection.execute(_STILL_UNNEEDED, {**values, "hash": each}).fetchone() is not None
    ]


def _forget_jobs(connection: sqlite3.Connection) -> None:
    connection.execute("delete from blob_job where job_id not in (select id from job)")
    packageuse.forget(connection)


def _unnamed(connection: sqlite3.Connection, found: Sequence[Found], leaving: set[str]) -> list[Found]:
    """Those that no record names, but for records that are about to leave, and that no job runs."""
    return [
        each
        for each in found
        if not _named(connection, each.hash, leaving) and not packageuse.is_used(connection, each.hash)
    ]


def _named(connection: sqlite3.Connection, content_hash: str, leaving: set[str]) -> bool:
    rows = connection.execute(
        "select hash from blob_link join blob using (seq) where target = ? and kind = 0", (content_hash,)
    )
    return any(row[0] not in leaving for row in rows)


def _column(connection: sqlite3.Connection, sql: str, values: dict[str, int | None]) -> list[str]:
    return [row[0] for row in connection.execute(sql, values)]
