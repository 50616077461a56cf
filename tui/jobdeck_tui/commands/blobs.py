"""``jobdeck blobs``: what is in the blob store, and what is to be done with it."""

from __future__ import annotations

import json
import re
import sys
from contextlib import aclosing
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from jobdeck_client import ConflictError, NotFoundError
from jobdeck_protocol.blob import ARTIFACT, to_wire
from jobdeck_tui.commands.blobmoves import get, put
from jobdeck_tui.commands.blobsheet import collected_text, sheet, table
from jobdeck_tui.commands.common import LISTING, Where, call, json_option, now_us, server_options
from jobdeck_tui.terminal import columns, note, shown
from jobdeck_tui.words import KINDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jobdeck_client import BlobEntry, Client
    from jobdeck_protocol.blob import Blob

__all__ = ["blobs"]

_ENTRIES_COUNT = 100
_SPAN = re.compile(r"([0-9]{1,9}(?:\.[0-9]+)?)([smhdw]?)")
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}

_HELP = """\
The blob store: files and artifacts under the hash of what they are.

BLOB is a hash, or the first eight digits or more of it.

\b
Examples:
  jobdeck blobs put data.bin
  jobdeck blobs ls
  jobdeck blobs get 1a05d6ba
  jobdeck blobs rm 1a05d6ba
  jobdeck blobs gc --dry-run
"""


@click.group(help=_HELP)
def blobs() -> None:
    """Holds the commands below."""


blobs.add_command(put)
blobs.add_command(get)

_LS_HELP = """\
List blobs, those that came last first.

\b
Examples:
  jobdeck blobs ls
  jobdeck blobs ls --tag nightly --type artifact
  jobdeck blobs ls --sort size --limit 10
  jobdeck blobs ls --text .zip --json

\b
A * behind the type marks what is pinned; AGE counts from when it was sent last.
The exit code is 0, also for an empty list; 1 for a refusal, 3 if no server answers.
"""


@blobs.command(help=_LS_HELP)
@click.option("--name", metavar="NAME", help="Only blobs that are called exactly so.")
@click.option("--tag", metavar="TAG", help="Only blobs with this tag.")
@click.option("--text", metavar="TEXT", help="Only blobs whose hash, name, type or tags hold this.")
@click.option("--type", "kind", type=click.Choice(list(KINDS)), help="Only these.")
@click.option("--pinned", is_flag=True, help="Only pinned ones.")
@click.option(
    "--sort", type=click.Choice(["created", "size"]), default="created", help="What goes first: new, or large."
)
@click.option("--reverse", is_flag=True, help="The other way round.")
@click.option("--limit", metavar="N", default=50, show_default=True, type=click.IntRange(1), help="At most so many.")
@json_option("Print each blob's record as a line of JSON.")
@server_options
def ls(
    name: str | None,
    tag: str | None,
    text: str | None,
    kind: str | None,
    pinned: bool,
    sort: str,
    reverse: bool,
    limit: int,
    as_json: bool,
    server: str | None,
    token_file: str | None,
) -> None:
    """Ask for the list and print it."""

    async def task(client: Client) -> int:
        found = client.blobs.all(
            limit=limit,
            name=name,
            tag=tag,
            text=text,
            kind=None if kind is None else KINDS[kind],
            pinned=True if pinned else None,
            sort=sort if reverse else "-" + sort,
        )
        items = [blob async for blob in found]
        if as_json:
            _tell_json(items)
        elif items:
            click.echo("\n".join(table(items, now_us=now_us(), limit=columns())))
        else:
            note("no such blobs")
        return 0

    call(Where(server=server, token_file=token_file), task)


@blobs.command(help="Show all that is known of one blob, and the files of an artifact.")
@click.argument("blob")
@json_option("Print the record as one line of JSON, and one line for each file of an artifact.")
@server_options
def show(blob: str, as_json: bool, server: str | None, token_file: str | None) -> None:
    """Ask for the record and print it."""

    async def task(client: Client) -> int:
        found = await client.blobs.show(blob)
        entries: list[BlobEntry] = []
        if found.type == ARTIFACT:
            async with aclosing(client.blobs.entries(found.hash)) as all_entries:
                async for entry in all_entries:
                    entries.append(entry)
                    if len(entries) == _ENTRIES_COUNT and not as_json:
                        break
        if as_json:
            _tell_json([found])
            for entry in entries:
                click.echo(json.dumps(asdict(entry)))
        else:
            click.echo("\n".join(sheet(found, entries, now_us=now_us())))
        return 0

    call(Where(server=server, token_file=token_file), task)


_RM_HELP = """\
Remove blobs. Their bytes go with the next collection (jobdeck blobs gc), if nothing else needs them.

Refused for what is pinned, what a job that has not ended needs, and what is a part of another blob.

\b
Examples:
  jobdeck blobs rm 1a05d6ba
  jobdeck blobs rm --recursive 5652c669      an artifact, and the files that only it links to
"""


