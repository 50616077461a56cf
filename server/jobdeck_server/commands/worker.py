"""``jobdeck worker``: read what was set, set up the log, work for a server until told to leave.

Each flag is also a variable ``JOBDECK_WORKER_<NAME>`` and a key of the TOML file of ``--config``, its dashes as
underscores; flags win over variables, those over the file.
"""

from __future__ import annotations

import os
import socket
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import platformdirs

from jobdeck_server.commands.logs import set_up_log
from jobdeck_server.commands.values import BadValueError, a_list, a_word, count, text
from jobdeck_server.settings import Settings
from jobdeck_server.worker.settings import WorkerSettings

__all__ = ["worker"]

_SCHEMES = ("http", "https", "ws", "wss")
_SLOT_LIMIT_COUNT = 100_000

_HELP = """\
Run another machine's jobs: join the server there as a worker.

This machine dials out and needs no open port. Jobs are kept by a keeper of this machine and run on whatever becomes of
the connection, of the server or of this program; what they write reaches the server once each, and whole.

\b
On the server:   jobdeck token create --role worker --output worker.token
Here:            jobdeck worker --server https://build.example.org:8080 --token-file worker.token

Ctrl-C takes no new jobs and waits for those that run; a second one leaves them running, and the next jobdeck worker
finds them. To see the workers of a server: jobdeck workers ls.

Each flag is also read from the environment (JOBDECK_WORKER_SERVER, JOBDECK_WORKER_TOKEN_FILE, ...) and from the TOML
file of --config, its dashes as underscores.
"""


def _parsed(parse: Callable[[object], object]) -> Callable[[click.Context, click.Parameter, object], object]:
    """A click callback that checks a value as ``values`` does."""

    def check(ctx: click.Context, param: click.Parameter, value: object) -> object:
        if value in (None, ()):
            return value
        try:
            return parse(value)
        except BadValueError as error:
            raise click.BadParameter(str(error), ctx=ctx, param=param) from error

    return check


def _address(value: object) -> str:
    address = text(value)
    parts = urlsplit(address)
    if parts.scheme not in _SCHEMES or not parts.hostname or parts.query or parts.fragment:
        raise BadValueError(f"{address!r} is no address such as https://build.example.org:8080")
    return address


def _read_config(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Make what the file says the defaults of the flags."""
    if value is None:
        return
    try:
        found = tomllib.loads(Path(value).read_text("utf-8"))
    except OSError as error:
        raise click.BadParameter(f"{value}: {error.strerror}", ctx=ctx, param=param) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{value}: {error}", ctx=ctx, param=param) from error
    options = {each.name: each for each in ctx.command.params if isinstance(each, click.Option)}
    for name, setting in found.items():
        option = options.get(name)
        if option is None:
            raise click.BadParameter(f"{value}: there is no setting {name!r}", ctx=ctx, param=param)
        found[name] = (setting,) if option.multiple and isinstance(setting, str) else setting
    ctx.default_map = {**(ctx.default_map or {}), **found}


@click.command(help=_HELP, context_settings={"auto_envvar_prefix": "JOBDECK_WORKER"})
@click.option("--server", required=True, metavar="URL", callback=_parsed(_address), help="The server to work for.")
@click.option(
    "--token-file",
    metavar="FILE",
    callback=_parsed(text),
    help="A file with a token of the role worker; it is read anew for each connection. Only a server on loopback that "
    "asks nobody for one needs none.",
)
@click.option("--name", metavar="NAME", callback=_parsed(text), help="What people call it. Default: the host's name.")
@click.option(
    "--slots",
    metavar="N",
    callback=_parsed(count(0, _SLOT_LIMIT_COUNT)),
    help="Jobs that it is given at a time. Default: the number of processors.",
)
@click.option(
    "--labels", metavar="A,B", multiple=True, callback=_parsed(a_list(text)), help="Words by which jobs choose it."
)
@click.option(
    "--data-dir",
    metavar="DIR",
    callback=_parsed(text),
    help="Where its identity and its jobs are kept (made if missing, readable by you alone). Default: jobdeck-worker "
    "in your state directory.",
)
@click.option(
    "--scripts",
    metavar="DIR",
    callback=_parsed(text),
    help="The folder in which jobs of the scheduler API run. Default: where the worker was started.",
)
@click.option(
    "--only-scripts",
    is_flag=True,
    help="Let the scheduler API run nothing but --commands, and these only with a file inside the folder of scripts.",
)
@click.option(
    "--commands",
    metavar="A,B",
    multiple=True,
    callback=_parsed(a_list(text)),
    help="With --only-scripts: a command that may run, such as bash or python3.",
)
@click.option("--no-bundles", is_flag=True, help="Take no jobs of the executor (/rest/executor).")
@click.option("--ca", metavar="FILE", help="PEM file of the CAs to trust. Default: the system's.")
@click.option("--client-cert", metavar="FILE", help="PEM file of the certificate to show to the server.")
@click.option("--client-key", metavar="FILE", help="PEM file of its key, if it is in a file of its own.")
@click.option(
    "--log-format",
    metavar="text|json",
    default="text",
    callback=_parsed(a_word("text", "json")),
    help="Form of the log on standard error. Default text.",
)
@click.option(
    "--config", metavar="FILE", is_eager=True, expose_value=False, callback=_read_config, help="A TOML file of these."
)
def worker(**flags: Any) -> None:  # typed by the options above
    """Put the settings together and work."""
    settings, own = _settings(flags, os.getcwd())
    set_up_log(flags["log_format"])
    from jobdeck_server.guard.errors import GuardError
    from jobdeck_server.guard.limits import check_scripts
    from jobdeck_server.worker.program import run
    from jobdeck_server.worker.uplink import TokenError, read_token

    try:
        check_scripts(settings)
        read_token(own.token_file)
    except (GuardError, TokenError) as error:
        raise click.UsageError(str(error)) from error
    sys.exit(run(settings, own))


def _settings(flags: dict[str, Any], start_dir: str) -> tuple[Settings, WorkerSettings]:
    def path(name: str) -> Path | None:
        return None if flags[name] is None else Path(start_dir, os.path.expanduser(flags[name]))

    slots_count = (os.cpu_count() or 1) if flags["slots"] is None else flags["slots"]
    scripts_dir = path("scripts")
    settings = Settings(
        data_dir=path("data_dir") or platformdirs.user_state_path("jobdeck-worker"),
        start_dir=start_dir,
        running_limit_count=slots_count,
        scripts_dir=None if scripts_dir is None else os.path.normpath(scripts_dir),
        only_scripts=flags["only_scripts"],
        script_commands=flags["commands"],
    )
    return settings, WorkerSettings(
        server=flags["server"],
        token_file=path("token_file"),
        name=flags["name"] or socket.gethostname(),
        slots_count=slots_count,
        labels=flags["labels"],
        ca_file=path("ca"),
        client_cert=path("client_cert"),
        client_key=path("client_key"),
        bundles=not flags["no_bundles"],
    )
