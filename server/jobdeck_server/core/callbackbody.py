"""What a callback carries: bytes, or bytes and pieces of files, read as they are sent.

It is read twice where it is signed: a signature stands before the body.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from jobdeck_server.core.secretfile import read_secret

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from pathlib import Path

_READ_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of a file that does not change any more."""

    path: Path
    offset: int
    size_bytes: int


Body = Sequence[bytes | Piece]
"""One after the other they are the body."""


def size_of(body: Body) -> int:
    """The length of it all in bytes."""
    return sum(len(part) if isinstance(part, bytes) else part.size_bytes for part in body)


async def sent(body: Body) -> AsyncGenerator[bytes, None]:
    """The body in pieces that can be held in memory.

    Raises:
        OSError: A file cannot be read.
    """
    for part in body:
        if isinstance(part, bytes):
            yield part
            continue
        pieces = _read(part)
        try:
            while (piece := await trio.to_thread.run_sync(next, pieces, None)) is not None:
                yield piece
        finally:
            pieces.close()


def _read(piece: Piece) -> Generator[bytes, None, None]:
    """A stretch of a file, blocking; less of it if the file is shorter than it should be."""
    with piece.path.open("rb") as file:
        file.seek(piece.offset)
        left = piece.size_bytes
        while left and (data := file.read(min(_READ_BYTES, left))):
            left -= len(data)
            yield data


class Signer:
    """The secret of ``Settings.callback_secret_file``; nothing is signed without one.

    Raises:
        OSError: The file cannot be read, is empty, or may be read by others than its owner.
    """

    def __init__(self, path: Path | None) -> None:
        self._secret = read_secret(path, "the secret that signs callbacks")

    async def headers(self, body: Body) -> dict[str, str]:
        """``X-Jobdeck-Signature`` with the HMAC-SHA256 of the body, if there is a secret.

        Raises:
            OSError: A file cannot be read.
        """
        if self._secret is None:
            return {}
        made = hmac.new(self._secret, digestmod=hashlib.sha256)

        def sign() -> None:
            for part in body:
                for piece in (part,) if isinstance(part, bytes) else _read(part):
                    made.update(piece)

        await trio.to_thread.run_sync(sign)
        return {"X-Jobdeck-Signature": f"sha256={made.hexdigest()}"}
