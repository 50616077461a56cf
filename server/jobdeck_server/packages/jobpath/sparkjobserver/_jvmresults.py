"""What a JVM job has returned, as bytes: JSON by ``_jvmjson``, or a stream of bytes as they are.

JSON goes through a pipe while the JVM makes it: memory is that of a piece, whatever the size of the result, and one
that has no end is ended when there is too much of it.
"""

# py4j's objects are whatever Java says they are.
# ruff: noqa: ANN401
from __future__ import annotations

import re
from contextlib import suppress
from threading import Thread

from py4j.protocol import Py4JJavaError

from ._jvmerrors import class_name
from ._jvmjson import mapper
from ._jvmpipes import Pipe
from ._results import DEPTH, ResultError

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ._jvmhandles import Box, Handles

__all__ = ["is_stream", "json_pieces", "stream_pieces"]

_GROUP_COUNT = 64 * 1024
_LOOKED_AT_BYTES = 128 * 1024
_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]')  # a text, which may have brackets in it, or one
_WRAPPER = "com.fasterxml.jackson.databind.JsonMappingException"
_ENDLESS = "java.lang.StackOverflowError"


def is_stream(handles: Handles, box: Box) -> bool:
    """Whether it is a ``Stream[Byte]`` of Scala's with a byte in it at least."""
    if not box.is_a(handles.named("scala.collection.immutable.Stream")):
        return False
    stream = box.get()
    if stream.isEmpty():
        return False
    head = handles.method(handles.named("scala.collection.immutable.Stream"), "head").bindTo(stream)
    return handles.is_a(handles.named("java.lang.Byte"), head)


def stream_pieces(handles: Handles, box: Box) -> Iterator[bytes]:
    """The bytes of a stream, which is made while they are asked for.

    Raises:
        py4j.protocol.Py4JJavaError: What its maker has thrown.
    """
    tags = handles.named("scala.reflect.ClassTag$").getField("MODULE$").get(None)
    several = box.get().iterator().grouped(_GROUP_COUNT)
    box.clear()  # else the JVM keeps all of it
    tag = tags.Byte()
    while several.hasNext():
        yield bytes(several.next().toArray(tag))


def json_pieces(handles: Handles, box: Box, folder: str) -> Iterator[bytes]:
    """The result as JSON.

    Args:
        handles: Of the gateway.
        box: The result.
        folder: The job's own.

    Raises:
        ResultError: It cannot be told so.
        py4j.protocol.Py4JJavaError: What the job's own values have thrown.
        OSError: There is no room for a pipe.
    """
    pipe = Pipe(handles, folder, "result.pipe")
    writer = handles.static("java.io.OutputStreamWriter")(pipe.stream, "UTF-8")
    write = handles.method(
        handles.named("com.fasterxml.jackson.databind.ObjectMapper"),
        "writeValue",
        handles.named("java.io.Writer"),
        handles.object,
    )
    ready = handles.bound(write.bindTo(mapper(handles)), writer)
    failures: list[Exception] = []

    def make() -> None:
        try:
            handles.call(handles.fed(ready, box.source))
        except Exception as error:  # noqa: BLE001  # is raised below
            failures.append(error)
        finally:
            _close(pipe.stream)

    maker = Thread(target=make, daemon=True)
    maker.start()
    head: list[bytes] | None = []
    try:
        for piece in iter(pipe.read, b""):
            if head is None:
                yield piece
                continue
            head.append(piece)
            if sum(map(len, head)) > _LOOKED_AT_BYTES:
                yield b"".join(head)
                head = None
    finally:
        pipe.close()
    maker.join()
    if failures:
        raise _plain(failures[0])
    if head is not None:
        yield _checked(b"".join(head))


def _checked(text: bytes) -> bytes:
    """The same text, if it is not too deep: those that are small are read by all who want to show them."""
    depth = 0
    for match in _BRACKET.finditer(text):
        if match[0] in b"[{":
            depth += 1
            if depth > DEPTH:
                raise ResultError(f"the result has more than {DEPTH} values in one another")
        elif match[0] in b"]}":
            depth -= 1
    return text


def _close(stream: Any) -> None:
    with suppress(Exception):  # it is closed, or the JVM is gone and has closed it
        stream.close()


def _plain(error: Any) -> BaseException:
    """What was thrown in the midst of it, without what the library says around it."""
    if not isinstance(error, Py4JJavaError):
        return error  # type: ignore[no-any-return]  # py4j has no types
    thrown = error.java_exception
    while class_name(thrown) == _WRAPPER and thrown.getCause() is not None:
        thrown = thrown.getCause()
    name = class_name(thrown)
    if name == _ENDLESS:
        return ResultError("the result contains itself, or has too many values in one another")
    if name == _WRAPPER:
        return ResultError(str(thrown.getMessage()))
    error.java_exception = thrown
    return error  # type: ignore[no-any-return]  # see above
