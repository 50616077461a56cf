"""A worker in memory: the real ``WorkerAgent``, and jobs that do what the test says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from jobdeck_keeper import records
from jobdeck_protocol.workeragent import WorkerAgent
from jobdeck_protocol.workerevents import AgentEvent, InputJob, Read, StartJob, Welcomed
from jobdeck_protocol.workerlives import accepted, born
from jobdeck_protocol.workerorders import Eof, Forget, Release, Signal, Stop, Withdraw
from jobdeck_protocol.workerreports import Ended, State
from jobdeck_protocol.workerwords import How
from jobdeck_server.core.live import now_us
from tests.server.core.harness import BOOT

if TYPE_CHECKING:
    from tests.server.channels.helpers import FakeSocket

_LOOK_S = 0.05


def uid(number: int) -> str:
    return f"{number:08x}-2222-4222-8222-222222222222"


@dataclass
class Task:
    """A job there: its claim, its files, its end."""

    runs_it: bool
    order: bytes = b""
    output: bytearray = field(default_factory=bytearray)
    runs: bytearray = field(default_factory=bytearray)
    input: bytearray = field(default_factory=bytearray)
    eof: int | None = None
    started_us: int | None = None
    end: Ended | None = None
    released: bool = False
    removed: bool = False

    def write(self, data: bytes, kind: int = records.KIND_STDOUT, *, behind_us: int = 0) -> None:
        """The job writes; ``behind_us`` is how much this machine's clock is behind the true time."""
        if not self.runs:
            header = bytearray(records.pack_header(BOOT))
            header[32:40] = (records.wall_us() - behind_us).to_bytes(8, "little")
            self.runs += header
        self.runs += records.pack_run(len(self.output), records.boot_us(), len(self.output), kind)
        self.output += data


