"""``jobdeck run``: a command as a job that behaves like the command.

The life of a run: submit (once, whatever happens to the link), attach, forward standard input, hand on output and
signals, and end as the job ended. The first Ctrl-C goes to the job, the second kills it, the third leaves it alone.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click
import trio

from jobdeck_client import ClientError, ConflictError, EndedError, RefusedError
from jobdeck_protocol.job import JobState
from jobdeck_tui.commands.common import RUNNING, Where, call, json_option, server_options
from jobdeck_tui.commands.follow import ExactSink, JsonSink, LinkTeller, echo_id, final, follow, tell_end
from jobdeck_tui.terminal import note
from jobdeck_tui.words import exit_code

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jobdeck_client import Attach, Client
    from jobdeck_protocol.job import Job

__all__ = ["run"]

_STDIN = 0
_PIECE_BYTES = 65536
_SIGNALLED = 128
_FORWARDED = (signal.SIGINT, signal.SIGTERM)
_SECRETS = ("JOBDECK_TOKEN", "JOBDECK_TOKEN_FILE")

_HELP = """\
Run a command as a job and see its output live.

It behaves like the command itself: its output comes on the stream on which it writes, your standard input goes to it
if that is no terminal, Ctrl-C goes to it (a second one kills it), and the exit code is its own. But it runs under the
server: it lives on when this terminal closes or the server is killed.

\b
Examples:
  jobdeck run -- make test
  jobdeck run make test                       the -- may be left out
  seq 100 | jobdeck run -- sort -rn > sorted
  jobdeck run -C /srv/app -e MODE=fast -- ./build.sh
  jobdeck run --detach --label nightly -- ./train.sh      prints the job's id
  jobdeck run -- sh -c 'make && make install'             a shell, where you want one
  jobdeck run --worker-label gpu -- python3 train.py      on a machine that has what it needs

COMMAND is run without a shell. With a server on this machine (a loopback address) it gets your working folder and
environment; with another one, and on a worker that you choose, only what -C and -e say.

