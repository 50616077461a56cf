"""What the commands that talk to a server share: their options, the way to it, and how failures become exit codes."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar

import click
import trio

from jobdeck_client import (
    BadAddressError,
    BadTrustError,
    Client,
    ClientError,
    NotAllowedError,
    TlsError,
    Trust,
    UnreachableError,
    find_server,
    find_token,
    find_trust,
)
from jobdeck_client.nursery import helpers
from jobdeck_tui.terminal import note
from jobdeck_tui.words import FAILED_ITSELF

__all__ = [
    "LISTING",
    "RUNNING",
    "Failures",
    "TrustFiles",
    "Where",
    "call",
    "given_files",
    "json_option",
    "now_us",
    "server_options",
]

_INTERRUPTED = 130
_FILES = "jobdeck.trust"

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Exit codes of a command when the server refused, and when there is none."""

    refused: int
    unreachable: int


LISTING = Failures(refused=1, unreachable=3)
"""Of all commands whose exit code is their own."""
RUNNING = Failures(refused=FAILED_ITSELF, unreachable=FAILED_ITSELF)
"""Of commands whose exit code is a job's: what is ours must be told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustFiles:
    """The files of TLS, as given by the flags of a command."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    def trust(self, server: str | None) -> Trust:
        """What TLS to the server stands on that ``find_server`` finds for the same argument.

        Raises:
            BadTrustError: A file cannot be used.
        """
        return find_trust(server=server, ca=self.ca, cert=self.cert, key=self.key)


def given_files() -> TrustFiles:
    """Those of the command that runs: every command takes them, and none but ``call`` looks at them."""
    context = click.get_current_context(silent=True)
    return TrustFiles(**(context.meta.get(_FILES, {}) if context is not None else {}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which server a command is to talk to, as given by its flags."""

    server: str | None
    token_file: str | None
    files: TrustFiles = field(default_factory=given_files)


def server_options(command: F) -> F:
    """Add what says which server is meant.

    ``--server`` and ``--token-file`` are given to the command as ``server`` and ``token_file``; the files of TLS are
    kept for ``given_files``.
    """
    server = click.option(
        "--server",
        metavar="URL",
        help="The server to talk to. Default: JOBDECK_SERVER, else your own server, else http://127.0.0.1:8080.",
    )
    token_file = click.option(
        "--token-file",
        metavar="FILE",
        help="The file with your token. Default: JOBDECK_TOKEN_FILE, else ~/.config/jobdeck/token if there is one.",
    )
    return server(token_file(_trust_options(command)))


def _trust_options(command: F) -> F:
    ca = click.option(
        "--ca",
        metavar="FILE",
        expose_value=False,
        callback=_keep,
        help="For https://: the CA to trust, a PEM file. Default: JOBDECK_CA, else the system's; for your own server "
        "the certificate that it shows.",
    )
    cert = click.option(
        "--client-cert",
        "cert",
        metavar="FILE",
        expose_value=False,
        callback=_keep,
        help="Your certificate, for a server that asks for one, a PEM file. Default: JOBDECK_CLIENT_CERT, else none.",
    )
    key = click.option(
        "--client-key",
        "key",
        metavar="FILE",
        expose_value=False,
        callback=_keep,
        help="The key of that certificate. Default: JOBDECK_CLIENT_KEY, else it is in the same file.",
    )
    return ca(cert(key(command)))


def _keep(context: click.Context, option: click.Parameter, value: str | None) -> None:
    context.meta.setdefault(_FILES, {})[option.name] = value


def json_option(text: str) -> Callable[[F], F]:
    """Add ``--json``, given to the command as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help=text)


def now_us() -> int:
    """The time, microseconds since the epoch, for ages."""
    return time.time_ns() // 1000


def call(where: Where, task: Callable[[Client], Awaitable[int]], failures: Failures = LISTING) -> NoReturn:
    """Run ``task`` with a client and exit with what it returns; a failure is told in one line on standard error."""

    async def with_client() -> int:
        server = find_server(where.server)
        trust = where.files.trust(where.server)
        async with Client(server, find_token(where.token_file), trust=trust) as client:
            return await task(client)

    code = 0
    try:
        code = trio.run(_interruptible, with_client)
    except* ClientError as group:
        code = _tell(_first(group), failures)
    except* KeyboardInterrupt:
        code = _INTERRUPTED
    sys.exit(code)


async def _interruptible(task: Callable[[], Awaitable[int]]) -> int:
    """Run ``task`` until it ends or the first Ctrl-C cancels it; what it returns, or the code of an interruption.

    Python's own way is to raise KeyboardInterrupt wherever the program happens to be, where somebody's clean-up may
    swallow it. It is back for the second one.
    """
    codes: list[int] = []
    async with helpers() as nursery:
        await nursery.start(_hear_interrupt, nursery.cancel_scope)
        codes.append(await task())
    return codes[0] if codes else _INTERRUPTED


async def _hear_interrupt(scope: trio.CancelScope, *, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(signal.SIGINT) as signals:
        task_status.started()
        async for _ in signals:
            break
    scope.cancel()


def _first(group: BaseExceptionGroup[ClientError]) -> ClientError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, ClientError)
    return error


def _tell(error: ClientError, failures: Failures) -> int:
    note(str(error))
    if isinstance(error, UnreachableError):
        if not isinstance(error, TlsError):
            note("Start one with: jobdeck serve")
        return failures.unreachable
    if isinstance(error, NotAllowedError):
        note("Make a token where the server runs (jobdeck token create) and name its file with --token-file.")
    if isinstance(error, BadAddressError | BadTrustError):
        return failures.refused if failures is RUNNING else 2
    return failures.refused
