"""``jobdeck stop``: end jobs, and by default wait until they have ended."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from jobdeck_client import NotFoundError
from jobdeck_protocol.job import to_wire
from jobdeck_tui.commands.common import LISTING, Where, call, json_option, server_options
from jobdeck_tui.terminal import note, shown
from jobdeck_tui.words import ending, signal_number

if TYPE_CHECKING:
    from jobdeck_client import Client
    from jobdeck_protocol.job import Job

__all__ = ["stop"]

_SIGKILL = 9
StopAll = Callable[[str | None, float | None], int]

_HELP = """\
Stop jobs, with everything that they have started.

A job that waits is taken out of the queue. One that runs gets SIGTERM, and SIGKILL after its grace time (5 s, unless it
was submitted with another). Waits until the jobs have ended and says how. JOB is an id, or the first eight characters
or more of it.

\b
Examples:
  jobdeck stop 4663c092
  jobdeck stop 4663c092 f5202acc --grace 30
  jobdeck stop 4663c092 --signal INT
  jobdeck stop 4663c092 --kill
  jobdeck stop --all                   every job of your data directory, also when no server runs

The exit code is 0 if all of them have ended; 1 if a job is not known or did not end; 3 if no server answers.
"""


@click.command(help=_HELP)
@click.argument("jobs", metavar="[JOB]...", nargs=-1)
@click.option("--signal", "word", metavar="SIGNAL", help="Send this first: TERM (default), INT, HUP, 15, ...")
@click.option("--grace", "grace_s", metavar="SECONDS", type=click.FloatRange(0), help="Time until SIGKILL.")
@click.option("--kill", is_flag=True, help="SIGKILL at once.")
@click.option("--no-wait", is_flag=True, help="Return as soon as the server has taken the request.")
@click.option("--all", "everything", is_flag=True, help="Every job of the data directory on this machine.")
@click.option("--data-dir", metavar="DIR", help="With --all: the data directory. Default: as for jobdeck serve.")
@json_option("Print each job's record as a line of JSON.")
@server_options
@click.pass_obj
def stop(
    stop_all: StopAll,
    jobs: tuple[str, ...],
    word: str | None,
    grace_s: float | None,
    kill: bool,
    no_wait: bool,
    everything: bool,
    data_dir: str | None,
    as_json: bool,
    server: str | None,
    token_file: str | None,
) -> None:
    """Ask for the end of each, then wait for it."""
    if everything:
        if jobs or word or no_wait or as_json or server or token_file:
            raise click.UsageError("--all goes with --grace, --kill and --data-dir only.")
        sys.exit(stop_all(data_dir, 0.0 if kill else grace_s))
    if not jobs:
        raise click.UsageError("Which job? Give its id (jobdeck ls shows it), or --all.")
    if data_dir is not None or (kill and word is not None):
        raise click.UsageError("--data-dir goes with --all, and --kill not with --signal.")
    number = _SIGKILL if kill else _number(word)

    async def task(client: Client) -> int:
        code = 0
        asked = []
        for job in jobs:
            try:
                asked.append(await client.stop(job, signal=number, grace_s=grace_s))
            except NotFoundError as error:
                note(str(error))
                code = LISTING.refused
        for record in asked:
            _tell(record if no_wait or record.ended else await _end(client, record), as_json=as_json)
        return code

    call(Where(server=server, token_file=token_file), task)


def _number(word: str | None) -> int | None:
    if word is None:
        return None
    try:
        return signal_number(word)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--signal") from error


async def _end(client: Client, job: Job) -> Job:
    """Wait for a job's end, passing over its output."""
    async with client.attach(job.id, offset=-1, patient=True) as attach:
        async for _ in attach:
            pass
    return await client.job(job.id)


def _tell(job: Job, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(to_wire(job)))
    elif job.ended:
        end = ending(job)
        click.echo(f"{shown(job.id)}  {job.state.value}, {'code ' + end if end.isdecimal() else end}")
    else:
        click.echo(f"{shown(job.id)}  {job.state.value}, being stopped")
