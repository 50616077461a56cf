"""The crash test of contexts on Spark: ``kill -9`` at any moment, and what came of it.

Clients start jobs in two contexts that stay, each request with a key, so that one that was broken off is made again;
a minder makes other contexts, starts a job in them, stops them or has them made anew, and brings back those that stay
if they have ended. Meanwhile the killer strikes: the server, its keeper, both, or the process or JVM of some context.

Afterwards each job is judged: that it began at most once and, if it has finished, did each of its tasks once (jobs
keep ledgers), that its result is right, and that one which failed says why and had a reason to. Then the contexts are
stopped, and nothing may be left: no file of work, no process.

The short form is in ``test_crashes.py``; the long one ``python -m tests.spark.campaign --seconds N``.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.crash import quiet_port, subreaper
from tests.e2e.crash_killers import reap, strike
from tests.e2e.program import Server, end_keeper
from tests.spark.kit import flags_and_environment, processes
from tests.spark.sparkjobs import package
from tests.spark.victims import context_processes, jvm_of, kill

TARGETS = ("server", "keeper", "server and keeper", "context", "all")
STAYING: dict[str, dict[str, Any]] = {
    "a": {"max-jobs-per-context": 3, "context-restart": "always"},
    "b": {"max-jobs-per-context": 1},
}
KINDS = ("Sums", "Sums", "Sums", "Fails")
LOST = ("Unexpected termination of context", "was terminated", "cannot be made")
ENDED = ("succeeded", "failed", "stopped")
_END_LIMIT_S = 120.0
_REQUEST_LIMIT_S = 60.0
_OPEN_LIMIT_COUNT = 5  # of each client
_TOTAL = sum(range(4))


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A campaign: who is killed, a folder, for how many seconds."""

    target: str
    folder: Path
    limit_s: float
    seed: int = 0
    peace_s: float = 6.0


@dataclass(slots=True, kw_only=True)
class Report:
    """What came of it; ``faults`` is empty if all was well."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A job that was accepted."""

    tag: str
    kind: str
    context: str
    job_id: str


def campaign(config: Config) -> Report:
    """Run one campaign. Whatever happens, no process of it is left."""
    config.folder.mkdir(parents=True)
    flags, environment = flags_and_environment(config.folder)
    package(config.folder)
    wheel = f"jobs={config.folder / 'sparkjobs-1.0-py3-none-any.whl'}"
    server = Server(config.folder / "data", *flags, "--package", wheel, "--running-limit", "6", env=environment)
    server.data_dir.mkdir(exist_ok=True)
    server.port = quiet_port()
    with subreaper():
        try:
            return Campaign(config, server).run()
        finally:
            if server.process is not None and server.process.poll() is None:
                server.kill()
            end_keeper(server.data_dir)
            reap()


