"""A client of the process of a Spark context: ``processpath/sparkprocess/requests.py`` is the other end.

Each question goes over a connection of its own, so that one that waits for a context keeps no other waiting.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

__all__ = ["Control", "ControlError", "Counts", "GoneError", "RefusedError", "Status"]

SOCKET = "control.sock"
_ANSWER_BYTES = 8 << 20
_PIECE_BYTES = 64 * 1024
_QUICK_S = 10.0


class ControlError(Exception):
    """It has not answered as it should."""


class GoneError(ControlError):
    """Nobody is there: the process has not come up yet, or has ended."""


class RefusedError(ControlError):
    """It said no; the text is its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How far Spark is with a job."""

    stages_done: int = 0
    stages: int = 0
    tasks_done: int = 0
    tasks_active: int = 0
    tasks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the process says of itself.

    Attributes:
        state: ``starting``, ``ready``, ``making``, ``up`` or ``stopping``.
        note: What it does just now, or why it ends; or None.
        context: The id of its context, or None.
        application: Spark's id of it; this and the next two are None as long as there is no SparkContext.
        master: Where it runs.
        ui: The address of its pages, if it has them.
        version: Spark's.
        memory_bytes: Of the process, Java, and the Python workers of local mode; 0 before the first look.
        jobs: Those that are attached.
    """

    state: str
    note: str | None
    context: str | None
    application: str | None
    master: str | None
    ui: str | None
    version: str
    memory_bytes: int
    jobs: Mapping[str, Counts]


class Control:
    """The process of a folder. It may come and go; each call finds out anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def status(self, *, limit_s: float = _QUICK_S) -> Status:
        """Ask how it is.

        Raises:
            ControlError: See its kinds.
        """
        return _status(await self._ask({"op": "status"}, limit_s))

    async def make(
        self, context: str, name: str, conf: Mapping[str, str], jars: Sequence[str] = (), *, limit_s: float
    ) -> Status:
        """Have the SparkContext made, or wait for the one of the same id; cancelling leaves it being made.

        Args:
            context: The context's id.
            name: Of the application.
            conf: Of Spark.
            jars: For the executors.
            limit_s: Patience.

        Raises:
            RefusedError: It cannot be made so, or the process belongs to another.
            ControlError: See its other kinds.
        """
        asked = {"op": "make", "context": context, "name": name, "conf": dict(conf), "jars": list(jars)}
        return _status(await self._ask(asked, limit_s))

    async def cancel(self, job_id: str, *, limit_s: float = _QUICK_S) -> None:
        """Cancel what Spark does for a job.

        Raises:
            ControlError: See its kinds.
        """
        await self._ask({"op": "cancel", "job": job_id}, limit_s)

    async def stop(self, *, limit_s: float = _QUICK_S) -> None:
        """Have it stop its SparkContext and end; this does not wait for that.

        Raises:
            ControlError: See its kinds.
        """
        await self._ask({"op": "stop"}, limit_s)

    async def _ask(self, asked: Mapping[str, Any], limit_s: float) -> dict[str, Any]:
        try:
            with trio.fail_after(limit_s), await self._dial() as sock:
                await _send(sock, json.dumps(asked).encode() + b"\n")
                line = await _line(sock)
        except trio.TooSlowError:
            raise ControlError(f"The process of the Spark context has not answered within {limit_s:g} s.") from None
        except OSError as error:
            raise GoneError(f"The process of the Spark context is not there: {error.strerror or error}") from error
        return _answer(line)

    async def _dial(self) -> trio.socket.SocketType:
        """Connect; through the folder, since the path may be longer than an address allows."""
        place = os.open(self._folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sock = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
            try:
                await sock.connect(f"/proc/self/fd/{place}/{SOCKET}")
            except BaseException:
                sock.close()
                raise
        finally:
            os.close(place)
        return sock


async def _send(sock: trio.socket.SocketType, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[await sock.send(left) :]


async def _line(sock: trio.socket.SocketType) -> bytes:
    """The one line of an answer, without its end."""
    came = bytearray()
    while b"\n" not in came[-_PIECE_BYTES:]:
        data = await sock.recv(_PIECE_BYTES)
        if not data:
            raise GoneError("The process of the Spark context has ended before it answered.")
        came += data
        if len(came) > _ANSWER_BYTES:
            raise ControlError("The process of the Spark context answers without an end.")
    return bytes(came).partition(b"\n")[0]


def _answer(line: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict) or not isinstance(answer.get("ok"), bool):
        raise ControlError("The process of the Spark context has answered what cannot be understood.")
    if not answer["ok"]:
        raise RefusedError(str(answer.get("error") or "It was refused, without a reason."))
    return answer


def _status(answer: Mapping[str, Any]) -> Status:
    """Of an answer; what it does not say is unknown."""
    jobs = answer.get("jobs")
    memory_bytes = answer.get("memory_bytes")
    return Status(
        state=str(answer.get("state")),
        note=_text(answer, "note"),
        context=_text(answer, "context"),
        application=_text(answer, "application"),
        master=_text(answer, "master"),
        ui=_text(answer, "ui"),
        version=_text(answer, "version") or "",
        memory_bytes=memory_bytes if isinstance(memory_bytes, int) else 0,
        jobs={job_id: _counts(told) for job_id, told in jobs.items()} if isinstance(jobs, dict) else {},
    )


def _text(answer: Mapping[str, Any], name: str) -> str | None:
    value = answer.get(name)
    return value if isinstance(value, str) else None


def _counts(told: object) -> Counts:
    if not isinstance(told, dict):
        return Counts()
    names = Counts.__slots__
    return Counts(**{name: told[name] for name in names if isinstance(told.get(name), int)})
