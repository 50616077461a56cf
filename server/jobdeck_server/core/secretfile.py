"""Secrets that an operator gives in a file of their own."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read_secret(path: Path | None, what: str) -> bytes | None:
    """The secret in a file, None without a file. Blocks, for a moment.

    Args:
        path: The file; space around the secret is left out.
        what: What it must hold, for the refusal.

    Raises:
        OSError: It cannot be read, is empty, or may be read by others than its owner.
    """
    if path is None:
        return None
    if path.stat().st_mode & _OTHERS:
        raise PermissionError(f"{path} may be read by others: chmod 600 it")
    secret = path.read_bytes().strip()
    if not secret:
        raise OSError(f"{path} is empty: it must hold {what}")
    return secret
