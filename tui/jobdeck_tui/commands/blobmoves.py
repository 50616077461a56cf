"""``jobdeck blobs put`` and ``get``: files and folders up and down."""

from __future__ import annotations

import json
import os
import sys
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import click
import trio

from jobdeck_protocol.blob import ARTIFACT, LINK, to_wire
from jobdeck_tui.commands.common import LISTING, Where, call, json_option, server_options
from jobdeck_tui.commands.progress import ProgressLine
from jobdeck_tui.names import safe_name
from jobdeck_tui.terminal import Outlet, note, shown
from jobdeck_tui.words import bytes_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from jobdeck_client import Client
    from jobdeck_protocol.blob import Blob

__all__ = ["get", "put"]

_READ_BYTES = 256 * 1024

_PUT_HELP = """\
Store files, and folders as artifacts; print their hashes.

A file is kept under its own name, which is a part of its hash, and only once, however often it is sent. Of a folder
each file is stored, and an artifact that links to them (links and special files in it are passed over). With - as FILE,
standard input is stored.

\b
Examples:
  jobdeck blobs put data.bin
  jobdeck blobs put results/ --tag nightly
  tar c src | jobdeck blobs put - --name src.tar

The exit code is 0; 1 if a file cannot be read or the server refused; 3 if no server answers.
"""


@click.command(help=_PUT_HELP)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--name", metavar="NAME", help="Keep it under this name; for one FILE only.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="Give it this tag; may be given several times.")
@json_option("Print each blob's record as a line of JSON.")
@server_options
def put(
    files: tuple[str, ...],
    name: str | None,
    tags: tuple[str, ...],
    as_json: bool,
    server: str | None,
    token_file: str | None,
) -> None:
    """Send each and tell its hash."""
    if name is not None and len(files) > 1:
        raise click.UsageError("--name goes with one FILE only.")
    if "-" in files and name is None:
        raise click.UsageError("Standard input needs a --name.")

    async def task(client: Client) -> int:
        code = 0
        for file in files:
            try:
                blob = await _put(client, file, name, tags)
            except OSError as error:
                note(f"{file}: {error.strerror}")
                code = LISTING.refused
                continue
            click.echo(json.dumps(to_wire(blob)) if as_json else f"{shown(blob.hash)}  {shown(blob.name)}")
        return code

    call(Where(server=server, token_file=token_file), task)


async def _put(client: Client, file: str, name: str | None, tags: tuple[str, ...]) -> Blob:
    path = Path(file)
    if file == "-":
        with ProgressLine(str(name)) as line:
            return await client.blobs.upload(_stdin(), name=name, tags=tags, on_progress=line.update)
    if _is_folder(path):
        return await _put_folder(client, path, name, tags)
    with ProgressLine(path.name) as line:
        return await client.blobs.upload(path, name=name, tags=tags, on_progress=line.update)


async def _put_folder(client: Client, folder: Path, name: str | None, tags: tuple[str, ...]) -> Blob:
    content: dict[str, dict[str, str]] = {}
    size = 0
    for path in _files(folder):
        within = path.relative_to(folder).as_posix()
        with ProgressLine(within) as line:
            blob = await client.blobs.upload(path, on_progress=line.update)
        content[within] = {"content": blob.hash, "contentType": LINK}
        size += blob.size_bytes
    record = {
        "name": name or _zip_name(folder),
        "size": size,
        "mime": "application/zip",
        "content": content,
        "contentType": ARTIFACT,
    }
    made = await client.blobs.store(record)
    if not tags:
        return made
    return await client.blobs.set_tags(made.hash, {*made.own_tags, *tags})


def _is_folder(path: Path) -> bool:
    return path.is_dir()


def _zip_name(folder: Path) -> str:
    return folder.resolve().name + ".zip"


def _files(folder: Path) -> Iterator[Path]:
    """Regular files below a folder, in the order of their names; nothing that is a link, or behind one."""
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(where, name)
            if path.is_file() and not path.is_symlink():
                yield path


async def _stdin() -> AsyncIterator[bytes]:
    while data := await trio.to_thread.run_sync(os.read, sys.stdin.fileno(), _READ_BYTES, abandon_on_cancel=True):
        yield data


_GET_HELP = """\
Fetch a blob: a file as it is, an artifact as a zip, or one file of an artifact by its PATH.

BLOB is a hash, or the first eight digits or more of it. What came is compared with its hash. A download that was broken
off goes on where it stopped when it is asked for again.

\b
Examples:
  jobdeck blobs get 1a05d6ba                     into this folder, under the blob's name
  jobdeck blobs get 5652c669 logs/out.txt
  jobdeck blobs get 5652c669 -o results.zip --force
  jobdeck blobs get 1a05d6ba -o - | less

The exit code is 0; 1 if there is no such blob or the file cannot be written; 3 if no server answers.
"""


@click.command(help=_GET_HELP)
@click.argument("blob")
@click.argument("path", required=False)
@click.option("-o", "--output", metavar="FILE", help="Write it there; - for standard output. Default: the blob's name.")
@click.option("-f", "--force", is_flag=True, help="Replace a file that is there.")
@server_options
def get(
    blob: str, path: str | None, output: str | None, force: bool, server: str | None, token_file: str | None
) -> None:
    """Fetch it, and tell where it is."""

    async def task(client: Client) -> int:
        if output == "-":
            await _print(client, blob, path)
            return 0
        target = Path(output) if output is not None else await _target(client, blob, path)
        if target.exists() and not force:
            note(f"{target} is there already; --force replaces it")
            return LISTING.refused
        try:
            with ProgressLine(target.name) as line:
                size = await client.blobs.download(blob, target, path=path, on_progress=line.update)
        except OSError as error:
            note(f"{target}: {error.strerror}")
            return LISTING.refused
        click.echo(f"{shown(str(target))}  {bytes_text(size)}")
        return 0

    call(Where(server=server, token_file=token_file), task)


async def _print(client: Client, blob: str, path: str | None) -> None:
    outlet = Outlet(sys.stdout)
    async with aclosing(client.blobs.read(blob, path)) as pieces:
        async for piece in pieces:
            await outlet.write(piece)
            if outlet.broken:
                break
    await outlet.close()


async def _target(client: Client, blob: str, path: str | None) -> Path:
    found = await client.blobs.show(blob)
    return Path(safe_name(path or found.name) or found.hash)
