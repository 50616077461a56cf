"""The crash test of classes out of packages: ``kill -9`` of server and keeper at any moment, and what came of it.

Clients start classes of each kind, in contexts of their own and in persistent ones, each with a callback. Others make
contexts, start classes in them that do not end by themselves, and stop the contexts. A request that is broken off is
made again with the same key. Meanwhile the killer strikes, and brings the server back.

Afterwards each class is judged: that it ran once (it keeps a ledger), its state, what is told of its end, each byte of
its result, its output and its configuration, and what its receiver was told, which is the same each time. Contexts are
as they were. Nothing may be left: no files of work, no process.

The short form is ``test_class_crash.py``; the long one ``python -m tests.e2e.class_crash SECONDS [TARGET [SEED]]``.
"""

from __future__ import annotations

import http.client
import json
import os
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

from tests.e2e.class_crash_kit import KINDS, Receiver, Sent, package, result_of
from tests.e2e.crash import quiet_port, subreaper
from tests.e2e.crash_killers import reap, strike
from tests.e2e.program import Server, end_keeper

TARGETS = ("server", "keeper", "server and keeper")
STAYING = {"p1": 1, "p3": 3}  # contexts that are to survive all of it, and their slots
_END_LIMIT_S = 90.0
_REQUEST_LIMIT_S = 60.0
_GROUP_COUNT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A campaign: who is killed, a folder, for how many seconds, how many classes at once."""

    target: str
    data: Path
    limit_s: float
    seed: int = 0
    open_limit_count: int = 12
    peace_s: float = 1.0


@dataclass(slots=True, kw_only=True)
class Report:
    """What came of it; ``faults`` is empty if all was well."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def campaign(config: Config) -> Report:
    """Run one campaign. Whatever happens, no process of it is left."""
    config.data.mkdir(parents=True)
    flags = (
        "--package",
        f"camp={package(config.data)}",
        "--running-limit",
        "6",
        "--callback-delays",
        ",".join(["0.1"] * 40),
    )
    server = Server(config.data / "data", *flags)
    server.data_dir.mkdir()
    server.port = quiet_port()
    receiver = Receiver(config.seed)
    with subreaper():
        try:
            return Campaign(config, server, receiver).run()
        finally:
            if server.process is not None and server.process.poll() is None:
                server.kill()
            end_keeper(server.data_dir)
            reap()
            receiver.close()


