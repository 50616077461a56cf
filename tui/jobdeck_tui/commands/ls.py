"""``jobdeck ls``: the list of jobs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from jobdeck_protocol.job import ENDED, Job, JobState, to_wire
from jobdeck_tui.commands.common import Where, call, json_option, now_us, server_options
from jobdeck_tui.commands.listing import COLOURS, table
from jobdeck_tui.terminal import columns, note

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jobdeck_client import Client

__all__ = ["ls"]

_ACTIVE = tuple(state for state in JobState if state not in ENDED)

_HELP = """\
List jobs, newest first: those that run or wait, or with --all also those that have ended.

\b
Examples:
  jobdeck ls                       what runs and waits now
  jobdeck ls --all                 the last 50 jobs, whatever became of them
  jobdeck ls --state failed        the last failed ones
  jobdeck ls --all --label nightly --limit 1000
  jobdeck ls --worker far          what runs on a worker
  jobdeck ls --all --json | python3 -c 'import json, sys; print(len(list(map(json.loads, sys.stdin))))'

\b
END is the exit code, or the signal that ended the job; TOOK is how long it ran.
The exit code is 0, also for an empty list; 1 for a refusal, 3 if no server answers.
"""


@click.command(help=_HELP)
@click.option("-a", "--all", "everything", is_flag=True, help="Also jobs that have ended.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in JobState]),
    help="Only jobs in this state; may be given several times.",
)
@click.option("--label", metavar="LABEL", help="Only jobs with this label.")
@click.option("--worker", metavar="WORKER", help="Only jobs that this worker has: its id or name.")
@click.option("--text", metavar="TEXT", help="Only jobs whose command, id or labels hold this.")
@click.option("--limit", metavar="N", default=50, show_default=True, type=click.IntRange(1), help="At most so many.")
@json_option("Print each job's record as a line of JSON.")
@server_options
def ls(
    everything: bool,
    states: tuple[str, ...],
    label: str | None,
    worker: str | None,
    text: str | None,
    limit: int,
    as_json: bool,
    server: str | None,
    token_file: str | None,
) -> None:
    """Ask for the list and print it."""
    wanted = tuple(map(JobState, states)) or (() if everything else _ACTIVE)

    async def task(client: Client) -> int:
        asked = client.all_jobs(limit=limit, states=wanted, label=label, worker=worker, text=text)
        jobs = [job async for job in asked]
        if as_json:
            for job in jobs:
                click.echo(json.dumps(to_wire(job)))
        elif jobs:
            known = await client.workers.all() if any(job.worker is not None for job in jobs) else []
            _print(jobs, {worker.id: worker.name for worker in known})
        else:
            note("no such jobs" if everything or states else "nothing runs or waits; jobdeck ls --all shows what ended")
        return 0

    call(Where(server=server, token_file=token_file), task)


def _print(jobs: Iterable[Job], workers: Mapping[str, str]) -> None:
    """The table, states in their colours on a terminal; ``workers`` has their names."""
    for line in table(list(jobs), now_us=now_us(), limit=columns(), workers=workers):
        short, state, *rest = line.cells
        colour = None if line.state is None else COLOURS[line.state]
        styled = click.style(state, fg=colour) if colour else state
        click.echo("  ".join([short, styled, *rest]).rstrip())
