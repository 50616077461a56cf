"""Exceptions of a job, told: their texts, wherever they come from, and never more than there may be."""

# Whatever a job's own exceptions raise when they are told.
# ruff: noqa: BLE001
from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["CLASS_CHARS", "MESSAGE_CHARS", "STACK_CHARS", "class_of", "repr_of", "stack_of", "text_of"]

MESSAGE_CHARS = 16 * 1024
CLASS_CHARS = 4 * 1024
STACK_CHARS = 64 * 1024
_OURS = os.path.dirname(__file__) + os.sep
_PATH = list(sys.path)


def class_of(error: BaseException) -> str:
    """The name of its class, with the module unless it is Python's own."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return name[:CLASS_CHARS]


def text_of(error: BaseException) -> str:
    """What it says; the name of its class if it says nothing."""
    try:
        text = str(error)
    except Exception:
        text = ""
    return (text or type(error).__name__)[:MESSAGE_CHARS]


def repr_of(error: BaseException) -> str:
    """The same, with its class."""
    try:
        return repr(error)[:MESSAGE_CHARS]
    except Exception:
        return type(error).__name__


def stack_of(error: BaseException) -> str:
    """The traceback, without what lies before the job's own code."""
    begin = error.__traceback__
    while begin is not None and begin.tb_next is not None and _is_ours(begin.tb_frame.f_code.co_filename):
        begin = begin.tb_next
    try:
        return _formatted(error, begin)[-STACK_CHARS:]
    except Exception:
        return f"{type(error).__name__}\n"


def _is_ours(filename: str) -> bool:
    return filename.startswith((_OURS, "<frozen "))


def _formatted(error: BaseException, begin: TracebackType | None) -> str:
    """By the standard library's own module, whatever the job has put on the path."""
    path, sys.path = sys.path, _PATH
    try:
        from traceback import format_exception
    finally:
        sys.path = path
    return "".join(format_exception(type(error), error, begin))
