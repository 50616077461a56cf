"""``jobdeck show``: all that is known of one job."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from jobdeck_protocol.job import to_wire
from jobdeck_tui.commands.common import Where, call, json_option, now_us, server_options
from jobdeck_tui.commands.sheet import sheet

if TYPE_CHECKING:
    from jobdeck_client import Client

__all__ = ["show"]

_HELP = """\
Show all that is known of one job.

JOB is its id, or the first eight characters or more of it.

\b
Examples:
  jobdeck show 4663c092
  jobdeck show 4663c092 --json | python3 -m json.tool

The exit code is 0, 1 if there is no such job, 3 if no server answers.
"""


@click.command(help=_HELP)
@click.argument("job")
@json_option("Print the record as one line of JSON, as the server has it.")
@server_options
def show(job: str, as_json: bool, server: str | None, token_file: str | None) -> None:
    """Ask for the record and print it."""

    async def task(client: Client) -> int:
        record = await client.job(job)
        if as_json:
            click.echo(json.dumps(to_wire(record)))
        else:
            click.echo("\n".join(sheet(record, now_us=now_us())))
        return 0

    call(Where(server=server, token_file=token_file), task)
