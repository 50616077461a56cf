"""One line on standard error that says how far something has come, where that is a terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

import click

from jobdeck_tui.terminal import fit
from jobdeck_tui.words import bytes_text, span

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["ProgressLine", "progress_text"]

_INTERVAL_S = 0.1
_LABEL_COUNT = 30


class ProgressLine:
    """Used as a context manager; the line is gone afterwards. ``update`` may be called as often as one likes."""

    def __init__(self, label: str) -> None:
        self._label = fit(label, _LABEL_COUNT)
        self._started_s = time.monotonic()
        self._told_s = self._started_s  # what is done at once is not told of
        self._first_bytes: int | None = None
        self._on = sys.stderr.isatty()
        self._written = False

    def update(self, done: int, total: int | None) -> None:
        """So many bytes are done, of so many if that is known."""
        now_s = time.monotonic()
        if self._first_bytes is None:
            self._first_bytes, self._started_s = done, now_s
        if self._on and now_s - self._told_s >= _INTERVAL_S:
            self._told_s = now_s
            rate = (done - self._first_bytes) / max(now_s - self._started_s, _INTERVAL_S)
            click.echo(f"\r{self._label}  {progress_text(done, total, rate)}\x1b[K", err=True, nl=False)
            self._written = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._written:
            click.echo("\r\x1b[K", err=True, nl=False)


def progress_text(done: int, total: int | None, rate: float) -> str:
    """``1.5 GiB of 2.0 GiB, 75 %, 300 MiB/s, 2s left``."""
    speed = f"{bytes_text(int(rate))}/s"
    if not total:
        return f"{bytes_text(done)}, {speed}"
    left = f", {span((total - done) / rate)} left" if rate > 0 and done < total else ""
    return f"{bytes_text(done)} of {bytes_text(total)}, {100 * done // total} %, {speed}{left}"
