"""The executor's crash test: bundles and blobs come in over HTTP while ``kill -9`` strikes in each stage of a job.

The killer waits until some job is in the stage that is to be hit, as the disk tells it, and strikes a moment later:

    uploading     a half blob is there
    preparing     files are laid out, and the keeper has not heard of the job
    running       the program has begun
    collecting    the program has ended, and its results are on their way

When the killing is over everything must come to its end by itself. Every job that was acknowledged is judged: its
status, that its program ran once (it counts), each byte of its results; every blob that was acknowledged, and every
file of the store; then nothing may be left of work.

The short form is ``test_executor_crash.py``; the long one ``python -m tests.e2e.executor_soak``.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.bundles import Rest, bundle, sha1
from tests.e2e.crash import quiet_port, subreaper
from tests.e2e.crash_killers import reap, strike
from tests.e2e.program import Server, end_keeper

STAGES = ("uploading", "preparing", "running", "collecting")
TARGETS = ("server", "keeper", "server and keeper")
_STAGE_LIMIT_S = 2.0
_END_LIMIT_S = 90.0
_REQUEST_LIMIT_S = 30.0
_LOOK_S = 0.002
_LINE = """
echo run >> "$0/$1.runs"; echo "I am $1"; echo "but $1" >&2
i=0; while [ $i -lt "$2" ]; do mkdir -p r/$((i % 7)); echo "$1 $i" > r/$((i % 7))/$i.txt; i=$((i + 1)); done
[ "$3" = 0 ] || sleep "$3"
echo end >> "$0/$1.ends"; exit "$4"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A campaign: who is killed, a folder, how often, for how many seconds at most, and with how many jobs at once."""

    target: str
    data: Path
    kills_count: int
    limit_s: float = 3600.0
    seed: int = 0
    open_limit_count: int = 12
    peace_s: float = 1.5


@dataclass(slots=True, kw_only=True)
class Sent:
    """A bundle: what its program makes of it."""

    name: str
    key: str
    files_count: int
    code: int
    inputs: dict[str, bytes]


@dataclass(slots=True, kw_only=True)
class Report:
    """What came of it; ``faults`` is empty if all was well."""

    config: Config
    kills_count: int = 0
    wall_s: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def campaign(config: Config) -> Report:
    """Run one campaign. Whatever happens, no process of it is left."""
    config.data.mkdir(parents=True)
    server = Server(config.data / "data", "--running-limit", "4")
    server.data_dir.mkdir()
    server.port = quiet_port()
    began_s = time.monotonic()
    with subreaper():
        try:
            report = Campaign(config, server).run()
        finally:
            if server.process is not None and server.process.poll() is None:
                server.kill()
            end_keeper(server.data_dir)
            reap()
    report.wall_s = time.monotonic() - began_s
    return report


class Campaign:
    """What the threads of a campaign share."""

    def __init__(self, config: Config, server: Server) -> None:
        self._config, self._server = config, server
        self._rest = Rest(server)
        self._rnd = random.Random(config.seed)
        self._ledger = config.data / "ledger"
        self._ledger.mkdir()
        self._over = threading.Event()
        self._jobs: list[Sent] = []
        self._blobs: dict[str, str] = {}  # record -> SHA-1 of the bytes
        self._report = Report(config=config)

    def run(self) -> Report:
        """Kill, wait, judge."""
        self._server.start()
        threads = [threading.Thread(target=self._submit, args=(number,)) for number in range(2)]
        threads.append(threading.Thread(target=self._send_blobs))
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

    def _insist(self, ask: Callable[[], str]) -> str:
        """Ask again until there is a server that answers."""
        limit_s = time.monotonic() + _REQUEST_LIMIT_S
        while True:
            try:
                return ask()
            except (OSError, http.client.HTTPException):
                self._report.counts["broken requests"] += 1
                if time.monotonic() > limit_s:
                    raise
                time.sleep(0.02)

    def _submit(self, number: int) -> None:
        rnd = random.Random(f"{self._config.seed} {number}")
        count = 0
        while not self._over.is_set():
            if len(self._jobs) - len(list(self._ledger.glob("*.ends"))) > self._config.open_limit_count:
                time.sleep(0.02)
                continue
            count += 1
            sent, data = self._made(f"{number}-{count}", rnd)
            sent.key = self._insist(lambda data=data: self._rest.upload(data))  # type: ignore[misc]  # mypy: lambda
            self._insist(lambda key=sent.key: str(self._rest.create(key)))  # type: ignore[misc]  # the same
            self._jobs.append(sent)

    def _made(self, name: str, rnd: random.Random) -> tuple[Sent, bytes]:
        files, inputs, pause = rnd.choice([(1, 0, "0"), (40, 0, "0"), (3, 200, "0"), (2, 2, "0.3"), (20, 20, "0.1")])
        code = rnd.choice([0, 0, 0, 3])
        sent = Sent(name=name, key="", files_count=files, code=code, inputs={})
        sent.inputs = {f"in/{each}.bin": rnd.randbytes(rnd.randrange(2000)) for each in range(inputs)}
        words = (str(self._ledger), name, str(files), pause, str(code))
        wanted = [{"name": "all", "resultPatterns": ["r/**", "job_*.txt"]}, {"name": "in", "resultPatterns": ["in/*"]}]
        return sent, bundle("/bin/sh", "-c", _LINE, *words, artifacts=wanted, files=sent.inputs)

    def _send_blobs(self) -> None:
        """Upload blobs, slowly; some are cut on purpose."""
        rnd = random.Random(f"{self._config.seed} blobs")
        while not self._over.is_set():
            data = rnd.randbytes(rnd.randrange(1, 3_000_000))
            cut = rnd.random() < 0.2
            try:
                record = self._send_blob(data, cut=cut)
            except (OSError, http.client.HTTPException):
                self._report.counts["broken requests"] += 1
                time.sleep(0.02)
                continue
            if record is not None:
                self._blobs[record] = sha1(data)

    def _send_blob(self, data: bytes, *, cut: bool) -> str | None:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=_REQUEST_LIMIT_S)
        with contextlib.closing(connection):
            connection.putrequest("POST", "/rest/blob/createFile/blob.bin")
            connection.putheader("Content-Length", str(len(data)))
            connection.endheaders()
            for at in range(0, len(data) // 2 if cut else len(data), 200_000):
                connection.send(data[at : at + 200_000])
                time.sleep(0.005)
            if cut:
                return None
            return str(next(iter(json.loads(connection.getresponse().read()))))

    # -- killing --

    def _kill(self) -> None:
        until_s = time.monotonic() + self._config.limit_s
        while self._report.kills_count < self._config.kills_count and time.monotonic() < until_s:
            time.sleep(self._rnd.random() * self._config.peace_s)  # else nothing would ever come to its end
            stage = STAGES[self._report.kills_count % len(STAGES)]
            if self._wait_for(stage):
                self._report.counts[f"while {stage}"] += 1
            time.sleep(self._rnd.choice((0.0, 0.002, 0.01, 0.05)) * self._rnd.random())
            self._strike()
            self._report.kills_count += 1

    def _strike(self) -> None:
        fault = strike(self._server, self._config.target, self._rnd)
        if fault is not None:
            self._report.faults.append(fault)

    def _wait_for(self, stage: str) -> bool:
        limit_s = time.monotonic() + _STAGE_LIMIT_S
        while time.monotonic() < limit_s:
            with contextlib.suppress(OSError):
                if self._is_there(stage):
                    return True
            time.sleep(_LOOK_S)
        return False

    def _is_there(self, stage: str) -> bool:
        data = self._server.data_dir
        if stage == "uploading":
            return bool(os.listdir(data / "blobs" / "tmp"))
        if stage == "running":
            names = {each.partition(".")[0] for each in os.listdir(self._ledger) if each.endswith(".runs")}
            return any(not (self._ledger / f"{name}.ends").exists() for name in names)
        for job_id in os.listdir(data / "work"):
            if stage == "preparing" and not (data / "jobs" / job_id / "record").exists():
                return True
            if stage == "collecting" and (data / "work" / job_id / "files" / "job_stdout.txt").exists():
                return True
        return False

    # -- afterwards --

    def _settle(self) -> None:
        """Wait until all jobs have ended, and the work of all of them is gone."""
        limit_s = time.monotonic() + _END_LIMIT_S
        work, half = self._server.data_dir / "work", self._server.data_dir / "blobs" / "tmp"
        while True:
            _, _, body = self._server.ask("GET", "/v1/info")
            counts = json.loads(body)["counts"]
            left = [*os.listdir(work), *os.listdir(half)]
            if not left and not sum(counts.get(state, 0) for state in ("queued", "starting", "running")):
                return
            if time.monotonic() > limit_s:
                self._report.faults.append(f"left after {_END_LIMIT_S:.0f} s: {left}, {counts}")
                return
            time.sleep(0.05)

    def _judge(self) -> None:
        self._report.counts["jobs"] = len(self._jobs)
        self._report.counts["blobs"] = len(self._blobs)
        for sent in self._jobs:
            self._report.faults += [f"job {sent.name} ({sent.key}): {fault}" for fault in self._faults(sent)]
        for record, expected in self._blobs.items():
            status, _, body = self._server.ask("GET", f"/rest/blob/download/{record}")
            if status != http.HTTPStatus.OK or sha1(body) != expected:
                self._report.faults.append(f"blob {record}: {status}, {len(body)} bytes")
        for path in (self._server.data_dir / "blobs").glob("??/*"):
            self._report.counts["files in the store"] += 1
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha1").hexdigest() != path.name:
                    self._report.faults.append(f"{path} is not what its name says")

    def _faults(self, sent: Sent) -> Iterator[str]:
        info, job = self._rest.info(sent.key), self._rest.job(sent.key)
        runs = self._lines(sent, "runs")
        if self._config.target != "server" and (job["error"] or "").startswith("not started") and not runs:
            self._report.counts["not started"] += 1  # the keeper was killed under it, and it says so
            return
        if runs != 1 or self._lines(sent, "ends") != 1:
            yield f"it ran {runs} times: {job}"
        status = "FAILED_TO_EXECUTE" if sent.code else "SUCCESS"
        if info["status"] != status or job["exit_code"] != sent.code or job["attempt"] != 1:
            yield f"it is {info['status']}, and not {status}: {job}"
        if set(info["resultHashes"]) != {"all", "in"} or info["resultSuperSet"] is None:
            yield f"its results are {info['resultHashes']}, {info['resultSuperSet']}"
            return
        made = {f"r/{each % 7}/{each}.txt": f"{sent.name} {each}\n".encode() for each in range(sent.files_count)}
        made |= {"job_stdout.txt": f"I am {sent.name}\n".encode(), "job_stderr.txt": f"but {sent.name}\n".encode()}
        if self._rest.files(info["resultHashes"]["all"]) != made:
            yield "its results are not what it made"
        if self._rest.files(info["resultHashes"]["in"]) != sent.inputs:
            yield "its input came back as something else"

    def _lines(self, sent: Sent, kind: str) -> int:
        path = self._ledger / f"{sent.name}.{kind}"
        return path.read_text().count("\n") if path.exists() else 0
