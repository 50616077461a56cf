"""``jobdeck packages``: the wheels, eggs and jars whose classes jobs can run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobdeck_client import ConflictError, NotFoundError
from jobdeck_protocol.packageinfo import EGG, JAR, KINDS, WHEEL, to_wire
from jobdeck_tui.commands.common import LISTING, Where, call, json_option, now_us, server_options
from jobdeck_tui.commands.packagesheet import sheet, table
from jobdeck_tui.commands.progress import ProgressLine
from jobdeck_tui.terminal import columns, note, shown

if TYPE_CHECKING:
    from jobdeck_client import Client

__all__ = ["packages"]

_SUFFIXES = {".whl": WHEEL, ".egg": EGG, ".jar": JAR}

_HELP = """\
Packages: wheels, eggs and jars under a name, whose classes jobs can run.

\b
Examples:
  jobdeck packages put counting dist/counting-1.0-py3-none-any.whl
  jobdeck packages ls
  jobdeck packages show counting
  jobdeck packages rm counting
"""


@click.group(help=_HELP)
def packages() -> None:
    """Holds the commands below."""


_LS_HELP = """\
List packages by name: the newest version of each.

\b
Examples:
  jobdeck packages ls
  jobdeck packages ls --json

\b
AGE counts from when the newest version was sent; VERSIONS is how many are kept.
The exit code is 0, also for an empty list; 1 for a refusal, 3 if no server answers.
"""


@packages.command(help=_LS_HELP)
@json_option("Print each package's record as a line of JSON.")
@server_options
def ls(as_json: bool, server: str | None, token_file: str | None) -> None:
    """Ask for the list and print it."""

    async def task(client: Client) -> int:
        found = await client.packages()
        if as_json:
            for package in found:
                click.echo(json.dumps(to_wire(package)))
        elif found:
            click.echo("\n".join(table(found, now_us=now_us(), limit=columns())))
        else:
            note("no packages")
        return 0

    call(Where(server=server, token_file=token_file), task)


_SHOW_HELP = """\
Show all that is known of one package: its versions, and its classes that jobs can run.

Classes are found by reading its Python sources; nothing of it is run. Jars are not looked into.
"""


@packages.command(help=_SHOW_HELP)
@click.argument("name")
@json_option("Print the record as one line of JSON, with its versions and classes.")
@server_options
def show(name: str, as_json: bool, server: str | None, token_file: str | None) -> None:
    """Ask for the record and print it."""

    async def task(client: Client) -> int:
        found = await client.package(name)
        if as_json:
            told = {
                **to_wire(found.package),
                "versions": [to_wire(version) for version in found.versions],
                "classes": found.classes,
                "classes_complete": found.classes_complete,
            }
            click.echo(json.dumps(told))
        else:
            click.echo("\n".join(sheet(found, now_us=now_us())))
        return 0

    call(Where(server=server, token_file=token_file), task)


_PUT_HELP = """\
Send a FILE as the newest version of the package NAME. New jobs run it; those that were submitted before keep theirs.

\b
Examples:
  jobdeck packages put counting dist/counting-1.0-py3-none-any.whl
  jobdeck packages put counting build/counting.zip --kind egg

The exit code is 0; 1 if the file cannot be read or the server refused; 3 if no server answers.
"""


@packages.command(help=_PUT_HELP)
@click.argument("name")
@click.argument("file")
@click.option("--kind", type=click.Choice(list(KINDS)), help="What it is. Default: by its ending, .whl, .egg or .jar.")
@json_option("Print the package's record as a line of JSON.")
@server_options
def put(name: str, file: str, kind: str | None, as_json: bool, server: str | None, token_file: str | None) -> None:
    """Send it, and say what it is now."""
    path = Path(file)
    known = kind or _SUFFIXES.get(path.suffix.lower())
    if known is None:
        raise click.UsageError(f"{file!r} ends in none of {', '.join(_SUFFIXES)}: say --kind.")

    async def task(client: Client) -> int:
        try:
            with ProgressLine(path.name) as line:
                package = await client.upload_package(name, path, known, line.update)
        except OSError as error:
            note(f"{file}: {error.strerror}")
            return LISTING.refused
        told = f"{shown(package.name)}  {shown(package.kind)}  {shown(package.content)}"
        click.echo(json.dumps(to_wire(package)) if as_json else told)
        return 0

    call(Where(server=server, token_file=token_file), task)


_RM_HELP = """\
Remove packages with all their versions.

Refused while jobs that have not ended name a package; jobs that have ended keep their results.

\b
Examples:
  jobdeck packages rm counting
"""


@packages.command(help=_RM_HELP)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@server_options
def rm(names: tuple[str, ...], server: str | None, token_file: str | None) -> None:
    """Remove each; what is refused is told, and does not keep the others from it."""

    async def task(client: Client) -> int:
        code = 0
        for name in names:
            try:
                await client.delete_package(name)
            except (ConflictError, NotFoundError) as error:
                note(f"{name}: {error}")
                code = LISTING.refused
        return code

    call(Where(server=server, token_file=token_file), task)
