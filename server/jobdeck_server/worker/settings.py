"""What a worker runs with, beside the ``Settings`` of its engine: each value with its unit in its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobdeck_server.settings import GIB

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """Values are checked where they are read from the outside, not here.

    Attributes:
        server: ``http://``, ``https://``, ``ws://`` or ``wss://`` and what follows, without ``/v1/worker``.
        token_file: Holds the token, read anew for each connection; None for a server that needs none.
        name: What people call the worker.
        slots_count: How many jobs it is given at a time.
        labels: Words by which jobs choose it.
        ca_file: Whom to trust in place of the system's authorities.
        client_cert: What the worker shows of itself, and
        client_key: the key to it.
        bundles: Whether it runs jobs of the executor.
    """

    server: str
    token_file: Path | None
    name: str
    slots_count: int
    labels: tuple[str, ...] = ()
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    bundles: bool = True

    # the connection
    retry_first_s: float = 0.1
    retry_limit_s: float = 30.0
    steady_s: float = 2.0  # a connection that has lasted so long sets the delays back
    refused_retry_s: float = 30.0  # after a token that the server does not know
    forgotten_retry_s: float = 5.0
    say_again_s: float = 600.0  # the same trouble is told again after this time

    # bundles and their results
    bundle_cache_bytes: int = 10 * GIB
    silence_s: float = 30.0  # longest silence of the server within a request
    answer_timeout_s: float = 300.0  # and once all was sent: it syncs what it was given

    # leaving
    unlinked_s: float = 10.0  # without a connection, what the server has not taken is left to the next life
    bye_limit_s: float = 2.0
    crossing_s: float = 0.5  # for an order that was under way when the server was told to give none

    # what is kept of jobs of which the server has all
    output_keep_s: float = 86_400.0
    output_keep_bytes: int = 10 * 1024**3  # of jobs of which the server has all; the oldest go first
    record_keep_s: float = 30 * 86_400.0
    sweep_s: float = 120.0
    full_disk_retry_s: float = 1.0
