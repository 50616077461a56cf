"""The way into the Java process of a context: py4j, by a gateway of the job's own, with a Java thread for each of its.

Each such Java thread is made the job's before it does anything else: what Spark runs from it belongs to the job's group
and bears its tag, so that it is found and cancelled when the job ends; and it bears the job's name, so that it can be
interrupted. It does not matter which of the job's threads asks, nor when it began.

Loaded by jobs in contexts on Spark alone, when py4j is on the path.
"""

# py4j's objects are whatever Java says they are.
# ruff: noqa: ANN401
from __future__ import annotations

import os

from py4j.clientserver import ClientServer, JavaClient, JavaParameters, PythonParameters
from py4j.java_gateway import GatewayParameters, JavaClass, JavaGateway, JavaObject
from py4j.protocol import Py4JError

from ._task import JobError

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
    from typing import Any

    from ._task import Task

__all__ = ["Place", "enter"]


class Place:
    """A job's place in the Java process of its context.

    Attributes:
        gateway: py4j's ``ClientServer``.
        jvm: Java's classes, by their full names.
        jsc: Spark's ``JavaSparkContext``, which is the context's, not the job's.
        session: The job's own session of Java's, once somebody has asked for one.
    """

    def __init__(self, task: Task, gateway: Any) -> None:
        self.gateway = gateway
        self.jvm = gateway.jvm
        self.session: Any = None
        self._task = task
        active = getattr(self.of("org.apache.spark.SparkContext$"), "MODULE$").getActive()
        if not active.isDefined():
            raise JobError("context_error", f"The context {task.context_name} has been stopped.")
        self._context = active.get()
        self.jsc = self.of("org.apache.spark.api.java.JavaSparkContext").fromSparkContext(self._context)
        self._thread = self.of("java.lang.Thread")
        self._sessions = self.of("org.apache.spark.sql.SparkSession")
        self.greet()
        gateway._gateway_client.greet = self.greet

    def of(self, name: str) -> Any:
        """A class by its full name: the way through ``jvm`` asks Java once for each dot."""
        return JavaClass(name, self.gateway._gateway_client)

    @property
    def tag(self) -> str:
        """What all is tagged with that Spark runs for the job."""
        return f"job-{self._task.job_id}"

    def greet(self) -> None:
        """Make the Java thread that answers to this one of ours the job's."""
        self._thread.currentThread().setName(f"job-{self._task.job_id}")
        self.jsc.setJobGroup(self._task.job_id, self._task.main_class, True)  # interrupts on cancel
        self.jsc.addJobTag(self.tag)
        if self.session is not None:
            self._sessions.setActiveSession(self.session)

    def own_session(self) -> Any:
        """The job's own session: temporary views and settings are its own, tables and what is cached all jobs'."""
        if self.session is None:
            self.session = self._sessions.builder().getOrCreate().newSession()
            self._sessions.setActiveSession(self.session)
            _kept(self.gateway).put("jobdeck.session", self.session)
        return self.session

    def is_gone(self) -> bool:
        """Whether the context has been stopped, or its Java process has died."""
        try:
            return bool(self._context.isStopped())
        except Exception:  # noqa: BLE001  # nobody answers
            return True


def enter(task: Task) -> Place:
    """Connect to the context's Java process.

    Raises:
        JobError: The context is stopped.
        Exception: py4j's, if nobody answers.
    """
    try:
        port, secret = _open(task)
        gateway = _Gateway(
            java_parameters=JavaParameters(port=port, auth_token=secret, auto_convert=True),
            python_parameters=PythonParameters(port=0, eager_load=False),
        )
        place = Place(task, gateway)
    except Py4JError as error:
        raise JobError("context_error", f"The context could not be reached: {error}", error) from None
    task.is_gone = place.is_gone
    return place


def _open(task: Task) -> tuple[int, str]:
    """Have Java open a gateway for this job alone.

    Java holds what a job has been told of until it hears from py4j that it may go, and a job that is killed says no
    such word: what it had cached would stay for as long as the context. So the context's process closes the job's
    gateway when it sees the job's end, and all goes with it; streaming queries of its session are stopped before.
    Callbacks, too, reach no other job by it.

    Returns:
        Its port and its secret.
    """
    answer = task.link.answer
    shared = JavaGateway(gateway_parameters=GatewayParameters(port=answer["port"], auth_token=answer["secret"]))
    secret = os.urandom(32).hex()
    builder = JavaClass("py4j.ClientServer$ClientServerBuilder", shared._gateway_client)()
    server = builder.javaPort(0).pythonPort(0).authToken(secret).build()
    server.startServer()
    port = server.getJavaServer().getListeningPort()
    _kept(shared).put(f"jobdeck.gateway.{task.job_id}", server)
    shared.close()
    return port, secret


def _kept(gateway: Any) -> Any:
    """What a gateway holds in Java by names, ours beside its own: the context's process finds it there.

    System's properties would do, were it not that much code takes all that is in there for texts.
    """
    return JavaObject("GATEWAY_SERVER", gateway._gateway_client).getGateway().getBindings()


class _Client(JavaClient):  # type: ignore[misc]  # py4j has no types
    """Says ``greet`` on each new connection before anything else."""

    greet: Callable[[], None] | None = None
    deque: deque[Any]

    def _create_new_connection(self) -> Any:
        connection = super()._create_new_connection()
        if self.greet is not None:
            self.greet()
            if connection in self.deque:  # else Java has died meanwhile
                self.deque.remove(connection)  # it is lent out, as if it had not been used yet
        return connection


class _Gateway(ClientServer):  # type: ignore[misc]  # py4j has no types
    def _create_gateway_client(self) -> _Client:
        return _Client(self.java_parameters, self.python_parameters, finalizer_deque=self._create_finalizer_worker())
