"""A bundle at a worker before its program runs: waited for, stopped, taken back, made ready anew."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from jobdeck_protocol.workerwords import How
from jobdeck_server.core.blobrecord import Record, metadata_hash
from jobdeck_server.core.bundles.walk import FoundFile
from jobdeck_server.engines.base import BUNDLES
from jobdeck_server.engines.shelf import AwayError
from jobdeck_server.worker.shelf import ServerShelf
from tests.worker.place import Place, order, place

BLOB = "b" * 40


def zipped(line: str) -> bytes:
    """A bundle that runs a line in the shell."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        text = '{"cmd": "/bin/sh", "args": ["-c", "%s"], "resultArtifacts": [{"name": "all", "resultPatterns": []}]}'
        archive.writestr("executor_config.json", text % line)
    return made.getvalue()


class Store:
    """What stands for the server's blob store."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bundle: bytes | None = None  # None: the server cannot be reached
        self.away = False  # the server does not take results
        self.fetches_count = 0
        self.tries_count = 0
        monkeypatch.setattr(ServerShelf, "_fetch", self._fetch(self))
        monkeypatch.setattr(ServerShelf, "keep_file", self._keep_file)
        monkeypatch.setattr(ServerShelf, "keep_record", self._keep_record)

    @staticmethod
    def _fetch(store: Store) -> Callable[[ServerShelf, str, str], Awaitable[None]]:
        async def fetch(shelf: ServerShelf, blob_hash: str, _job_id: str) -> None:
            store.fetches_count += 1
            if store.bundle is None:
                raise AwayError("nobody there")
            await shelf._take_in(_pieces(store.bundle), blob_hash, "", None)

        return fetch

    async def _keep_file(self, found: FoundFile, **_: object) -> tuple[str, int]:
        self.tries_count += 1
        if self.away:
            raise AwayError("nobody there")
        return found.path.encode().hex().ljust(40, "0")[:40], found.size_bytes

    async def _keep_record(self, record: Record, **_: object) -> str:
        return metadata_hash(record)


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    return Store(monkeypatch)


@asynccontextmanager
async def waiting(folder: Path, store: Store) -> AsyncIterator[tuple[Place, str]]:
    """A worker with a bundle that it cannot fetch yet."""
    async with place(folder) as here:
        job_id = here.submit(bundle=BLOB, engine=BUNDLES)
        await here.host.until(lambda: store.fetches_count > 1)
        yield here, job_id


def left(here: Place) -> list[str]:
    return [each.name for each in (here.data_dir / "work").iterdir()]


async def test_stopped_while_it_is_waited_for(tmp_path: Path, store: Store) -> None:
    async with waiting(tmp_path, store) as (here, job_id):
        assert left(here) == [job_id]
        assert not here.job_file(job_id, "record").exists(), "nothing is claimed yet"
        here.host.say(lambda host: host.jobs.stop(job_id, 2, 60.0))
        end = await here.host.ended(job_id)
        assert (end.how, here.host.copy(job_id).states) == (How.NEVER, [])
        await here.host.until(lambda: not left(here))
        store.bundle = zipped("echo ran")
        assert here.parts is not None
        assert here.parts.jobs.running_count == 0


async def test_taken_back_while_it_is_waited_for(tmp_path: Path, store: Store) -> None:
    async with waiting(tmp_path, store) as (here, job_id):
        here.host.say(lambda host: host.jobs.withdraw(job_id))
        assert (await here.host.ended(job_id)).how is How.NEVER
        await here.host.until(lambda: not left(here))


async def test_made_ready_anew_in_the_next_life(tmp_path: Path, store: Store) -> None:
    async with waiting(tmp_path, store) as (here, job_id):
        await here.end()
        (here.data_dir / "work" / job_id / "files").mkdir(parents=True, exist_ok=True)
        (here.data_dir / "work" / job_id / "files" / "old").touch()
        store.bundle = zipped("echo ran; ls; exec sleep 0")
        await here.boot()
        end = await here.host.ended(job_id)
        assert (end.how, end.code) == (How.EXIT, 0)
        assert here.host.copy(job_id).output == b"ran\nexecutor_config.json\n"
        assert set(end.results) == {"all"}
        assert end.super_set is not None
        state = here.host.copy(job_id).states[-1]
        assert state.plan is not None
        assert state.plan[0].argv == ("/bin/sh", "-c", "echo ran; ls; exec sleep 0")
        here.check(job_id)


async def test_results_wait_and_are_noted_when_they_are_kept(tmp_path: Path, store: Store) -> None:
    store.bundle, store.away = zipped("echo ran"), True
    async with place(tmp_path) as here:
        job_id = here.submit(bundle=BLOB, engine=BUNDLES)
        await here.host.until(lambda: store.tries_count > 1)
        await here.host.until(lambda: any(each.note for each in here.host.copy(job_id).states))
        assert here.host.copy(job_id).states[-1].note == "results wait for the server: nobody there"
        assert not here.host.copy(job_id).ends
        await here.end()
        store.away = False
        here.host.keep = True
        await here.boot()
        first = await here.host.ended(job_id)
        tried_count = store.tries_count
        assert left(here) == [job_id], "until the server has all"
        await here.end()
        await here.boot()
        await here.host.until(lambda: len(here.host.hellos) >= 3)
        here.host.keep = False
        here.host.say(lambda host: host.jobs.recorded(job_id))
        await here.host.until(here.job_file(job_id, "released").exists)
        here.host.copies.clear()
        here.host.start(job_id, order(bundle=BLOB, engine=BUNDLES))
        assert await here.host.ended(job_id) == first
        assert store.tries_count == tried_count, "they are not kept again"
