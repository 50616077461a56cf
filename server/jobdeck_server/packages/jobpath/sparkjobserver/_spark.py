"""The context of a Python job on Spark: pyspark in the job's own interpreter, on the context's Java process.

What the job gets is pyspark's own SparkSession or SparkContext, with these differences, since others work in the same
context at the same time:

    stop()               ends this job's view alone; asked for again, SparkContext and SparkSession are there again
    SparkSession         is the job's own, with temporary views and settings of its own; builder.getOrCreate() finds it
    cancelAllJobs()      cancels what runs for this job
    SIGINT               is what it was before pyspark
    name                 is the name of the context, as plain contexts have it

All that Spark runs for the job is in the job group of its id, whichever thread has asked for it (``_gateway``). Its
packages are on the path of the executors (``_sparkfiles``); what they print goes to the output of the context. Workers
there are used again by jobs with the very same packages alone, so that none runs code of another.
"""

# py4j's objects are whatever Java says they are.
# ruff: noqa: ANN401
from __future__ import annotations

import os
import signal
import sys

from ._sparkpath import offer
from ._task import JobError

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._gateway import Place
    from ._task import Task

__all__ = ["make"]

# What pyspark's own launcher imports into py4j's default view, where the rest of pyspark looks for it.
_IMPORTS = (
    "org.apache.spark.SparkConf",
    "org.apache.spark.api.java.*",
    "org.apache.spark.api.python.*",
    "org.apache.spark.ml.python.*",
    "org.apache.spark.mllib.api.python.*",
    "org.apache.spark.resource.*",
    "org.apache.spark.sql.*",
    "org.apache.spark.sql.api.python.*",
    "org.apache.spark.sql.hive.*",
    "scala.Tuple2",
)
_FACTORY = "spark.jobserver.python.Python"
_PACKAGES = "JOBDECK_PACKAGES"  # in the environment of workers, which are kept apart by it


def make(task: Task) -> tuple[Any, Callable[[], None]]:
    """Attach to the context.

    Returns:
        What the context's factory is to give a Python job, and what gives it up.

    Raises:
        JobError: There is nothing to attach to, or it has been stopped.
    """
    if task.link is None:
        raise JobError("context_error", f"The context {task.context_name} has no process to attach to.")
    answer = task.link.answer
    packages = [task.plan["package"], *task.plan["wheels"]]
    _set_environment(answer)
    offer(answer["spark_home"], len(packages))
    from ._gateway import enter
    from ._sparkprogress import follow

    place = enter(task)
    view = _View(task, place, packages)
    context = view.context_for(str(task.settings.get("context-factory", "")))
    context.name = task.context_name
    follow(task, place)
    return context, view.leave


def _set_environment(answer: dict[str, Any]) -> None:
    """What pyspark reads, also where a job's own code starts it."""
    os.environ.update(
        PYSPARK_GATEWAY_PORT=str(answer["port"]),
        PYSPARK_GATEWAY_SECRET=answer["secret"],
        PYSPARK_PIN_THREAD="true",
        PYSPARK_PYTHON=answer["conf"].get("spark.pyspark.python", sys.executable),
        SPARK_HOME=answer["spark_home"],
    )


