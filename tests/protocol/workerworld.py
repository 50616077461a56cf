"""A server and a worker in memory, each with its disk, and a network that loses, delays and half forgets connections.

Everything that an owner of the two machines does takes its time here: writes, commits, claims wait in ``todo`` until a
step does one of them, and are lost with the program that was to do them. What is on a disk stays.
"""

from __future__ import annotations

from collections import deque
from itertools import count

from jobdeck_protocol import RemoteWireError
from jobdeck_protocol.worker import hello_of
from jobdeck_protocol.workeragent import WorkerAgent
from jobdeck_protocol.workerevents import (
    AgentEvent,
    Append,
    Greeted,
    HostEvent,
    InputJob,
    Missing,
    Read,
    ReadInput,
    Replaced,
    StartJob,
    Stranger,
    Welcomed,
)
from jobdeck_protocol.workerhost import WorkerHost
from jobdeck_protocol.workerlives import accepted, born
from jobdeck_protocol.workerorders import Eof, Forget, Release, Stop, Withdraw
from jobdeck_protocol.workerreports import Ended, State
from jobdeck_protocol.workerwords import How
from tests.protocol.workerdisks import (
    WORKER,
    JobDisk,
    Row,
    ServerDisk,
    Wire,
    WorkerDisk,
    check_order,
    cost,
    disk_files,
    job_id,
    life,
)

BEAT_S = 5.0


