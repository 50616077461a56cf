"""Lives: how a server tells a worker from its copy, and a worker a server from one that was restored.

Pure functions; ``worker`` tells the rules. What they are given and return is to be on disk before anybody hears of it.
"""

from __future__ import annotations

from collections.abc import Collection

from jobdeck_protocol.errors import CLOSE_IDENTITY, RemoteWireError
from jobdeck_protocol.worker import LIFE_LIMIT_COUNT, Hello


def born(lives: tuple[str, ...], life: str) -> tuple[str, ...]:
    """A worker's list with a new life, to be offered from now on.

    A list that grows too long (a thousand lives without a server's answer) loses its oldest but for the first, the one
    that was accepted.
    """
    grown = (*lives, life)
    return grown if len(grown) <= LIFE_LIMIT_COUNT else (grown[0], *grown[1 - LIFE_LIMIT_COUNT :])


def accepted(lives: tuple[str, ...], life: str) -> tuple[str, ...]:
    """A worker's list after a server has accepted one of its lives: what came before it is of no use any more."""
    return lives[lives.index(life) :] if life in lives else lives


def is_restored(hello: Hello, server_lives: Collection[str]) -> bool:
    """Whether the worker has seen a life of the server that its database does not know: it comes from a backup."""
    return hello.server_life is not None and hello.server_life not in server_lives


def check_life(hello: Hello, *, last_life: str | None, server_lives: Collection[str]) -> bool:
    """Judge a worker's ``hello``.

    Args:
        hello: What it says.
        last_life: The last life of this worker that the server accepted, None if it does not know the worker.
        server_lives: All lives of the server that its database knows, the present one included.

    Returns:
        Whether the server was restored from a backup.

    Raises:
        RemoteWireError: The worker runs from a copy of another's data directory (4423).
    """
    restored = is_restored(hello, server_lives)
    if not restored and last_life is not None and last_life not in hello.lives:
        text = "this worker's identity was used by another since: its data directory is a copy, or was restored"
        raise RemoteWireError(text, close_code=CLOSE_IDENTITY)
    return restored
