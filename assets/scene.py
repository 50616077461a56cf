"""The console on fixed data, for its picture: nothing runs, and the picture changes only when the design does.

The app, its screens and widgets are the real ones; only what stands behind ``Deck`` and ``Api`` is made up here. Times
are told as spans until now, so they are the same whenever it is drawn.
"""

from __future__ import annotations

import time
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from jobdeck_client.lines import Line, LinePage
from jobdeck_protocol.job import Job, JobState, Step
from jobdeck_protocol.workerinfo import WorkerInfo, WorkerState
from jobdeck_tui.console.app import ConsoleApp
from jobdeck_tui.console.few import FewCame, FewJobsCame, Kind, after
from jobdeck_tui.console.joblist import JobList
from jobdeck_tui.console.pages import Page, Place
from jobdeck_tui.console.picture import svg_of
from jobdeck_tui.console.rowlist import asked, came
from jobdeck_tui.console.state import LinkTold, LogSize, ServerTold, State
from jobdeck_tui.console.workerbook import Book

if TYPE_CHECKING:
    from jobdeck_tui.console.api import Api
    from jobdeck_tui.console.deck import Deck

__all__ = ["picture"]

_S = JobState
_NAME = "http://127.0.0.1:8080"

# state, api, command, labels, seconds since it was made, seconds that it took, exit code, signal
_JOBS: tuple[tuple[JobState, str, str, tuple[str, ...], float, float | None, int | None, int | None], ...] = (
    (_S.QUEUED, "v1", "./deploy.sh staging", ("release",), 4.3, None, None, None),
    (_S.RUNNING, "v1", "make test", ("ci", "main"), 95, None, None, None),
    (_S.RUNNING, "jobrunner", "python train.py --epochs 40 --out runs/17", (), 640, None, None, None),
    (_S.SUCCEEDED, "v1", "cargo build --release", ("ci",), 1210, 312, 0, None),
    (_S.FAILED, "v1", "npm run e2e -- --grep login", ("ci", "main"), 1900, 41.2, 1, None),
    (_S.SUCCEEDED, "jobrunner", "pg_dump -Fc shop | zstd > /backup/shop.dump", (), 3900, 88, 0, None),
    (_S.STOPPED, "v1", "rsync -a /var/www backup:/srv/www", ("nightly",), 9100, 1400, None, 15),
    (_S.FAILED, "jobrunner", "./import.sh customers.csv", (), 15000, 2.4, None, 9),
    (_S.SUCCEEDED, "v1", "python report.py --month 10", ("nightly",), 40000, 17.5, 0, None),
    (_S.SUCCEEDED, "v1", "terraform plan -no-color", ("release",), 52000, 9.7, 0, None),
)
# name, state, labels, slots in use, slots, load, GiB free, seconds since it was heard of
_W = WorkerState
_WORKERS: tuple[tuple[str, WorkerState, tuple[str, ...], int, int, float, float, float], ...] = (
    ("build", _W.ONLINE, (), 3, 64, 2.1, 212, 0.4),
    ("gpu-1", _W.ONLINE, ("gpu", "linux"), 2, 8, 5.93, 804, 1.4),
    ("gpu-2", _W.UNREACHABLE, ("gpu", "linux"), 1, 8, 3.2, 790, 754),
    ("mac-mini", _W.DRAINING, ("mac",), 1, 4, 0.8, 61, 1.4),
    ("arm", _W.ONLINE, ("arm", "linux"), 0, 4, 0.08, 38, 0.4),
)
_LOOKED_AT = 1
_LOG: tuple[tuple[str, str], ...] = (
    ("stdout", "\x1b[1mtest session starts\x1b[0m"),
    ("stdout", "collected 1287 items"),
    ("stdout", ""),
    *(
        ("stdout", f"tests/{name}.py \x1b[32m{'.' * dots}\x1b[0m \x1b[36m[{percent:3d}%]\x1b[0m")
        for name, dots, percent in (("test_api", 34, 12), ("test_blobs", 41, 27), ("test_cart", 28, 38))
    ),
    ("stderr", "warning: locale de_DE is not installed, using C.UTF-8"),
    ("stdout", "tests/test_checkout.py \x1b[32m...........\x1b[31mF\x1b[32m......\x1b[0m \x1b[36m[ 46%]\x1b[0m"),
    ("stdout", "tests/test_search.py \x1b[32m.........................\x1b[0m \x1b[36m[ 57%]\x1b[0m"),
    ("stdout", "tests/test_store.py \x1b[32m................"),
)


