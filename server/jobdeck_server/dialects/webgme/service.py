"""The WebGME API as one dialect: the routes of blob store and executor.

Source: the WebGME executor walkthrough, and the wire reference of executor and blob store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_server.dialects.base import Dialect
from jobdeck_server.dialects.webgme.blob import BlobRoutes
from jobdeck_server.dialects.webgme.executor import ExecutorRoutes
from jobdeck_server.dialects.webgme.failure import failure

if TYPE_CHECKING:
    from jobdeck_server.core.blobs import Blobs
    from jobdeck_server.core.executor import Executor
    from jobdeck_server.core.executorfiles import Nonce


def webgme(blobs: Blobs, executor: Executor, nonce: Nonce) -> Dialect:
    """Its part of the table of routes."""
    return Dialect(
        name="webgme",
        segments=frozenset({"rest"}),
        routes=(*BlobRoutes(blobs).routes(), *ExecutorRoutes(executor, nonce).routes()),
        failure=failure,
    )
