"""``jobdeck serve``: read the settings, set up the log, run the server until it is told to end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import click

from jobdeck_server.commands.configure import OPTIONS, ConfigError, Option, configure
from jobdeck_server.commands.logs import set_up_log

__all__ = ["serve"]


def _decorate(option: Option) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The click option for a row of the table."""
    return click.option(
        option.flag,
        option.name,
        is_flag=option.metavar is None,
        multiple=option.many,
        metavar=option.metavar,
        help=option.help,
    )


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(OPTIONS):
        command = _decorate(option)(command)
    return command


_HELP = """\
Start the server, by default on http://127.0.0.1:8080.

It says on standard error where it listens. Ctrl-C ends it and leaves the jobs running; the next server finds them,
and jobdeck stop --all ends them without one.

\b
Examples:
  jobdeck serve
  jobdeck serve --listen 127.0.0.1:9000 --data-dir ./jobs
  jobdeck token create --role run          then, to be reached from elsewhere:
  jobdeck serve --listen 0.0.0.0:8080 --allow-host build.example.org

Each setting is also read from the environment (JOBDECK_LISTEN, JOBDECK_DATA_DIR, ...; JOBRUNNER_PORT and
JOBRUNNER_HOSTNAME for the address), then from a TOML file. Flags win over the environment, that over the file.

Without a token, every user of this machine can run jobs as you: see --require-token.
"""


@click.command(help=_HELP)
@_with_options
@click.option("--config", metavar="FILE", help="A TOML file with these settings, their names with underscores.")
@click.option("--until-eof", is_flag=True, help="For programs that embed the server: end with standard input.")
def serve(config: str | None, *, until_eof: bool, **flags: object) -> None:
    """Read the settings and run."""
    try:
        configured = configure(flags, os.environ, config=config, start_dir=os.getcwd())
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    set_up_log(configured.log_format)
    from jobdeck_server.commands.embedded import end_of_input
    from jobdeck_server.serve import run

    until = end_of_input if until_eof else None
    sys.exit(run(configured.settings, stop_jobs=configured.stop_jobs, until=until))


if __name__ == "__main__":
    serve()
