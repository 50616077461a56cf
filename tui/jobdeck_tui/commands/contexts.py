"""``jobdeck contexts``: what jobs out of packages run in."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobdeck_client import NotFoundError
from jobdeck_protocol.contextinfo import to_wire
from jobdeck_tui.commands.common import LISTING, Where, call, json_option, server_options
from jobdeck_tui.commands.contextsheet import sheet, table
from jobdeck_tui.terminal import columns, note

if TYPE_CHECKING:
    from jobdeck_client import Client

__all__ = ["contexts"]

_HELP = """\
Contexts: what jobs out of packages run in, each with its settings and a number of jobs at a time.

A job that names none has one of its own, which ends with it.

\b
Examples:
  jobdeck contexts create reports --set max-jobs-per-context=2
  jobdeck contexts ls
  jobdeck contexts show reports
  jobdeck contexts stop reports
"""


@click.group(help=_HELP)
def contexts() -> None:
    """Holds the commands below."""


_LS_HELP = """\
List the contexts that live, in the order of their coming.

\b
Examples:
  jobdeck contexts ls
  jobdeck contexts ls --json

\b
JOBS is how many run and how many may at a time, WAIT how many wait for that.
The exit code is 0, also for an empty list; 1 for a refusal, 3 if no server answers.
"""


@contexts.command(help=_LS_HELP)
@json_option("Print each context's record as a line of JSON.")
@server_options
def ls(as_json: bool, server: str | None, token_file: str | None) -> None:
    """Ask for the list and print it."""

    async def task(client: Client) -> int:
        found = await client.contexts()
        if as_json:
            for context in found:
                click.echo(json.dumps(to_wire(context)))
        elif found:
            click.echo("\n".join(table(found, now_us=_now_us(), limit=columns())))
        else:
            note("no contexts")
        return 0

    call(Where(server=server, token_file=token_file), task)


_SHOW_HELP = """\
Show all that is known of one context: one that lives, or the last of this name that ended.
"""


@contexts.command(help=_SHOW_HELP)
@click.argument("name")
@json_option("Print the record as one line of JSON, with the ids of its jobs.")
@server_options
def show(name: str, as_json: bool, server: str | None, token_file: str | None) -> None:
    """Ask for the record and print it."""

    async def task(client: Client) -> int:
        found = await client.context(name)
        if as_json:
            click.echo(json.dumps({**to_wire(found.context), "jobs": found.jobs}))
        else:
            click.echo("\n".join(sheet(found, now_us=_now_us())))
        return 0

    call(Where(server=server, token_file=token_file), task)


_CREATE_HELP = """\
Make a context, and wait until it is up. It survives its jobs and the server.

\b
Examples:
  jobdeck contexts create reports
  jobdeck contexts create reports --set max-jobs-per-context=2
  jobdeck contexts create science --set python.virtualenv=true --set 'python.packages=[tables, plots]'
  jobdeck contexts create science --settings science.conf

The exit code is 0; 1 if it cannot be made, 3 if no server answers.
"""


@contexts.command(help=_CREATE_HELP)
@click.argument("name")
@click.option("--set", "lines", metavar="PATH=VALUE", multiple=True, help="A setting, as a line of HOCON.")
@click.option("--settings", "file", metavar="FILE", help="A file of HOCON with settings; --set wins over it.")
@json_option("Print the context's record as a line of JSON.")
@server_options
def create(
    name: str, lines: tuple[str, ...], file: str | None, as_json: bool, server: str | None, token_file: str | None
) -> None:
    """Ask for it, and say what it is."""
    try:
        text = "" if file is None else Path(file).read_text(errors="surrogateescape")
    except OSError as error:
        note(f"{file}: {error.strerror}")
        sys.exit(LISTING.refused)

    async def task(client: Client) -> int:
        made = await client.create_context(name, "\n".join((text, *lines)))
        if as_json:
            click.echo(json.dumps(to_wire(made)))
        else:
            click.echo("\n".join(table([made], now_us=_now_us(), limit=columns())))
        return 0

    call(Where(server=server, token_file=token_file), task)


_STOP_HELP = """\
Stop contexts and their jobs.

\b
Examples:
  jobdeck contexts stop reports
  jobdeck contexts stop --force reports      its jobs get no time to end by themselves

The exit code is 0, also for one that takes long to end; 1 for a refusal, 3 if no server answers.
"""


@contexts.command(help=_STOP_HELP)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Kill their jobs at once.")
@server_options
def stop(names: tuple[str, ...], force: bool, server: str | None, token_file: str | None) -> None:
    """Stop each; what is refused is told, and does not keep the others from it."""

    async def task(client: Client) -> int:
        code = 0
        for name in names:
            try:
                if not await client.stop_context(name, force=force):
                    note(f"{name}: it is being stopped, which takes long")
            except NotFoundError as error:
                note(f"{name}: {error}")
                code = LISTING.refused
        return code

    call(Where(server=server, token_file=token_file), task)


def _now_us() -> int:
    return time.time_ns() // 1000
