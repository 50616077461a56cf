"""``jobdeck console``, and ``jobdeck`` alone: the console, on an embedded server when none answers."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import click

from jobdeck_client import BadAddressError, BadTrustError, NotAllowedError, TlsError, find_server, find_token
from jobdeck_tui.commands.common import TrustFiles, given_files, server_options
from jobdeck_tui.console.embedded import NoServerError, answers, embedded_server
from jobdeck_tui.console.main import Ask, Left, run
from jobdeck_tui.terminal import note

__all__ = ["console", "open_console"]

_REFUSED = 1
_USAGE = 2
_UNREACHABLE = 3
_SIZE = re.compile(r"([1-9][0-9]{1,2})x([1-9][0-9]{0,2})")

_HELP = """\
Open the console: list, start, stop and follow jobs in panes.

When no server of yours answers and none was named, one is started for as long as the console is open; its jobs run on
when it ends. With a JOB (an id or the beginning of one) that job's output is opened at once. Press ? for the keys.

\b
Examples:
  jobdeck console
  jobdeck console 3f2a9c1e --read-only
  jobdeck console --server https://build.example.org --token-file ~/.config/jobdeck/token
  jobdeck console --picture now.svg            a picture of what it would show
"""


@click.command(help=_HELP)
@click.argument("job", required=False)
@server_options
@click.option("--read-only", is_flag=True, help="Look, but change nothing: no job can be started or stopped from it.")
@click.option("--picture", metavar="FILE", help="Open nothing: write a picture (SVG) of what it would show, and end.")
@click.option("--size", metavar="WxH", default="100x30", help="Of the picture, in characters. Default: 100x30.")
def console(
    job: str | None, server: str | None, token_file: str | None, read_only: bool, picture: str | None, size: str
) -> None:
    """Find or start a server, and show the console."""
    match = _SIZE.fullmatch(size)
    if match is None:
        raise click.UsageError("--size is columns x rows, such as 100x30.")
    open_console(
        server=server,
        token_file=token_file,
        job=job,
        read_only=read_only,
        picture=None if picture is None else Path(picture),
        size=(int(match[1]), int(match[2])),
        files=given_files(),
    )


def open_console(
    *,
    server: str | None = None,
    token_file: str | None = None,
    job: str | None = None,
    read_only: bool = False,
    picture: Path | None = None,
    size: tuple[int, int] = (100, 30),
    files: TrustFiles | None = None,
) -> NoReturn:
    """Show the console and exit: with 0, 128 and the number of the signal that ended it, or as in ``main``."""
    if picture is None and not (sys.stdin.isatty() and sys.stderr.isatty()):
        note("The console needs a terminal; jobdeck ls, show and attach do not.")
        sys.exit(_USAGE)
    try:
        url, token = find_server(server), find_token(token_file)
        trust = (files or TrustFiles()).trust(server)
        up = answers(url, token, trust)
    except (BadAddressError, BadTrustError, NotAllowedError, TlsError) as error:
        note(str(error))
        sys.exit(_UNREACHABLE if isinstance(error, TlsError) else _REFUSED)
    ask = Ask(url=url, token=token, trust=trust, job=job, read_only=read_only, picture=picture, size=size)
    if up or server is not None or os.environ.get("JOBDECK_SERVER"):
        if picture is not None and not up:
            note(f"No jobdeck server answers at {url}.")
            sys.exit(_UNREACHABLE)
        # A server that was named and does not answer may come back: the console says so, and waits.
        sys.exit(run(ask).code)
    sys.exit(_embedded(ask))


def _embedded(ask: Ask) -> int:
    try:
        with embedded_server(ask.token, ask.trust) as url:
            left = run(replace(ask, url=url))
    except NoServerError as error:
        note(f"No server answers, and none could be started: {error}")
        return _UNREACHABLE
    except TlsError as error:
        note(str(error))
        return _UNREACHABLE
    _say_goodbye(left)
    return left.code


def _say_goodbye(left: Left) -> None:
    if left.active_count:
        jobs = "1 job runs" if left.active_count == 1 else f"{left.active_count} jobs run"
        note(f"{jobs} on without a server; jobdeck shows them again, jobdeck stop --all ends them.")
