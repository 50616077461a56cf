"""What binds a job to the process of its context: a connection that lives as long as both do.

The job says which it is and is told how to reach the context; after that nothing is said. When the job's process dies,
the context's process sees it and cancels what runs for the job there. When the context's process dies, the connection
ends, and then so does the job, whatever it is doing: there is nothing left that it could ask.

Protocol: an object of JSON a line, ``{"op": "attach", "job": ID}``, and the answer, ``{"ok": true, "port": ...,
"secret": ..., "context": ID}`` or ``{"ok": false, "error": "..."}``.
"""

from __future__ import annotations

import os
from _thread import allocate_lock, start_new_thread
from time import monotonic

from ._jsontext import dumps, loads
from ._task import JobError

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

__all__ = ["Link", "attach"]

_ANSWER_S = 30.0  # the process answers at once, but on a machine that may be very busy
_ANSWER_BYTES = 1024 * 1024


class Link:
    """A connection that has been answered.

    Attributes:
        control: The path of the process's socket.
        answer: What the process has told of its context.
    """

    def __init__(self, control: str, answer: dict[str, Any], connection: socket.socket) -> None:
        self.control = control
        self.answer = answer
        self._connection = connection
        self._over = allocate_lock()

    @property
    def lost_text(self) -> str:
        """What is told when the context has died."""
        return _lost_text(str(self.answer.get("context")))

    def watch(self, lost: Callable[[], None]) -> None:
        """Have ``lost`` called, in a thread of its own, when the context's process has died."""
        self._over.acquire()
        start_new_thread(self._wait, (lost,))

    def wait(self, limit_s: float) -> bool:
        """Whether the context's process dies within this time; ``lost`` is being called then."""
        if not self._over.acquire(True, limit_s):  # takes no keywords
            return False
        self._over.release()
        return True

    def _wait(self, lost: Callable[[], None]) -> None:
        try:
            while self._connection.recv(4096):
                pass
        except ConnectionError:
            pass
        except OSError:  # the job has closed what it does not know
            return
        self._over.release()
        lost()


def attach(control: str, job_id: str, name: str) -> Link:
    """Bind the job to the process of its context.

    Args:
        control: The path of the process's socket.
        job_id: The job's id.
        name: The context's name, for what is said if it is not there.

    Raises:
        JobError: The context has died, or does not take the job.
    """
    try:
        connection = _dial(control)
        connection.sendall(dumps({"op": "attach", "job": job_id}) + b"\n")
        line = _line(connection)
        connection.settimeout(None)
    except OSError as error:
        if _is_late(error):
            raise JobError("context_error", f"The process of the context {name} does not answer.", error) from None
        raise JobError("context_lost", _lost_text(name)) from None
    if not line.endswith(b"\n"):
        raise JobError("context_lost", _lost_text(name))
    answer = _read(line)
    if answer.get("ok") is not True:
        raise JobError("context_error", f"The context {name} does not take the job: {answer.get('error')}")
    return Link(control, answer, connection)


def _lost_text(context: str) -> str:
    return f"Unexpected termination of context {context}"


def _is_late(error: OSError) -> bool:
    import socket

    return isinstance(error, socket.timeout)  # TimeoutError itself only since Python 3.10


def _dial(control: str) -> socket.socket:
    """Connect, by a path of any length."""
    import socket

    folder = os.open(os.path.dirname(control), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_ANSWER_S)
        connection.connect(f"/proc/self/fd/{folder}/{os.path.basename(control)}")
    except OSError:
        connection.close()
        raise
    finally:
        os.close(folder)
    return connection


def _line(connection: socket.socket) -> bytes:
    """The answer; without the end of the line if the process has ended in the midst of it."""
    deadline_s = monotonic() + _ANSWER_S
    line = b""
    while not line.endswith(b"\n") and len(line) < _ANSWER_BYTES and monotonic() < deadline_s:
        piece = connection.recv(65536)
        if not piece:
            break
        line += piece
    return line


def _read(line: bytes) -> dict[str, Any]:
    try:
        answer = loads(line.decode().strip())
    except ValueError:
        answer = None
    return answer if isinstance(answer, dict) else {"error": "its answer cannot be understood"}