class Campaign:
    """What the threads of a campaign share."""

    def __init__(self, config: Config, server: Server) -> None:
        self._config, self._server = config, server
        self._rnd = random.Random(config.seed)
        self._ledger = config.folder / "ledger"
        self._ledger.mkdir()
        self._over = threading.Event()
        self._jobs: list[Sent] = []
        self._report = Report()

    def run(self) -> Report:
        """Kill, wait, judge."""
        self._server.start()
        for name, settings in STAYING.items():
            self._make(name, settings)
        self._until(lambda: all(self._context(name).get("state") == "running" for name in STAYING))
        before = {name: self._context(name) for name in STAYING}
        works = [(self._start_many, "a"), (self._start_many, "b"), (self._mind, "minder")]
        threads = [threading.Thread(target=self._guarded, args=each) for each in works]
        for thread in threads:
            thread.start()
        try:
            self._kill()
        finally:
            self._over.set()
            for thread in threads:
                thread.join()
        self._until(lambda: all(self._has_ended(sent) for sent in self._jobs), _END_LIMIT_S, "jobs have not ended")
        self._judge(before)
        self._end()
        return self._report

    # -- asking --

    def _guarded(self, work: Callable[[random.Random, str], None], name: str) -> None:
        try:
            work(random.Random(f"{self._config.seed} {name}"), name)
        except Exception as error:  # noqa: BLE001  # a client that gives up is a fault, whatever it is
            self._report.faults.append(f"client {name}: {error!r}")

    def _insist(self, method: str, path: str, value: object = None, **headers: str) -> tuple[int, Any]:
        """Ask again until there is a server that answers."""
        limit_s = time.monotonic() + _REQUEST_LIMIT_S
        text = None if value is None else json.dumps(value)
        named = {key.replace("_", "-"): each for key, each in headers.items()}
        while True:
            try:
                status, _, body = self._server.ask(method, path, text, named)
                return status, json.loads(body) if body else None
            except (OSError, http.client.HTTPException):
                self._report.counts["broken requests"] += 1
                assert time.monotonic() < limit_s
                time.sleep(0.05)

    def _until(self, true: Callable[[], object], limit_s: float = _REQUEST_LIMIT_S, fault: str = "not so") -> None:
        end_s = time.monotonic() + limit_s
        while not true():
            if time.monotonic() > end_s:
                self._report.faults.append(f"{fault} after {limit_s:.0f} s: {self._context('a')} {self._context('b')}")
                return
            time.sleep(0.1)

    def _context(self, name: str) -> dict[str, Any]:
        status, found = self._insist("GET", f"/v1/contexts/{name}")
        return dict(found) if status == http.HTTPStatus.OK else {}

    # -- clients --

    def _make(self, name: str, settings: dict[str, Any]) -> None:
        wanted = {"spark.master": "local[2]", **settings}
        status, told = self._insist("POST", "/v1/contexts", {"name": name, "settings": wanted})
        # Its answer may have been lost with the server
        if status == http.HTTPStatus.UNPROCESSABLE_ENTITY and self._config.target in ("context", "all"):
            self._report.counts["killed while made"] += 1
        elif status not in (http.HTTPStatus.CREATED, http.HTTPStatus.ACCEPTED, http.HTTPStatus.CONFLICT):
            self._report.faults.append(f"context {name} was refused with {status}: {told}")

    def _start_many(self, rnd: random.Random, context: str) -> None:
        count = 0
        while not self._over.is_set():
            own = [sent for sent in self._jobs if sent.context == context][-2 * _OPEN_LIMIT_COUNT :]
            if sum(not self._has_ended(sent) for sent in own) >= _OPEN_LIMIT_COUNT:
                time.sleep(0.1)
                continue
            count += 1
            if not self._start(f"{context}-{count}", rnd.choice(KINDS), context, rnd.choice([0.0, 0.1, 0.5])):
                time.sleep(0.2)

    def _start(self, tag: str, kind: str, context: str, pause_s: float) -> bool:
        config = {"ledger": str(self._ledger / tag), "tag": tag, "pause_s": pause_s}
        body = {"main_class": f"sparkjobs.jobs.{kind}", "packages": ["jobs"], "config": config, "context": context}
        status, told = self._insist("POST", "/v1/jobs", body, Idempotency_Key=tag)
        if status in (200, 201):
            self._jobs.append(Sent(tag=tag, kind=kind, context=context, job_id=told["id"]))
            return True
        self._report.counts["refused"] += 1
        if self._config.target == "server" and context in STAYING:
            self._report.faults.append(f"{tag} was refused with {status}: {told}")
        return False

    def _mind(self, rnd: random.Random, name: str) -> None:
        """Contexts that come and go; and those that have ended and are to stay are made anew."""
        count = 0
        while not self._over.is_set():
            for each in STAYING:
                if self._context(each).get("state") in ("error", "finished", "killed"):
                    self._insist("POST", f"/v1/contexts/{each}/restart")
                    self._report.counts["made anew"] += 1
            count += 1
            passing = f"t{count}"
            self._make(passing, {})
            self._start(f"{passing}-1", "Sums", passing, 0.5)
            time.sleep(rnd.random() * 5)
            if rnd.random() < 0.3:
                self._insist("POST", f"/v1/contexts/{passing}/restart")
            self._stop(passing)

    def _stop(self, name: str) -> None:
        def stopped() -> bool:
            self._insist("DELETE", f"/v1/contexts/{name}")
            return self._context(name).get("state") in (None, "finished", "killed", "error")

        self._until(stopped, fault=f"context {name} does not end")

    def _has_ended(self, sent: Sent) -> bool:
        return self._insist("GET", f"/v1/jobs/{sent.job_id}")[1]["state"] in ENDED

    # -- killing --

    def _kill(self) -> None:
        until_s = time.monotonic() + self._config.limit_s
        while time.monotonic() < until_s:
            time.sleep(self._rnd.random() * self._config.peace_s)
            target = self._config.target
            target = self._rnd.choice(TARGETS[:-1]) if target == "all" else target
            if target == "context":
                self._strike_context()
            elif (fault := strike(self._server, target, self._rnd)) is not None:
                self._report.faults.append(fault)
            self._report.counts["kills"] += 1
            self._report.counts[f"kills of {target}"] += 1

    def _strike_context(self) -> None:
        pids = list(context_processes(self._server.data_dir).values())
        if pids:
            pid = self._rnd.choice(pids)
            victim = jvm_of(pid) if self._rnd.random() < 0.5 else pid
            try:
                kill(victim or pid)
            except ProcessLookupError:
                self._report.counts["gone before"] += 1

    # -- afterwards --

    def _judge(self, before: dict[str, dict[str, Any]]) -> None:
        self._report.counts["jobs"] = len(self._jobs)
        for sent in self._jobs:
            self._report.faults += [f"{sent}: {fault}" for fault in self._faults(sent)]
        if self._config.target in ("server", "keeper", "server and keeper"):
            for name, was in before.items():
                now = self._context(name)
                if any(now.get(key) != was[key] for key in ("id", "process", "application", "state")):
                    self._report.faults.append(f"context {name} was {was} and is {now}")

    def _lines(self, sent: Sent, name: str) -> list[str]:
        path = self._ledger / f"{sent.tag}.{name}"
        return path.read_text().split() if path.exists() else []

    def _faults(self, sent: Sent) -> Iterator[str]:
        job = self._insist("GET", f"/v1/jobs/{sent.job_id}")[1]
        outcome = self._insist("GET", f"/v1/jobs/{sent.job_id}/outcome")[1]
        runs, tasks, ended = (self._lines(sent, name) for name in ("runs", "tasks", "ended"))
        if len(runs) > 1 or len(ended) > 1 or len(set(tasks)) < len(tasks):
            yield f"it ran {len(runs)} times, its tasks were {tasks}: {job}"
        if job["state"] == "succeeded":
            self._report.counts["finished"] += 1
            result = self._insist("GET", f"/v1/jobs/{sent.job_id}/result")[1]
            if result != {"tag": sent.tag, "total": _TOTAL} or len(tasks) != 4 or len(runs) != 1:
                yield f"its result is {result}, its tasks were {tasks}, it ran {len(runs)} times"
        elif sent.kind == "Fails" and outcome["kind"] == "run_raised":
            self._report.counts["failed as it should"] += 1
        else:
            yield from self._broken_faults(sent, job, outcome)

    def _broken_faults(self, sent: Sent, job: dict[str, Any], outcome: dict[str, Any]) -> Iterator[str]:
        """Of one that came to no end of its own."""
        self._report.counts[f"{job['state']}: {outcome['kind']}"] += 1
        text = f"{job['error']} {outcome.get('error')}"
        if self._config.target != "server" and (job["error"] or "").startswith("not started"):
            return
        if self._config.target == "server" and sent.context in STAYING:
            yield f"it is {job}, {outcome}"
        elif job["state"] == "failed" and not any(words in text for words in LOST):
            yield f"it does not say why it failed: {job}, {outcome}"

    def _end(self) -> None:
        """Stop all contexts; nothing may be left."""
        for name in STAYING:
            self._stop(name)
        try:
            self._until(lambda: not self._left(), _END_LIMIT_S, "something is left")
        finally:
            self._report.faults += self._left()

    def _left(self) -> list[str]:
        assert self._server.process is not None
        reap(self._server.process.pid)
        work = self._server.data_dir / "work"
        return [*(f"files of {path.name}" for path in work.iterdir()), *processes(work).values()]


def main() -> int:
    """The long form."""
    parser = argparse.ArgumentParser(prog="python -m tests.spark.campaign")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--target", choices=TARGETS, default="all")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="jobdeck-spark-")) / "campaign"
    ended = campaign(Config(target=given.target, folder=folder, limit_s=given.seconds, seed=given.seed))
    print(folder, dict(ended.counts), *ended.faults[:50], f"{len(ended.faults)} faults", sep="\n")  # noqa: T201  # a tool
    return 1 if ended.faults else 0


if __name__ == "__main__":
    sys.exit(main())
