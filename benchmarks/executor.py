"""A bundle from its creation to its results: how long it takes, and how many a second.

The walkthrough's job (``echo`` with one line, all files are results), each time another bundle, uploaded before the
clock starts: from ``POST /rest/executor/create`` until ``GET info`` says SUCCESS, run by the built-in executor. The
floor is one process that does the same work and promises nothing: unpack the zip, run ``echo``, write its output, hash
the files and keep them under their hashes.

A client that is alone asks every 2 ms whether its job has ended, one of 16 every 50 ms: the server answers that too.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
import uuid
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.clients import ask, connect, get_bytes, post_bytes
from benchmarks.measure import Figure, Plan, Sample, Side, Table, run_rounds
from tests.e2e.bundles import Rest, bundle
from tests.e2e.program import Server, server

_AT_ONCE_COUNT = 16
_ASK_S = 0.002
_ASK_AMONG_MANY_S = 0.05
_TIMES = (Figure("median", "ms from create to SUCCESS"), Figure("p90", "ms from create to SUCCESS"))
_RATE = (Figure("rate", "jobs/s"),)


def run(plan: Plan) -> list[Table]:
    """Two tables: one at a time, and 16 at a time."""
    count = plan.pick(20, 10, 2)
    many = plan.pick(160, 48, 4)
    with server(plan.folder / "data") as deck:
        _turn(deck, _uploaded(deck, 2))
        one: dict[str, Side] = {
            "one process": partial(_floor, plan.folder, count),
            "jobdeck": partial(_one_by_one, deck, count),
        }
        rate: dict[str, Side] = {
            f"one process, {_AT_ONCE_COUNT} threads": partial(_floor_rate, plan.folder, many),
            f"jobdeck, {_AT_ONCE_COUNT} clients": partial(_rate, deck, many),
        }
        return [
            _table("echo in a bundle: create to SUCCESS, one at a time", _TIMES, one, plan),
            _table(f"echo in a bundle: jobs a second, {_AT_ONCE_COUNT} at a time", _RATE, rate, plan),
        ]


def _table(title: str, figures: tuple[Figure, ...], sides: dict[str, Side], plan: Plan) -> Table:
    return Table(title=title, figures=figures, samples=run_rounds(sides, plan), bases=tuple(sides)[:1])


def _bundle() -> bytes:
    return bundle("echo", "some sample text to be written to job_stdout.txt", files={"salt": uuid.uuid4().bytes})


def _summary(took_ms: list[float]) -> Sample:
    return {"median": statistics.median(took_ms), "p90": sorted(took_ms)[int(0.9 * len(took_ms))]}


# -- jobdeck --


def _uploaded(deck: Server, count: int) -> list[str]:
    rest = Rest(deck)
    return [rest.upload(_bundle()) for _ in range(count)]


def _turn(deck: Server, keys: list[str], ask_s: float = _ASK_S) -> list[float]:
    """Run bundles one after the other on one connection; how long each took, in milliseconds."""
    took = []
    with connect(deck.port) as sock:
        for key in keys:
            start = time.perf_counter()
            status = ask(sock, post_bytes(f"/rest/executor/create/{key}", {}))["status"]
            while status in ("CREATED", "RUNNING"):
                time.sleep(ask_s)
                status = ask(sock, get_bytes(f"/rest/executor/info/{key}"))["status"]
            took.append(1000 * (time.perf_counter() - start))
            assert status == "SUCCESS", status
    return took


def _one_by_one(deck: Server, count: int) -> Sample:
    return _summary(_turn(deck, _uploaded(deck, count)))


def _rate(deck: Server, count: int) -> Sample:
    keys = _uploaded(deck, count)
    return {"rate": _in_threads(count, lambda number: _turn(deck, keys[number::_AT_ONCE_COUNT], _ASK_AMONG_MANY_S))}


# -- the floor --


def _floor(folder: Path, count: int) -> Sample:
    bundles = [_bundle() for _ in range(count)]
    took = []
    for each in bundles:
        start = time.perf_counter()
        _do(each, folder)
        took.append(1000 * (time.perf_counter() - start))
    return _summary(took)


def _floor_rate(folder: Path, count: int) -> Sample:
    bundles = [_bundle() for _ in range(count)]

    def work(number: int) -> None:
        for each in bundles[number::_AT_ONCE_COUNT]:
            _do(each, folder)

    return {"rate": _in_threads(count, work)}


def _in_threads(count: int, work: Callable[[int], object]) -> float:
    """How many of ``count`` are done a second by threads that are told their number."""
    threads = [threading.Thread(target=work, args=(number,)) for number in range(_AT_ONCE_COUNT)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count / (time.perf_counter() - start)


def _do(data: bytes, folder: Path) -> None:
    """What has to be done, in one process and on nobody's behalf."""
    place = Path(tempfile.mkdtemp(dir=folder))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(place)
    found = json.loads((place / "executor_config.json").read_bytes())
    done = subprocess.run([found["cmd"], *found["args"]], cwd=place, capture_output=True, check=True)
    (place / "job_stdout.txt").write_bytes(done.stdout)
    (place / "job_stderr.txt").write_bytes(done.stderr)
    for path in tuple(place.iterdir()):
        digest = hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
        path.rename(place / digest)
    shutil.rmtree(place)
