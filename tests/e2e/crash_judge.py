"""Judges a crash campaign: every job against the ends that are true for it, and what is left behind.

A job's truth is in three places that must agree: the server's record of it, the files in its folder, and its own
ledger. Faults are sentences, with all that is needed to see how it came about.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any

from jobdeck_keeper import procs, records
from jobdeck_protocol.job import MOVES, JobState
from tests.e2e.crash_clients import Events, Follower
from tests.e2e.crash_kinds import End, Plan, Writes

NAME = re.compile(r"jdt-\d+")
_STREAMS = {"stdout": 1, "stderr": 2}
SPARE = "jd-spare"
_FILES = frozenset({"record", "output", "runs", "lines", "input", "input.end", "released"})
_DISPLACED_LIMIT_COUNT = 8  # lines at one take-over: one packet of each pipe, and a line cut by a packet's end
Row = dict[str, Any]


@dataclass(slots=True)
class Sent:
    """One plan, what was answered, and how it was stopped; ``refused``: it was not taken, and rightly so."""

    plan: Plan
    ids: set[str] = field(default_factory=set)
    sends_count: int = 0
    halting: bool = False
    refused: bool = False


@dataclass(slots=True)
class Verdict:
    """What a campaign comes to; ``faults`` by heading."""

    counts: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    faults: dict[str, list[str]] = field(default_factory=dict)

    def fault(self, heading: str, text: str) -> None:
        """Add a fault."""
        self.faults.setdefault(heading, []).append(text)

    @property
    def faults_count(self) -> int:
        return sum(map(len, self.faults.values()))


@dataclass(slots=True)
class Found:
    """A job's folder and ledger."""

    facts: dict[str, records.Payload]
    output: bytes
    runs: list[records.RunRecord]
    ledger: list[str]

    @classmethod
    def of(cls, folder: Path, ledger: Path, record: Path | None = None) -> Found:
        """Read them; what is missing is empty."""
        output = _read(folder / "output")
        raw = _read(folder / "runs")[records.HEADER.size :]
        return cls(
            records.read_record(record or folder / "record"),
            output,
            records.runs_in(raw, len(output)),
            _read(ledger).decode().split("\n")[:-1],
        )

    def streams(self) -> dict[int, bytes]:
        """The output taken apart by the index; what has no run is stream 0."""
        parts: dict[int, list[bytes]] = {}
        ends = [run.offset for run in self.runs[1:]] + [len(self.output)]
        if self.output and (not self.runs or self.runs[0].offset):
            parts[0] = [b"?"]
        for run, end in zip(self.runs, ends, strict=False):
            if run.offset < end:
                parts.setdefault(run.kind, []).append(self.output[run.offset : end])
        return {kind: b"".join(data) for kind, data in parts.items()}

    @property
    def unknown_count(self) -> int:
        """How many take-overs could not know the order, by their own account."""
        flagged = sum(bool(run.flags & records.FLAG_ORDER_UNKNOWN) for run in self.runs)
        return max(flagged, int(self.facts.get("exit", {}).get("order_unknown", False)))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