@blobs.command(help=_RM_HELP)
@click.argument("names", metavar="BLOB...", nargs=-1, required=True)
@click.option("-r", "--recursive", is_flag=True, help="Also what it links to, if nothing else needs it.")
@click.option("-f", "--force", is_flag=True, help="Even if another blob links to it, which will be damaged.")
@server_options
def rm(names: tuple[str, ...], recursive: bool, force: bool, server: str | None, token_file: str | None) -> None:
    """Remove each."""

    async def remove(client: Client, name: str) -> None:
        await client.blobs.remove(name, recursive=recursive, force=force)

    _for_each(names, remove, Where(server=server, token_file=token_file))


@blobs.command(help="Keep blobs, and all they link to, from being removed; with --off no longer.")
@click.argument("names", metavar="BLOB...", nargs=-1, required=True)
@click.option("--off", is_flag=True, help="Let them be removed again.")
@server_options
def pin(names: tuple[str, ...], off: bool, server: str | None, token_file: str | None) -> None:
    """Pin or unpin each."""

    async def change(client: Client, name: str) -> None:
        await (client.blobs.unpin(name) if off else client.blobs.pin(name))

    _for_each(names, change, Where(server=server, token_file=token_file))


@blobs.command(help="Give blobs tags, or take them away. Tags that are a part of a blob's own record stay.")
@click.argument("names", metavar="BLOB...", nargs=-1, required=True)
@click.option("--add", metavar="TAG", multiple=True, help="Give this one; may be given several times.")
@click.option("--remove", metavar="TAG", multiple=True, help="Take this one away; may be given several times.")
@server_options
def tag(
    names: tuple[str, ...], add: tuple[str, ...], remove: tuple[str, ...], server: str | None, token_file: str | None
) -> None:
    """Change the tags of each."""
    if not add and not remove:
        raise click.UsageError("Give --add or --remove.")

    async def change(client: Client, name: str) -> None:
        found = await client.blobs.show(name)
        await client.blobs.set_tags(found.hash, sorted({*found.own_tags, *add} - set(remove)))

    _for_each(names, change, Where(server=server, token_file=token_file))


_GC_HELP = """\
Remove what nobody needs: results of jobs that are no longer listed, and bytes that no blob names.

The server does this by itself from time to time. What you sent stays, unless you say --unused. What came within the
last hour always stays, and so does what is pinned, what a listed job needs, and what any of these link to.

\b
Examples:
  jobdeck blobs gc --dry-run                 what would go
  jobdeck blobs gc --unused 30d              also what nobody has sent or linked to for 30 days
"""


@blobs.command(help=_GC_HELP)
@click.option("-n", "--dry-run", is_flag=True, help="Only tell what would go.")
@click.option("--unused", metavar="TIME", help="Also what you sent and nobody sent again for so long (30d, 12h, ...).")
@click.option("-y", "--yes", is_flag=True, help="With --unused: do not ask.")
@json_option("Print what went as one line of JSON.")
@server_options
def gc(dry_run: bool, unused: str | None, yes: bool, as_json: bool, server: str | None, token_file: str | None) -> None:
    """Collect, asking first where something goes that somebody sent."""
    unused_s = None if unused is None else _seconds(unused)
    ask = unused is not None and not dry_run and not yes
    if ask and not sys.stdin.isatty():
        raise click.UsageError("--unused removes what was sent on purpose: say --dry-run or --yes.")

    async def task(client: Client) -> int:
        if ask:
            found = await client.blobs.collect(dry_run=True, unused_s=unused_s)
            click.echo("\n".join(collected_text(found)))
            if not click.confirm("Remove them?"):
                return LISTING.refused
        found = await client.blobs.collect(dry_run=dry_run, unused_s=unused_s)
        click.echo(json.dumps(asdict(found)) if as_json else "\n".join(collected_text(found)))
        return 0

    call(Where(server=server, token_file=token_file), task)


def _for_each(names: tuple[str, ...], act: Callable[[Client, str], Awaitable[None]], where: Where) -> None:
    """Do something with each; what is refused is told, and does not keep the others from it."""

    async def task(client: Client) -> int:
        code = 0
        for name in names:
            try:
                await act(client, name)
            except (ConflictError, NotFoundError) as error:
                note(f"{shown(name)}: {error}")
                code = LISTING.refused
        return code

    call(where, task)


def _seconds(text: str) -> float:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is no length of time such as 30d, 12h or 90s.", param_hint="--unused")
    return float(match[1]) * _SECONDS[match[2]]


def _tell_json(items: list[Blob]) -> None:
    for blob in items:
        click.echo(json.dumps(to_wire(blob)))
