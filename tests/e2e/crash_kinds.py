"""The kinds of jobs of the crash test, each with all ends that are true for it, to the byte.

A plan holds what is sent to the server and the ends that may be found. For most kinds there is one. A job that is
stopped at a random moment has several, since the signal may come before its program, before its handler, or after.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e import crash_program

PROGRAM = [sys.executable, "-I", "-S", crash_program.__file__]
_LEDGER = "printf '%d\\n' >>\"$JD_LEDGER\""
_SIGNALS = (1, 2, 6, 9, 10, 11, 12, 13, 14, 15)
Writes = tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One end that is true.

    Attributes:
        state: Word of the job's state.
        code: Exit code, or None.
        signal: Signal's number, or None.
        error: What ``error`` begins with; None if there must be none, "" for any.
        step: The step that ended it, None for any.
        starts: Lines of the ledger: the steps that began.
        writes: All that it writes, in order: (stream, bytes).
        cut: It may have been ended before the last of the writes; its ledger may be empty then too.
    """

    state: str
    code: int | None = None
    signal: int | None = None
    error: str | None = None
    step: int | None = None
    starts: tuple[str, ...] = ("0",)
    writes: Writes = ()
    cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """How the client stops it.

    Attributes:
        how: ``delete``, ``stop`` or ``scheduler``: by which API.
        wait_ready: Only once the job has said ``ready``, else after ``delay_s``.
    """

    how: str
    wait_ready: bool = False
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One job: its name stands in its command, its lines and its ledger.

    Attributes:
        feed: Its standard input.
    """

    name: str
    kind: str
    path: str
    body: dict[str, Any]
    ends: tuple[End, ...]
    halt: Halt | None = None
    feed: bytes = b""

    @property
    def keyed(self) -> bool:
        """Whether it is sent again with an idempotency key until it is acknowledged."""
        return self.path == "/v1/jobs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where plans are made: the random source, and the environment that each job gets.

    Attributes:
        jobrunner_share: Of the shell lines that could go through jobrunner's API, how many do.
    """

    rnd: random.Random
    ledgers: Path
    mark: str
    jobrunner_share: float = 0.5

    def env(self, name: str) -> dict[str, str]:
        """Environment of a job; the mark finds whatever is left of it."""
        return {"JD_LEDGER": str(self.ledgers / name), "JD_CRASH": self.mark}

    def v1(self, name: str, **fields: object) -> tuple[str, dict[str, Any]]:
        """Path and body for /v1."""
        return "/v1/jobs", {"env": self.env(name), "labels": ["crash"], **fields}

    def bash(self, name: str, line: str, **fields: object) -> tuple[str, dict[str, Any]]:
        """Path and body for a shell line, through jobrunner's API or, with fields or by chance, through /v1."""
        line = f": {name}; {_LEDGER % 0}; {line}"
        if fields or self.rnd.random() >= self.jobrunner_share:
            return self.v1(name, command=line, **fields)
        return "/", {"CommandLine": line, "Environment": self.env(name)}

    def program(self, name: str, mode: str, *words: object, **fields: object) -> tuple[str, dict[str, Any]]:
        """Path and body for a mode of ``crash_program``."""
        return self.v1(name, argv=[*PROGRAM, mode, name, *map(str, words)], **fields)


def _plan(name: str, kind: str, sent: tuple[str, dict[str, Any]], *ends: End, halt: Halt | None = None) -> Plan:
    return Plan(name=name, kind=kind, path=sent[0], body=sent[1], ends=ends, halt=halt)


def _coded(code: int, writes: Writes) -> End:
    return End(state="failed" if code else "succeeded", code=code, writes=writes)


def _line(name: str, text: str, stream: int = 1) -> tuple[int, bytes]:
    return stream, f"{name} {text}\n".encode()


def _code(desk: Desk, name: str) -> Plan:
    code = desk.rnd.randrange(256)
    sent = desk.bash(name, f"echo {name} out; echo {name} err >&2; exit {code}")
    return _plan(name, "exit code", sent, _coded(code, (_line(name, "out"), _line(name, "err", 2))))


