"""A worker's shelf (``engines.shelf``): bundles come from its server, and results go there, over HTTP.

``GET /v1/worker/jobs/{id}/bundle`` fetches a bundle, once for as long as the cache has it. ``POST .../files`` brings a
file, of a long one first its hash alone: what the server has already is not sent. ``POST .../records`` brings an
artifact. Each request says which worker asks, and carries the token as it stands in its file.

A bundle is asked for until it is there or the server says that there is none. What cannot be brought now is an
``AwayError`` (no server, no valid token) or something that may pass; who collects results tries again, and then all
that was brought is found by its hash.
"""

from __future__ import annotations

import hashlib
import logging
import os
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from jobdeck_client.errors import ClientError, NotAllowedError, NotFoundError, RefusedError, UnreachableError
from jobdeck_client.requests import Requests
from jobdeck_client.trust import Trust
from jobdeck_server.core.blobrecord import is_hash, metadata_hash, serialize
from jobdeck_server.core.blobs import FileTarget
from jobdeck_server.core.bundles.errors import UnpackError
from jobdeck_server.core.errors import CapacityError, JobdeckError, NoSpaceError, UnknownBlobError
from jobdeck_server.engines.shelf import PIECE_BYTES, AwayError
from jobdeck_server.worker.uplink import TokenError, read_token

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from jobdeck_server.core.blobrecord import Record
    from jobdeck_server.core.blobs import BlobFile, Target
    from jobdeck_server.core.bundles.walk import FoundFile
    from jobdeck_server.worker.bundlecache import BundleCache
    from jobdeck_server.worker.settings import WorkerSettings

_log = logging.getLogger("jobdeck.worker")
_ASK_BYTES = 64 * 1024  # a shorter file is sent at once: to ask first would take as long
_CLOSE_LIMIT_S = 2.0


@dataclass(slots=True)
class _Line:
    """Connections to the server that have a token and certificates in common, and how many requests use them."""

    requests: Requests
    users_count: int = 0


