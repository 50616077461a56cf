"""``jobdeck workers``: the machines that run jobs."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import click

from jobdeck_protocol.workerinfo import to_wire
from jobdeck_tui.commands.common import Where, call, json_option, server_options
from jobdeck_tui.commands.workersheet import sheet, table
from jobdeck_tui.terminal import columns

if TYPE_CHECKING:
    from jobdeck_client import Client

__all__ = ["workers"]

_HELP = """\
The machines that run jobs: the server's own, and others that have joined it.

WORKER is an id, the first eight characters or more of it, or a name that only one of them has.

\b
Examples:
  jobdeck workers ls
  jobdeck workers show build-3
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
SLOTS is how many of a worker's slots have a job, and how many there are; SEEN how long ago it was heard of.
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
            click.echo("\n".join(table(found, now_us=time.time_ns() // 1000, limit=columns())))
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
            click.echo("\n".join(sheet(found.worker, found.jobs, now_us=time.time_ns() // 1000)))
        return 0

    call(Where(server=server, token_file=token_file), task)
