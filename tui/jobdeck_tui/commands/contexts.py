"""``jobdeck contexts``: what jobs out of packages run in."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobdeck_client import NotAllowedError, NotFoundError, RefusedError
from jobdeck_protocol.contextinfo import ContextState, to_wire
from jobdeck_tui.commands.common import LISTING, Where, call, json_option, now_us, server_options
from jobdeck_tui.commands.contextsheet import sheet, table
from jobdeck_tui.sparksettings import FIELDS, edited
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
  jobdeck contexts create spark --master 'local[2]' --memory 2g
  jobdeck contexts ls
  jobdeck contexts show reports
  jobdeck contexts restart spark
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
MEMORY is what the process of a context on Spark holds, with all below it.
What a context waits for stands in brackets after its name.
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
            click.echo("\n".join(table(found, now_us=now_us(), limit=columns())))
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
            click.echo("\n".join(sheet(found, now_us=now_us())))
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
  jobdeck contexts create spark --master 'local[*]' --cores 4 --memory 2g
  jobdeck contexts create cluster --master spark://head:7077 --cores 16 --memory 4g --restart always

With --master it is one on Spark. On local[...] it computes in one process, which has the memory; else each executor has
it. What is in no option is a setting: --set spark.ui.enabled=true.

The exit code is 0; 1 if it cannot be made, 3 if no server answers.
"""


@contexts.command(help=_CREATE_HELP)
@click.argument("name")
@click.option("--master", metavar="MASTER", help="Where Spark computes: local[N], local[*], spark://HOST:PORT.")
@click.option("--cores", metavar="N", type=click.IntRange(min=1), help="Cores that Spark computes on.")
@click.option("--memory", metavar="SIZE", help="Memory of what computes: 512m, 2g.")
@click.option("--restart", type=click.Choice(["never", "always"]), help="Whether it is made anew if its process dies.")
@click.option("--set", "lines", metavar="PATH=VALUE", multiple=True, help="A setting, as a line of HOCON.")
@click.option("--settings", "file", metavar="FILE", help="A file of HOCON with settings; --set wins over it.")
@json_option("Print the context's record as a line of JSON.")
@server_options
def create(
    name: str,
    lines: tuple[str, ...],
    file: str | None,
    as_json: bool,
    server: str | None,
    token_file: str | None,
    **words: str | int | None,
) -> None:
    """Ask for it, and say what it is."""
    try:
        text = "" if file is None else Path(file).read_text(errors="surrogateescape")
    except OSError as error:
        note(f"{file}: {error.strerror}")
        sys.exit(LISTING.refused)
    meant = ""
    for field in FIELDS:
        if words.get(field) is not None:
            meant = edited(meant, field, str(words[field]))

    async def task(client: Client) -> int:
        made = await client.create_context(name, "\n".join((text, meant, *lines)))
        if as_json:
            click.echo(json.dumps(to_wire(made)))
        else:
            click.echo("\n".join(table([made], now_us=now_us(), limit=columns())))
        return 0

    call(Where(server=server, token_file=token_file), task)


_RESTART_HELP = """\
Make contexts anew, with the settings that they have: what runs in them ends, what waits runs when they are up again.

\b
Examples:
  jobdeck contexts restart spark

One that has ended is made again. The exit code is 0, also for one that takes long to be up; 1 for a refusal, 3 if no
server answers.
"""


@contexts.command(help=_RESTART_HELP)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@server_options
def restart(names: tuple[str, ...], server: str | None, token_file: str | None) -> None:
    """Each of them; what is refused is told, and does not keep the others from it."""

    async def task(client: Client) -> int:
        code = 0
        for name in names:
            try:
                found = await client.restart_context(name)
                if found.state is not ContextState.RUNNING:
                    note(f"{name}: it is coming up, which takes long" + (f" ({found.note})" if found.note else ""))
            except NotAllowedError:
                raise  # of no one context
            except RefusedError as error:
                note(f"{name}: {error}")
                code = LISTING.refused
        return code

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
