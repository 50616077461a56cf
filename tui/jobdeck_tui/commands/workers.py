"""``jobdeck workers``: the machines that run jobs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from jobdeck_protocol.workerinfo import to_wire
from jobdeck_tui.commands.common import Where, call, json_option, now_us, server_options
from jobdeck_tui.commands.workersheet import sheet, table
from jobdeck_tui.terminal import columns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jobdeck_client import Client
    from jobdeck_protocol.workerinfo import WorkerInfo

__all__ = ["workers"]

_HELP = """\
The machines that run jobs: the server's own, and others that have joined it.

WORKER is an id, the first eight characters or more of it, or a name that only one of them has.

\b
Examples:
  jobdeck workers ls
  jobdeck workers show build-3
  jobdeck workers drain build-3          before its machine is switched off
  jobdeck workers undrain build-3
"""


@click.group(help=_HELP)
def workers() -> None:
    """Holds the commands below."""


_LS_HELP = """\
List workers, the server's own first.

\b
Examples:
  jobdeck workers ls
  jobdeck workers ls --json | python3 -c 'import json, sys; print([json.loads(line)["id"] for line in sys.stdin])'

\b
SLOTS is how many of a worker's slots have a job, and how many there are; WAITS how many jobs wait for it alone; SEEN
how long ago it was heard of. A terminal shows as much as fits, a pipe gets all.
The exit code is 0; 1 for a refusal, 3 if no server answers.
"""


@workers.command(help=_LS_HELP)
@json_option("Print each worker's record as a line of JSON.")
@server_options
def ls(as_json: bool, server: str | None, token_file: str | None) -> None:
    """Ask for the list and print it."""

    async def task(client: Client) -> int:
        found = await client.workers.all()
        if as_json:
            for worker in found:
                click.echo(json.dumps(to_wire(worker)))
        else:
            click.echo("\n".join(table(found, now_us=now_us(), limit=columns())))
        return 0

    call(Where(server=server, token_file=token_file), task)


@workers.command(help="Show all that is known of one worker, and the jobs that run on it.")
@click.argument("worker")
@json_option("Print the record as one line of JSON, with the ids of its jobs.")
@server_options
def show(worker: str, as_json: bool, server: str | None, token_file: str | None) -> None:
    """Ask for the record and print it."""

    async def task(client: Client) -> int:
        found = await client.workers.show(worker)
        if as_json:
            click.echo(json.dumps({**to_wire(found.worker), "jobs": found.jobs}))
        else:
            click.echo("\n".join(sheet(found.worker, found.jobs, now_us=now_us())))
        return 0

    call(Where(server=server, token_file=token_file), task)


_DRAIN_HELP = """\
Have a worker take no new jobs; those that it has go on. It stays so until it is undone, over restarts too.

\b
Examples:
  jobdeck workers drain build-3
  jobdeck workers ls                     its SLOTS show when it is empty
  jobdeck workers undrain build-3

The exit code is 0; 1 for a refusal, 3 if no server answers.
"""


@workers.command(help=_DRAIN_HELP)
@click.argument("worker")
@json_option("Print the record as one line of JSON.")
@server_options
def drain(worker: str, as_json: bool, server: str | None, token_file: str | None) -> None:
    """Ask for it, and say what is left."""
    _change(Where(server=server, token_file=token_file), lambda client: client.workers.drain(worker), as_json=as_json)


@workers.command(help="Have a worker that was drained take jobs again.")
@click.argument("worker")
@json_option("Print the record as one line of JSON.")
@server_options
def undrain(worker: str, as_json: bool, server: str | None, token_file: str | None) -> None:
    """Ask for it, and say what there is now."""
    _change(
        Where(server=server, token_file=token_file),
        lambda client: client.workers.drain(worker, on=False),
        as_json=as_json,
    )


@workers.command(help="Give a worker another NAME, whatever it calls itself. The server's own has jobdeck serve's.")
@click.argument("worker")
@click.argument("name")
@json_option("Print the record as one line of JSON.")
@server_options
def rename(worker: str, name: str, as_json: bool, server: str | None, token_file: str | None) -> None:
    """Ask for it, and say what it is called now."""
    _change(
        Where(server=server, token_file=token_file),
        lambda client: client.workers.rename(worker, name),
        as_json=as_json,
    )


def _change(where: Where, ask: Callable[[Client], Awaitable[WorkerInfo]], *, as_json: bool) -> None:
    """Have a worker changed, and print what it is then."""

    async def task(client: Client) -> int:
        found = await ask(client)
        if as_json:
            click.echo(json.dumps(to_wire(found)))
        else:
            click.echo("\n".join(table([found], now_us=now_us(), limit=columns())))
        return 0

    call(where, task)


_FORGET_HELP = """\
Have the server know a worker no more.

One that is connected, or has jobs, is only forgotten by --force: jobs that it runs are lost then, those that wait for
it fail. Should it come again, it is a new one.

\b
Examples:
  jobdeck workers forget build-3
  jobdeck workers forget --force 4663c092

The exit code is 0; 1 for a refusal, 3 if no server answers.
"""


@workers.command(help=_FORGET_HELP)
@click.argument("worker")
@click.option("--force", is_flag=True, help="Even if it is connected or has jobs: they are lost.")
@server_options
def forget(worker: str, force: bool, server: str | None, token_file: str | None) -> None:
    """Ask for it."""

    async def task(client: Client) -> int:
        await client.workers.forget(worker, force=force)
        return 0

    call(Where(server=server, token_file=token_file), task)


_RESUME_HELP = """\
Let a server start jobs that was restored from a backup.

Such a server starts nothing by itself: what it knows is old, and a job that it holds for waiting may have run since.
See first that its workers have come and told what they have: jobdeck workers ls.

The exit code is 0, also if it was not restored; 1 for a refusal, 3 if no server answers.
"""


@workers.command(help=_RESUME_HELP)
@server_options
def resume(server: str | None, token_file: str | None) -> None:
    """Agree to it."""

    async def task(client: Client) -> int:
        await client.workers.resume()
        return 0

    call(Where(server=server, token_file=token_file), task)
