"""What a server and a worker have on their disks, as far as the worker channel goes, and a wire between them."""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, field

from jobdeck_protocol import codec
from jobdeck_protocol.workerreports import Ended
from jobdeck_protocol.workerwords import How

WORKER = "11111111-1111-4111-8111-111111111111"
_RECORD = struct.Struct("<QQQQ")
_HEADER = b"H" * 64


def life(number: int, kind: str = "a") -> str:
    return f"{kind * 8}-0000-4000-8000-{number:012d}"


def job_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


@dataclass
class JobDisk:
    """A job at the worker: its claim, its files, its end; it runs on whatever becomes of the worker's program."""

    runs_it: bool
    spec: bytes = b""
    output: bytearray = field(default_factory=bytearray)
    runs: bytearray = field(default_factory=bytearray)
    input: bytearray = field(default_factory=bytearray)
    eof: int | None = None
    end: Ended | None = None
    released: bool = False
    removed: bool = False

    def write(self, length: int) -> None:
        """The job writes: a record first, then its bytes."""
        if not self.runs:
            self.runs += _HEADER
        self.runs += _RECORD.pack(len(self.output), len(self.runs), 7, length)
        at = len(self.output)
        self.output += bytes((at + i * 7) % 251 for i in range(length))

    def finish(self, name: str, how: How = How.EXIT) -> Ended:
        if self.end is None:
            self.end = Ended(
                job_id=name,
                how=how,
                code=0 if how is How.EXIT else None,
                finished_us=len(self.output) + 5,
                output_bytes=len(self.output),
                runs_bytes=len(self.runs),
            )
        return self.end


@dataclass
class WorkerDisk:
    lives: tuple[str, ...] = ()
    server_life: str | None = None
    jobs: dict[str, JobDisk] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)  # how often each was really started


@dataclass
class Row:
    """A job in the server's database."""

    spec: bytes
    decided: bool = False
    withdrawn: bool = False
    stopped: bool = False
    end: Ended | None = None
    ends: int = 0  # how often an end was recorded that was not known
    eof: bool = False


@dataclass
class Files:
    """A job's files at the server."""

    output: bytearray = field(default_factory=bytearray)
    runs: bytearray = field(default_factory=bytearray)
    synced: tuple[int, int] = (0, 0)
    input: bytearray = field(default_factory=bytearray)


@dataclass
class ServerDisk:
    lives: list[str] = field(default_factory=list)
    last_life: str | None = None
    rows: dict[str, Row] = field(default_factory=dict)
    files: dict[str, Files] = field(default_factory=dict)

    def fail_power(self, keep: float) -> None:
        """Of what was not synced of ``output`` such a part stays, and of ``runs`` the rest of it."""
        for files in self.files.values():
            output, runs = files.synced
            del files.output[output + int((len(files.output) - output) * keep) :]
            left = runs + int((len(files.runs) - runs) * (1 - keep))
            del files.runs[left - left % 32 :]


def disk_files(disk: ServerDisk, name: str) -> Files:
    return disk.files.setdefault(name, Files())


def check_order(job: JobDisk, files: Files, more: int) -> None:
    """Each byte of output has its record before it, when ``more`` bytes are about to be written."""
    for at in range(64, len(job.runs) if more else 0, 32):
        offset, *_ = _RECORD.unpack_from(job.runs, at)
        assert offset >= len(files.output) + more or at + 32 <= len(files.runs), "bytes before their record"


@dataclass
class Wire:
    """One connection: what is under way in both directions, and whether each end thinks that it is there."""

    to_server: deque[bytes] = field(default_factory=deque)
    to_worker: deque[bytes] = field(default_factory=deque)
    host_link: int | None = None  # the server's number of it, None before hello
    server_open: bool = True
    close_code: int | None = None


def cost(data: bytes) -> int:
    wire = codec.decode(data)
    return len(wire["runs"]) + len(wire["data"]) if wire["kind"] == "piece" else 0
