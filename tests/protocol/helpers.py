"""Both ends of an attach joined by a wire in memory, over an output that grows."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from jobdeck_protocol import ClientSession, Job, JobState, Run, ServerSession, Stage, Stream, attach, codec

JOB_ID = "0d3c9a52-1f0e-4a35-9a53-6a2f7f6d3b11"


def job(**changes: object) -> Job:
    given: dict[str, object] = {"id": JOB_ID, "dialect": "v1", "state": JobState.RUNNING, "created_us": 1, **changes}
    return Job(**given)  # type: ignore[arg-type]  # a test says what it means by name


@dataclass
class Log:
    """What a job wrote: its runs, and all bytes in their order."""

    runs: list[Run] = field(default_factory=list)
    data: bytes = b""
    ended: bool = False

    def write(self, stream: Stream, data: bytes) -> None:
        self.runs.append(Run(len(data), stream, len(self.runs)))
        self.data += data

    def wanted(self, offset: int, streams: frozenset[Stream] | None) -> bytes:
        """What an attach at an offset must deliver."""
        found, position = b"", 0
        for run in self.runs:
            begin, end = max(position, offset), position + run.length
            if begin < end and (streams is None or run.stream in streams):
                found += self.data[begin:end]
            position = end
        return found

    def cut(self, start: int, end: int, streams: frozenset[Stream] | None) -> tuple[list[Run], bytes]:
        """Runs and data of a message for [start, end)."""
        runs: list[Run] = []
        data, position = b"", 0
        for run in self.runs:
            begin, stop = max(position, start), min(position + run.length, end)
            position += run.length
            if begin >= stop:
                continue
            kept = streams is None or run.stream in streams
            runs.append(Run(stop - begin, run.stream if kept else Stream.SKIPPED, run.time_us))
            data += self.data[begin:stop] if kept else b""
        return runs, data


class Pair:
    """A client and a server, and two directions of messages under way. ``cut`` loses all of them."""

    def __init__(self, log: Log, client: ClientSession, streams: frozenset[Stream] | None) -> None:
        self.log = log
        self.client = client
        self.streams = streams
        self.got = b""
        self.exits = 0
        self.greeted: int | None = None  # where the first hello said that the output starts
        self.queue: deque[attach.ServerMessage] = deque()  # received, not yet taken by the program
        self.connect()

    def connect(self) -> None:
        self.server = ServerSession()
        self.to_server: deque[bytes] = deque([self.client.begin()])
        self.to_client: deque[bytes] = deque()

    def serve(self, chunk: int) -> None:
        """Let the server send at most one message."""
        if self.server.stage is Stage.ASKED:
            now = job(state=JobState.SUCCEEDED, exit_code=0) if self.log.ended else job()
            self.to_client.append(self.server.hello(now, first=0, size=len(self.log.data)))
        elif self.server.stage is Stage.OPEN:
            self._serve_output(chunk)

    def _serve_output(self, chunk: int) -> None:
        start = self.server.position
        if start == len(self.log.data):
            if self.log.ended:
                end = attach.Exit(code=0, state=JobState.SUCCEEDED, output_bytes=start, dropped_bytes=0, offset=start)
                self.to_client.append(self.server.send(end))
            return
        room = self.server.room()
        runs, data = self.log.cut(start, min(len(self.log.data), start + min(chunk, room)), self.streams)
        if not runs and self.streams is not None:  # no credit: only what is skipped may be told
            runs, data = self.log.cut(start, len(self.log.data), self.streams)
            runs, data = (runs[:1], b"") if runs[0].stream is Stream.SKIPPED else ([], b"")
        if runs:
            self.to_client.append(self.server.output(tuple(runs)) + data)

    def step_server(self) -> None:
        if self.to_server:
            self.server.receive(self.to_server.popleft())

    def step_client(self) -> None:
        if self.to_client:
            message = self.client.receive(self.to_client.popleft())
            if isinstance(message, attach.Hello) and self.greeted is None:
                self.greeted = message.offset
            if message is not None:
                self.queue.append(message)
            self._renew()

    def take(self) -> None:
        if self.queue:
            message = self.queue.popleft()
            if isinstance(message, attach.Output):
                self.got += message.data
            self.exits += isinstance(message, attach.Exit)
            self.client.taken(message)
            self._renew()

    def _renew(self) -> None:
        if (credit := self.client.credit()) is not None:
            self.to_server.append(credit)

    def under_way(self) -> int:
        """Bytes of data sent by the server and not yet taken by the program, on any link."""
        waiting = sum(len(message.data) for message in self.queue if isinstance(message, attach.Output))
        return waiting + sum(_data_bytes(message) for message in self.to_client)

    def finish(self) -> None:
        """Let everything flow until nothing moves any more."""
        self.log.ended = True
        for _ in range(20_000):
            if self.exits:
                return
            self.step_server()
            self.serve(64)
            self.step_client()
            self.take()
        raise AssertionError(f"stuck: {self.server!r} {self.client!r}")


def _data_bytes(message: bytes) -> int:
    return len(codec.decode(message).get("data", b""))