class Hand:
    """A worker's program and its disk; ``restart`` is a new life of the program.

    Attributes:
        starts: How often each job was really started.
        signals: What was sent to jobs.
        forgotten: Jobs that it was told to forget.
        shift_us: This machine's clock less the true time.
        claims: Starts what it is told to at once; off, the test does that.
        answers: What becomes of signals; None for no answer.
    """

    def __init__(self, number: int = 1, *, name: str = "w1", slots: int = 2, labels: tuple[str, ...] = ()) -> None:
        self.id = uid(number)
        self.name, self.slots, self.labels = name, slots, labels
        self.lives: tuple[str, ...] = ()
        self.server_life: str | None = None
        self.tasks: dict[str, Task] = {}
        self.starts: Counter[str] = Counter()
        self.signals: list[tuple[str, int]] = []
        self.stops: list[tuple[str, int]] = []
        self.forgotten: list[str] = []
        self.shift_us = 0
        self.claims = True
        self.answers: bool | None = True
        self.link = 0
        self._life_number = 0
        self._socket: FakeSocket | None = None
        self.restart()

    def restart(self) -> None:
        """A new life: what was in memory is gone, jobs run on."""
        self._life_number += 1
        self.lives = born(self.lives, f"{self._life_number:08x}-3333-4333-8333-{self.id[:8]}0000")
        self.agent = WorkerAgent(
            self.id,
            name=self.name,
            slots=self.slots,
            labels=self.labels,
            lives=self.lives,
            server_life=self.server_life,
            software="hand 1",
        )
        for job_id, task in self.tasks.items():
            if not task.released:
                self._keep(job_id, task)

    def _keep(self, job_id: str, task: Task) -> None:
        self.agent.jobs.keep(
            job_id,
            state=self._state(job_id, task) if task.runs_it else None,
            end=task.end,
            output=len(task.output),
            runs=len(task.runs),
            input_kept=len(task.input),
            gone=task.removed,
        )

    @property
    def clock_us(self) -> int:
        return now_us() + self.shift_us

    # -- the connection --

    async def talk(self, socket: FakeSocket) -> None:
        """Be linked, until the server closes or the test cuts."""
        self.link = self.agent.connected(trio.current_time(), self.clock_us)
        self._socket = socket
        self.flush()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._beat)
            try:
                while True:
                    data = await socket.get()
                    for event in self.agent.receive(self.link, data, trio.current_time()):
                        self.heed(event)
                    self.flush()
            except (trio.EndOfChannel, trio.TooSlowError):
                pass
            nursery.cancel_scope.cancel()

    def cut(self) -> None:
        """The connection ends without a word."""
        if self._socket is not None:
            self._socket.leave(1006)
        self._socket = None
        self.agent.disconnected(self.link)

    async def _beat(self) -> None:
        while True:
            await trio.sleep(_LOOK_S)
            self.flush()

    def flush(self) -> None:
        """Send what there is to say."""
        socket = self._socket
        while socket is not None and not socket.closed.is_set():
            item = self.agent.send(self.link, trio.current_time())
            if isinstance(item, Read):
                task, part = self.tasks[item.job_id], item.part
                if task.removed:
                    self.agent.unreadable(item)
                    continue
                runs = bytes(task.runs[part.at.runs : part.at.runs + part.runs_bytes])
                data = bytes(task.output[part.at.output : part.at.output + part.output_bytes])
                item = self.agent.fill(item, runs, data)
                if item is None:
                    continue
            if item is None:
                return
            socket.to_server.send_nowait(item)

    # -- what it is told --

    def heed(self, event: AgentEvent) -> None:
        match event:
            case Welcomed():
                if event.welcome.all:
                    for job_id, task in self.tasks.items():
                        self._keep(job_id, task)
                self.lives = accepted(self.lives, event.welcome.life)
                self.server_life = event.welcome.server_life
                self.agent.settled(self.link)
            case StartJob():
                self._claim(event.job_id, event.spec)
            case Withdraw():
                self._claim(event.job_id, None)
            case Stop():
                self.stops.append((event.job_id, event.signal))
                task = self._claim(event.job_id, None)
                if task.runs_it and task.end is None:
                    self.end(event.job_id, signal=event.signal, stop_reason="requested")
            case Signal():
                self.signals.append((event.job_id, event.signal))
                if self.answers is not None:
                    self.agent.signalled(event.number, done=self.answers)
            case InputJob():
                task = self.tasks[event.job_id]
                task.input[event.offset : event.offset + len(event.data)] = event.data
                self.agent.jobs.input_kept(event.job_id, len(task.input))
            case Eof():
                self.tasks[event.job_id].eof = event.offset
            case Release():
                self.tasks[event.job_id].released = True
            case Forget():
                self.forgotten.append(event.job_id)
                self.tasks.pop(event.job_id, None)

    def _claim(self, job_id: str, order: bytes | None) -> Task:
        task = self.tasks.get(job_id)
        if task is None:
            task = self.tasks[job_id] = Task(runs_it=order is not None, order=order or b"")
            if order is None:
                task.end = Ended(job_id=job_id, how=How.NEVER, finished_us=self.clock_us)
            else:
                self.starts[job_id] += 1
                if self.claims:
                    task.started_us = self.clock_us
        if task.removed:
            self.agent.jobs.lost(job_id)
        if task.runs_it:
            self.agent.jobs.state(self._state(job_id, task))
        if task.end is not None:
            self.agent.jobs.ended(task.end)
        return task

    def _state(self, job_id: str, task: Task) -> State:
        return State(job_id=job_id, started_us=task.started_us, step=None if task.started_us is None else 0)

    # -- what its jobs do --

    def write(self, job_id: str, data: bytes) -> None:
        """A job writes."""
        task = self.tasks[job_id]
        task.write(data, behind_us=-self.shift_us)
        self.agent.jobs.grew(job_id, len(task.output), len(task.runs))
        self.flush()

    def end(
        self, job_id: str, code: int | None = 0, *, signal: int | None = None, stop_reason: str | None = None
    ) -> None:
        """A job ends."""
        task = self.tasks[job_id]
        task.end = Ended(
            job_id=job_id,
            how=How.EXIT,
            code=None if signal else code,
            signal=signal,
            stop_reason=stop_reason,
            started_us=task.started_us,
            finished_us=self.clock_us,
            output_bytes=len(task.output),
            runs_bytes=len(task.runs),
            step=0,
        )
        self.agent.jobs.ended(task.end)
        self.flush()

    def remove(self, job_id: str) -> None:
        """A job's files are gone."""
        self.tasks[job_id].removed = True
        self.agent.jobs.lost(job_id)
        self.flush()

    def leave(self) -> None:
        """It says goodbye."""
        self.agent.bye("test")
        self.flush()
