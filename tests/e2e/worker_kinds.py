"""The jobs of the workers' crash test: those of the other crash test, each at some place, and a few more.

A place is a worker by its id, one by its labels, or none said (then a job runs on the server's own machine). More kinds
are standard input, much output, and jobs of the scheduler API, whose shell scripts carry what that API cannot send.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.e2e import crash_kinds, crash_program
from tests.e2e.crash_kinds import Desk, End, Halt, Plan

_OTHER_SHARE = 0.35  # of jobs that are of no kind that the other crash test has
_FEED_LIMIT_BYTES = 300_000
_MUCH_BYTES = 4_000_000
_START = "printf '0\\n' >>\"$JD_LEDGER\"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where jobs may go, and the desk on which they are made.

    Attributes:
        desk: See there.
        ids: Of the workers.
        labels: Each is had by one worker or several.
        scripts: Folder of the scheduler API's scripts.
    """

    desk: Desk
    ids: Sequence[str]
    labels: Sequence[str]
    scripts: Path

    def somewhere(self) -> Mapping[str, object]:
        """Fields for /v1 that say where."""
        rnd = self.desk.rnd
        choice = rnd.random()
        if choice < 0.5:
            return {"worker": rnd.choice(self.ids)}
        if choice < 0.9:
            return {"worker_labels": [rnd.choice(self.labels)]}
        return {}


def make_plan(places: Places, name: str) -> Plan:
    """A job of a random kind, at a random place."""
    rnd = places.desk.rnd
    if rnd.random() < _OTHER_SHARE:
        (make,) = rnd.choices([make for _, make in _KINDS], [weight for weight, _ in _KINDS])
        return make(places, name)
    return _placed(places, crash_kinds.make_plan(places.desk, name))


def _placed(places: Places, plan: Plan) -> Plan:
    return replace(plan, body={**plan.body, **places.somewhere()}) if plan.path == "/v1/jobs" else plan


def _fed(places: Places, name: str) -> Plan:
    """All of standard input comes out again."""
    rnd = places.desk.rnd
    size_bytes = int(_FEED_LIMIT_BYTES * rnd.random() ** 2) + 1
    data = b"".join(line for _, line in crash_program.chatter(name, rnd.randrange(2**31), size_bytes))
    code = rnd.choice((0, 9))
    path, body = places.desk.bash(name, f"cat; exit {code}", stdin=True)
    end = End(state="failed" if code else "succeeded", code=code, writes=((1, data),))
    return replace(
        _placed(places, Plan(name=name, kind="standard input", path=path, body=body, ends=(end,))), feed=data
    )


def _much(places: Places, name: str) -> Plan:
    rnd = places.desk.rnd
    seed, size_bytes = rnd.randrange(2**31), int(_MUCH_BYTES * rnd.random())
    path, body = places.desk.program(name, "chatty", seed, size_bytes, 0, 0)
    writes = tuple(crash_program.chatter(name, seed, size_bytes))
    end = End(state="succeeded", code=0, writes=writes)
    return _placed(places, Plan(name=name, kind="much output", path=path, body=body, ends=(end,)))


def _scheduled(places: Places, name: str) -> Plan:
    """The scheduler API's own way: a shell script on a named worker, which writes on both streams."""
    rnd = places.desk.rnd
    seed, size_bytes, code = rnd.randrange(2**31), int(60_000 * rnd.random()), rnd.choice((0, 0, 7))
    words = [*crash_kinds.PROGRAM, "chatty", name, str(seed), str(size_bytes), str(code), "0"]
    script = f"exec {shlex.join(words)}\n"  # which writes the ledger itself
    writes = tuple(crash_program.chatter(name, seed, size_bytes))
    end = End(state="failed" if code else "succeeded", code=code, writes=writes)
    return _script(places, name, "scheduler", script, end)


def _scheduled_long(places: Places, name: str) -> Plan:
    count = places.desk.rnd.randrange(5, 30)
    script = _START + f"for ((i = 0; i < {count}; i++)); do echo {name} $i; sleep 0.05; done\n"
    writes = tuple((1, f"{name} {i}\n".encode()) for i in range(count))
    return _script(places, name, "scheduler", script, End(state="succeeded", code=0, writes=writes))


def _scheduled_stopped(places: Places, name: str) -> Plan:
    rnd = places.desk.rnd
    halt = Halt(how="scheduler", wait_ready=rnd.random() < 0.5, delay_s=rnd.random() * 0.3)
    script = _START + f"echo {name} ready; sleep {crash_program.LONG_S:g}\n"
    write = (1, f"{name} ready\n".encode())
    ends = [End(state="stopped", signal=9, writes=(write,))]
    if not halt.wait_ready:
        ends += crash_kinds.too_early(9, write)
    return _script(places, name, "scheduler, stopped", script, *ends, halt=halt)


def _script(places: Places, name: str, kind: str, text: str, *ends: End, halt: Halt | None = None) -> Plan:
    env = places.desk.env(name)
    path = places.scripts / f"{name}.sh"
    path.write_text("".join(f"export {key}={shlex.quote(value)}\n" for key, value in env.items()) + text)
    body: dict[str, Any] = {"worker_id": places.desk.rnd.choice(places.ids), "command": "bash", "path": str(path)}
    return Plan(name=name, kind=kind, path="/start", body=body, ends=ends, halt=halt)


_KINDS: tuple[tuple[int, Callable[[Places, str], Plan]], ...] = (
    (3, _fed),
    (1, _much),
    (3, _scheduled),
    (2, _scheduled_long),
    (2, _scheduled_stopped),
)
