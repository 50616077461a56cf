"""A console on a blob store that lives in the test: no server, no trio; answers come at once."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.events import Key
from textual.keys import _character_to_key
from textual.message import Message

from jobdeck_client import BlobContent, BlobEntry
from jobdeck_client.errors import ClientError, NotFoundError, UnreachableError
from jobdeck_protocol.blob import ARTIFACT, Blob
from jobdeck_protocol.job import Job
from jobdeck_tui.console import state as told
from jobdeck_tui.console.bloblist import BlobQuery
from jobdeck_tui.console.keys import KeyOrder
from jobdeck_tui.console.pages import Place
from jobdeck_tui.console.screens.blobs import BlobsScreen
from jobdeck_tui.console.screens.results import ResultsScreen
from jobdeck_tui.console.state import JobOpened
from tests.tui.console.harness import screen_text, until
from tests.tui.console.lists import FakeDeck, ListApp, with_jobs

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from jobdeck_tui.console.screens.peek import PeekScreen

ENTRIES_PAGE_COUNT = 1000


@dataclass
class Store:
    """Blobs in the order in which they came, their bytes, and the files of artifacts."""

    blobs: list[Blob] = field(default_factory=list)
    data: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, dict[str, bytes | None]] = field(default_factory=dict)

    def put(self, name: str, data: bytes = b"", **fields: Any) -> Blob:
        """Keep a file."""
        n = len(self.data) + len(self.files) + 1
        blob_hash = hashlib.sha1(f"{n} {name}".encode(errors="replace"), usedforsecurity=False).hexdigest()
        blob = Blob(hash=blob_hash, name=name, size_bytes=len(data), created_us=n * 1000, **fields)
        self.blobs.append(blob)
        self.data[blob_hash] = data
        return blob

    def artifact(self, name: str, files: dict[str, bytes | None]) -> Blob:
        """Keep an artifact; None for a file that is not there."""
        blob = replace(self.put(name), type=ARTIFACT, entry_count=len(files))
        self.blobs[-1] = blob
        del self.data[blob.hash]
        self.files[blob.hash] = files
        return blob

    def many(self, count: int) -> Store:
        """So many small files."""
        for n in range(1, count + 1):
            self.put(f"file-{n:04d}.csv", b"x" * n)
        return self


@dataclass
class FakePager:
    """The trio side's pages of blobs."""

    deck: FakeDeck
    store: Store
    queries: list[BlobQuery] = field(default_factory=list)

    def query(self, query: BlobQuery) -> None:
        self.queries.append(query)
        self.deck.tell(told.QueryAsked(query=query))
        self.load(Place.START)

    def load(self, place: Place) -> None:
        query = self.deck.state.blobs.query
        self.deck.tell(told.PageAsked(query=query, place=place))
        ask = self.deck.state.blobs.asks[place]
        found = [blob for blob in self.store.blobs if query.matches(blob)]
        found.sort(key=lambda blob: (blob.size_bytes if ask.sort.endswith("size") else 0, blob.created_us))
        if ask.sort.startswith("-"):
            found.reverse()
        at = int(ask.cursor or 0)
        if ask.after is not None:
            at = next(n for n, blob in enumerate(found) if blob.hash == ask.after) + 1
        page, more = tuple(found[at : at + ask.limit_count]), at + ask.limit_count < len(found)
        if place in (Place.ABOVE, Place.END):
            page = page[::-1]
        cursor = str(at + ask.limit_count) if more else None
        self.deck.tell(told.PageCame(query=query, place=place, rows=page, more=more, cursor=cursor))


