"""Exceptions of Java's, told as the outcome of a job: the class, the message, and the stack as Java prints it."""

# py4j's objects are whatever Java says they are.
# ruff: noqa: ANN401
from __future__ import annotations

from py4j.protocol import Py4JJavaError

from ._task import JobError
from ._telling import CLASS_CHARS, MESSAGE_CHARS, STACK_CHARS, text_of

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from typing import Any

    from ._jvmhandles import Handles

__all__ = ["SUPPLY", "class_name", "told"]

SUPPLY = "Jars made for Spark JobServer need its API, which is not here: start the server with --spark-api-jars"
_API = ("spark/jobserver/", "org/scalactic/", "com/typesafe/config/")  # as Java names what it lacks
_LACKING = ("java.lang.NoClassDefFoundError", "java.lang.ClassNotFoundException")
_CAUSES_COUNT = 16


def told(handles: Handles, error: BaseException, kind: str, prefix: str = "") -> JobError:
    """What is told of an exception that came over py4j.

    Args:
        handles: Of the gateway that it came by.
        error: Any; one of py4j's own, such as when the JVM has died, is told as it is.
        kind: One of ``_run.EXIT_CODES``.
        prefix: What stands before its message.
    """
    if not isinstance(error, Py4JJavaError):
        return JobError(kind, f"{prefix}{text_of(error)}", error)
    thrown = error.java_exception
    message = thrown.getMessage()
    name = class_name(thrown)
    text = f"{prefix}{name if message is None else message}"
    if _lacks_api(thrown):
        text = f"{text}. {SUPPLY}"
    return JobError(kind, text[:MESSAGE_CHARS], error, error_class=name[:CLASS_CHARS], stack=_stack(handles, thrown))


def class_name(thing: Any) -> str:
    """The name of the class of an object of the JVM."""
    return str(thing.getClass().getName())


def _stack(handles: Handles, thrown: Any) -> str:
    """As Java prints it, with its causes."""
    writer = handles.static("java.io.StringWriter")()
    thrown.printStackTrace(handles.static("java.io.PrintWriter")(writer))
    return str(writer.toString())[:STACK_CHARS]


def _lacks_api(thrown: Any) -> bool:
    """Whether it, or what has caused it, says that a class of the API is missing."""
    for _ in range(_CAUSES_COUNT):
        if thrown is None:
            return False
        if class_name(thrown) in _LACKING:
            return str(thrown.getMessage()).replace(".", "/").lstrip("L").startswith(_API)
        thrown = thrown.getCause()
    return False
