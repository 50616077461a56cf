"""``jobdeck attach``: the output of a job that somebody started somehow, from its first byte, and live."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import click

from jobdeck_tui.commands.common import RUNNING, Where, call, json_option, server_options
from jobdeck_tui.commands.follow import ExactSink, JsonSink, LinkTeller, final, tell_end
from jobdeck_tui.commands.follow import follow as follow_job
from jobdeck_tui.words import exit_code

if TYPE_CHECKING:
    from jobdeck_client import Client

__all__ = ["attach"]

_READER_GONE = 128 + signal.SIGPIPE

_HELP = """\
See a job's output, from its first byte, and go on live until the job ends.

Works before a job has started, while it runs, and long after it has ended, for jobs of every API. Ctrl-C leaves the job
alone and ends only the looking. JOB is an id, or the first eight characters or more of it.

\b
Examples:
  jobdeck attach 4663c092
  jobdeck attach 4663c092 --offset -1000          the last thousand bytes, then live
  jobdeck attach 4663c092 --no-follow > so-far    what there is now
  jobdeck attach 4663c092 --stream stderr | less

On a terminal, control sequences in the output are shown as signs (only colours pass); into a pipe or file it is exact.

The exit code is the job's own, as of jobdeck run; 0 with --no-follow; 125 if jobdeck itself failed.
"""


@click.command(help=_HELP)
@click.argument("job")
@click.option("--offset", metavar="N", type=int, default=0, help="Start at this byte; negative: so many from the end.")
@click.option("--stream", type=click.Choice(["stdout", "stderr"]), help="Only this stream, on standard output.")
@click.option(
    "--follow/--no-follow", "-f", default=True, help="Go on until the job ends (default), or show what is there."
)
@click.option("--raw", is_flag=True, help="Exact bytes onto a terminal too. What a job prints can then control it.")
@json_option("Print lines of JSON: the record, output with stream and time, the record at the end.")
@server_options
def attach(
    job: str,
    offset: int,
    stream: str | None,
    follow: bool,
    raw: bool,
    as_json: bool,
    server: str | None,
    token_file: str | None,
) -> None:
    """Find the job and follow it."""

    async def task(client: Client) -> int:
        record = await client.job(job)
        teller = LinkTeller()
        async with JsonSink() if as_json else ExactSink(raw=raw, to_stdout=stream is not None) as sink:
            await sink.job("job", record)
            async with client.attach(
                record.id, offset=offset, stream=stream, follow=follow, on_link=teller
            ) as attached:
                teller.attach = attached
                exit_ = await follow_job(attached, sink)
                if sink.broken:
                    return _READER_GONE
                if not follow or exit_ is None:
                    return 0
                record = await final(client, attached, record.id)
            await sink.job("end", record)
        tell_end(record, asked=True)
        return exit_code(record)

    call(Where(server=server, token_file=token_file), task, RUNNING)
