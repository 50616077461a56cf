"""A blob store with a real database and real files."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from jobdeck_protocol.job import Job, JobState
from jobdeck_server.core import journal
from jobdeck_server.core.blobrecord import Record, file_record, record_of
from jobdeck_server.core.blobs import ArchiveTarget, Blobs, Content, FileTarget, Stored
from jobdeck_server.core.events import EventLog
from jobdeck_server.core.mime import mime_of
from jobdeck_server.core.store import Store
from jobdeck_server.settings import Settings


@dataclass
class BlobBench:
    """What a test has at hand."""

    blobs: Blobs
    store: Store
    events: EventLog
    folder: Path

    def files(self) -> dict[str, int]:
        """Every file below the folder, temporary ones too: path and length."""
        return {
            str(path.relative_to(self.folder)): path.stat().st_size for path in self.folder.rglob("*") if path.is_file()
        }

    async def send(self, data: bytes, *, piece_bytes: int = 1 << 18) -> Content:
        """Upload without a record."""
        async with self.blobs.upload() as upload:
            for at in range(0, len(data), piece_bytes):
                await upload.write(data[at : at + piece_bytes])
            return await upload.commit()

    async def file(self, name: str, data: bytes, *, job_id: str | None = None) -> Stored:
        """Upload with the record of one file."""
        content = await self.send(data)
        return await self.blobs.put(file_record(name, content.size_bytes, mime_of(name), content.hash), job_id=job_id)

    async def link(self, name: str, target: str) -> Stored:
        return await self.blobs.put(Record(name=name, content=target, content_type="softLink"))

    async def artifact(self, name: str, entries: Mapping[str, tuple[str, str]], *, job_id: str | None = None) -> Stored:
        """An artifact of path -> (hash, type)."""
        content = {path: {"content": target, "contentType": kind} for path, (target, kind) in entries.items()}
        record = record_of({"name": name, "contentType": "complex", "content": content})
        return await self.blobs.put(record, job_id=job_id)

    async def read(self, blob_hash: str, subpath: str | None = None) -> bytes:
        """What a hash stands for: a file's bytes, or the zip."""
        target = await self.blobs.resolve(blob_hash, subpath)
        if isinstance(target, FileTarget):
            with await self.blobs.content(target.content_hash) as file:
                return os.pread(file.fd, file.size_bytes, 0)
        return await self.zip(target)

    async def zip(self, target: ArchiveTarget) -> bytes:
        data = b""
        async with aclosing(self.blobs.archive(target)) as pieces:
            async for piece in pieces:
                data += piece if isinstance(piece, bytes) else os.pread(piece.fd, piece.length, piece.offset)
        return data

    async def job(self, job_id: str, *, key: str | None = None, state: JobState = JobState.QUEUED) -> None:
        """Put a job into the table."""
        job = Job(id=job_id, dialect="webgme", key=key, state=state, finished_us=5 if state in ENDED else None)
        await self.store.write(lambda c: journal.insert_job(c, job, {}, boot_id=None, idempotency=None))

    def age(self, content_hash: str, seconds: float) -> None:
        """Make content older."""
        path = self.folder / content_hash[:2] / content_hash
        found = path.stat()
        os.utime(path, (found.st_atime, found.st_mtime - seconds))

    async def age_records(self, seconds: float) -> None:
        """Make all records older."""
        await self.store.write(lambda c: c.execute("update blob set used_us = used_us - ?", (int(seconds * 1e6),)))


ENDED = (JobState.SUCCEEDED, JobState.FAILED, JobState.STOPPED)


@asynccontextmanager
async def blobbench(folder: Path, **changes: object) -> AsyncIterator[BlobBench]:
    settings = replace(Settings(data_dir=folder, sync="normal"), **changes)  # type: ignore[arg-type]  # a test's own
    store = Store(folder / "jobdeck.sqlite3", sync=settings.sync)
    await trio.to_thread.run_sync(store.open, trio.lowlevel.current_trio_token())
    try:
        events = EventLog(store)
        await events.load()
        blobs = Blobs(settings, store=store, events=events, folder=folder / "blobs")
        async with trio.open_nursery() as nursery:
            await nursery.start(blobs.run)
            yield BlobBench(blobs, store, events, folder / "blobs")
            nursery.cancel_scope.cancel()
    finally:
        await trio.to_thread.run_sync(store.close)


def unzipped(data: bytes) -> dict[str, bytes]:
    """Names and bytes of a zip, in its order, every checksum checked."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {info.filename: archive.read(info) for info in archive.infolist()}
