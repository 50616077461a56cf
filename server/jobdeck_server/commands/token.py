"""``jobdeck token``: make, list and revoke tokens. Works on the data directory, with or without a running server."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from jobdeck_server.commands.configure import ConfigError, data_dir
from jobdeck_server.guard.errors import TokenFileError
from jobdeck_server.guard.tokens import ROLES, WORDS, Token, TokenStore

__all__ = ["token"]

_REFUSED = 1

_HELP = """\
Make, list and revoke the tokens with which clients prove who they are.

A server that listens on loopback only needs none, unless it was started with --require-token. A server that others can
reach needs one. A running server notices changes at once.

\b
Roles:
  view    see jobs and their output
  run     and submit, stop and remove jobs
  admin   and everything else
  worker  for machines that run jobs for this server, and nothing else

\b
Clients send a token as
  Authorization: Bearer TOKEN        also x-api-token, or the password of basic auth
and jobdeck's own commands take it from the file that JOBDECK_TOKEN_FILE names, or ~/.config/jobdeck/token.
"""

_CREATE_HELP = """\
Make a token and print it. It is shown this once: the server keeps only a hash.

\b
Examples:
  jobdeck token create --role run --name laptop
  jobdeck token create --role view --output ~/.config/jobdeck/token
"""

_data_dir = click.option(
    "--data-dir", "folder", metavar="DIR", help="The server's data directory. Default: as for jobdeck serve."
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(help=_HELP)
def token() -> None:
    """The tokens of one data directory."""


@token.command(help=_CREATE_HELP)
@click.option("--role", required=True, type=click.Choice(list(ROLES)), help="What its holder may do.")
@click.option("--name", help="Whose it is, for the list. Default: the role.")
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Write it to this new file, readable by you alone, not to standard output.",
)
@_data_dir
@_json
def create(role: str, name: str | None, output: str | None, folder: str | None, as_json: bool) -> None:
    """Make a token, print the secret on standard output and all else on standard error."""
    with _refusals():
        store = _store(folder)
        if output is None:
            made, secret = store.create(name or role, ROLES[role])
        else:
            made, secret = _create_into(store, output, name or role, role)
    if as_json:
        click.echo(json.dumps({**_wire(made), **({"token": secret} if output is None else {"file": output})}))
    elif output is None:
        click.echo(secret)
    click.echo(f"token {made.id} ({made.name}) may {role}; revoke it with: jobdeck token revoke {made.id}", err=True)


@token.command("list")
@_data_dir
@_json
def list_(folder: str | None, as_json: bool) -> None:
    """List the tokens, oldest first; never the secrets."""
    with _refusals():
        tokens = _store(folder).list()
    if as_json:
        click.echo(json.dumps([_wire(each) for each in tokens]))
        return
    if not tokens:
        click.echo("There are no tokens. Make one with: jobdeck token create --role run", err=True)
        return
    for each in tokens:
        click.echo(f"{each.id}  {WORDS[each.role]:<6}  {each.created:%Y-%m-%d %H:%M}  {each.name}")


@token.command()
@click.argument("token_id", metavar="ID")
@_data_dir
def revoke(token_id: str, folder: str | None) -> None:
    """Revoke a token by its ID, which `jobdeck token list` shows. It is refused from the next request on."""
    with _refusals():
        found = _store(folder).revoke(token_id)
    if not found:
        click.echo(f"jobdeck: there is no token {token_id}", err=True)
        sys.exit(_REFUSED)


def _store(folder: str | None) -> TokenStore:
    return TokenStore(data_dir(folder, os.environ))


def _create_into(store: TokenStore, path: str, name: str, role: str) -> tuple[Token, str]:
    """Make a token whose secret is in a new file; without the file there is no token, and the other way round."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        made, secret = store.create(name, ROLES[role])
        os.write(fd, secret.encode() + b"\n")
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(fd)
    return made, secret


def _wire(made: Token) -> dict[str, str]:
    return {"id": made.id, "name": made.name, "role": WORDS[made.role], "created": made.created.isoformat()}


@contextmanager
def _refusals() -> Iterator[None]:
    """Tell what cannot be done in one line, not in a traceback."""
    try:
        yield
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    except (TokenFileError, ValueError, OSError) as error:
        click.echo(f"jobdeck: {error}", err=True)
        sys.exit(_REFUSED)
