"""Packages fetched by URI into the blob store: http, https, ftp, and files of this machine below chosen folders.

    fetched = await fetcher.fetch("https://builds.example.org/wordcount.whl")
    fetched.content.hash    # of bytes that stay for ``Settings.blob_grace_s``; a record in ``Blobs`` keeps them

What was fetched before is fetched again only if it may have changed: the server there is asked with what it said of the
last answer (``ETag``, or ``Last-Modified`` if that is old enough to mean something), a file is looked at. Ftp says
nothing that could be relied on. Those who want the same at the same time wait for one fetch; it ends when the last of
them goes. Memory alone holds what is known of a URI, as it may be a secret; the bytes are kept once, whatever it is.

Everything is bounded: the number of fetches, the bytes, the time in all, the time until something comes, and the rate.
A body whose end cannot be told from a broken connection is refused, and so is a compressed one.
"""

from __future__ import annotations

import logging
import os
import time
from collections import OrderedDict
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import unquote

import trio

from jobdeck_server.core import fetchfiles
from jobdeck_server.core.errors import CapacityError, JobdeckError, TooLargeError, UnavailableError
from jobdeck_server.core.outbound import ftp, urls
from jobdeck_server.core.outbound.errors import FailedError, OutboundError, SchemeError
from jobdeck_server.core.outbound.exchange import Answer, Exchange
from jobdeck_server.core.outbound.urls import FILE_SCHEMES, Url
from jobdeck_server.core.store import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from jobdeck_server.core.blobs import Blobs, Content
    from jobdeck_server.core.fetchfiles import Seen
    from jobdeck_server.core.outbound.door import Door
    from jobdeck_server.core.uploads import Upload
    from jobdeck_server.settings import Settings

__all__ = ["SCHEMES", "Fetched", "Fetcher"]

