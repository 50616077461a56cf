"""Files that are on their way: how far, how fast; and what a path that is typed may mean."""

from __future__ import annotations

import glob
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from jobdeck_tui.commands.progress import progress_text
from jobdeck_tui.console.settings import COMPLETIONS_LIMIT_COUNT

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Meter", "bar_text", "completed", "files_meant", "restarted"]

_BAR_CELLS = 20
_TELL_S = 0.1
_LEAST_S = 0.1
_AGAIN = re.compile(r".*/(?=/|~)")


def bar_text(done: int, total: int | None, rate: float) -> str:
    """``█████░░░░░  1.0 GiB of 2.0 GiB, 50 %, 300 MiB/s, 3s left``."""
    words = progress_text(done, total, rate)
    if not total:
        return words
    full = round(min(1.0, done / total) * _BAR_CELLS)
    return f"{'█' * full}{'░' * (_BAR_CELLS - full)}  {words}"


class Meter:
    """Tells how far something is, a few times a second however often ``update`` is called."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._started_s = time.monotonic()
        self._told_s = 0.0
        self._first: int | None = None

    def update(self, done: int, total: int | None) -> None:
        """So many bytes are done."""
        now_s = time.monotonic()
        if self._first is None:
            self._first, self._started_s = done, now_s
        if now_s - self._told_s >= _TELL_S or done == total:
            self._told_s = now_s
            rate = (done - self._first) / max(now_s - self._started_s, _LEAST_S)
            self._say(bar_text(done, total, rate))


def restarted(text: str) -> str:
    """A path without what stands before a second beginning: ``/a/b//etc/x`` is ``/etc/x``, ``/a/~/x`` is ``~/x``."""
    return _AGAIN.sub("", text)


def completed(text: str) -> tuple[str, list[str]]:
    """A path that is typed, as far as it can go on in one way only; and the names that would fit, folders with a slash.

    Reads a folder: for a thread. What cannot be read has no names.
    """
    text = restarted(text)
    head, slash, begun = text.rpartition("/")
    try:
        folder = Path(head + slash).expanduser() if head or slash else Path()
        with os.scandir(folder) as entries:
            names = sorted(_name(entry) for entry in entries if entry.name.startswith(begun))
    except (OSError, RuntimeError, ValueError):
        return text, []
    if not begun:
        names = [name for name in names if not name.startswith(".")]
    names = [name for name in names if name.isprintable()]
    first, last = (names[0], names[-1]) if names else (begun, begun)
    same = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return head + slash + first[:same], names[:COMPLETIONS_LIMIT_COUNT]


def _name(entry: os.DirEntry[str]) -> str:
    try:
        return entry.name + ("/" if entry.is_dir() else "")
    except OSError:
        return entry.name


def files_meant(text: str) -> list[Path]:
    """The files that a path means: itself, or those that match it as a pattern. For a thread.

    Raises:
        ValueError: None, or a folder; the text is a sentence.
    """
    word = restarted(text.strip())
    if not word or "\0" in word:
        raise ValueError("A file needs a name.")
    try:
        path = Path(word).expanduser().absolute()
    except RuntimeError as error:
        raise ValueError(str(error)) from error
    if path.is_dir():
        raise ValueError(
            f"{path} is a folder: {path}/* means its files, and jobdeck blobs put makes an artifact of it."
        )
    if path.exists():
        return [path]
    found = sorted(Path(each) for each in glob.glob(str(path)))
    files = [each for each in found if each.is_file()]
    if not files:
        raise ValueError(f"There is no file {path}.")
    return files
