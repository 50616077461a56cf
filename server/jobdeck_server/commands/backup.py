"""``jobdeck backup``: a copy of the database, whole and of one moment, while a server runs or without one.

The copy knows that it is one: a server that is started with it starts no job before an admin has agreed, since it
cannot know what the server that was backed up has started since (see ``engines.remote``, and ADR 13).
"""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import click

from jobdeck_server.commands.configure import ConfigError, data_dir
from jobdeck_server.core import schema, workerrows

__all__ = ["backup"]

_NAME = "jobdeck.sqlite3"
_REFUSED = 1
_BUSY_S = 30.0
_HELP = f"""\
Copy the database of jobs, blobs and workers into FILE, a new one, with or without a running server.

It is records, not content: output is in DATA/jobs, blobs are in DATA/blobs. Copy these folders afterwards with any
tool, for what they hold does not change once it is whole.

\b
Example:
  jobdeck backup jobs-$(date +%F).sqlite3

\b
To restore: stop the server, put FILE in the place of DATA/{_NAME}, remove DATA/{_NAME}-wal and -shm, start it.
It starts no job then until you agree: jobdeck workers resume
"""


@click.command(help=_HELP)
@click.argument("path", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--data-dir", "folder", metavar="DIR", help="The server's data directory. Default: as for jobdeck serve.")
def backup(path: Path, folder: str | None) -> None:
    """Make the copy."""
    try:
        source = data_dir(folder, os.environ) / _NAME
        count = copy(source, path)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    except FileExistsError:
        _refuse(f"{path} exists; a backup is a new file")
    except (OSError, sqlite3.Error, schema.NewerSchemaError) as error:
        _refuse(f"{source} cannot be copied: {error}")
    else:
        click.echo(f"{path}: {count} jobs", err=True)


def copy(source: Path, path: Path) -> int:
    """Copy a database; what is there of the copy when this fails is removed.

    Args:
        source: The database, which may be in use.
        path: The copy, durable when this returns, readable by its owner alone.

    Returns:
        How many jobs are in it.

    Raises:
        FileExistsError: There is something at ``path``.
        OSError, sqlite3.Error: It cannot be read or written.
        schema.NewerSchemaError: A newer jobdeck wrote it.
    """
    source.stat()  # SQLite would make one
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)) as theirs,
            closing(sqlite3.connect(path, isolation_level=None)) as ours,
        ):
            theirs.backup(ours)
            ours.execute("pragma journal_mode=delete")  # one file, without a log beside it
            schema.migrate(ours)
            workerrows.set_restored(ours, on=True)
            (count,) = ours.execute("select count(*) from job").fetchone()
        _sync(path)
        _sync(path.absolute().parent)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return int(count)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _refuse(text: str) -> None:
    click.echo(f"jobdeck: {text}", err=True)
    sys.exit(_REFUSED)