@dataclass
class FakeBlobs:
    """What is asked of the server's blobs.

    Attributes:
        asked: All questions.
        failure: Raised instead of an answer.
        pause: Uploads and downloads wait for it, half done.
        endless_bytes: Each file is so long, and counts from 0 to 255 again and again.
    """

    store: Store
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    failure: Exception | None = None
    refused: list[tuple[str, str]] = field(default_factory=list)
    pause: asyncio.Event | None = None
    endless_bytes: int | None = None

    def _take(self, *asked: Any) -> None:
        self.asked.append(asked)
        if self.failure is not None:
            raise self.failure

    def _bytes(self, blob: str, path: str | None) -> bytes:
        data = self.store.data.get(blob) if path is None else self.store.files[blob].get(path)
        if data is None:
            raise NotFoundError(404, "no", f"There is no {path or blob}.")
        return data

    async def show(self, blob: str) -> Blob:
        self._take("show", blob)
        found = next((each for each in self.store.blobs if each.hash == blob), None)
        if found is None:
            raise NotFoundError(404, "no", f"There is no blob {blob}.")
        return found

    async def entry_page(self, blob: str, cursor: str) -> tuple[tuple[BlobEntry, ...], str | None]:
        self._take("entries", blob, cursor)
        files = list(self.store.files[blob].items())
        start = int(cursor)
        page = files[start : start + ENTRIES_PAGE_COUNT]
        entries = tuple(
            BlobEntry(path=path, type="object", hash="c" * 40, size_bytes=None if data is None else len(data))
            for path, data in page
        )
        return entries, str(start + len(page)) if start + len(page) < len(files) else None

    async def look(self, blob: str, path: str | None) -> BlobContent:
        self._take("look", blob, path)
        if self.endless_bytes is not None:
            return BlobContent(etag="e" * 40, size_bytes=self.endless_bytes)
        return BlobContent(etag="e" * 40, size_bytes=len(self._bytes(blob, path)))

    async def part(self, blob: str, path: str | None, start: int, end: int) -> bytes:
        self._take("part", start, end)
        if self.endless_bytes is not None:
            return bytes(at % 256 for at in range(start, min(end, self.endless_bytes)))
        return self._bytes(blob, path)[start:end]

    async def pin(self, blobs: Sequence[str], *, on: bool) -> list[tuple[str, str]]:
        self._take("pin" if on else "unpin", *blobs)
        return self.refused

    async def remove(self, blobs: Sequence[str], *, recursive: bool) -> list[tuple[str, str]]:
        self._take("remove", *blobs, recursive)
        return self.refused

    async def upload(self, path: Path, tags: Sequence[str], tell: Callable[[int, int | None], None]) -> Blob:
        self._take("upload", path.name, *tags)
        data = path.read_bytes()
        await self._half(len(data), tell)
        return self.store.put(path.name, data, tags=tuple(tags))

    async def download(
        self, blob: str, path: str | None, target: Path, tell: Callable[[int, int | None], None], *, replace: bool
    ) -> int:
        self._take("download", blob, path, target.name, replace)
        data = self._bytes(blob, path)
        await self._half(len(data), tell)
        target.write_bytes(data)
        return len(data)

    async def _half(self, size: int, tell: Callable[[int, int | None], None]) -> None:
        tell(size // 2, size)
        if self.pause is not None:
            await self.pause.wait()


class BlobApp(ListApp):
    """The console, on a store in memory."""

    def __init__(self, store: Store, *, read_only: bool = False) -> None:
        super().__init__(with_jobs(3), read_only=read_only)
        self.fake.blobs = self.pager = FakePager(self.fake, store)
        self.asking.blobs = self.blobs = FakeBlobs(store)


async def press(pilot: Pilot[int], *keys: str) -> None:
    """Keys all at once, as a terminal sends them; pilot.press would wait for a quiet machine with each of them."""
    for key in keys:
        name = _character_to_key(key) if len(key) == 1 else key
        pilot.app.post_message(Key(name, key if len(key) == 1 else None))
    await pilot.pause()
    app = pilot.app
    if isinstance(app, KeyOrder):
        await until(pilot, lambda: not app.keys_waiting)


@dataclass
class Stage:
    """What a test has in its hands."""

    app: BlobApp
    pilot: Pilot[int]
    messages: list[Message]

    @property
    def screen(self) -> BlobsScreen:
        return next(each for each in self.app.screen_stack if isinstance(each, BlobsScreen))

    @property
    def names(self) -> list[str]:
        """Of the blobs on the screen."""
        table = self.screen.table
        return [blob.name for blob in table.rows[table.first_seen : table.first_seen + table.seen_count]]

    @property
    def peek(self) -> PeekScreen:
        screen: Any = self.app.screen
        assert type(screen).__name__ == "PeekScreen"
        return screen  # type: ignore[no-any-return]  # imported for its name alone

    def asked(self, kind: str) -> list[tuple[Any, ...]]:
        return [each for each in self.app.blobs.asked if each[0] == kind]

    async def press(self, *keys: str) -> None:
        await press(self.pilot, *keys)

    async def see(self, *words: str) -> None:
        """Wait until all of this is on the screen."""
        await until(self.pilot, lambda: all(word in screen_text(self.app) for word in words))

    async def unseen(self, words: str) -> None:
        await until(self.pilot, lambda: words not in screen_text(self.app))

    async def on(self, kind: type[Any]) -> None:
        """Wait until such a screen is on top."""
        await until(self.pilot, lambda: isinstance(self.app.screen, kind) and self.app.screen.is_mounted)

    def tell(self, message: told.Message) -> None:
        self.app.fake.tell(message)

    async def results_of(self, job: Job) -> None:
        """Show the results of a job, kept up to date."""

        async def open_it(_: str) -> Job:
            self.tell(JobOpened(job=job))
            return job

        self.app.asking.open = open_it  # type: ignore[method-assign,assignment]  # the double of a double
        self.app.push_screen(ResultsScreen(job.id))
        await self.on(ResultsScreen)


@asynccontextmanager
async def stage(store: Store, *, size: tuple[int, int] = (100, 24), read_only: bool = False) -> AsyncIterator[Stage]:
    """A console that shows the list of blobs."""
    app = BlobApp(store, read_only=read_only)
    messages: list[Message] = []
    async with app.run_test(size=size, message_hook=messages.append) as pilot:
        it = Stage(app, pilot, messages)
        app.fake.load(Place.START)
        await pilot.press("2")
        await it.on(BlobsScreen)
        await until(pilot, lambda: it.screen.table.blobs is app.fake.state.blobs)
        yield it


NO_SERVER: ClientError = UnreachableError("http://h", "No server answers.")
