"""A job's configuration, as it was posted: from the bytes of a body to JSON, whatever they are and at a bounded cost.

Small texts whose cost is bounded by their size are read in a thread; all others in a short-lived process with limits
on time, memory and files (``hoconparse`` says which, and why). The server never holds the tree of a large text: it
keeps its JSON as bytes, for the job and for whoever asks, and of the tree the part that it reads itself.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import trio

from jobdeck_server.core import hoconparse
from jobdeck_server.core.errors import BadRequestError, CapacityError, TooLargeError
from jobdeck_server.core.hoconparse import HoconError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobdeck_server.settings import Settings

Json: TypeAlias = Any

_log = logging.getLogger("jobdeck.packages")
_SHOWN_BYTES = 2000
_SMALL_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class HoconLimits:
    """Of the configurations of jobs.

    Attributes:
        body_bytes: As it was sent.
        coming_bytes: Of all bodies that are here at the same time, to be read.
        depth_count: Of objects and lists in one another.
        output_bytes: As JSON; substitutions make much of little.
        memory_bytes: Of the process that reads a large one, all in all.
        cpu_s: Of its processor.
        deadline_s: Of the clock.
        process_count: That may be at it at once; the others wait.
    """

    body_bytes: int = 30 * 1024 * 1024
    coming_bytes: int = 512 * 1024 * 1024
    depth_count: int = 100
    output_bytes: int = 100 * 1024 * 1024
    memory_bytes: int = 1024 * 1024 * 1024
    cpu_s: int = 20
    deadline_s: float = 60.0
    process_count: int = 2

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the server is set: what begins with ``config_``."""
        return cls(
            body_bytes=settings.config_limit_bytes,
            coming_bytes=settings.config_coming_limit_bytes,
            depth_count=settings.config_depth_limit_count,
            output_bytes=settings.config_output_limit_bytes,
            memory_bytes=settings.config_memory_limit_bytes,
            cpu_s=settings.config_cpu_s,
            deadline_s=settings.config_time_s,
            process_count=settings.config_process_limit_count,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobConfig:
    """What a job was told.

    Attributes:
        text: All of it: one JSON object, in UTF-8.
        head: Of its top-level keys those that the server itself reads (``hoconparse.HEAD_KEYS``), as plain values.
    """

    text: bytes
    head: Mapping[str, Json]

    def tree(self) -> dict[str, Json]:
        """All of it as plain values: for small ones, or in a thread."""
        found: dict[str, Json] = json.loads(self.text)
        return found


EMPTY = JobConfig(text=b"{}", head={})


class ConfigReader:
    """Reads the configurations of all jobs; cheap to make."""

    def __init__(self, limits: HoconLimits | None = None) -> None:
        self._limits = limits or HoconLimits()
        self._threads = trio.CapacityLimiter(self._limits.process_count)
        self._processes = trio.CapacityLimiter(self._limits.process_count)
        self._coming_bytes = 0

    @property
    def limit_bytes(self) -> int:
        """How large a body may be."""
        return self._limits.body_bytes

    @contextmanager
    def room(self, size_bytes: int | None) -> Iterator[None]:
        """Memory for a body, from before it comes until it has been read; small ones need not ask.

        Args:
            size_bytes: How long it will be, if that is known.

        Raises:
            CapacityError: There is none now.
        """
        limits = self._limits
        need_bytes = limits.body_bytes if size_bytes is None else min(size_bytes, limits.body_bytes)
        if need_bytes <= _SMALL_BYTES:
            need_bytes = 0
        elif self._coming_bytes + need_bytes > limits.coming_bytes:
            raise CapacityError("Too many large configurations come at the same time; try again later.")
        self._coming_bytes += need_bytes
        try:
            yield
        finally:
            self._coming_bytes -= need_bytes

    async def read(self, body: bytes) -> JobConfig:
        """Read a body, whatever its Content-Type says. Cancelling ends the work on it.

        Raises:
            TooLargeError: It is larger than bodies may be.
            BadRequestError: It is no HOCON, or asks for what is not given; ``Cannot parse config: `` and why.
        """
        if len(body) > self._limits.body_bytes:
            raise TooLargeError("The job's configuration", self._limits.body_bytes)
        if not body.strip():
            return EMPTY
        try:
            light = await trio.to_thread.run_sync(self._read_light, body, limiter=self._threads)
            return await self._read_apart(body) if light is None else light
        except HoconError as error:
            raise BadRequestError(f"Cannot parse config: {error}") from None

    def _read_light(self, body: bytes) -> JobConfig | None:
        """Read it here if that costs next to nothing."""
        try:
            tree = hoconparse.parse_light(body, self._limits.depth_count)
        except RecursionError:  # more room is there in a process of its own
            return None
        return None if tree is None else JobConfig(text=hoconparse.to_json(tree), head=hoconparse.head_of(tree))

    async def _read_apart(self, body: bytes) -> JobConfig:
        """Read it in a process of its own.

        Raises:
            HoconError: It cannot be read, or not at this price.
        """
        limits = self._limits
        numbers = (limits.depth_count, limits.output_bytes, limits.memory_bytes, limits.cpu_s)
        command = [sys.executable, "-I", "-S", "-B", hoconparse.__file__, _library(), *map(str, numbers)]
        done = None
        async with self._processes:
            with trio.move_on_after(limits.deadline_s):
                done = await trio.run_process(
                    command,
                    stdin=body,
                    capture_stdout=True,
                    capture_stderr=True,
                    check=False,
                    deliver_cancel=_kill,
                    env={},
                    cwd="/",
                    start_new_session=True,
                )
        if done is None or done.returncode == -signal.SIGXCPU or done.returncode == -signal.SIGKILL:
            raise HoconError(f"reading it takes more than {limits.cpu_s} s of a processor")
        if done.returncode != 0:
            _log.warning("reading a configuration: %d, %r", done.returncode, done.stderr[-_SHOWN_BYTES:])
            raise HoconError("it is more than can be read")
        return _answered(done.stdout)


def _answered(answer: bytes) -> JobConfig:
    line, _, text = answer.partition(b"\n")
    said = json.loads(line)
    if "error" in said:
        raise HoconError(said["error"])
    return JobConfig(text=text, head=said["head"])


async def _kill(process: trio.Process) -> None:
    process.kill()


@cache
def _library() -> str:
    """The folder in which the library lies, so that the process needs no site packages."""
    spec = find_spec("hocon")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("hocon")
    return str(Path(spec.origin).parent.parent)
