"""One end of the worker channel at a time, and what the other end says to it by hand."""

from __future__ import annotations

import pytest

from jobdeck_protocol import RemoteWireError
from jobdeck_protocol.message import Message
from jobdeck_protocol.worker import (
    SERVER_KINDS,
    WORKER_KINDS,
    Have,
    Hello,
    Kept,
    Welcome,
    decode,
    encode,
)
from jobdeck_protocol.workeragent import WorkerAgent
from jobdeck_protocol.workerevents import (
    Read,
    ReadInput,
    StartJob,
    Welcomed,
)
from jobdeck_protocol.workerhost import WorkerHost
from jobdeck_protocol.workerorders import (
    Start,
    Want,
)
from jobdeck_protocol.workerreports import Ended
from jobdeck_protocol.workerwords import How
from tests.protocol.workerdisks import WORKER, job_id, life

JOB, OTHER = job_id(1), job_id(2)
SERVER = life(1, "5")


def hello(*lives: int, number: int = 1, draining: bool = False) -> Hello:
    given = tuple(life(each) for each in lives or (1,))
    return Hello(worker=WORKER, name="w", slots=2, lives=given, number=number, clock_us=0, draining=draining)


class Host:
    """A server's end, and what a worker says to it by hand."""

    def __init__(
        self, *have: Kept, open_it: bool = True, window_bytes: int = 4096, last_life: str | None = None
    ) -> None:
        self.host = WorkerHost(
            WORKER,
            server_life=SERVER,
            server_lives=[SERVER],
            last_life=last_life,
            now_s=0.0,
            window_bytes=window_bytes,
            beat_s=5.0,
        )
        self.link = 0
        self.now_s = 0.0
        self.number = 0
        if open_it:
            self.open(*have)

    def greet(self, hello_: Hello | None = None) -> list[object]:
        self.number += 1
        self.link, events = self.host.connect(hello_ or hello(number=self.number), self.now_s)
        return list(events)

    def open(self, *have: Kept) -> list[object]:
        self.greet()
        self.host.welcome(self.link)
        assert isinstance(self.said()[0], Welcome)
        return self.say(Have(jobs=have))

    def say(self, message: Message) -> list[object]:
        return list(self.host.receive(self.link, encode(message), self.now_s))

    def said(self) -> list[Message]:
        """All that it says now."""
        found: list[Message] = []
        while (item := self.host.send(self.link, self.now_s)) is not None:
            if isinstance(item, ReadInput):
                filled = self.host.fill(item, b"i" * item.length)
                assert filled is not None
                item = filled
            message = decode(SERVER_KINDS, item)
            assert message is not None
            found.append(message)
        return found


class Agent:
    """A worker's end, and what a server says to it by hand."""

    def __init__(self, *, upto: int = 4096, open_it: bool = True, draining: bool = False) -> None:
        self.agent = WorkerAgent(WORKER, name="w", slots=2, lives=(life(1),))
        self.now_s = 0.0
        self.upto = upto
        self.draining = draining
        self.link = 0
        if open_it:
            self.open()

    def greet(self) -> None:
        self.link = self.agent.connected(self.now_s, 0)
        assert self.agent.send(self.link, self.now_s) is not None
        assert self.agent.send(self.link, self.now_s) is None

    def open(self) -> list[Message]:
        self.greet()
        welcome = Welcome(life=life(1), server_life=SERVER, upto=self.upto, window_bytes=4096, draining=self.draining)
        assert self.say(welcome) == [Welcomed(welcome)]
        assert self.agent.send(self.link, self.now_s) is None  # before the lives are written down
        self.agent.settled(self.link)
        return self.said()

    def say(self, message: Message) -> list[object]:
        return list(self.agent.receive(self.link, encode(message), self.now_s))

    def said(self) -> list[Message]:
        found: list[Message] = []
        while (item := self.agent.send(self.link, self.now_s)) is not None:
            if isinstance(item, Read):
                filled = self.agent.fill(item, b"r" * item.part.runs_bytes, b"d" * item.part.output_bytes)
                assert filled is not None
                item = filled
            message = decode(WORKER_KINDS, item)
            assert message is not None
            found.append(message)
        return found

    def start(self, name: str = JOB) -> None:
        assert self.say(Start(job_id=name, size=1, offset=0, data=b"s")) == [StartJob(name, b"s")]
        self.say(Want(job_id=name, output=0, runs=0))


def ended(name: str = JOB, how: How = How.EXIT, output: int = 0, runs: int = 0) -> Ended:
    return Ended(job_id=name, how=how, finished_us=9, output_bytes=output, runs_bytes=runs)


def close_code(end: Host | Agent, message: Message) -> int:
    with pytest.raises(RemoteWireError) as caught:
        end.say(message)
    return caught.value.close_code