class Judge:
    """Judges the jobs of one campaign.

    Args:
        data: The server's data directory.
        ledgers: Folder of the jobs' ledgers.
        unstarted: Whether supervisors were killed: a job may then say that it was not started, if that is so.
        others: Data directories of workers: a job that ran there has its record there.
    """

    def __init__(
        self, data: Path, ledgers: Path, verdict: Verdict, *, unstarted: bool, others: Sequence[Path] = ()
    ) -> None:
        self._data, self._ledgers, self._verdict, self._unstarted = data, ledgers, verdict, unstarted
        self._others = others

    def jobs(self, sent: Iterable[Sent], rows: Iterable[Row]) -> None:
        """Judge every job that was sent, acknowledged or not, and see that there are no others."""
        by_name: dict[str, list[Row]] = {}
        for row in rows:
            found = NAME.search(row["command"])
            by_name.setdefault(found[0] if found else "", []).append(row)
        for each in sent:
            self._one(each, by_name.pop(each.plan.name, []))
        for strangers in by_name.values():
            self._verdict.fault("database", f"jobs that nobody sent: {strangers}")

    def _one(self, sent: Sent, rows: list[Row]) -> None:
        counts, name = self._verdict.counts, sent.plan.name
        counts["sent"] += 1
        counts["acknowledged"] += bool(sent.ids)
        counts["refused"] += sent.refused
        if len(rows) > (not sent.refused) or len(sent.ids) > 1 or not sent.ids <= {row["id"] for row in rows}:
            text = f"{name}: answered {sent.ids} in {sent.sends_count} sends, rows {[row['id'] for row in rows]}"
            self._verdict.fault("database", text)
        if not rows:
            if _read(self._ledgers / name):
                self._verdict.fault("status", f"{name}: ran, and is not in the database")
            return
        found = self._found(rows[0]["id"], name)
        counts["ran"] += bool(found.ledger)
        counts["bytes"] += len(found.output)
        self._verdict.kinds[sent.plan.kind] += 1
        where = f"{name} ({sent.plan.kind}, {'acknowledged' if sent.ids else 'not acknowledged'})"
        self._judge(where, sent.plan, rows[0], found)

    def _found(self, job_id: str, name: str) -> Found:
        records_ = (data / "jobs" / job_id / "record" for data in self._others)
        record = next((path for path in records_ if path.exists()), None)
        return Found.of(self._data / "jobs" / job_id, self._ledgers / name, record)

    def _judge(self, where: str, plan: Plan, row: Row, found: Found) -> None:
        if len(set(found.ledger)) != len(found.ledger):
            self._verdict.fault("ran twice", f"{where}: ledger {found.ledger}, {_tale(row, found)}")
        ends = [*plan.ends, *(self._never_started(plan) if self._unstarted else ())]
        fitting = [end for end in ends if _fits(end, row, found)]
        if not fitting:
            self._verdict.fault("status", f"{where}: {_tale(row, found)}; true: {[_short(end) for end in plan.ends]}")
            return
        self._verdict.counts["not started"] += (row["error"] or "").startswith("not started")
        if row["output_bytes"] != len(found.output):
            self._verdict.fault("bytes", f"{where}: {len(found.output)} bytes in the file; {_tale(row, found)}")
        wrong = [self._output(end, found) for end in fitting]
        if None not in wrong:
            heading, text = wrong[0] or ("", "")
            self._verdict.fault(heading, f"{where}: {text}; {_tale(row, found)}")

    def _never_started(self, plan: Plan) -> Iterator[End]:
        """The program of a step was never run, since its supervisor was killed before."""
        longest = max(plan.ends, key=lambda end: len(end.starts))
        for count in range(max(1, len(longest.starts))):
            writes = longest.writes[:count] if count else ()
            for state in ("failed", "stopped") if plan.halt is not None else ("failed",):
                yield End(state=state, error="not started", starts=longest.starts[:count], writes=writes)

    def _output(self, end: End, found: Found) -> tuple[str, str] | None:
        """Heading and text of what is wrong with the output, None if nothing is."""
        writes = _cut(end.writes, len(found.output)) if end.cut else end.writes
        streams = found.streams()
        for stream in (0, 1, 2, records.KIND_GAP, records.KIND_UNKNOWN):
            wanted = b"".join(data for each, data in writes if each == stream)
            if (got := streams.get(stream, b"")) != wanted:
                at = next((i for i, (a, b) in enumerate(zip_longest(got, wanted)) if a != b), 0)
                return "bytes", f"stream {stream} has {len(got)} bytes for {len(wanted)}, they differ at {at}"
        wanted = b"".join(data for _, data in writes)
        if found.output == wanted:
            return None
        lines = zip_longest(found.output.splitlines(), wanted.splitlines())
        displaced = sum(got != line for got, line in lines)
        if displaced > _DISPLACED_LIMIT_COUNT * found.unknown_count:
            return "order", f"{displaced} lines displaced at {found.unknown_count} take-overs that say so"
        self._verdict.counts["displaced jobs"] += 1
        self._verdict.counts["displaced lines"] += displaced
        return None

    def attaches(self, attaches: Iterable[Follower], rows: Iterable[Row], ledger_of: dict[str, str]) -> None:
        """See that every attacher has what the file has, and was told the true end."""
        by_id = {row["id"]: row for row in rows}
        for each in attaches:
            row = by_id[each.job_id]
            found = self._found(each.job_id, ledger_of.get(each.job_id, "none"))
            wanted = found.streams().get(_STREAMS[each.stream], b"") if each.stream else found.output
            self._verdict.counts["attaches"] += 1
            self._verdict.counts["attach links"] += each.links_count
            if bytes(each.data) != wanted:
                text = f"{len(each.data)} bytes for {len(wanted)} in {each.links_count} links"
                self._verdict.fault("attach", f"{each.over} {each.stream} {each.job_id}: {text}; {_tale(row, found)}")
            if each.end != (told := _told(each.over, row)):
                self._verdict.fault("attach", f"{each.over} {each.job_id}: told {each.end}, true is {told}")

    def events(self, events: Events, rows: Iterable[Row]) -> None:
        """See that the stream told each job's moves, legal ones, to its true end."""
        self._verdict.counts["events"] += events.last
        for text in events.faults:
            self._verdict.fault("events", text)
        for row in rows:
            states = [JobState(word) for word in events.states.get(row["id"], [])]
            if not states or states[-1] != row["state"]:
                self._verdict.fault("events", f"{row['id']}: told {states}, is {row['state']}")
            for before, after in pairwise(states):
                # RUNNING may be passed over: a short job has ended when the server hears of it
                # a short job may have ended when the server hears of its start
                steps = MOVES[before] | (MOVES[JobState.RUNNING] if before == JobState.STARTING else frozenset())
                if after not in steps:
                    self._verdict.fault("events", f"{row['id']}: told {before} -> {after}")

    def folders(self) -> None:
        """See that no folder holds what was needed only while its job ran."""
        for data in (self._data, *self._others):
            for folder in (data / "jobs").iterdir():
                if left := {entry.name for entry in folder.iterdir()} - _FILES:
                    self._verdict.fault("left behind", f"{sorted(left)} in {folder}")