def _signal(desk: Desk, name: str) -> Plan:
    number = desk.rnd.choice(_SIGNALS)
    sent = desk.bash(name, f"ulimit -c 0; echo {name} out; kill -{number} $$; exit 99")
    end = End(state="failed", signal=number, error="ended by", writes=(_line(name, "out"),))
    return _plan(name, "signal", sent, end)


def _chatty(desk: Desk, name: str) -> Plan:
    rnd = desk.rnd
    seed, size_bytes = rnd.randrange(2**31), int(200_000 * rnd.random() ** 2)
    code, pause_us = rnd.choice((0, 0, 1, 77, 255)), rnd.choice((0, 200, 5000))
    writes = tuple(crash_program.chatter(name, seed, size_bytes))
    return _plan(name, "chatty", desk.program(name, "chatty", seed, size_bytes, code, pause_us), _coded(code, writes))


def _long(desk: Desk, name: str) -> Plan:
    count, code = desk.rnd.randrange(5, 30), desk.rnd.choice((0, 3))
    line = f"for ((i = 0; i < {count}; i++)); do echo {name} $i; sleep 0.0{desk.rnd.randrange(2, 9)}; done; exit {code}"
    return _plan(name, "long", desk.bash(name, line), _coded(code, tuple(_line(name, str(i)) for i in range(count))))


def _after_shell(desk: Desk, name: str) -> Plan:
    line = f"bash -c 'exec > >(sleep 0.2; cat); echo {name} hi'"
    return _plan(name, "output after the shell", desk.bash(name, line), _coded(0, (_line(name, "hi"),)))


def _late(desk: Desk, name: str) -> Plan:
    code = desk.rnd.randrange(256)
    line = f"(sleep 0.3; echo {name} late; echo {name} too >&2) & exit {code}"
    writes = (_line(name, "late"), _line(name, "too", 2))
    return _plan(name, "output after the shell", desk.bash(name, line), _coded(code, writes))


def _daemon(desk: Desk, name: str) -> Plan:
    code = desk.rnd.randrange(256)
    how = [word for word in ("hold", "deaf") if desk.rnd.random() < 0.5]
    sent = desk.program(name, "daemon", code, *how, linger_s=0.3, grace_s=0.2)
    kind = "daemon, holds output" if "hold" in how else "daemon"
    return _plan(name, kind, sent, _coded(code, (_line(name, "parent"),)))


def _mute(desk: Desk, name: str) -> Plan:
    code = desk.rnd.randrange(256)
    return _plan(name, "all closed", desk.bash(name, f"exec <&- >&- 2>&-; sleep 0.1; exit {code}"), _coded(code, ()))


def _no_input(desk: Desk, name: str) -> Plan:
    sent = desk.bash(name, f"read -r x || echo {name} eof; exec <&-; exit 4")
    return _plan(name, "no stdin", sent, _coded(4, (_line(name, "eof"),)))


def _steps(desk: Desk, name: str) -> Plan:
    count = desk.rnd.randrange(2, 5)
    failing = desk.rnd.randrange(count) if desk.rnd.random() < 0.5 else None
    lines = []
    for step in range(count):
        tail = "; exit 5" if step == failing else ""
        lines.append(f": {name}; {_LEDGER % step}; echo {name} {step}; sleep 0.0{desk.rnd.randrange(5)}{tail}")
    if desk.rnd.random() < 0.5:
        sent = desk.v1(name, steps=[{"command": line} for line in lines])
    else:
        sent = "/", {"Commands": [{"CommandLine": line, "Environment": desk.env(name)} for line in lines]}
    last = count - 1 if failing is None else failing
    end = End(
        state="succeeded" if failing is None else "failed",
        code=0 if failing is None else 5,
        error=None if failing is None else "exit code 5 in step",
        step=last,
        starts=tuple(str(step) for step in range(last + 1)),
        writes=tuple(_line(name, str(step)) for step in range(last + 1)),
    )
    return _plan(name, "steps", sent, end)


