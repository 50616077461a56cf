"""What was started from this console, newest last, kept for the next time.

One JSON file in the user's state directory, mode 0600, bounded. Values of environment variables are not written: they
are where people put secrets. Their names are kept: a form that is filled in again is not sent before it has the values.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING

import platformdirs

from jobdeck_tui.console.request import Fields
from jobdeck_tui.console.settings import HISTORY_LIMIT_COUNT

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["History", "history_path"]

_SIZE_LIMIT_BYTES = 4 * 1024 * 1024


def history_path() -> Path:
    """Where it lies."""
    return platformdirs.user_state_path("jobdeck") / "console-history.json"


class History:
    """See the top of this file. A file that is missing, broken or cannot be written costs nothing but the history."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.entries: list[Fields] = _read(path)

    def add(self, entry: Fields) -> None:
        """Keep what was started, once, as the newest."""
        kept = replace(entry, env=_names(entry.env))
        self.entries = [*(each for each in self.entries if each != kept), kept][-HISTORY_LIMIT_COUNT:]
        try:
            self._write()
        except OSError:
            return

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = self._path.with_suffix(f".{os.getpid()}")
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump([asdict(each) for each in self.entries], file)
        beside.replace(self._path)


def _names(env: str) -> str:
    return "\n".join(line.partition("=")[0] for line in env.splitlines() if line.strip())


def _read(path: Path) -> list[Fields]:
    try:
        if path.stat().st_size > _SIZE_LIMIT_BYTES:
            return []
        found = json.loads(path.read_text())
        known = {each.name: type(each.default) for each in fields(Fields)}
        entries = [{name: entry[name] for name in known if name in entry} for entry in found]
        good = [entry for entry in entries if all(isinstance(value, known[name]) for name, value in entry.items())]
        return [Fields(**entry) for entry in good][-HISTORY_LIMIT_COUNT:]
    except (OSError, ValueError, TypeError):
        return []