class ServerShelf:
    """See ``engines.shelf.Shelf``.

    Args:
        settings: Of the worker.
        worker_id: Its UUID.
        cache: Of bundles.
    """

    def __init__(self, settings: WorkerSettings, worker_id: str, cache: BundleCache) -> None:
        self._settings = settings
        self._worker_id = worker_id
        self._cache = cache
        self._base_url = http_url(settings.server)
        self._line: _Line | None = None
        self._dialling = trio.Lock()
        self._fetching: dict[str, trio.Lock] = {}

    async def run(self) -> None:
        """Close all connections when cancelled."""
        try:
            await trio.sleep_forever()
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the connections that nobody uses just now; the others are closed by who does."""
        line, self._line = self._line, None
        if line is not None and not line.users_count:
            await _hang_up(line)

    # -- bundles --

    @asynccontextmanager
    async def bundle(self, blob_hash: str, *, job_id: str) -> AsyncGenerator[Target, None]:
        """The bundle as a zip, fetched if it is not here; waits for the server for as long as it takes."""
        if not is_hash(blob_hash):
            raise UnknownBlobError(blob_hash)
        content_hash = await self._fetched(blob_hash, job_id)
        try:
            with await trio.to_thread.run_sync(self._cache.read, content_hash) as file:
                size_bytes = file.size_bytes
            yield FileTarget(name="bundle.zip", content_hash=content_hash, size_bytes=size_bytes)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_LIMIT_S):
                await trio.to_thread.run_sync(self._cache.give_back, content_hash)

    def read(self, content_hash: str) -> BlobFile:
        """See ``Shelf``."""
        return self._cache.read(content_hash)

    async def _fetched(self, blob_hash: str, job_id: str) -> str:
        """The content hash of a bundle that is in the cache, and in use."""
        delay_s, said = self._settings.retry_first_s, ""
        lock = self._fetching.setdefault(blob_hash, trio.Lock())
        async with lock:  # jobs with the same bundle wait for the first
            try:
                while (found := await trio.to_thread.run_sync(self._cache.take, blob_hash)) is None:
                    try:
                        await self._fetch(blob_hash, job_id)
                    except (AwayError, CapacityError) as error:
                        if str(error) != said:
                            said = str(error)
                            _log.warning("job %s: its bundle is waited for: %s", job_id, said)
                        await trio.sleep(delay_s * random.uniform(0.5, 1.0))  # spreads workers, guards nothing
                        delay_s = min(2 * delay_s, self._settings.retry_limit_s)
            finally:
                if not lock.statistics().tasks_waiting:
                    self._fetching.pop(blob_hash, None)
        return found

    async def _fetch(self, blob_hash: str, job_id: str) -> None:
        """Have a bundle in the cache.

        Raises:
            UnknownBlobError: There is none.
            UnpackError: It is an artifact with paths that are none.
            AwayError, CapacityError: Not now.
            JobdeckError: It cannot be had.
            OSError: There is no room for it.
        """
        try:
            async with (
                self._asking() as requests,
                requests.answered(self._path(job_id, "bundle"), headers=self._who) as response,
            ):
                wanted = response.headers.get("etag", "").strip('"')
                if wanted and await trio.to_thread.run_sync(self._cache.name, blob_hash, wanted):
                    return  # under another name it was here
                length = response.headers.get("content-length") or response.headers.get("jobdeck-archive-bytes")
                await self._take_in(response.aiter_raw(), blob_hash, wanted, length)
        except NotFoundError as error:
            raise UnknownBlobError(blob_hash) from error
        except RefusedError as error:
            raise UnpackError(str(error)) if error.status == 422 else _meant(error) from error
        except ClientError as error:
            raise _meant(error) from error

    async def _take_in(self, pieces: AsyncIterator[bytes], blob_hash: str, wanted: str, length: str | None) -> None:
        """Write what comes, and keep it if it is what it was to be.

        Args:
            pieces: What comes.
            blob_hash: Of the bundle.
            wanted: Its content's hash; empty for an artifact, whose zip is made on the way.
            length: In bytes, as the server has said.
        """
        sha1, count = hashlib.sha1(usedforsecurity=False), 0
        fd, path = await trio.to_thread.run_sync(self._cache.begin)
        try:
            async for piece in pieces:
                count += len(piece)
                sha1.update(piece)
                await trio.to_thread.run_sync(_write, fd, piece)
            if (wanted and sha1.hexdigest() != wanted) or (length is not None and int(length) != count):
                raise AwayError("the bundle has come damaged")
            await trio.to_thread.run_sync(self._cache.keep, fd, path, sha1.hexdigest())
        finally:
            os.close(fd)
            self._cache.drop(path)
        await trio.to_thread.run_sync(self._cache.name, blob_hash, sha1.hexdigest())

    # -- results --

    async def keep_file(self, found: FoundFile, *, job_id: str, limiter: trio.CapacityLimiter) -> tuple[str, int]:
        """See ``Shelf``."""
        name = found.path.rpartition("/")[2]
        fd = await trio.to_thread.run_sync(found.open, limiter=limiter)
        try:
            content_hash, size_bytes = "", found.size_bytes
            if size_bytes > _ASK_BYTES:
                content_hash, size_bytes = await trio.to_thread.run_sync(_measure, fd, size_bytes, limiter=limiter)
                told = await self._known(job_id, name, content_hash, size_bytes)
                if told is not None:
                    return told, size_bytes
            sending = _Sending(fd, min(size_bytes, os.fstat(fd).st_size), limiter)
            said = await self._send(job_id, "files", sending, sending.size_bytes, name=name)
        finally:
            os.close(fd)
        # it may be another content than was measured a moment ago, by what the job has left running
        if said.get("content") != sending.sha1.hexdigest():
            raise AwayError(f"{name} has come damaged")
        return _hash_of(said), sending.size_bytes

    async def keep_record(self, record: Record, *, job_id: str) -> str:
        """See ``Shelf``."""
        text = await trio.to_thread.run_sync(serialize, record)
        said = await self._send(job_id, "records", _Text(text), len(text))
        if said.get("hash") != await trio.to_thread.run_sync(metadata_hash, record):
            raise AwayError("a record has come damaged")
        return _hash_of(said)

    async def _known(self, job_id: str, name: str, content_hash: str, size_bytes: int) -> str | None:
        """The hash of a file's record whose content the server has already; None if it has not."""
        try:
            said = await self._send(
                job_id, "files", _Text(b""), 0, name=name, content=content_hash, size_bytes=str(size_bytes)
            )
        except UnknownBlobError:
            return None
        return _hash_of(said)

    async def _send(
        self, job_id: str, what: str, body: AsyncIterator[bytes], length: int, **query: str
    ) -> dict[str, Any]:
        """One request with a body; the answer's map.

        Raises:
            UnknownBlobError: The server does not have what is named in it.
            JobdeckError: It cannot be done, or not now.
        """
        try:
            async with self._asking() as requests:
                said = await requests.send(
                    "POST",
                    self._path(job_id, what),
                    body,
                    query=list(query.items()),
                    headers=self._who,
                    length=length,
                    answer_timeout_s=self._settings.answer_timeout_s,
                )
        except NotFoundError as error:
            raise UnknownBlobError(query.get("content", "")) from error
        except ClientError as error:
            raise _meant(error) from error
        return said if isinstance(said, dict) else {}

    # -- requests --

    @property
    def _who(self) -> dict[str, str]:
        return {"Jobdeck-Worker": self._worker_id}

    def _path(self, job_id: str, what: str) -> str:
        return f"/v1/worker/jobs/{job_id}/{what}"

    @asynccontextmanager
    async def _asking(self) -> AsyncGenerator[Requests, None]:
        """Connections for one request; after a failure the next ones read token and certificates anew.

        Raises:
            AwayError: The token cannot be read.
            ClientError: The certificates cannot be used; or what came within the block.
        """
        async with self._dialling:
            line = self._line = self._line or await self._dial()
            line.users_count += 1
        try:
            yield line.requests
        except (UnreachableError, NotAllowedError):
            if self._line is line:
                self._line = None
            raise
        finally:
            line.users_count -= 1
            if self._line is not line and not line.users_count:
                await _hang_up(line)

    async def _dial(self) -> _Line:
        settings = self._settings
        try:
            token = await trio.to_thread.run_sync(read_token, settings.token_file)
        except TokenError as error:
            raise AwayError(str(error)) from error
        trust = Trust(ca=settings.ca_file, cert=settings.client_cert, key=settings.client_key)
        requests = Requests(
            self._base_url, None if token is None else token.decode(), timeout_s=settings.silence_s, trust=trust
        )
        await requests.open()
        return _Line(requests)


