"""A console on packages that live in the test: no server, no trio; answers come at once, or when let through."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.message import Message

from jobdeck_client import ConfigCheck, PackageDetails
from jobdeck_client.errors import ClientError, NotFoundError, UnreachableError
from jobdeck_protocol.job import Job
from jobdeck_protocol.packageinfo import PackageInfo
from jobdeck_tui.console import state as told
from jobdeck_tui.console.few import FewCame, Kind
from jobdeck_tui.console.pages import Place
from jobdeck_tui.console.screens.packages import PackagesScreen
from tests.tui.console.fewstage import FewStage
from tests.tui.console.harness import until
from tests.tui.console.lists import FakeDeck, ListApp, with_jobs

if TYPE_CHECKING:
    pass

STARTED = Job(id="5453779a-f004-45fc-a11d-a39dae0f9bf4", dialect="v1", main_class="jobs.WordCount")


def package(name: str, **fields: Any) -> PackageInfo:
    """A package that came a while ago."""
    content = hashlib.sha1(name.encode(errors="replace"), usedforsecurity=False).hexdigest()
    usual = {"size_bytes": 12_345, "hash": content, "content": content, "uploaded_us": now_us() - 3_600_000_000}
    return PackageInfo(name=name, **{**usual, **fields})


def now_us() -> int:
    return time.time_ns() // 1000


def some() -> list[PackageInfo]:
    """Of each kind, and odd ones."""
    return [
        package("words", versions_count=3, uploaded_us=now_us() - 42_000_000),
        package("long-running", kind="egg", size_bytes=1_234_567),
        package("spark-tests", kind="jar", size_bytes=87_654_321, uploaded_us=now_us() - 90_000_000_000),
        package("日本語 パッケージ", size_bytes=999),
        package("evil\x1b[2J\u202ename", versions_count=12),
    ]


@dataclass
class FakeWatch:
    """The trio side's watch over the packages."""

    deck: FakeDeck
    packages: list[PackageInfo]
    looks: list[tuple[str | None, bool]] = field(default_factory=list)
    reads: int = 0

    def look(self, item_id: str | None, *, seen: bool = True) -> None:
        if not self.looks or self.looks[-1] != (item_id, seen):
            self.looks.append((item_id, seen))

    def read(self) -> None:
        self.reads += 1
        self.deck.tell(FewCame(kind=Kind.PACKAGES, items=tuple(self.packages)))


@dataclass
class FakePackages:
    """What is asked of the server's packages.

    Attributes:
        asked: All questions.
        failure: Raised instead of an answer.
        classes: What is found in each package.
        pause: Uploads, checks and starts wait for it.
        slow: So does a look into a package.
    """

    watch: FakeWatch
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    failure: Exception | None = None
    refused: list[tuple[str, str]] = field(default_factory=list)
    classes: tuple[str, ...] = ("jobs.WordCount", "jobs.LongRunning", "jobs.deep.Failing")
    pause: asyncio.Event | None = None
    slow: bool = False

    async def _take(self, *asked: Any) -> None:
        self.asked.append(asked)
        if self.failure is not None:
            raise self.failure
        if self.pause is not None and (self.slow or asked[0] != "show"):
            await self.pause.wait()

    async def show(self, name: str) -> PackageDetails:
        await self._take("show", name)
        found = next((each for each in self.watch.packages if each.name == name), None)
        if found is None:
            raise NotFoundError(404, "no", f"There is no package {name}.")
        versions = tuple(
            package(name, uploaded_us=found.uploaded_us - n * 86_400_000_000) for n in range(found.versions_count)
        )
        classes = self.classes if found.kind != "jar" else ()
        return PackageDetails(package=found, versions=versions, classes=classes, classes_complete=True)

    async def upload(self, name: str, path: Path, kind: str, tell: Callable[[int, int | None], None]) -> PackageInfo:
        data = path.read_bytes()
        tell(len(data) // 2, len(data))
        await self._take("upload", name, path.name, kind)
        former = next((each for each in self.watch.packages if each.name == name), None)
        count = 1 if former is None else former.versions_count + 1
        new = package(name, kind=kind, size_bytes=len(data), versions_count=count, uploaded_us=now_us())
        self.watch.packages = [*(each for each in self.watch.packages if each.name != name), new]
        return new

    async def remove(self, names: Sequence[str]) -> list[tuple[str, str]]:
        await self._take("remove", *names)
        kept = {name for name, _ in self.refused}
        self.watch.packages = [each for each in self.watch.packages if each.name not in names or each.name in kept]
        return self.refused

    async def check(self, text: str) -> ConfigCheck:
        await self._take("check", text)
        for number, line in enumerate(text.splitlines(), start=1):
            if "!" in line:
                return ConfigCheck(
                    ok=False, error=f"a key may not hold '!' ({line.strip()})", line=number, column=line.index("!") + 1
                )
        return ConfigCheck(ok=True, config=dict.fromkeys(text.split(), 1))

    async def start(self, **order: Any) -> Job:
        await self._take("start", order)
        return STARTED


class PackageApp(ListApp):
    """The console, on packages in memory."""

    def __init__(self, packages: list[PackageInfo], *, known: bool = True, read_only: bool = False) -> None:
        super().__init__(with_jobs(3), read_only=read_only)
        self.watch_over = FakeWatch(self.fake, packages)
        self.fake.few[Kind.PACKAGES] = self.watch_over
        self.packages = FakePackages(self.watch_over)
        self.asking.packages = self.packages
        if known:
            self.fake.tell(FewCame(kind=Kind.PACKAGES, items=tuple(packages)))


@dataclass
class Stage(FewStage[PackageApp, PackagesScreen]):
    """What a test has in its hands."""

    KIND = Kind.PACKAGES
    SCREEN = PackagesScreen

    def asked(self, kind: str) -> list[tuple[Any, ...]]:
        return [each for each in self.app.packages.asked if each[0] == kind]

    def tell_gone(self, name: str) -> None:
        self.tell_left(name)


@asynccontextmanager
async def stage(
    packages: list[PackageInfo], *, size: tuple[int, int] = (100, 24), known: bool = True, read_only: bool = False
) -> AsyncIterator[Stage]:
    """A console that shows the list of packages."""
    app = PackageApp(packages, known=known, read_only=read_only)
    messages: list[Message] = []
    async with app.run_test(size=size, message_hook=messages.append) as pilot:
        it = Stage(app, pilot, messages)
        app.fake.tell(told.LinkTold(up=True, at_us=0))
        app.fake.load(Place.START)
        await it.press("4")
        await it.on(PackagesScreen)
        await until(pilot, lambda: len(it.screen.table.rows) == (len(packages) if known else 0))
        yield it


NO_SERVER: ClientError = UnreachableError("http://h", "No server answers.")
