"""The ``jobdeck`` command: one table of what it can do.

Each command is loaded when it is called, so that ``jobdeck ls`` does not wait for a server to be imported, and so that
this file is the only place where terminal programs and the server meet: ``serve``, ``worker``, ``token``, ``backup``,
``demo`` and the ``--all`` of ``stop`` are the server's own.

Exit codes: ``run`` and ``attach`` end with what the job ended with, and say 125 for failures of jobdeck itself, so that
the two are told apart; all others: 0, 1 for a refusal, 2 for wrong usage, 3 when no server answers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

import click

__all__ = ["main"]


def _console() -> click.Command:
    from jobdeck_tui.commands.console import console

    return console


def _run() -> click.Command:
    from jobdeck_tui.commands.run import run

    return run


def _ls() -> click.Command:
    from jobdeck_tui.commands.ls import ls

    return ls


def _show() -> click.Command:
    from jobdeck_tui.commands.show import show

    return show


def _attach() -> click.Command:
    from jobdeck_tui.commands.attach import attach

    return attach


def _stop() -> click.Command:
    from jobdeck_tui.commands.stop import stop

    return stop


def _blobs() -> click.Command:
    from jobdeck_tui.commands.blobs import blobs

    return blobs


def _packages() -> click.Command:
    from jobdeck_tui.commands.packages import packages

    return packages


def _contexts() -> click.Command:
    from jobdeck_tui.commands.contexts import contexts

    return contexts


def _workers() -> click.Command:
    from jobdeck_tui.commands.workers import workers

    return workers


def _serve() -> click.Command:
    from jobdeck_server.commands.serve import serve

    return serve


def _worker() -> click.Command:
    from jobdeck_server.commands.worker import worker

    return worker


def _token() -> click.Command:
    from jobdeck_server.commands.token import token

    return token


def _backup() -> click.Command:
    from jobdeck_server.commands.backup import backup

    return backup


def _demo() -> click.Command:
    from jobdeck_server.commands.demo import demo

    return demo


def stop_all(data_dir: str | None, grace_s: float | None) -> int:
    """``jobdeck stop --all``: ask the keeper of a data directory, with or without a server; returns the exit code."""
    from jobdeck_server.commands.stopall import stop_all as ask_keeper

    return ask_keeper(data_dir, grace_s)


@dataclass(frozen=True, slots=True)
class _Entry:
    """How to load a command, and its line in the help."""

    load: Callable[[], click.Command]
    line: str


_COMMANDS = {
    "console": _Entry(_console, "Open the console: every job live in panes. jobdeck alone does it too."),
    "run": _Entry(_run, "Run a command as a job and see its output; Ctrl-C and the exit code are the job's."),
    "ls": _Entry(_ls, "List jobs: what runs and waits now, or all of them."),
    "show": _Entry(_show, "Show all that is known of one job."),
    "attach": _Entry(_attach, "See a job's output from its start, and live."),
    "stop": _Entry(_stop, "Stop jobs, or everything on this machine with --all."),
    "blobs": _Entry(_blobs, "Files in the blob store: list, put, get, tag, pin, remove."),
    "packages": _Entry(_packages, "Wheels, eggs and jars whose classes jobs run: list, show, put, remove."),
    "contexts": _Entry(_contexts, "What jobs out of packages run in: list, show, create, stop."),
    "workers": _Entry(_workers, "The machines that run a server's jobs: list them, see what one runs."),
    "serve": _Entry(_serve, "Start the server."),
    "worker": _Entry(_worker, "Make this machine a worker: it runs the jobs of a server elsewhere."),
    "token": _Entry(_token, "Make, list and revoke tokens for clients."),
    "backup": _Entry(_backup, "Copy the database while the server runs, or without one."),
    "demo": _Entry(_demo, "See it work: a server of its own, real jobs, a kill -9 and a restart, ten seconds."),
}


class _Commands(click.Group):
    """The table above as a click group."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table: what is used most comes first."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load the command that is called, and no other."""
        del ctx
        entry = _COMMANDS.get(cmd_name)
        return None if entry is None else entry.load()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without loading one."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.line) for name, entry in _COMMANDS.items()])


_HELP = """\
Run commands as jobs that outlive the server, and see their output live and whole.

\b
Open the console:                 jobdeck
or start a server:                jobdeck serve
and use it from another terminal: jobdeck run -- make test
                                  jobdeck run --detach -- ./train.sh
                                  jobdeck ls
                                  jobdeck attach JOB

Every command explains itself: jobdeck COMMAND --help.
"""


@click.command(
    cls=_Commands,
    help=_HELP,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(version("jobdeck"), message="jobdeck %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Let a command run; alone, open the console in a terminal, and show the help elsewhere."""
    ctx.obj = stop_all
    if ctx.invoked_subcommand is not None:
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        click.echo(ctx.get_help())
        return
    from jobdeck_tui.commands.console import open_console

    open_console()