class World:
    def __init__(self, window_bytes: int = 4096) -> None:
        self.window_bytes = window_bytes
        self.now_s = 0.0
        self.worker_disk = WorkerDisk()
        self.server_disk = ServerDisk()
        self.wires: list[Wire] = []
        self.wire: Wire | None = None  # the worker's
        self.closes: list[int] = []
        self._numbers = count(1)
        self.most_held = self.most_flying = 0
        self.boot_server()
        self.boot_worker()

    def boot_server(self) -> None:
        disk = self.server_disk
        disk.lives.append(life(next(self._numbers), "5"))
        self.server_todo: deque[HostEvent] = deque()
        self.host = WorkerHost(
            WORKER,
            server_life=disk.lives[-1],
            server_lives=disk.lives,
            last_life=disk.last_life,
            now_s=self.now_s,
            window_bytes=self.window_bytes,
            beat_s=BEAT_S,
        )
        for name, row in disk.rows.items():
            if row.end is None:
                self._give(name, row)
        for wire in self.wires:
            wire.server_open = False
            wire.to_server.clear()

    def _give(self, name: str, row: Row) -> None:
        files, jobs = disk_files(self.server_disk, name), self.host.jobs
        if row.decided:
            jobs.follow(name, output=len(files.output), runs=len(files.runs))
        else:
            jobs.start(name, row.spec, output=len(files.output), runs=len(files.runs))
        if row.withdrawn:
            jobs.withdraw(name)
        if row.stopped:
            jobs.stop(name, 9, 0)
        jobs.input(name, len(files.input), eof_bytes=len(files.input) if row.eof else None)

    def kill_server(self, keep: float | None = None) -> None:
        """Kill the server; with ``keep`` the power fails: of what was not synced, such a part stays."""
        if keep is not None:
            self.server_disk.fail_power(keep)
        self.boot_server()

    def boot_worker(self) -> None:
        disk = self.worker_disk
        disk.lives = born(disk.lives, life(next(self._numbers)))
        self.worker_todo: deque[AgentEvent] = deque()
        self.agent = WorkerAgent(
            WORKER, name="w", slots=4, lives=disk.lives, server_life=disk.server_life, software="test"
        )
        self.agent_link = 0
        self.wire = None
        for name, job in disk.jobs.items():
            if not job.released:
                self._keep(name, job)

    def _keep(self, name: str, job: JobDisk) -> None:
        self.agent.jobs.keep(
            name,
            state=State(job_id=name, started_us=1) if job.runs_it else None,
            end=job.end,
            output=len(job.output),
            runs=len(job.runs),
            input_kept=len(job.input),
            gone=job.removed,
        )

    # -- the network --

    def connect(self) -> None:
        """The worker dials, whatever has become of its last connection; the server may not know that it has ended."""
        if self.wire is not None:
            self.wire.to_worker.clear()
        self.wire = Wire()
        late = [wire for wire in self.wires if wire.server_open and wire.to_server]
        self.wires = [*late[-3:], self.wire]
        self.agent_link = self.agent.connected(self.now_s, int(self.now_s * 1e6))

    @property
    def linked(self) -> bool:
        """Whether the worker thinks that it has a connection."""
        return self.wire is not None

    def cut_worker(self) -> None:
        if self.wire is not None:
            self.agent.disconnected(self.agent_link)
            self.wire = None

    def cut_server(self, wire: Wire | None) -> None:
        if wire is not None and wire.server_open:
            wire.server_open = False
            wire.to_server.clear()
            if wire.host_link is not None:
                self.server_todo.extend(self.host.disconnected(wire.host_link))

    def to_server(self, wire: Wire) -> None:
        """Deliver one message to the server."""
        if not wire.server_open or not wire.to_server:
            return
        data = wire.to_server.popleft()
        try:
            if wire.host_link is None:
                wire.host_link, events = self.host.connect(hello_of(data), self.now_s)
            else:
                events = self.host.receive(wire.host_link, data, self.now_s)
        except RemoteWireError as error:
            wire.close_code = error.close_code
            self.closes.append(error.close_code)
            self.cut_server(wire)
            return
        self.server_todo.extend(events)
        self._measure()

    def to_worker(self) -> None:
        """Deliver one message to the worker, or the end of the connection."""
        wire = self.wire
        if wire is None:
            return
        if wire.to_worker:
            self.worker_todo.extend(self.agent.receive(self.agent_link, wire.to_worker.popleft(), self.now_s))
        elif not wire.server_open:
            self.cut_worker()

    def server_send(self) -> bool:
        wires = [wire for wire in self.wires if wire.server_open and wire.host_link is not None]
        for wire in wires:
            assert wire.host_link is not None
            item = self.host.send(wire.host_link, self.now_s)
            if isinstance(item, ReadInput):
                data = disk_files(self.server_disk, item.job_id).input[item.offset : item.offset + item.length]
                item = self.host.fill(item, bytes(data))
            if item is not None:
                if wire is self.wire:
                    wire.to_worker.append(item)
                return True
        return False

    def worker_send(self) -> bool:
        item = self.agent.send(self.agent_link, self.now_s)
        if isinstance(item, Read):
            job, part = self.worker_disk.jobs[item.job_id], item.part
            if job.removed:
                self.agent.unreadable(item)
                return True
            runs = bytes(job.runs[part.at.runs : part.at.runs + part.runs_bytes])
            data = bytes(job.output[part.at.output : part.at.output + part.output_bytes])
            item = self.agent.fill(item, runs, data)
        if item is None or self.wire is None:
            return False
        if self.wire.server_open:
            self.wire.to_server.append(item)
        self._measure()
        return True

    def _measure(self) -> None:
        held = sum(event.cost_bytes for event in self.server_todo if isinstance(event, Append))
        self.most_held = max(self.most_held, held)
        if self.wire is not None:
            self.most_flying = max(self.most_flying, sum(cost(data) for data in self.wire.to_server))

    # -- the owners at work --

    def server_work(self) -> bool:
        """Do one thing that the server's machine has told."""
        if not self.server_todo:
            return False
        event = self.server_todo.popleft()
        match event:
            case Greeted():
                self.server_disk.last_life = event.hello.life
                self.host.welcome(event.link)
            case Replaced():
                for wire in self.wires:
                    if wire.server_open and wire.host_link == event.link:
                        assert wire is not self.wire, "the newest wins"
                        wire.close_code = 4409
            case Append():
                self._append(event)
            case State():
                self.server_disk.rows[event.job_id].decided = True
            case Ended():
                self._record(event)
            case Stranger():
                self._stranger(event)
            case Missing():
                raise AssertionError(event)
        return True

    def _append(self, event: Append) -> None:
        files = disk_files(self.server_disk, event.job_id)
        assert len(files.runs) == event.at.runs
        files.runs += event.runs
        check_order(self.worker_disk.jobs[event.job_id], files, len(event.data))
        assert len(files.output) == event.at.output
        files.output += event.data
        self.host.jobs.taken(event)

    def _record(self, event: Ended) -> None:
        row = self.server_disk.rows[event.job_id]
        row.ends += row.end is None
        assert row.end in (None, event)
        row.end, row.decided = event, True
        self.host.jobs.recorded(event.job_id)

    def _stranger(self, event: Stranger) -> None:
        name = event.kept.job_id
        row, files = self.server_disk.rows.get(name), disk_files(self.server_disk, name)
        if row is None:
            self.host.jobs.forget(name)
            return
        end = row.end
        if end is not None and files.synced == (end.output_bytes, end.runs_bytes):
            self.host.jobs.release(name)
        else:
            self.host.jobs.follow(name, output=len(files.output), runs=len(files.runs), input_kept=event.kept.input)
            self.host.jobs.input(name, len(files.input), eof_bytes=len(files.input) if row.eof else None)

    def server_sync(self) -> bool:
        """The server syncs its files."""
        changed = False
        for name, files in self.server_disk.files.items():
            sizes = (len(files.output), len(files.runs))
            changed = changed or sizes != files.synced
            files.synced = sizes
            self.host.jobs.synced(name, output=sizes[0], runs=sizes[1])
        return changed

    def worker_work(self) -> bool:
        """Do one thing that the worker's machine has told."""
        if not self.worker_todo:
            return False
        event = self.worker_todo.popleft()
        disk = self.worker_disk
        match event:
            case Welcomed():
                if event.welcome.all:
                    for name, known in disk.jobs.items():
                        self._keep(name, known)
                disk.lives = accepted(disk.lives, event.welcome.life)
                disk.server_life = event.welcome.server_life
                self.agent.settled(self.agent_link)
            case StartJob():
                self._claim(event.job_id, event.spec)
            case Withdraw():
                self._claim(event.job_id, None)
            case Stop():
                self._claim(event.job_id, None).finish(event.job_id)
                self._tell(event.job_id)
            case InputJob():
                job = disk.jobs.get(event.job_id)
                if job is not None:  # it was forgotten
                    job.input[event.offset : event.offset + len(event.data)] = event.data
                    self.agent.jobs.input_kept(event.job_id, len(job.input))
            case Eof():
                disk.jobs[event.job_id].eof = event.offset
            case Release():
                disk.jobs[event.job_id].released = True
            case Forget():
                if event.job_id in disk.jobs:
                    disk.jobs[event.job_id].finish(event.job_id)
                    disk.jobs[event.job_id].released = True
        return True

    def _claim(self, name: str, spec: bytes | None) -> JobDisk:
        disk = self.worker_disk
        job = disk.jobs.get(name)
        if job is None:
            job = disk.jobs[name] = JobDisk(runs_it=spec is not None, spec=spec or b"")
            if spec is None:
                job.finish(name, How.NEVER)
            else:
                disk.starts[name] = disk.starts.get(name, 0) + 1
        self._tell(name)
        return job

    def _tell(self, name: str) -> None:
        job = self.worker_disk.jobs[name]
        if job.removed:
            self.agent.jobs.lost(name)
        if job.runs_it:
            self.agent.jobs.state(State(job_id=name, started_us=1))
        if job.end is not None:
            self.agent.jobs.ended(job.end)

    # -- what users and jobs do --

    def submit(self) -> str:
        name = job_id(len(self.server_disk.rows))
        row = self.server_disk.rows[name] = Row(spec=b"run " + name.encode())
        self._give(name, row)
        return name

    def withdraw(self, name: str) -> None:
        self.server_disk.rows[name].withdrawn = True
        self.host.jobs.withdraw(name)

    def stop(self, name: str) -> None:
        self.server_disk.rows[name].stopped = True
        self.host.jobs.stop(name, 9, 0)

    def type(self, name: str, length: int, *, eof: bool = False) -> None:
        """Somebody writes to a job's standard input."""
        row, files = self.server_disk.rows[name], disk_files(self.server_disk, name)
        if not row.eof:
            files.input += bytes((len(files.input) + i) % 256 for i in range(length))
            row.eof = eof
            self.host.jobs.input(name, len(files.input), eof_bytes=len(files.input) if eof else None)

    def write(self, name: str, length: int) -> None:
        """A job writes, and writes once more while the worker looks at its files."""
        job = self.worker_disk.jobs.get(name)
        if job is not None and job.end is None:
            job.write(length)
            output = len(job.output)
            job.write(1)
            self.agent.jobs.grew(name, output, len(job.runs))

    def end(self, name: str) -> None:
        job = self.worker_disk.jobs.get(name)
        if job is not None and job.end is None:
            self.agent.jobs.ended(job.finish(name))

    # -- all of it --

    def turn(self) -> bool:
        """Everybody does one thing; whether there was anything to do."""
        if self.wire is None:
            self.connect()
        moved = [self.server_work(), self.worker_work(), self.server_send(), self.worker_send()]
        moved += [bool(wire.to_server) for wire in self.wires] + [bool(self.wire and self.wire.to_worker)]
        for wire in list(self.wires):
            self.to_server(wire)
        self.to_worker()
        return any(moved) or not self.linked

    def flow(self, steps: int = 20_000) -> None:
        """Let everything happen that can, until nothing moves any more."""
        for _ in range(steps):
            if not self.turn() and not self.server_sync():
                return
        raise AssertionError(f"it does not come to rest: {self.host!r} {self.agent!r}")
