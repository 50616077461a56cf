"""The WebGME API as one dialect: the blob store's routes.

Source: the WebGME executor walkthrough, and the wire reference of executor and blob store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_server.dialects.base import Dialect
from jobdeck_server.dialects.webgme.blob import BlobRoutes
from jobdeck_server.dialects.webgme.failure import failure

if TYPE_CHECKING:
    from jobdeck_server.core.blobs import Blobs


def webgme(blobs: Blobs) -> Dialect:
    """Its part of the table of routes."""
    return Dialect(
        name="webgme",
        segments=frozenset({"rest"}),
        routes=BlobRoutes(blobs).routes(),
        failure=failure,
    )
