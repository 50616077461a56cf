"""``jobdeck stop --all``: end every job of a data directory through its keeper, with or without a server.

The keeper stops what runs. What only waits in the database's queue is claimed as never to run, so that a server which
starts later, or runs now, does not start it either. If nothing was ever started there is no keeper, and jobs in the
queue are told of instead: they start with the next server.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import click

from jobdeck_server.commands.configure import ConfigError, data_dir
from jobdeck_server.commands.keeperlink import KeeperLink, NoKeeperError
from jobdeck_server.core.verdict import signal_name

__all__ = ["stop_all"]

_GRACE_DEFAULT_S = 5.0
_PATIENCE_S = 20.0  # beyond the grace time: SIGKILL, the last output, the record of the end
_LOOK_EVERY_S = 0.05


def stop_all(folder: str | None, grace_s: float | None) -> int:
    """End everything and say so on standard output.

    Args:
        folder: The data directory as given by the flag, None for the configured one.
        grace_s: Seconds between SIGTERM and SIGKILL, None for 5.

    Returns:
        The exit code: 0 if nothing runs any more, 1 if something does.
    """
    try:
        path = data_dir(folder, os.environ)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    grace_s = _GRACE_DEFAULT_S if grace_s is None else grace_s
    try:
        with KeeperLink(path) as link:
            return _stop(link, path, grace_s)
    except NoKeeperError:
        waiting = len(_waiting(path))
        click.echo(f"Nothing runs under {path}.")
        if waiting:
            click.echo(f"In the queue, to start with the next server: {waiting}.", err=True)
        return 1 if waiting else 0
    except OSError as error:
        click.echo(f"jobdeck: the keeper of {path} does not answer: {error}", err=True)
        return 1


def _stop(link: KeeperLink, path: Path, grace_s: float) -> int:
    """Ask for the end of all that is there, wait for it, tell how each ended."""
    deadline_s = time.monotonic() + grace_s + _PATIENCE_S
    asked: dict[str, None] = {}
    while True:
        running = set(link.ask("list")["jobs"])
        for job_id in sorted((running | _waiting(path)) - set(asked)):
            asked[job_id] = None
            link.ask("stop", id=job_id, signal=int(signal.SIGTERM), grace_s=grace_s, reason="requested")
        if not running:
            break
        if time.monotonic() > deadline_s:
            click.echo(f"jobdeck: still running: {', '.join(sorted(running))}", err=True)
            break
        time.sleep(_LOOK_EVERY_S)
    for job_id in asked:
        if job_id not in running:
            click.echo(f"{job_id}  {_end(link.ask('facts', id=job_id).get('facts') or {})}")
    if not asked:
        click.echo(f"Nothing runs under {path}.")
    return 1 if running else 0


def _waiting(path: Path) -> set[str]:
    """Jobs that were accepted and perhaps never given to the keeper."""
    database = path / "jobdeck.sqlite3"
    if not database.exists():
        return set()
    connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=5.0)
    try:
        rows = connection.execute("select id from job where state in ('queued', 'starting')").fetchall()
    except sqlite3.OperationalError as error:
        click.echo(f"jobdeck: the queue in {database} cannot be read: {error}", err=True)
        return set()
    finally:
        connection.close()
    return {row[0] for row in rows}


def _end(facts: dict[str, dict[str, Any]]) -> str:
    """How a job ended, from the slots of its record."""
    if (end := facts.get("exit")) is not None:
        number = end.get("signal")
        return f"ended with code {end.get('code')}" if number is None else f"ended by {signal_name(number)}"
    if facts.get("claim", {}).get("never"):
        return "had not started and never will"
    return "could not be started" if "error" in facts else "ended"
