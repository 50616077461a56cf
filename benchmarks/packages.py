"""Classes out of packages: from POST to result of a synchronous call, of a job that counts three words.

Beside it in the same round: ``python -c pass``, which is what an interpreter of its own costs at the least, and the
same job's interpreter run by itself, without server and keeper. A call in a persistent context and one that makes its
own; from a wheel and from an egg. What is above ``python -c pass`` stands in a figure of its own: a ratio would hide
how many milliseconds a user waits.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.clients import connect, post, take_answer
from benchmarks.measure import Figure, Plan, Sample, Side, Spread, Table, run_rounds
from jobdeck_server.packages import plan as runner
from tests.e2e import examplejobs
from tests.e2e.program import Server, server

_FIGURES = (Figure("took", "ms, median of a round"),)
_ABOVE = (Figure("above", "ms, each round's median less that of python -c pass"),)
_BARE = "python -c pass"
_CLASS = "example_jobs.word_count.WordCount"
_CONFIG = "input.strings = [a, b, a]"
_RESULT = {"a": 2, "b": 1}
_TYPES = {"wheel": "application/python-wheel", "egg": "application/python-egg"}


def run(plan: Plan) -> list[Table]:
    """Latency of one call at a time, and of four at once."""
    wheel, egg = examplejobs.build(plan.folder / "project")
    with server(plan.folder / "data") as deck:
        for name, path in (("wheel", wheel), ("egg", egg)):
            status, _, body = deck.ask("POST", f"/binaries/{name}", path.read_bytes(), {"Content-Type": _TYPES[name]})
            assert status == 201, body
        status, _, body = deck.ask("POST", "/contexts/kept")
        assert status == 200, body
        count = plan.pick(20, 6, 1)
        sides: Mapping[str, Side] = {
            _BARE: partial(_often, partial(_spawn, [sys.executable, "-c", "pass"]), count),
            "the job's interpreter alone": partial(_often, _alone(plan.folder / "alone", wheel), count),
            "wheel, persistent context": partial(_often, partial(_call, deck, "wheel", "kept"), count),
            "wheel, ad-hoc context": partial(_often, partial(_call, deck, "wheel", None), count),
            "egg, ad-hoc context": partial(_often, partial(_call, deck, "egg", None), count),
        }
        samples = run_rounds(sides, plan)
    above = {
        side: [{"above": mine["took"] - bare["took"]} for mine, bare in zip(rounds, samples[_BARE], strict=True)]
        for side, rounds in samples.items()
        if side != _BARE
    }
    title = f"POST /jobs?sync=true to its result, {count} calls one after the other"
    return [
        Table(title=title, figures=_FIGURES, samples=samples, bases=(_BARE,)),
        Table(title="What that is above python -c pass", figures=_ABOVE, samples=above, notes=("Goal: below 150 ms.",)),
    ]


def _often(once: Callable[[], None], count: int) -> Sample:
    """The first one warms up and does not count."""
    once()
    took_ms = []
    for _ in range(count):
        start_s = time.perf_counter()
        once()
        took_ms.append(1e3 * (time.perf_counter() - start_s))
    return {"took": Spread.of(took_ms).median}


def _spawn(command: list[str]) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def _alone(folder: Path, wheel: Path) -> Callable[[], None]:
    """The very program that the server would have started, without the server."""
    runner.write_plan(
        folder,
        runner.RunnerPlan(
            job_id="00000000-0000-4000-8000-000000000000",
            main_class=_CLASS,
            package=wheel,
            config=b'{"input":{"strings":["a","b","a"]}}',
            context_name="alone",
            settings={},
            result_limit_bytes=1 << 20,
        ),
    )
    return partial(_spawn, runner.command(folder, sys.executable))


def _call(deck: Server, package: str, context: str | None) -> None:
    asked = {"appName": package, "classPath": _CLASS, "sync": "true", "timeout": "60"}
    path = f"/jobs?{urlencode(asked if context is None else {**asked, 'context': context})}"
    with connect(deck.port) as sock:
        sock.sendall(post(path, _CONFIG.encode(), "application/x-www-form-urlencoded"))
        _, body = take_answer(sock)
    assert json.loads(body)["result"] == _RESULT, body