async def _hang_up(line: _Line) -> None:
    with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_LIMIT_S):
        await line.requests.close()


class _Text:
    """A body that is there already."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._data:
            raise StopAsyncIteration
        data, self._data = self._data, b""
        return data


class _Sending:
    """The first bytes of an open file as a body, hashed on the way; ``size_bytes`` of them."""

    def __init__(self, fd: int, size_bytes: int, limiter: trio.CapacityLimiter) -> None:
        self._fd = fd
        self._limiter = limiter
        self._at = 0
        self.size_bytes = size_bytes
        self.sha1 = hashlib.sha1(usedforsecurity=False)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        read = partial(os.pread, self._fd, min(PIECE_BYTES, self.size_bytes - self._at), self._at)
        piece = await trio.to_thread.run_sync(read, limiter=self._limiter) if self._at < self.size_bytes else b""
        if not piece:
            raise StopAsyncIteration  # httpx complains if it is less than was said
        self._at += len(piece)
        self.sha1.update(piece)
        return piece


def http_url(server: str) -> str:
    """The server for single requests: ``ws`` becomes ``http``; no slash at its end."""
    scheme, _, rest = server.partition("://")
    return f"{'https' if scheme in ('https', 'wss') else 'http'}://{rest.rstrip('/')}"


def _measure(fd: int, size_bytes: int) -> tuple[str, int]:
    """SHA-1 and length of what there is of a file, up to a length. Blocks."""
    sha1, at = hashlib.sha1(usedforsecurity=False), 0
    while piece := os.pread(fd, min(PIECE_BYTES, size_bytes - at), at):
        sha1.update(piece)
        at += len(piece)
    return sha1.hexdigest(), at


def _write(fd: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(fd, view) :]


def _hash_of(said: dict[str, Any]) -> str:
    if not is_hash(found := said.get("hash")):
        raise AwayError("the server's answer was not understood")
    return str(found)


def _meant(error: ClientError) -> JobdeckError:
    """What an error of a request is for who asked: worth any wait, worth some, or final."""
    if not isinstance(error, RefusedError) or isinstance(error, NotAllowedError):
        return AwayError(str(error))
    match error.status:
        case 507:
            return NoSpaceError(str(error))
        case 408 | 409 | 425 | 429 | 500 | 502 | 503 | 504:  # 409: a restored server may not know yet whose the job is
            return CapacityError(str(error))
    return JobdeckError(str(error))