def _fits(end: End, row: Row, found: Found) -> bool:
    error = row["error"]
    words = error is None if end.error is None else (error or "").startswith(end.error)
    starts = tuple(found.ledger)
    return (
        (row["state"], row["exit_code"], row["signal"]) == (end.state, end.code, end.signal)
        and words
        and (starts == end.starts or (end.cut and starts == ()))
        and end.step in (None, row["step"])
    )


def _cut(writes: Writes, size_bytes: int) -> Writes:
    """The first whole writes of at most so many bytes."""
    kept = []
    for stream, data in writes:
        size_bytes -= len(data)
        if size_bytes < 0:
            break
        kept.append((stream, data))
    return tuple(kept)


def _told(over: str, row: Row) -> dict[str, str]:
    code, signal = row["exit_code"], row["signal"]
    if over in ("http", "client"):
        ends = (("jobdeck-exit-code", code), ("jobdeck-signal", signal))
        return {"jobdeck-state": row["state"]} | {name: str(value) for name, value in ends if value is not None}
    if code is not None:
        return {"close": f"exit {code}"}
    return {"close": row["state"] if signal is None else f"signal {signal}"}


def _short(end: End) -> str:
    return f"{end.state} code={end.code} signal={end.signal} starts={end.starts}"


def _tale(row: Row, found: Found) -> str:
    wanted = ("id", "state", "exit_code", "signal", "error", "step", "stop_requested", "output_bytes", "dropped_bytes")
    told = {name: row[name] for name in wanted}
    runs = [(run.offset, run.kind, run.flags) for run in found.runs if run.flags]
    return f"record {told}, ledger {found.ledger}, {len(found.output)} bytes, flagged {runs}, facts {found.facts}"


def marked(mark: str) -> list[str]:
    """Live processes that carry a campaign's mark in their environment, with what they are."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if f"JD_CRASH={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found.append(f"{entry.name}: {line[:200]}")
            except OSError:
                continue
    return found


def unfinished(keeper: int) -> list[int]:
    """Children of a keeper that are no spare shims: shims, and jobs that it took over, dead ones among them."""
    return [pid for pid in procs.children(keeper) if name_of(pid) != SPARE or not procs.is_running(pid)]


def spares(keeper: int) -> list[int]:
    """Shims that wait for a job."""
    return [pid for pid in procs.children(keeper) if name_of(pid) == SPARE]


def name_of(pid: int) -> str:
    """A process's own name for itself; empty if there is no such process."""
    return _read(Path(f"/proc/{pid}/comm")).decode().strip()


def zombies(parent: int) -> list[int]:
    """Dead children of a process that it has not reaped."""
    return [pid for pid in procs.children(parent) if not procs.is_running(pid)]


def descriptors(pid: int) -> int:
    """How many files a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))