async def picture(size: tuple[int, int], *, theme: str = "textual-dark", workers: bool = False) -> str:
    """The console as SVG: its list of jobs, or that of workers."""
    app = ConsoleApp(_NAME)
    app.theme = theme
    state = replace(_state(), workers=_book()) if workers else _state()
    app.connect(cast("Deck", _Deck(state)), cast("Api", _Api()))
    async with app.run_test(size=size, notifications=True) as pilot:
        await pilot.press(*(("3", "down", "down") if workers else ("down",)))
        await pilot.pause(0.5)
        return svg_of(app)


def _book() -> Book:
    """Workers, and the jobs of one of them."""
    now_us = time.time_ns() // 1000
    found = tuple(_worker(number, now_us, *row) for number, row in enumerate(_WORKERS))
    far = found[_LOOKED_AT]
    jobs = tuple(replace(job, worker=far.id, engine="worker") for job in _jobs() if job.state is _S.RUNNING)
    known = after(Book(), FewCame(kind=Kind.WORKERS, items=found))
    return after(known, FewJobsCame(kind=Kind.WORKERS, id=far.id, jobs=jobs))


def _worker(
    number: int,
    now_us: int,
    name: str,
    state: WorkerState,
    labels: tuple[str, ...],
    running_count: int,
    slots_count: int,
    load: float,
    free_gib: float,
    seen_s: float,
) -> WorkerInfo:
    return WorkerInfo(
        id=f"{(number + 5) * 0x2C9F1A73 & 0xFFFFFFFF:08x}-0000-4000-8000-000000000000",
        name=name,
        state=state,
        engine="worker" if number else "local",
        labels=labels,
        slots_count=slots_count,
        running_count=running_count,
        load=load,
        free_bytes=int(free_gib * (1 << 30)),
        address=f"10.0.0.{number + 10}:{40_000 + number}",
        software="jobdeck",
        seen_us=now_us - int(seen_s * 1e6),
    )


def _jobs() -> tuple[Job, ...]:
    now_us = time.time_ns() // 1000
    return tuple(_job(number, now_us, *row) for number, row in enumerate(_JOBS))


def _job(
    number: int,
    now_us: int,
    state: JobState,
    dialect: str,
    command: str,
    labels: tuple[str, ...],
    age_s: float,
    took_s: float | None,
    code: int | None,
    signal: int | None,
) -> Job:
    created_us = now_us - int(age_s * 1e6)
    started_us = None if state is _S.QUEUED else created_us + 20_000
    return Job(
        id=f"{(number + 3) * 0x1B7E4C31 & 0xFFFFFFFF:08x}-0000-4000-8000-000000000000",
        dialect=dialect,
        steps=(Step(command_line=command),),
        labels=labels,
        state=state,
        created_us=created_us,
        started_us=started_us,
        finished_us=None if took_s is None or started_us is None else started_us + int(took_s * 1e6),
        exit_code=code,
        signal=signal,
    )


def _state() -> State:
    jobs = _jobs()
    window = came(asked(JobList(), JobList().query, Place.START), JobList().query, Place.START, _page(jobs))
    counts = {state: sum(job.state is state for job in jobs) for state in JobState}
    return State(
        url=_NAME,
        link=LinkTold(up=True, at_us=0),
        server=ServerTold(version="", role="admin", store=""),
        counts=MappingProxyType({**counts, _S.SUCCEEDED: 1284, _S.FAILED: 12, _S.STOPPED: 3}),
        list=window,
        open=MappingProxyType({job.id: job for job in jobs}),
        logs=MappingProxyType({(job.id, None): _size() for job in jobs}),
    )


def _page(jobs: tuple[Job, ...]) -> Page:
    return Page(rows=jobs, more=False, cursor=None)


def _lines() -> tuple[Line, ...]:
    lines: list[Line] = []
    offset = 0
    for n, (stream, text) in enumerate(_LOG):
        data = text.encode()
        whole = n < len(_LOG) - 1
        lines.append(Line(n, offset, len(data), whole, 0, ((len(data), stream, 0),) if data else (), data))
        offset += len(data) + whole
    return tuple(lines)


def _size() -> LogSize:
    size_bytes = sum(line.length + line.newline for line in _lines())
    return LogSize(size_bytes=size_bytes, line_count=len(_LOG), indexed_bytes=size_bytes, ended=False)


class _Deck:
    """A trio side on which nothing happens."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.few = dict.fromkeys(Kind, self)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # every request is taken, and nothing comes of it
        return lambda *_, **__: None


class _Api:
    """Answers with the one log that there is."""

    async def open(self, job_id: str) -> Job:
        return next(job for job in _jobs() if job.id == job_id)

    async def lines(self, job_id: str, *, start: int, count: int, **_: object) -> LinePage:
        del job_id
        found = _lines()
        first = max(0, len(found) + start) if start < 0 else start
        size = _size()
        return LinePage(first, len(found), size.size_bytes, size.size_bytes, False, found[first : first + count])
