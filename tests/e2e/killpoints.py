"""``jobdeck``, and a ``kill -9`` of itself at the n-th moment at which an upload changes something on the disk.

    python killpoints.py N COUNT_FILE serve ...

Counted are the calls that make files and transactions durable or visible, each before it and after it, from the first
temporary file of the blob store on. The count so far stands in COUNT_FILE, for who wants to know how many there are.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any


class Moments:
    """Counts, and kills."""

    def __init__(self, number: int, told: Path) -> None:
        self._number = number
        self._told = told
        self._count = 0
        self.armed = False

    def pass_by(self) -> None:
        if not self.armed:
            return
        self._count += 1
        self._told.write_text(str(self._count))
        if self._count == self._number:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:  # whatever it takes
            self.pass_by()
            result = call(*args, **kwargs)
            self.pass_by()
            return result

        return called


def main(number: int, told: Path, arguments: list[str]) -> None:
    moments = Moments(number, told)
    opened = os.open

    def arming(path: Any, *args: Any, **kwargs: Any) -> int:  # whatever it takes
        if isinstance(path, os.PathLike) and "/blobs/tmp/" in os.fspath(path):
            moments.armed = True
            moments.pass_by()
        return opened(path, *args, **kwargs)

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            if sql in ("begin immediate", "commit"):
                moments.pass_by()
                cursor = super().execute(sql, *args)
                moments.pass_by()
                return cursor
            return super().execute(sql, *args)

    os.open = arming
    os.fsync = moments.around(os.fsync)
    os.rename = moments.around(os.rename)
    sqlite3.connect = partial(sqlite3.connect, factory=Connection)  # type: ignore[assignment]  # the same, with a class

    from jobdeck_tui.main import main as jobdeck

    jobdeck(arguments, prog_name="jobdeck")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
