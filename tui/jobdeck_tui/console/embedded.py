"""A server for a console that found none: a process of its own, which ends with the console; its jobs run on.

It is the ordinary ``jobdeck serve`` of this user, with the ordinary settings and data directory, so that other programs
find it too. It is told to end by the end of its standard input, which also comes when the console is killed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import trio

from jobdeck_client import Client, ClientError, NotAllowedError, TlsError, find_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobdeck_client import Trust

__all__ = ["NoServerError", "answers", "embedded_server"]

_START_LIMIT_S = 15.0
_END_LIMIT_S = 10.0
_LOOK_EVERY_S = 0.05
_ANSWER_LIMIT_S = 2.0
_LOG_LIMIT_LENGTH = 2000
_PROGRAM = "from jobdeck_tui.main import main; main()"
_ANY_PORT = ("--listen", "127.0.0.1:0")


class NoServerError(Exception):
    """No server could be started; ``str()`` of it is what it said."""


def answers(url: str, token: str | None, trust: Trust | None = None) -> bool:
    """Whether a server answers there now.

    Raises:
        NotAllowedError: One does, and refuses the token.
        TlsError: One does, and it or this client is not trusted.
    """

    async def ask() -> bool:
        async with Client(url, token, trust=trust, timeout_s=_ANSWER_LIMIT_S) as client:
            await client.info()
        return True

    try:
        return trio.run(ask)
    except (NotAllowedError, TlsError):
        raise
    except ClientError:
        return False


@contextmanager
def embedded_server(token: str | None, trust: Trust | None = None) -> Iterator[str]:
    """The base URL of a server that lasts as long as the block.

    Raises:
        NoServerError: It could not be started.
    """
    with tempfile.TemporaryFile() as log:
        process = _start(log)
        try:
            url = _url(process, token, trust)
            if url is None and b"cannot listen" in _said(log):
                # The usual port is somebody else's: any other will do, since server.json tells it.
                process = _start(log, *_ANY_PORT)
                url = _url(process, token, trust)
            if url is None:
                raise NoServerError(_said(log).decode("utf-8", "replace").strip() or "it does not answer")
            yield url
        finally:
            _end(process)


def _start(log: IO[bytes], *flags: str) -> subprocess.Popen[bytes]:
    # In a session of its own: Ctrl-C and Ctrl-Z at the console's terminal are not meant for it.
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, "serve", "--until-eof", *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=log,
        start_new_session=True,
    )


def _url(process: subprocess.Popen[bytes], token: str | None, trust: Trust | None) -> str | None:
    """Where it answers; None if it ended, or did not answer in time."""
    end_s = time.monotonic() + _START_LIMIT_S
    while process.poll() is None and time.monotonic() < end_s:
        url = find_server()
        if answers(url, token, trust):
            return url
        time.sleep(_LOOK_EVERY_S)
    return None


def _said(log: IO[bytes]) -> bytes:
    log.seek(0)
    return log.read()[-_LOG_LIMIT_LENGTH:]


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(_END_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
