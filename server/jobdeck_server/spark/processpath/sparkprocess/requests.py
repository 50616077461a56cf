"""What can be asked on the control socket: one JSON object a line, answered by one.

    {"op": "status"}                              -> state, note, context, application, master, ui, version,
                                                     memory_bytes, jobs: at once, in every state
    {"op": "make", "context", "name", "conf", "jars"}
                                                  -> the same, once the context is up
    {"op": "attach", "job"}                       -> port, secret, context, conf, spark_home; the connection is the
                                                     lifeline now
    {"op": "cancel", "job"}                       -> nothing more
    {"op": "stop"}                                -> nothing more

An answer has ``"ok": true``, or ``"ok": false`` and an ``error``. Unknown fields are ignored. A line that cannot be
understood is refused and the connection goes on; one without an end, and answers that nobody reads, close it.
"""

from __future__ import annotations

import json
import os
import selectors
from functools import partial

from .wire import Connection, LineTooLongError, accept, listen, unlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .limits import Limits
    from .program import Process

__all__ = ["Requests"]

_ID_CHARS = 256
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class _RefusedError(Exception):
    """That is not done; the text says why."""


class Requests:
    """All connections, and the answers."""

    def __init__(self, process: Process, folder: str, selector: selectors.BaseSelector, limits: Limits) -> None:
        self._process = process
        self._folder = folder
        self._listener = listener = listen(folder)
        self._selector = selector
        self._limits = limits
        self._connections: set[Connection] = set()
        self._waiting: list[Connection] = []  # for the context to be up
        selector.register(listener, _READ, self._accept)

    def made(self) -> None:
        """The context is up: tell those who wait."""
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            self._answer(connection, self._status())

    def lost(self, why: str) -> None:
        """There is no context any more: tell those who wait for one, and cut the lifelines."""
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            self._answer(connection, _refusal(why))
        for connection in [each for each in self._connections if each.job_id is not None]:
            connection.job_id = None  # there is nothing left to cancel
            self._close(connection)

    def close(self) -> None:
        """Say no more."""
        for connection in list(self._connections):
            self._close(connection)
        self._selector.unregister(self._listener)
        self._listener.close()
        unlink(self._folder)

    # -- connections --

    def _accept(self) -> None:
        try:
            connection = accept(
                self._listener, line_bytes=self._limits.line_bytes, unsent_bytes=self._limits.unsent_bytes
            )
        except OSError:  # it is gone again
            return
        if connection is None:
            return
        self._connections.add(connection)
        self._selector.register(connection.sock, _READ, partial(self._turn, connection))
        if len(self._connections) > self._limits.connection_count:
            self._answer(connection, _refusal("There are too many connections."))
            self._close(connection)

    def _turn(self, connection: Connection) -> None:
        """Read, and write what could not be written before."""
        try:
            if connection.has_unsent:
                connection.flush()
                self._watch(connection)
            lines = connection.receive()
        except (LineTooLongError, OSError):
            self._close(connection)
            return
        if lines is None:
            self._close(connection)
            return
        for line in lines:
            if connection in self._connections:  # else it was closed over the line before
                self._take(connection, line)

    def _watch(self, connection: Connection) -> None:
        events = _READ | _WRITE if connection.has_unsent else _READ
        self._selector.modify(connection.sock, events, partial(self._turn, connection))

    def _answer(self, connection: Connection, answer: Mapping[str, Any]) -> None:
        if connection not in self._connections:
            return
        try:
            connection.send(json.dumps(answer, separators=(",", ":")).encode() + b"\n")
            self._watch(connection)
        except (LineTooLongError, OSError):
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        if connection in self._waiting:
            self._waiting.remove(connection)
        self._selector.unregister(connection.sock)
        if connection.pidfd >= 0:
            self._selector.unregister(connection.pidfd)
        connection.close()
        if connection.job_id is not None:
            self._process.jobs.detach(connection.job_id)
            self._process.check()  # it may have been the job's doing

    # -- answers --

    def _take(self, connection: Connection, line: bytes) -> None:
        try:
            asked = json.loads(line)
            answer = _OPS[asked["op"]](self, connection, asked)
        except _RefusedError as error:
            answer = _refusal(str(error))
        except (ValueError, KeyError, TypeError, RecursionError):
            answer = _refusal("That cannot be understood.")
        if answer is not None:
            self._answer(connection, answer)

    def _status(self) -> dict[str, Any]:
        process, facts = self._process, self._process.facts
        return {
            "ok": True,
            "state": process.state,
            "note": process.note,
            "context": process.context,
            "application": None if facts is None else facts.application,
            "master": None if facts is None else facts.master,
            "ui": None if facts is None else facts.ui,
            "version": process.version,
            "memory_bytes": process.jobs.memory_bytes,
            "jobs": process.jobs.counts(),
        }

    def _on_status(self, connection: Connection, asked: Mapping[str, Any]) -> dict[str, Any]:
        del connection, asked
        self._process.jobs.look()
        return self._status()

    def _on_make(self, connection: Connection, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        process = self._process
        context = _text(asked, "context")
        _check_wanted(asked)
        if process.state == "stopping":
            raise _RefusedError("This process is ending.")
        if process.context not in (None, context):
            raise _RefusedError(f"This process belongs to context {process.context}.")
        if process.state == "up":
            return self._status()
        self._waiting.append(connection)
        if process.context is None:
            process.make(asked)
        return None

    def _on_attach(self, connection: Connection, asked: Mapping[str, Any]) -> dict[str, Any]:
        process = self._process
        job_id = _text(asked, "job")
        if process.state != "up" or process.facts is None or process.gateway is None:
            raise _RefusedError(f"There is no context here: the process is {process.state}.")
        if connection.job_id is not None:
            raise _RefusedError(f"Job {connection.job_id} is attached here already.")
        if connection.pid > 0:
            try:
                connection.pidfd = os.pidfd_open(connection.pid)
            except OSError:
                raise _RefusedError("The process that asked is gone.") from None
            self._selector.register(connection.pidfd, _READ, partial(self._close, connection))
        connection.job_id = job_id
        process.jobs.attach(job_id)
        port, secret = process.gateway
        return {
            "ok": True,
            "port": port,
            "secret": secret,
            "context": process.context,
            "conf": process.facts.conf,
            "spark_home": process.spark_home,
        }

    def _on_cancel(self, connection: Connection, asked: Mapping[str, Any]) -> dict[str, Any]:
        del connection
        self._process.jobs.cancel(_text(asked, "job"))
        return {"ok": True}

    def _on_stop(self, connection: Connection, asked: Mapping[str, Any]) -> None:
        del asked
        self._answer(connection, {"ok": True})
        self._process.stop()


_OPS: dict[str, Callable[[Requests, Connection, Mapping[str, Any]], dict[str, Any] | None]] = {
    "status": Requests._on_status,
    "make": Requests._on_make,
    "attach": Requests._on_attach,
    "cancel": Requests._on_cancel,
    "stop": Requests._on_stop,
}


def _refusal(why: str) -> dict[str, Any]:
    return {"ok": False, "error": why}


def _text(asked: Mapping[str, Any], name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _ID_CHARS:
        raise _RefusedError(f"{name} must be a text of 1 to {_ID_CHARS} characters.")
    return value


def _check_wanted(asked: Mapping[str, Any]) -> None:
    conf, jars = asked.get("conf"), asked.get("jars")
    if not isinstance(asked.get("name"), str):
        raise _RefusedError("name must be a text.")
    if not isinstance(conf, dict) or not all(isinstance(value, str) for value in conf.values()):
        raise _RefusedError("conf must be an object of texts.")
    if not isinstance(jars, list) or not all(isinstance(jar, str) for jar in jars):
        raise _RefusedError("jars must be a list of texts.")
