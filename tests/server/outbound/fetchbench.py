"""A fetcher over a real blob store."""

from __future__ import annotations

import hashlib
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from jobdeck_server.core.fetching import SCHEMES, Fetcher
from tests.server.core.blobbench import BlobBench, blobbench
from tests.server.outbound.receivers import door_of, settings_of

DATA = random.Random(3).randbytes(700_000)
HASH = hashlib.sha1(DATA, usedforsecurity=False).hexdigest()


@asynccontextmanager
async def fetcher(
    folder: Path, patterns: Sequence[str] | None = None, **changes: object
) -> AsyncIterator[tuple[Fetcher, BlobBench]]:
    async with blobbench(folder / "data") as bench:
        settings = settings_of(folder, fetch_folders=(str(folder / "open"),), **changes)
        own = Fetcher(settings, blobs=bench.blobs, door=door_of(settings, patterns, schemes=SCHEMES))
        async with trio.open_nursery() as nursery:
            await nursery.start(own.run)
            yield own, bench
            nursery.cancel_scope.cancel()