class _View:
    """pyspark on a context that is not this job's alone."""

    def __init__(self, task: Task, place: Place, packages: list[str]) -> None:
        from py4j.java_gateway import java_import
        from pyspark import SparkContext
        from pyspark.sql import SparkSession

        self._task = task
        self._place = place
        self._packages = packages
        self._names: list[str] | None = None
        self._folders: list[str] = []
        for each in _IMPORTS:
            java_import(place.jvm, each)
        place.gateway.proc = None
        self._share_context(SparkContext)
        self._share_session(SparkSession)

    def context_for(self, factory: str) -> Any:
        """What a job gets of a factory; a session where none is named."""
        from pyspark import SparkContext
        from pyspark.sql import SparkSession

        context = SparkContext(gateway=self._place.gateway)
        if factory.startswith(f"{_FACTORY}Spark"):
            return context
        session = SparkSession(context)
        if not factory.startswith(f"{_FACTORY}SQL"):
            return session
        from warnings import catch_warnings, simplefilter

        from pyspark.sql import SQLContext

        with catch_warnings():
            simplefilter("ignore")  # that a session is what one uses nowadays
            return SQLContext(context, session)

    def leave(self) -> None:
        """Have no folder left behind; the context's process sees to all else when the job has ended."""
        from shutil import rmtree

        for folder in self._folders:
            rmtree(folder, ignore_errors=True)

    # -- what differs from pyspark's own --

    def _share_context(self, kind: Any) -> None:
        from inspect import signature

        begin = kind._do_init
        order = signature(begin)
        known = _known(self._task.link.answer["conf"])

        def _do_init(context: Any, *args: Any, **more: Any) -> None:
            """Attach, whatever is asked for."""
            asked = order.bind(context, *args, **more)
            own = asked.arguments.get("environment") or {}
            asked.arguments.update(
                master=None, appName=None, sparkHome=None, environment=None, conf=known, jsc=self._place.jsc
            )
            path, on_interrupt = list(sys.path), signal.getsignal(signal.SIGINT)
            begin(*asked.args, **asked.kwargs)
            if on_interrupt is not None and signal.getsignal(signal.SIGINT) is not on_interrupt:
                signal.signal(signal.SIGINT, on_interrupt)
            self._settle_in(context, own, path)

        def stop(context: Any) -> None:
            """End this view."""
            if context._jsc is None:
                return
            context._jsc = None
            context._accumulatorServer.shutdown()
            context._accumulatorServer = None
            with kind._lock:
                kind._active_spark_context = None

        kind._do_init = _do_init
        kind.stop = stop
        kind.cancelAllJobs = lambda context: context.cancelJobsWithTag(self._place.tag)

    def _settle_in(self, context: Any, environment: dict[str, str], path: list[str]) -> None:
        """The packages for the executors; and files that others have added do not stand before this job's."""
        self._folders.append(context._temp_dir)
        sys.path[:] = [*path, *(each for each in sys.path if each not in path)]
        from ._sparkfiles import digest_of, ship

        if self._names is None:
            self._names = ship(self._place.jsc.sc(), self._task.link.control, self._packages)
        context._python_includes = [*self._names, *context._python_includes]
        context.environment.update(environment)
        context.environment[_PACKAGES] = digest_of(self._names)
        path_of_workers = [os.path.join(os.path.dirname(__file__), "_workers")]
        if "PYTHONPATH" in context.environment:
            path_of_workers.append(context.environment["PYTHONPATH"])
        context.environment["PYTHONPATH"] = os.pathsep.join(path_of_workers)

    def _share_session(self, kind: Any) -> None:
        begin = kind.__init__

        def __init__(session: Any, context: Any, own: Any = None, options: Any = None) -> None:
            """On the job's own session, and without making it that of all."""
            first = kind._instantiatedSession is None or kind._instantiatedSession._sc._jsc is None
            if first:
                kind._instantiatedSession = _Attached(context)
            try:
                begin(session, context, self._place.own_session() if own is None else own, options or {})
            except BaseException:
                kind._instantiatedSession = None if first else kind._instantiatedSession
                raise
            if first:
                kind._instantiatedSession = kind._activeSession = session

        def stop(session: Any) -> None:
            """End this view."""
            from pyspark.sql.context import SQLContext

            session._sc.stop()
            kind._instantiatedSession = kind._activeSession = None
            SQLContext._instantiatedContext = None

        kind.__init__ = __init__
        kind.stop = stop


class _Attached:
    """Stands for a session while the first one is made: pyspark would else make that one the default of all jobs."""

    def __init__(self, context: Any) -> None:
        self._sc = context


def _known(conf: dict[str, str]) -> Any:
    """A SparkConf whose values are known here, so that nobody asks Java for each."""
    from pyspark import SparkConf

    class Known(SparkConf):  # type: ignore[misc]  # pyspark is not there when this is looked at
        def __init__(self) -> None:
            self._jconf = conf

        def get(self, key: str, default: str | None = None) -> str | None:
            return conf.get(key, default)

        def contains(self, key: str) -> bool:
            return key in conf

        def getAll(self) -> list[tuple[str, str]]:
            return list(conf.items())

        def setIfMissing(self, key: str, value: str) -> Known:
            del key, value
            return self

    return Known()