def _missing_step(desk: Desk, name: str) -> Plan:
    line = f": {name}; {_LEDGER % 0}; echo {name} 0"
    sent = desk.v1(name, steps=[{"command": line}, {"argv": [f"/nonexistent/{name}"]}])
    end = End(state="failed", error="/nonexistent/", step=1, writes=(_line(name, "0"),))
    return _plan(name, "no such program", sent, end)


def _time_limit(desk: Desk, name: str) -> Plan:
    sent = desk.bash(name, f"echo {name} on; exec sleep {crash_program.LONG_S:g}", time_limit_s=0.4, grace_s=10)
    end = End(state="failed", signal=15, error="time limit of 0.4 s", writes=(_line(name, "on"),), cut=True)
    return _plan(name, "time limit", sent, end)


def _missing(desk: Desk, name: str) -> Plan:
    sent = desk.v1(name, argv=[f"/nonexistent/{name}"])
    return _plan(name, "no such program", sent, End(state="failed", error="/nonexistent/", starts=()))


def _handles(desk: Desk, name: str) -> Plan:
    code = desk.rnd.randrange(1, 256)
    halt = Halt(how="stop", wait_ready=desk.rnd.random() < 0.6, delay_s=desk.rnd.random() * 0.3)
    writes = (_line(name, "ready"), _line(name, "term", 2))
    ends = [End(state="stopped", code=code, writes=writes)]
    if not halt.wait_ready:
        early = End(state="stopped", code=code, writes=(_line(name, "term", 2),))
        ends += [early, *too_early(15, _line(name, "ready"))]
    return _plan(name, "stopped, handles TERM", desk.program(name, "handles", code, grace_s=20), *ends, halt=halt)


def _ignores(desk: Desk, name: str) -> Plan:
    halt = Halt(how="stop", wait_ready=desk.rnd.random() < 0.6, delay_s=desk.rnd.random() * 0.3)
    ends = [End(state="stopped", signal=9, writes=(_line(name, "ready"),))]
    if not halt.wait_ready:
        ends += [*too_early(9, _line(name, "ready")), *too_early(15, _line(name, "ready"))]
    return _plan(name, "stopped, ignores TERM", desk.program(name, "ignores", grace_s=0.2), *ends, halt=halt)


def _deleted(desk: Desk, name: str) -> Plan:
    halt = Halt(how="delete", wait_ready=desk.rnd.random() < 0.4, delay_s=desk.rnd.random() * 0.3)
    sent = desk.bash(name, f"echo {name} ready; sleep {crash_program.LONG_S:g}")
    ends = [End(state="stopped", signal=9, writes=(_line(name, "ready"),))]
    if not halt.wait_ready:
        ends += too_early(9, _line(name, "ready"))
    return _plan(name, "deleted", sent, *ends, halt=halt)


def too_early(signal: int, write: tuple[int, bytes]) -> list[End]:
    """Ends of a job that was stopped before it had begun what it does: at any point, or before its start."""
    return [
        End(state="stopped", signal=signal, writes=(write,), cut=True),
        End(state="stopped", starts=()),
        End(state="stopped", error="", starts=()),
    ]


_KINDS: tuple[tuple[int, Callable[[Desk, str], Plan]], ...] = (
    (4, _code),
    (3, _signal),
    (6, _chatty),
    (3, _long),
    (1, _after_shell),
    (2, _late),
    (3, _daemon),
    (1, _mute),
    (1, _no_input),
    (3, _steps),
    (1, _time_limit),
    (1, _missing),
    (1, _missing_step),
    (2, _handles),
    (2, _ignores),
    (3, _deleted),
)


def make_plan(desk: Desk, name: str) -> Plan:
    """A job of a random kind."""
    (make,) = desk.rnd.choices([make for _, make in _KINDS], [weight for weight, _ in _KINDS])
    return make(desk, name)
