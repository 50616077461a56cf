"""A console with one output pane on logs that live in the test: no server, no trio, every answer under control."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from textual.events import Key
from textual.keys import _character_to_key
from textual.widgets import Input

from jobdeck_client.errors import ClientError, NotFoundError
from jobdeck_client.lines import Done, Found, Hit, Line, LinePage, Progress
from jobdeck_protocol.job import Job, JobState, Step
from jobdeck_tui import console
from jobdeck_tui.console.app import ConsoleApp
from jobdeck_tui.console.screens.base import DeckScreen
from jobdeck_tui.console.state import LogKey, LogSize, State
from jobdeck_tui.console.widgets.output_pane import OutputPane
from tests.tui.console.harness import screen_text, until

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.events import Mount
    from textual.pilot import Pilot

    from jobdeck_tui.console.api import Api
    from jobdeck_tui.console.deck import Deck

START_US = 1_700_000_000_000_000
JOB_ID = "0a1b2c3d-0000-4000-8000-000000000001"
OTHER_ID = "ffffffff-0000-4000-8000-000000000002"


def job_of(job_id: str = JOB_ID, state: JobState = JobState.RUNNING, **changes: Any) -> Job:
    """A record."""
    job = Job(id=job_id, dialect="v1", steps=(Step(command_line="make all"),), state=state, started_us=START_US)
    return replace(job, **changes)


class Log:
    """The text of one log; ``sources`` says of each line who wrote it."""

    def __init__(self, *lines: bytes, end: bytes = b"\n") -> None:
        self.lines: list[tuple[bytes, str]] = []
        self.open = False  # the last line has no newline
        if lines:
            self.write(b"\n".join(lines) + end)

    def write(self, data: bytes, stream: str = "stdout") -> None:
        """Write more of it."""
        *whole, rest = data.split(b"\n")
        for n, text in enumerate([*whole, rest] if rest else whole):
            if n == 0 and self.open:
                self.lines[-1] = (self.lines[-1][0] + text, self.lines[-1][1])
            else:
                self.lines.append((text, stream))
        self.open = bool(rest)

    def of(self, stream: str | None) -> list[tuple[bytes, str]]:
        return [each for each in self.lines if stream in (None, each[1])]

    def line(self, n: int, stream: str | None) -> tuple[bytes, str]:
        return self.of(stream)[n]

    def count(self, stream: str | None) -> int:
        return len(self.of(stream))

    def offset(self, n: int, stream: str | None) -> int:
        return sum(len(text) + 1 for text, _ in self.of(stream)[:n])

    def size(self, stream: str | None) -> int:
        return self.offset(self.count(stream), stream) - self.open

    def read(self, start: int, end: int, stream: str | None) -> bytes:
        return b"".join(text + b"\n" for text, _ in self.of(stream))[start:end]


class EndlessLog(Log):
    """Lines that are made when somebody looks: any number of them, all of one length."""

    LINE_BYTES = 20

    def __init__(self, line_count: int) -> None:
        super().__init__()
        self.line_count = line_count

    def line(self, n: int, stream: str | None) -> tuple[bytes, str]:
        del stream
        return b"line %014d" % (n + 1), "stdout"

    def count(self, stream: str | None) -> int:
        del stream
        return self.line_count

    def offset(self, n: int, stream: str | None) -> int:
        del stream
        return n * self.LINE_BYTES


class LongLine(Log):
    """One line without an end, made when somebody looks: its bytes tell where they stand."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length

    def line(self, n: int, stream: str | None) -> tuple[bytes, str]:
        return self.read(0, 70_000, stream), "stdout"

    def count(self, stream: str | None) -> int:
        del stream
        return 1

    def offset(self, n: int, stream: str | None) -> int:
        del stream
        return n * self.length

    def size(self, stream: str | None) -> int:
        del stream
        return self.length

    def read(self, start: int, end: int, stream: str | None) -> bytes:
        del stream
        first = start // 10
        text = b"".join(b"%09d " % (n * 10) for n in range(first, min(end, self.length) // 10 + 1))
        return text[start - first * 10 : min(end, self.length) - first * 10]


@dataclass
class FakeApi:
    """Answers as a server would, from ``logs``.

    Attributes:
        asked: What was asked, in order.
        gate: When set to one, answers wait for it.
        failing: When set, raised instead of an answer.
    """

    jobs: dict[str, Job] = field(default_factory=dict)
    logs: dict[str, Log] = field(default_factory=dict)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    gate: asyncio.Event | None = None
    failing: ClientError | None = None
    desk: FakeDeck | None = None

    async def _pass(self) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.failing is not None:
            raise self.failing

    async def open(self, job_id: str) -> Job:
        self.asked.append(("open", job_id))
        await self._pass()
        for job in self.jobs.values():
            if job.id.startswith(job_id):
                assert self.desk is not None
                self.desk.open(job)
                return job
        raise NotFoundError(404, "Not found", f"There is no job {job_id}.")

    async def lines(
        self,
        job_id: str,
        *,
        start: int | None = None,
        offset: int | None = None,
        count: int,
        cap_bytes: int,
        stream: str | None = None,
    ) -> LinePage:
        assert start is not None
        assert offset is None
        self.asked.append(("lines", job_id, start, count, stream))
        await self._pass()
        log = self.logs[job_id]
        total = log.count(stream)
        first = max(0, total + start) if start < 0 else start
        found = tuple(self._line(log, n, cap_bytes, stream) for n in range(first, min(first + count, total)))
        size = log.size(stream)
        return LinePage(first, total, size, size, self.jobs[job_id].ended, found)

    def _line(self, log: Log, n: int, cap_bytes: int, stream: str | None) -> Line:
        text, who = log.line(n, stream)
        last = n == log.count(stream) - 1
        offset = log.offset(n, stream)
        length = log.size(stream) - offset if isinstance(log, LongLine) else len(text)
        data = text[:cap_bytes]
        time_us = START_US + n * 1_000_000
        newline = not (last and (log.open or isinstance(log, LongLine)))
        return Line(n, offset, length, newline, time_us, ((len(data), who, time_us),) if data else (), data)

    async def find(self, job_id: str, pattern: str, tell: Callable[[Found], None], **how: Any) -> None:
        self.asked.append(("find", job_id, pattern, how))
        await self._pass()
        hits = list(self._hits(self.logs[job_id], pattern, how))
        limit = how["limit"]
        for hit in hits[:limit]:
            tell(hit)
            await asyncio.sleep(0)
        tell(Progress(0, 0))
        tell(Done(min(limit, len(hits)), len(hits) > limit, 0))

    def _hits(self, log: Log, pattern: str, how: dict[str, Any]) -> Iterator[Hit]:
        words = pattern if how["regex"] else re.escape(pattern)
        regexp = re.compile(words.encode(), 0 if how["case"] else re.IGNORECASE)
        count = log.count(how["stream"])
        start, backward = how.get("start"), how.get("backward", False)
        wanted = range(count) if start is None else range(start + 1) if backward else range(start, count)
        for n in reversed(wanted) if backward else wanted:
            if 0 <= n < count:
                text, _ = log.line(n, how["stream"])
                hits = [Hit(n, 0, each.start(), len(each[0])) for each in regexp.finditer(text)]
                yield from reversed(hits) if backward else hits

    async def output(self, job_id: str, *, stream: str | None = None, start: int = 0, end: int | None = None) -> bytes:
        self.asked.append(("output", job_id, start, end, stream))
        await self._pass()
        log = self.logs[job_id]
        return log.read(start, log.size(stream) if end is None else end, stream)

    async def save(self, job_id: str, path: Path, tell: Callable[[int], None], *, stream: str | None = None) -> int:
        self.asked.append(("save", job_id, path.name, stream))
        data = self.logs[job_id].read(0, self.logs[job_id].size(stream), stream)
        with path.open("xb") as file:
            file.write(data[: len(data) // 2])
            tell(len(data) // 2)
            await self._pass()
            file.write(data[len(data) // 2 :])
        tell(len(data))
        return len(data)


class FakeDeck:
    """Keeps the state, as the trio side would."""

    def __init__(self, api: FakeApi) -> None:
        self.state = State(url="http://127.0.0.1:8080")
        self.show: Callable[[State], None] = lambda _: None
        self.watched: dict[str, LogKey] = {}
        self.indexed = 1.0  # which part of each log is looked through for lines
        self._api = api
        api.desk = self

    def change(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)
        self.show(self.state)

    def open(self, job: Job) -> None:
        self.change(open=MappingProxyType({**self.state.open, job.id: job}))

    def close(self, job_id: str) -> None:
        self.change(open=MappingProxyType({key: job for key, job in self.state.open.items() if key != job_id}))

    def gone(self, job_id: str) -> None:
        self.change(open=MappingProxyType({**self.state.open, job_id: None}))

    def watch(self, owner: str, key: LogKey | None) -> None:
        if key is None:
            self.watched.pop(owner, None)
        else:
            self.watched[owner] = key
            self.tell_sizes()

    def tell_sizes(self) -> None:
        """How long the logs are that are watched."""
        logs = {}
        for job_id, stream in self.watched.values():
            log = self._api.logs[job_id]
            size = log.size(stream)
            logs[job_id, stream] = LogSize(
                size_bytes=size,
                line_count=log.count(stream),
                indexed_bytes=int(size * self.indexed),
                ended=self._api.jobs[job_id].ended,
            )
        self.change(logs=MappingProxyType(logs))

    def query(self, query: object) -> None:
        del query

    def load(self, place: object) -> None:
        del place


class PaneScreen(DeckScreen):
    """A pane and nothing else."""

    def __init__(self, job_id: str | None) -> None:
        super().__init__()
        self.job_id = job_id

    def body(self) -> ComposeResult:
        self.pane = OutputPane(self.job_id)
        yield self.pane

    def draw(self, state: State) -> None:
        self.pane.draw(state)


class PaneApp(ConsoleApp):
    """The console with that screen alone."""

    CSS_PATH = str(Path(console.__file__).with_name("console.tcss"))

    def __init__(self, api: FakeApi, job_id: str | None) -> None:
        super().__init__("http://127.0.0.1:8080")
        self.fake = FakeDeck(api)
        self.connect(cast("Deck", self.fake), cast("Api", api))
        self.fake.show = self.take_state
        self.first = PaneScreen(job_id)

    def on_mount(self, event: Mount) -> None:  # type: ignore[override]  # Textual calls it with or without its event
        event.prevent_default()  # the console's own would put its list on top
        self.push_screen(self.first)

    @property
    def pane(self) -> OutputPane:
        return self.first.pane


@dataclass
class Stage:
    """What a test has in its hands."""

    app: PaneApp
    pilot: Pilot[int]
    api: FakeApi

    @property
    def pane(self) -> OutputPane:
        return self.app.pane

    @property
    def log(self) -> Log:
        return self.api.logs[JOB_ID]

    def write(self, data: bytes, stream: str = "stdout") -> None:
        """The job writes, and the server tells of it."""
        self.log.write(data, stream)
        self.app.fake.tell_sizes()

    async def press(self, *keys: str) -> None:
        """Press keys, and do not wait for what comes of it: pilot.press waits for a quiet machine with each of them."""
        driver = self.app._driver
        assert driver is not None
        for key in keys:
            name = _character_to_key(key) if len(key) == 1 else key
            event = Key(name, key if len(key) == 1 else None)
            event.set_sender(self.app)
            driver.send_message(event)
        await asyncio.sleep(0)

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until a condition holds."""
        await until(self.pilot, true)

    async def dialog(self) -> None:
        """Wait until a dialog is open and can be typed into."""
        await self.until(lambda: self.app.screen is not self.app.first and isinstance(self.app.focused, Input))

    async def see(self, *texts: str) -> None:
        """Wait until texts are on the screen."""
        await self.until(lambda: all(text in screen_text(self.app) for text in texts))

    async def miss(self, text: str) -> None:
        """Wait until a text is not on the screen any more."""
        await self.until(lambda: text not in screen_text(self.app))

    def asked(self, kind: str) -> list[tuple[Any, ...]]:
        return [each for each in self.api.asked if each[0] == kind]


@asynccontextmanager
async def stage(
    log: Log | None = None, *, job: Job | None = None, shown: str | None = JOB_ID, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[Stage]:
    """The console on one job's log, and another job that wrote one line."""
    job = job_of() if job is None else job
    other = job_of(OTHER_ID, JobState.SUCCEEDED, exit_code=0)
    api = FakeApi({job.id: job, OTHER_ID: other}, {job.id: log or Log(), OTHER_ID: Log(b"the other")})
    app = PaneApp(api, shown)
    async with app.run_test(size=size, notifications=True) as pilot:
        if shown is not None:
            app.pane.view.focus()
        yield Stage(app, pilot, api)
