"""Whether a program can be run, before a job is accepted that wants to run it; and which scripts may be. Blocks.

The words of refusals are those of Go's os/exec, which callers of the scheduler API know. What is found here may still
change before the start: then the job fails and says so.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from jobdeck_server.core.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Collection

_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}
_BYTES = range(0xDC80, 0xDD00)  # how Python writes bytes that are no UTF-8


def check_program(command: str, *, search: str, folder: str) -> None:
    """See that a command can be run.

    Args:
        command: A name to be looked up, or a path if it has a slash.
        search: Folders, separated by colons.
        folder: That a relative path is relative to.

    Raises:
        BadRequestError: It cannot.
    """
    if not command:
        raise BadRequestError("exec: no command", field="command")
    if "/" in command:
        fault = _fault(os.path.join(folder, command))
        if fault is not None:
            raise BadRequestError(f"fork/exec {command}: {fault}", field="command")
    elif all(_fault(os.path.join(each or ".", command)) is not None for each in search.split(":")):
        raise BadRequestError(f"exec: {quoted(command)}: executable file not found in $PATH", field="command")


def check_name(command: str) -> None:
    """See that a command can be asked for at all, wherever that is: no file is looked at.

    Raises:
        BadRequestError: It cannot; the words are those of ``check_program``.
    """
    if not command or _fault_of_name(command) is not None:
        check_program(command, search="", folder="/")


def check_script(command: str, path: str, *, commands: Collection[str], folder: str) -> None:
    """See that a command is one of those that may run, and that it is given a script of a folder.

    Args:
        command: As it was sent.
        path: The script, relative to ``folder`` or absolute.
        commands: That may run, word for word.
        folder: Links that lead out of it are not followed.

    Raises:
        BadRequestError: It is not so.
    """
    if command not in commands:
        allowed = ", ".join(commands)
        raise BadRequestError(f"command {quoted(command)} is not allowed: this server runs {allowed}", field="command")
    if path.startswith("-"):
        raise BadRequestError(f"path {quoted(path)} is not allowed: it reads like an option", field="path")
    root = os.path.realpath(folder)
    try:
        real = os.path.realpath(os.path.join(root, path), strict=True)
        inside = os.path.commonpath([root, real]) == root
        is_file = stat.S_ISREG(os.stat(real).st_mode)
    except (OSError, ValueError):
        inside, is_file = True, False
    if not inside:
        raise BadRequestError(f"path {quoted(path)} is not allowed: it is outside the folder of scripts", field="path")
    if not is_file:
        raise BadRequestError(f"path {quoted(path)} is no file in the folder of scripts", field="path")


def quoted(text: str) -> str:
    """Text in quotes, as Go writes it. Source: strconv.Quote."""
    return '"' + "".join(map(_quoted, text)) + '"'


def _quoted(character: str) -> str:
    number = ord(character)
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    if number < 0x80 or number in _BYTES:
        return f"\\x{number & 0xFF:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _fault_of_name(command: str) -> str | None:
    try:
        return "NUL" if b"\0" in os.fsencode(command) else None
    except UnicodeEncodeError as error:
        return error.reason


def _fault(path: str) -> str | None:
    """Why a file cannot be run, as the kernel would say it; None if it can."""
    try:
        is_file = stat.S_ISREG(os.stat(path).st_mode)
    except OSError as error:
        return (error.strerror or "").lower()
    except ValueError:  # a NUL, or half a surrogate pair
        return os.strerror(errno.EINVAL).lower()
    return None if is_file and os.access(path, os.X_OK) else os.strerror(errno.EACCES).lower()
