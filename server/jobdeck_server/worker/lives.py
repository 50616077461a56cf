"""The lives of a worker on its disk, ``worker.json``: what it offers to a server, and the server's life it saw last.

The file is replaced as a whole and synced before anybody hears of what it says; see ``jobdeck_protocol.workerlives``.
"""

from __future__ import annotations

import json
import os
import uuid
from typing import TYPE_CHECKING

from jobdeck_protocol.workerlives import accepted, born
from jobdeck_server.core.datadir import DataDirError

if TYPE_CHECKING:
    from pathlib import Path

FILE = "worker.json"


class Lives:
    """Making it begins a new life. All methods block.

    Args:
        data_dir: Held by this process.

    Raises:
        DataDirError: The file holds something else. A new one would make this worker a stranger to its server.
        OSError: It cannot be read or written.

    Attributes:
        lives: The present one last.
        server_life: None before the first time.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE
        self.lives: tuple[str, ...]
        self.server_life: str | None
        lives, server_life = _load(self._path)
        self._write(born(lives, str(uuid.uuid4())), server_life)

    def welcomed(self, life: str, server_life: str) -> None:
        """A server has accepted ``life``."""
        lives = accepted(self.lives, life)
        if (lives, server_life) != (self.lives, self.server_life):  # else a full disk is no reason to stay away
            self._write(lives, server_life)

    def _write(self, lives: tuple[str, ...], server_life: str | None) -> None:
        text = json.dumps({"lives": list(lives), "server_life": server_life})
        write_durably(self._path, text.encode())
        self.lives, self.server_life = lives, server_life


def _load(path: Path) -> tuple[tuple[str, ...], str | None]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return (), None
    try:
        found = json.loads(content)
        lives, server_life = tuple(_id(each) for each in found["lives"]), found["server_life"]
        return lives, None if server_life is None else _id(server_life)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataDirError(
            f"{path} does not hold the lives of a worker; put the old one back, or remove it and worker.id for a new "
            "worker"
        ) from None


def _id(text: str) -> str:
    if str(uuid.UUID(text)) != text:
        raise ValueError
    return text


def write_durably(path: Path, content: bytes) -> None:
    """Put a file in the place of another: after a power cut there is the one or the other, whole. Blocks."""
    fresh = path.with_name(path.name + ".new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
