"""Following a job from the command line: its output to where it belongs, until it ends. For ``run`` and ``attach``.

Bytes go out exactly as they came, on the stream on which the job wrote them, through the sanitiser onto a terminal.
With ``--json`` they are lines of JSON on standard output in place of that. What jobdeck itself has to say goes to
standard error, one line each, after ``jobdeck:``.
"""

from __future__ import annotations

import base64
import json
import sys
from itertools import groupby
from typing import TYPE_CHECKING, Any, Self

import click
import trio

from jobdeck_protocol.attach import Error, Exit, Gap, Hello, Note, Output, Refusal, State, Why
from jobdeck_protocol.job import JobState, time_text, to_wire
from jobdeck_protocol.runs import Stream
from jobdeck_tui.terminal import Outlet, note
from jobdeck_tui.words import ending

if TYPE_CHECKING:
    from jobdeck_client import Attach, Client, LinkState
    from jobdeck_protocol.attach import ServerMessage
    from jobdeck_protocol.job import Job

__all__ = ["ExactSink", "JsonSink", "LinkTeller", "Sink", "echo_id", "final", "follow", "tell_end"]

_CLOSE_LIMIT_S = 1.0  # for a terminal that was stopped


class _Closing:
    """A context that writes what was kept back at its end, also when it is left by Ctrl-C, but not for long."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_LIMIT_S):
            await self.close()

    async def close(self) -> None:
        """Write what was kept back."""


class ExactSink(_Closing):
    """Output as the job wrote it.

    Args:
        raw: Also onto a terminal.
        to_stdout: Both streams go to standard output: somebody asked for one of them alone.
    """

    def __init__(self, *, raw: bool = False, to_stdout: bool = False) -> None:
        sys.stdout.flush()
        self._stdout = Outlet(sys.stdout, raw=raw)
        self._stderr = self._stdout if to_stdout else Outlet(sys.stderr, raw=raw)

    @property
    def broken(self) -> bool:
        """Nobody reads standard output any more."""
        return self._stdout.broken

    async def job(self, event: str, job: Job) -> None:
        """A record is not output."""

    async def output(self, message: Output) -> None:
        """Write the bytes of a message, what stands together on one stream at once."""
        for is_stderr, pieces in groupby(message.pieces(), key=lambda piece: piece[1].stream is Stream.STDERR):
            await (self._stderr if is_stderr else self._stdout).write(b"".join(data for _, _, data in pieces))

    async def close(self) -> None:
        """Write what was kept back."""
        await self._stdout.close()
        if self._stderr is not self._stdout:
            await self._stderr.close()


class JsonSink(_Closing):
    """Everything as lines of JSON on standard output, for programs.

    ``{"event": "job", "job": {...}}`` first, ``{"event": "output", "stream", "offset", "time", "text"}`` (``base64`` in
    place of ``text`` where it is no UTF-8), ``{"event": "end", "job": {...}}`` last.
    """

    def __init__(self) -> None:
        sys.stdout.flush()
        # No terminal reads JSON; ASCII cannot hold a control either way.
        self._stdout = Outlet(sys.stdout, raw=True)

    @property
    def broken(self) -> bool:
        """Nobody reads standard output any more."""
        return self._stdout.broken

    async def job(self, event: str, job: Job) -> None:
        """A record: the first, or the last one."""
        await self._line({"event": event, "job": to_wire(job)})

    async def output(self, message: Output) -> None:
        """One line for each run."""
        for offset, run, data in message.pieces():
            fields = {"event": "output", "stream": run.stream.value, "offset": offset, "time": time_text(run.time_us)}
            try:
                fields["text"] = data.decode()
            except UnicodeDecodeError:
                fields["base64"] = base64.b64encode(data).decode()
            await self._line(fields)

    async def _line(self, fields: dict[str, Any]) -> None:
        await self._stdout.write(json.dumps(fields).encode() + b"\n")


Sink = ExactSink | JsonSink


class LinkTeller:
    """Says on standard error when the link breaks and when it is back, once each."""

    def __init__(self) -> None:
        self.attach: Attach | None = None
        self._down = False

    def __call__(self, state: LinkState) -> None:
        """Called by the client at each change."""
        if not state.up and not self._down:
            self._down = True
            note(f"the link to the server broke ({state.error}); the job goes on, trying again")
        elif state.up and self._down:
            self._down = False
            position = self.attach.position if self.attach is not None else None
            note("the link is back" + (f"; going on at byte {position}" if position is not None else ""))


async def follow(attach: Attach, sink: Sink) -> Exit | None:
    """Take messages until the job has ended, or nobody reads any more; None in that case."""
    async for message in attach:
        if isinstance(message, Output):
            await sink.output(message)
            if sink.broken:
                return None
        elif isinstance(message, Exit):
            break
        else:
            _tell(message)
    return attach.exit


async def final(client: Client, attach: Attach, job_id: str) -> Job:
    """The record of a job whose exit was told."""
    if attach.job is not None and attach.job.ended:
        return attach.job
    return await client.job(job_id)


def tell_end(job: Job, *, asked: bool) -> None:
    """Say what neither output nor exit code say of a job's end; ``asked``: its end was this user's wish."""
    short = job.id[:8]
    if job.state is JobState.STOPPED and not asked:
        note(f"job {short} was stopped by somebody else ({ending(job)})")
    elif job.error and not asked:
        note(f"job {short}: {job.error}")


def _tell(message: ServerMessage) -> None:
    """What is worth a line on standard error."""
    match message:
        case Hello(job=job) | State(job=job) if job.state is JobState.QUEUED:
            if isinstance(message, Hello) and sys.stderr.isatty():
                note(f"job {job.id[:8]} waits for its turn")
        case Gap(why=Why.LIMIT):
            note(f"{message.to - message.start} bytes of output were over the limit and are not kept")
        case Gap():
            note("the output is no longer kept")
        case Note(note=str(text)):
            note(text)
        case Error(error=Refusal.CONFLICT | Refusal.BUSY | Refusal.FAILED, about="stdin" | "eof"):
            pass  # the job has ended, or the client tries again
        case Error():
            note(message.text)
        case _:
            pass


def echo_id(job: Job, *, as_json: bool) -> None:
    """Print the id of a job that was submitted and is not followed."""
    click.echo(json.dumps(to_wire(job)) if as_json else job.id)