\b
The exit code is the job's own, and 128 + n after signal n, as in a shell. Else:
  125  jobdeck itself failed: no server, a refusal, a job that was lost
  126  the command could not be started
  127  the command was not found
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be run, as given on the command line."""

    argv: tuple[str, ...]
    folder: str | None
    variables: tuple[str, ...]
    labels: tuple[str, ...]
    worker: str | None
    worker_labels: tuple[str, ...]
    time_limit_s: float | None
    stdin: bool
    follow: bool
    as_json: bool


@click.command(help=_HELP, context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--follow/--detach", "-f/-d", default=True, help="See it through (default), or print its id and leave.")
@click.option("-C", "folder", metavar="DIR", help="Run it in this folder.")
@click.option("-e", "variables", metavar="NAME=VALUE", multiple=True, help="Set a variable; without =, take yours.")
@click.option(
    "--label", "labels", metavar="LABEL", multiple=True, help="A word to find it by; several times if you like."
)
@click.option("--worker", metavar="WORKER", help="Run it on this worker: its id or name.")
@click.option(
    "--worker-label",
    "worker_labels",
    metavar="LABEL",
    multiple=True,
    help="Run it on a worker that has this label; several times for one that has all of them.",
)
@click.option("--time-limit", "time_limit_s", metavar="SECONDS", type=float, help="Stop it after so long, as failed.")
@click.option(
    "--stdin",
    type=click.Choice(["auto", "on", "off"]),
    default="auto",
    help="Forward standard input: if it is no terminal (auto), always, or never.",
)
@json_option("Print lines of JSON: the record, output with stream and time, the record at the end.")
@server_options
def run(
    command: tuple[str, ...],
    follow: bool,
    folder: str | None,
    variables: tuple[str, ...],
    labels: tuple[str, ...],
    worker: str | None,
    worker_labels: tuple[str, ...],
    time_limit_s: float | None,
    stdin: str,
    as_json: bool,
    server: str | None,
    token_file: str | None,
) -> None:
    """Submit, and see it through."""
    if time_limit_s is not None and not (0 < time_limit_s < math.inf):
        raise click.BadParameter("must be greater than 0", param_hint="--time-limit")
    if any(not variable.partition("=")[0] for variable in variables):
        raise click.BadParameter("a variable without a name", param_hint="-e")
    wish = Wish(
        argv=command,
        folder=folder,
        variables=variables,
        labels=labels,
        worker=worker,
        worker_labels=worker_labels,
        time_limit_s=time_limit_s,
        stdin=follow and _wants_stdin(stdin),
        follow=follow,
        as_json=as_json,
    )
    call(Where(server=server, token_file=token_file), lambda client: _Run(client, wish).run(), RUNNING)


def _wants_stdin(word: str) -> bool:
    """Whether to forward standard input; one that is closed is none."""
    try:
        os.fstat(_STDIN)
    except OSError:
        return False
    return word == "on" or (word == "auto" and not os.isatty(_STDIN))


class _Run:
    """One run, from submission to the exit code."""

    def __init__(self, client: Client, wish: Wish) -> None:
        self._client = client
        self._wish = wish
        self._job: Job | None = None
        self._signals: list[int] = []  # in the order in which they came
        self._left = False  # the user has left it alone

    async def run(self) -> int:
        """See it through; returns the exit code."""
        if not self._wish.follow:
            echo_id(await self._submit(), as_json=self._wish.as_json)
            return 0
        code = RUNNING.refused
        with trio.open_signal_receiver(*_FORWARDED) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hand_on_signals, signals, nursery)
                self._job = await self._submit()
                nursery.start_soon(self._deliver, len(self._signals))
                code = await self._see_through(self._job)
                nursery.cancel_scope.cancel()
        return _SIGNALLED + self._signals[0] if self._left else code

    async def _submit(self) -> Job:
        wish = self._wish
        # Elsewhere neither this folder nor this environment is of any use
        local = _is_loopback(self._client.base_url) and wish.worker is None and not wish.worker_labels
        return await self._client.submit(
            argv=wish.argv,
            env=_environment(wish, local=local),
            cwd=_folder(wish, local=local),
            labels=wish.labels,
            worker=wish.worker,
            worker_labels=wish.worker_labels,
            time_limit_s=wish.time_limit_s,
            stdin=wish.stdin,
        )

    async def _see_through(self, job: Job) -> int:
        teller = LinkTeller()
        async with JsonSink() if self._wish.as_json else ExactSink() as sink:
            await sink.job("job", job)
            # Patient: the server took the job, so it is there, though perhaps not just now.
            async with self._client.attach(job.id, patient=True, on_link=teller) as attach:
                teller.attach = attach
                async with trio.open_nursery() as nursery:
                    if self._wish.stdin:
                        nursery.start_soon(_forward_stdin, attach)
                    exit_ = await follow(attach, sink)
                    nursery.cancel_scope.cancel()
                if exit_ is not None:
                    job = await final(self._client, attach, job.id)
            if exit_ is None:
                job = await self._unread(job)
            await sink.job("end", job)
        tell_end(job, asked=bool(self._signals) or sink.broken)
        if job.state is JobState.STOPPED and job.started_us is None and self._signals:
            return _SIGNALLED + self._signals[0]
        return exit_code(job)

    async def _unread(self, job: Job) -> Job:
        """Standard output was closed, as by ``head``: the command by itself would get SIGPIPE. Wait for its end."""
        await self._client.stop(job.id, signal=signal.SIGPIPE)
        async with self._client.attach(job.id, offset=-1, patient=True) as attach:
            async for _ in attach:
                pass
            return await final(self._client, attach, job.id)

    # -- signals --

    async def _hand_on_signals(self, signals: AsyncIterator[int], nursery: trio.Nursery) -> None:
        async for number in signals:
            self._signals.append(number)
            if len(self._signals) >= 3 or (self._job is None and len(self._signals) >= 2):
                self._left = True
                where = "" if self._job is None else f" {self._job.id[:8]}"
                note(f"leaving; job{where} may still run")
                nursery.cancel_scope.cancel()
            elif self._job is not None:
                # In a task: a server that does not answer must not keep the next signal waiting.
                nursery.start_soon(self._deliver, len(self._signals))

    async def _deliver(self, count: int) -> None:
        """Hand on what the user has asked for by ``count`` signals: the first one, or the end."""
        if count == 0 or self._job is None:
            return
        try:
            if count == 1:
                await self._soften(self._job, self._signals[0])
            else:
                await self._client.stop(self._job.id, signal=signal.SIGKILL)
        except RefusedError as error:
            note(str(error))
        except ClientError as error:
            note(f"the signal could not be sent: {error}")

    async def _soften(self, job: Job, number: int) -> None:
        """The first signal: to a job that runs as it is, to one that does not yet as a stop."""
        try:
            await self._client.signal(job.id, number)
        except ConflictError:
            if not (await self._client.job(job.id)).ended:
                await self._client.stop(job.id, signal=number)


async def _forward_stdin(attach: Attach) -> None:
    """Send standard input to the job, its end too; stops when the job wants no more."""
    regular = stat.S_ISREG(os.fstat(_STDIN).st_mode)
    try:
        while data := await _read(regular=regular):
            await attach.send_stdin(data)
        await attach.send_eof()
    except (EndedError, RefusedError):
        return  # a refusal worth telling is told where messages are


async def _read(*, regular: bool) -> bytes:
    """The next piece of standard input; empty at its end."""
    if not regular:
        # So that no byte is taken that nobody wants once the job has ended. Not every device can be waited for.
        with contextlib.suppress(OSError):
            await trio.lowlevel.wait_readable(_STDIN)
    try:
        return await trio.to_thread.run_sync(os.read, _STDIN, _PIECE_BYTES, abandon_on_cancel=True)
    except BlockingIOError:
        return await _read(regular=regular)
    except OSError as error:
        note(f"standard input cannot be read: {error.strerror}")
        return b""


def _folder(wish: Wish, *, local: bool) -> str | None:
    """The job's working folder: the caller's, if the job runs on this machine."""
    if not local:
        return wish.folder
    return os.getcwd() if wish.folder is None else os.path.join(os.getcwd(), wish.folder)


def _environment(wish: Wish, *, local: bool) -> dict[str, str]:
    """The job's environment: the caller's, if the job runs on this machine, and ``-e``."""
    env: dict[str, str] = {}
    if local:
        env = {name: value for name, value in os.environ.items() if name not in _SECRETS}
        if wish.folder is not None:
            env["PWD"] = os.path.join(os.getcwd(), wish.folder)
    for variable in wish.variables:
        name, equals, value = variable.partition("=")
        if equals:
            env[name] = value
        elif name in os.environ:
            env[name] = os.environ[name]
    return env


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")