SCHEMES = ("http", "https", "ftp")
_log = logging.getLogger("jobdeck.fetching")
_READ_BYTES = 1024 * 1024
_OK = 200
_UNCHANGED = 304
_REDIRECTS = range(300, 400)
_SURE = timedelta(seconds=60)  # a Last-Modified younger than this may have been followed by another change
_WAITING_LIMIT_COUNT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a URI has brought.

    Attributes:
        name: The last part of its path, decoded: a file's name, or what somebody chose to call it. Not to be trusted.
        content: The bytes, in the blob store.
        shown: The URI without its query, for people and logs.
        again: Nothing was transferred: it is what it was the last time.
    """

    name: str
    content: Content
    shown: str
    again: bool


@dataclass(frozen=True, slots=True)
class _Known:
    """What was fetched, and how to ask whether it still is the same."""

    content: Content
    validators: Mapping[str, str]
    seen: Seen | None


@dataclass(slots=True, eq=False)
class _Flight:
    """A fetch that is under way, and how many wait for it."""

    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    landed: trio.Event = field(default_factory=trio.Event)
    waiting_count: int = 0
    result: Fetched | Exception | None = None


class Fetcher:
    """See the top of this file. ``run`` must be running.

    Args:
        settings: Those that begin with ``fetch_`` and ``outbound_``.
        blobs: Where the bytes go.
        door: What may be called.
    """

    def __init__(self, settings: Settings, *, blobs: Blobs, door: Door) -> None:
        self._settings = settings
        self._blobs = blobs
        self._door = door
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._flights: dict[str, _Flight] = {}
        self._limiter = trio.CapacityLimiter(settings.fetch_limit_count)
        self._nursery: trio.Nursery | None = None
        self.transfer_count = 0  # of those that brought bytes

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own what is under way, until cancelled."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    def check(self, uri: str) -> str:
        """Refuse a URI that may not be fetched, as far as that can be told without the network.

        Returns:
            It in one spelling, without its query: for people.

        Raises:
            SchemeError: It is of no scheme that is known here.
            RefusedError: It is no URI, or not allowed.
        """
        parts = self._file_parts(uri)
        if parts is None:
            return self._door.check(uri).shown
        fetchfiles.folder_of(self._settings.fetch_folders, parts)
        return _shown_file(parts)

    async def fetch(self, uri: str) -> Fetched:
        """Have what a URI names in the blob store.

        Raises:
            RefusedError: It is not allowed.
            FailedError: It could not be had this time.
            TooLargeError: It is longer than ``Settings.fetch_limit_bytes``.
            CapacityError: Too many want something just now.
            NoSpaceError, StoreError: The disk is full, or has failed.
        """
        self.check(uri)
        if self._nursery is None:
            raise UnavailableError("This server is only about to start.")
        flight = self._flights.get(uri)
        if flight is None:
            if len(self._flights) >= _WAITING_LIMIT_COUNT:
                raise CapacityError("Too much is being fetched at the same time; try again later.")
            flight = self._flights[uri] = _Flight()
            self._nursery.start_soon(self._fly, uri, flight)
        flight.waiting_count += 1
        try:
            await flight.landed.wait()
        finally:
            flight.waiting_count -= 1
            if not flight.waiting_count and not flight.landed.is_set():
                self._flights.pop(uri, None)  # who comes now begins anew
                flight.scope.cancel()
        if isinstance(flight.result, Fetched):
            return flight.result
        raise flight.result or FailedError("It could not be fetched.")

    async def _fly(self, uri: str, flight: _Flight) -> None:
        try:
            with flight.scope:
                flight.result = await self._land(uri)
        except (JobdeckError, OutboundError, StoreError) as error:
            flight.result = error
        except Exception:  # noqa: BLE001  # a fault in one fetch must not end all others
            _log.exception("fetching")
            flight.result = FailedError("It could not be fetched: there is a fault in this server.")
        finally:
            if self._flights.get(uri) is flight:
                del self._flights[uri]
            flight.landed.set()

    async def _land(self, uri: str) -> Fetched:
        parts = self._file_parts(uri)
        shown = self.check(uri)
        async with self._limiter:
            with trio.move_on_after(self._settings.fetch_time_s):
                known = await self._still_known(uri)
                fresh = await (self._file(parts, known) if parts is not None else self._call(uri, known))
                self._remember(uri, fresh)
                name = parts[-1].decode("utf-8", "replace") if parts else unquote(shown.rpartition("/")[2])
                return Fetched(name=name, content=fresh.content, shown=shown, again=fresh is known)
        raise FailedError(f"{shown} could not be fetched in {self._settings.fetch_time_s:g} s.")

    def _file_parts(self, uri: str) -> tuple[bytes, ...] | None:
        """The path of a ``file:`` or ``local:`` URI, None for others."""
        scheme = urls.scheme_of(uri)
        if scheme not in FILE_SCHEMES:
            if scheme not in SCHEMES:
                raise SchemeError("The address must begin with http:, https:, ftp:, file: or local:.")
            return None
        return urls.parse_file(uri, limit_bytes=self._settings.outbound_url_limit_bytes)

    # -- what is known --

    async def _still_known(self, uri: str) -> _Known | None:
        """What was fetched before, if its bytes are still here; they stay for a while then."""
        known = self._known.get(uri)
        if known is None or await self._blobs.renew(known.content):
            return known
        del self._known[uri]
        return None

    def _remember(self, uri: str, fresh: _Known) -> None:
        self._known.pop(uri, None)
        if fresh.validators or fresh.seen is not None:
            self._known[uri] = fresh
        while len(self._known) > self._settings.fetch_cache_count:
            self._known.popitem(last=False)

    # -- files --

    async def _file(self, parts: tuple[bytes, ...], known: _Known | None) -> _Known:
        opened = partial(fetchfiles.open_below, self._settings.fetch_folders, parts)
        fd, seen = await trio.to_thread.run_sync(opened)
        try:
            if known is not None and known.seen == seen:
                return known
            async with self._upload(seen.size_bytes) as pour:
                while piece := await trio.to_thread.run_sync(os.read, fd, _READ_BYTES):
                    await pour.write(piece)
                if fetchfiles.look(fd) != seen or pour.size_bytes != seen.size_bytes:
                    raise FailedError("This file was changed while it was read.")
                content = await pour.commit()
            return _Known(content, {}, seen if seen.is_settled(time.time_ns()) else None)
        finally:
            os.close(fd)

    # -- the network --

    async def _call(self, uri: str, known: _Known | None) -> _Known:
        url = self._door.check(uri)
        async with self._door.connect(url) as line:
            if url.scheme == "ftp":
                with trio.move_on_after(self._settings.fetch_head_s) as patience:
                    async with ftp.retrieve(self._door, url, line) as (size_bytes, pieces):
                        patience.deadline = float("inf")
                        return _Known(await self._take(url, size_bytes, pieces), {}, None)
                raise _silent(url, self._settings.fetch_head_s)
            exchange = Exchange(line.stream, url, head_limit_bytes=self._settings.outbound_head_limit_bytes)
            answer: Answer | None = None
            with trio.move_on_after(self._settings.fetch_head_s):
                answer = await exchange.request("GET", known.validators if known else {})
            if answer is None:
                raise _silent(url, self._settings.fetch_head_s)
            if answer.status == _UNCHANGED and known is not None:
                return known
            _check_answer(url, answer)
            return _Known(await self._take(url, answer.length_bytes, exchange.pieces()), _validators(answer), None)

    async def _take(self, url: Url, size_bytes: int | None, pieces: AsyncGenerator[bytes, None]) -> Content:
        """Bring what comes into the blob store, as long as it comes fast enough."""
        began = trio.current_time()
        grace_s, floor = self._settings.fetch_grace_s, self._settings.fetch_rate_floor_bytes_per_s
        with trio.CancelScope(deadline=began + grace_s) as pace:
            async with self._upload(size_bytes) as pour:
                async with aclosing(pieces):
                    async for piece in pieces:
                        await pour.write(piece)
                        pace.deadline = began + grace_s + pour.size_bytes / floor
                pace.deadline = float("inf")  # what is left is ours
                return await pour.commit()
        raise FailedError(f"{url.place} sends less than {floor} bytes a second.")

    @asynccontextmanager
    async def _upload(self, size_bytes: int | None) -> AsyncGenerator[Upload, None]:
        limit_bytes = self._settings.fetch_limit_bytes
        if (size_bytes or 0) > limit_bytes:
            raise TooLargeError("The package", limit_bytes)
        self.transfer_count += 1
        async with self._blobs.upload(limit_bytes, expected_bytes=size_bytes) as upload:
            yield upload


def _shown_file(parts: tuple[bytes, ...]) -> str:
    return "file:///" + "/".join(part.decode("utf-8", "backslashreplace") for part in parts)


def _silent(url: Url, limit_s: float) -> FailedError:
    return FailedError(f"{url.place} did not answer in {limit_s:g} s.")


def _check_answer(url: Url, answer: Answer) -> None:
    """Refuse an answer that does not bring the thing itself."""
    if answer.status in _REDIRECTS:
        raise FailedError(f"{url.shown} is elsewhere ({answer.status}), and redirects are not followed.")
    if answer.status != _OK:
        raise FailedError(f"{url.shown} was answered with {answer.status}.")
    if answer.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise FailedError(f"{url.place} compresses its answer, though it was asked not to.")
    if not answer.framed:
        raise FailedError(f"{url.place} does not say how long its answer is.")


def _validators(answer: Answer) -> dict[str, str]:
    """With what to ask whether it has changed; nothing if the answer could not be told from a later one."""
    tag = answer.headers.get("etag")
    if tag is not None and tag.isascii():
        return {"If-None-Match": tag}
    with suppress(KeyError, TypeError, ValueError):
        modified, sent = answer.headers["last-modified"], answer.headers["date"]
        if parsedate_to_datetime(sent) - parsedate_to_datetime(modified) >= _SURE:
            return {"If-Modified-Since": modified}
    return {}
