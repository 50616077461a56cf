"""Where bundles come from and results go, as whoever runs bundles sees it.

At the server that is its blob store (``StoreShelf``); a worker elsewhere has none, and asks its server for each
(``jobdeck_server.worker.shelf``).
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Protocol

import trio

from jobdeck_server.core.blobrecord import file_record
from jobdeck_server.core.errors import JobdeckError
from jobdeck_server.core.mime import mime_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager

    from jobdeck_server.core.blobrecord import Record
    from jobdeck_server.core.blobs import BlobFile, Blobs, Target
    from jobdeck_server.core.bundles.walk import FoundFile

PIECE_BYTES = 1024 * 1024


class AwayError(JobdeckError):
    """The shelf cannot be reached now; it is worth any wait."""


class Shelf(Protocol):
    """See the top of this file. Whatever is kept is durable on return, and the same when it is kept again."""

    def bundle(self, blob_hash: str, *, job_id: str) -> AbstractAsyncContextManager[Target]:
        """What a bundle's hash stands for; its content can be read as long as the block lasts.

        Raises:
            UnknownBlobError, MissingContentError, BlobLinkError, TooLargeError: It is not to be had.
            UnpackError: It can be seen from here that it cannot be laid out.
        """

    def read(self, content_hash: str) -> BlobFile:
        """Open content of a bundle. Blocks: for threads.

        Raises:
            MissingContentError: It is not here.
        """

    async def keep_file(self, found: FoundFile, *, job_id: str, limiter: trio.CapacityLimiter) -> tuple[str, int]:
        """Keep one file of a job as far as it was long when it was found.

        Args:
            found: The file.
            job_id: Whose it is.
            limiter: For threads.

        Returns:
            The hash of its record, and its length in bytes.

        Raises:
            LeftOutError: It is not what was found.
            JobdeckError, StoreError, OSError: It cannot be kept now.
        """

    async def keep_record(self, record: Record, *, job_id: str) -> str:
        """Keep a record that a job has made; its hash.

        Raises:
            JobdeckError, StoreError: It cannot be kept now.
        """


class StoreShelf:
    """The server's own; see ``Shelf``."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    @asynccontextmanager
    async def bundle(self, blob_hash: str, *, job_id: str) -> AsyncGenerator[Target, None]:
        """Jobs that have not ended keep their bundles from being collected."""
        del job_id
        yield await self._blobs.resolve(blob_hash)

    def read(self, content_hash: str) -> BlobFile:
        """See ``Shelf``."""
        return self._blobs.read(content_hash)

    async def keep_file(self, found: FoundFile, *, job_id: str, limiter: trio.CapacityLimiter) -> tuple[str, int]:
        """See ``Shelf``."""
        fd = await trio.to_thread.run_sync(found.open, limiter=limiter)
        try:
            left = found.size_bytes
            async with self._blobs.upload(expected_bytes=left) as upload:
                while left:
                    read = partial(os.read, fd, min(left, PIECE_BYTES))
                    piece = await trio.to_thread.run_sync(read, limiter=limiter)
                    if not piece:
                        break
                    await upload.write(piece)
                    left -= len(piece)
                content = await upload.commit()
        finally:
            os.close(fd)
        name = found.path.rpartition("/")[2]
        record = file_record(name, content.size_bytes, mime_of(name), content.hash)
        return await self.keep_record(record, job_id=job_id), content.size_bytes

    async def keep_record(self, record: Record, *, job_id: str) -> str:
        """See ``Shelf``."""
        return (await self._blobs.put(record, job_id=job_id)).hash