class Campaign:
    """What the threads of a campaign share."""

    def __init__(self, config: Config, server: Server, receiver: Receiver) -> None:
        self._config, self._server, self._receiver = config, server, receiver
        self._rnd = random.Random(config.seed)
        self._ledger = config.data / "ledger"
        self._ledger.mkdir()
        self._over = threading.Event()
        self._jobs: list[Sent] = []
        self._report = Report()
        self._staying: dict[str, str] = {}

    def run(self) -> Report:
        """Kill, wait, judge."""
        self._server.start()
        for name, slots in STAYING.items():
            self._make(name, {"max-jobs-per-context": slots})
        self._staying = {each["name"]: each["id"] for each in self._contexts()}
        threads = [threading.Thread(target=self._guarded, args=(self._start_many, number)) for number in range(2)]
        threads.append(threading.Thread(target=self._guarded, args=(self._move, 2)))
        for thread in threads:
            thread.start()
        try:
            self._kill()
        finally:
            self._over.set()
            for thread in threads:
                thread.join()
        self._settle()
        self._judge()
        return self._report

    # -- clients --

    def _guarded(self, work: Callable[[random.Random, int], None], number: int) -> None:
        try:
            work(random.Random(f"{self._config.seed} {number}"), number)
        except Exception as error:  # noqa: BLE001  # a client that gives up is a fault, whatever it is
            self._report.faults.append(f"client {number}: {error!r}")

    def _insist(self, method: str, path: str, value: object = None, **headers: str) -> tuple[int, Any]:
        """Ask again until there is a server that answers."""
        limit_s = time.monotonic() + _REQUEST_LIMIT_S
        while True:
            try:
                text = None if value is None else json.dumps(value)
                status, _, body = self._server.ask(
                    method, path, text, {k.replace("_", "-"): v for k, v in headers.items()}
                )
                return status, json.loads(body) if body else None
            except (OSError, http.client.HTTPException):
                self._report.counts["broken requests"] += 1
                assert time.monotonic() < limit_s
                time.sleep(0.02)

    def _start_many(self, rnd: random.Random, number: int) -> None:
        count = 0
        while not self._over.is_set():
            if sum(not self._has_ended(sent) for sent in self._jobs[-100:]) > self._config.open_limit_count:
                time.sleep(0.05)
                continue
            count += 1
            context = rnd.choice([None, None, *STAYING])
            self._start(f"{number}-{count}", rnd.choice(KINDS), context, rnd.choice([0, 0, 0.05, 0.4]), rnd)

    def _has_ended(self, sent: Sent) -> bool:
        return bool(self._receiver.got["/" + sent.tag]) or sent.context not in (None, *STAYING)

    def _start(self, tag: str, kind: str, context: str | None, pause_s: float, rnd: random.Random) -> None:
        config = {"ledger": str(self._ledger / tag), "tag": tag, "pause_s": pause_s}
        if rnd.random() < 0.1:
            config["padding"] = "x" * 200_000  # kept outside the database
        body = {
            "main_class": f"camp.jobs.{kind}",
            "packages": ["camp"],
            "config": config,
            "context": context,
            "callback_url": self._receiver.url(tag),
        }
        status, told = self._insist("POST", "/v1/jobs", body, Idempotency_Key=tag)
        if status in (200, 201):
            self._jobs.append(Sent(tag=tag, kind=kind, config=config, context=context, job_id=told["id"]))
        else:
            self._report.faults.append(f"{tag} in {context} was refused with {status}: {told}")

    def _make(self, name: str, settings: dict[str, Any]) -> None:
        status, told = self._insist("POST", "/v1/contexts", {"name": name, "settings": settings})
        # Its answer may have been lost with the server
        if status != http.HTTPStatus.CREATED and status != http.HTTPStatus.CONFLICT:
            self._report.faults.append(f"context {name} was refused with {status}: {told}")

    def _move(self, rnd: random.Random, number: int) -> None:
        """Contexts that come and go with classes in them that would run for long."""
        count = 0
        while not self._over.is_set():
            count += 1
            name = f"t{count}"
            self._make(name, {"max-jobs-per-context": 2})
            for each in range(_GROUP_COUNT):
                self._start(f"{name}-{each}", "Good", name, 600, rnd)
            time.sleep(rnd.random())
            status = 0
            limit_s = time.monotonic() + _REQUEST_LIMIT_S
            while status not in (200, 404):
                status, _ = self._insist("DELETE", f"/v1/contexts/{name}")
                assert time.monotonic() < limit_s, f"context {name} does not go: {status}"

    def _contexts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._insist("GET", "/v1/contexts")[1]["contexts"]
        return [each for each in found if not each["adhoc"]]

    # -- killing --

    def _kill(self) -> None:
        until_s = time.monotonic() + self._config.limit_s
        while time.monotonic() < until_s:
            time.sleep(self._rnd.random() * self._config.peace_s)
            self._strike()
            self._report.counts["kills"] += 1

    def _strike(self) -> None:
        fault = strike(self._server, self._config.target, self._rnd)
        if fault is not None:
            self._report.faults.append(fault)

    # -- afterwards --

    def _settle(self) -> None:
        """Wait until all has ended, has been told, and is gone."""
        limit_s = time.monotonic() + _END_LIMIT_S
        while left := self._left():
            if time.monotonic() > limit_s:
                self._report.faults.append(f"left after {_END_LIMIT_S:.0f} s: {left}")
                return
            time.sleep(0.1)

    def _left(self) -> list[str]:
        assert self._server.process is not None
        reap(self._server.process.pid)
        counts = self._insist("GET", "/v1/info")[1]["counts"]
        left = [f"{state}: {counts[state]}" for state in ("queued", "starting", "running") if counts.get(state)]
        left += os.listdir(self._server.data_dir / "work")
        left += [each["name"] for each in self._contexts() if each["name"] not in STAYING]
        left += [sent.tag for sent in self._jobs if not self._has_ended(sent)]
        return left + [f"process {pid}" for pid in self._runners()]

    def _runners(self) -> Iterator[int]:
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if b"jobdeck_package_runner" in words and os.fsencode(self._server.data_dir) in words:
                    yield int(entry.name)

    def _judge(self) -> None:
        self._report.counts["jobs"] = len(self._jobs)
        now = {each["name"]: each["id"] for each in self._contexts()}
        if now != self._staying:
            self._report.faults.append(f"contexts were {self._staying} and are {now}")
        if "Traceback" in self._server.log.read_text(errors="replace"):
            self._report.faults.append(f"there is a traceback in {self._server.log}")
        for sent in self._jobs:
            self._report.faults += [
                f"{sent.tag} {sent.kind} {sent.context} {sent.job_id}: {f}" for f in self._faults(sent)
            ]

    def _faults(self, sent: Sent) -> Iterator[str]:
        job = self._server.job(sent.job_id)
        if (config := self._insist("GET", f"/v1/jobs/{sent.job_id}/config")[1]) != sent.config:
            yield f"its configuration is {str(config)[:200]}"
        path = self._ledger / f"{sent.tag}.runs"
        runs = path.read_text().count("\n") if path.exists() else 0
        outcome = self._insist("GET", f"/v1/jobs/{sent.job_id}/outcome")[1]
        if sent.context is not None and sent.context not in STAYING:
            yield from self._stopped_faults(sent, job, runs)
            return
        yield from self._told_faults(sent, outcome)
        if self._config.target != "server" and not runs and outcome["kind"] == "not_started":
            self._report.counts["not started"] += 1  # the keeper was killed under it, and it says so
            return
        if runs != (sent.kind != "Refuses") or job["attempt"] != 1:
            yield f"it ran {runs} times: {job}"
        kinds = {"Fails": "run_raised", "Refuses": "validation", "Exits": "exited"}
        kind = kinds.get(sent.kind, "finished")
        if outcome["kind"] != kind or job["state"] != ("succeeded" if kind == "finished" else "failed"):
            yield f"it is {job['state']}, {outcome}"
            return
        _, _, out = self._server.ask("GET", f"/v1/jobs/{sent.job_id}/output?stream=stdout")
        if out != (f"out of {sent.tag}\n".encode() if runs else b""):
            yield f"its output is {out[:200]!r}"
        status, result = self._insist("GET", f"/v1/jobs/{sent.job_id}/result")
        if (status, result) != ((200, result_of(sent)) if kind == "finished" else (404, result)):
            yield f"its result is {status}, {str(result)[:200]}"

    def _stopped_faults(self, sent: Sent, job: dict[str, Any], runs: int) -> Iterator[str]:
        """Of one whose context was stopped."""
        told = self._insist("GET", f"/jobs/{sent.job_id}")[1]
        if (
            self._config.target != "server"
            and job["state"] == "failed"
            and (job["error"] or "").startswith("not started")
        ):
            self._report.counts["not started"] += 1
        elif (job["state"], told["status"]) != ("stopped", "KILLED"):
            yield f"it is {job['state']}: {told}"
        elif told["result"]["message"] != f"Context ({sent.context}) for this job was terminated":
            yield f"it is told as {told}"
        elif self._receiver.got["/" + sent.tag]:
            yield "its end was told"
        if runs > 1:
            yield f"it ran {runs} times"

    def _told_faults(self, sent: Sent, outcome: dict[str, Any]) -> Iterator[str]:
        """Of what its receiver was told."""
        got = self._receiver.got["/" + sent.tag]
        if not got or len(set(got)) != 1 or len(got) > 1 + self._report.counts["kills"]:
            yield f"its receiver was told {len(got)} times, {len(set(got))} things"
            return
        self._report.counts["told again"] += len(got) - 1
        value = json.loads(got[0][0])
        if outcome["kind"] == "finished":
            wanted: object = "<Stream result>" if sent.kind == "Streams" else result_of(sent)
            if value != {"jobId": sent.job_id, "result": wanted}:
                yield f"its receiver was told {str(value)[:200]}"
        elif (value["jobId"], value["status"], value["result"]["message"]) != (
            sent.job_id,
            "ERROR",
            outcome["error"]["message"],
        ):
            yield f"its receiver was told {str(value)[:200]}, and it is {outcome}"


if __name__ == "__main__":
    limit_s, target, seed, *_ = [*sys.argv[1:], *("60", "server", "0")[len(sys.argv) - 1 :]]
    folder = Path(tempfile.mkdtemp(prefix="jobdeck-classes-")) / "campaign"
    ended = campaign(Config(target=target, data=folder, limit_s=float(limit_s), seed=int(seed)))
    print(folder, dict(ended.counts), *ended.faults[:50], f"{len(ended.faults)} faults", sep="\n")  # noqa: T201  # a tool
    sys.exit(1 if ended.faults else 0)
