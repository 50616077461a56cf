"""A job out of jars: a class with the traits of Spark JobServer, or one with ``main``, run in the JVM of its context.

Nothing of ours is in that JVM: the class is found, made and called over py4j, each call in a thread of Java's that
stands for the thread of this process that makes it. What the original does with a class is done here:

    object or class         ``Name$.MODULE$`` if that is a job, else ``new Name()`` if that is one, else ``Name.main``
    spark.jobserver.*       ``validate`` and ``runJob``; what context they take decides what they get
    spark.jobserver.japi.*  ``verify`` and ``run``
    main                    the texts of ``args`` in the configuration; its SparkSession is the context's

Scala's ``println`` in the job's threads is its output. System.out and System.err belong to the whole JVM: they are the
job's output where it is alone there, in a context of its own, else that of the context.

The traits, the library that they mention (scalactic) and that of configurations are not in Spark: the operator supplies
them (``--spark-api-jars``), or the jar has them itself.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from ._results import JSON, NONE, STREAM
from ._sparkpath import offer
from ._task import JobError, Task, Work
from ._telling import MESSAGE_CHARS

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["JvmWork"]

_THROWABLE = "java.lang.Throwable"


class JvmWork(Work):
    """See ``Work``."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._place: Any = None
        self._handles: Any = None
        self._outputs: Any = None
        self._entry: Any = None

    def make(self) -> None:
        """See ``Work``."""
        task = self.task
        if task.link is None:
            raise JobError("context_error", f"The context {task.context_name} has no JVM: it is not one on Spark.")
        offer(task.link.answer["spark_home"], 0)
        from ._gateway import enter
        from ._jvmentry import find
        from ._jvmhandles import Handles
        from ._jvmjars import Jars
        from ._jvmoutput import Outputs
        from ._sparkprogress import follow

        self._place = enter(task)
        follow(task, self._place)
        self._handles = Handles(self._place.gateway)
        jars = Jars(self._place, self._handles, task.link.control)
        jars.add(task.plan["jars"])
        self._outputs = Outputs(self._handles, task.plan["folder"], alone=task.plan["context"].get("alone") is True)
        self._entry = find(task, self._place, self._handles, jars)

    def validate(self) -> list[str] | None:
        """See ``Work``."""
        from py4j.protocol import Py4JError

        try:
            found: list[str] | None = self._entry.validate()
        except Py4JError as error:
            raise self._raised("validate", error) from None
        return found

    def refused(self, problems: list[str]) -> JobError:
        """See ``Work``: as the original prints them."""
        shown = getattr(problems, "shown", "")[:MESSAGE_CHARS]
        return JobError("validation", shown, error_class=_THROWABLE, stack=f"{_THROWABLE}: {shown}")

    def run(self) -> tuple[str, Iterator[bytes]]:
        """See ``Work``."""
        from ._jvmresults import is_stream, json_pieces, stream_pieces

        if not self._entry.run():
            return NONE, iter(())
        if is_stream(self._handles, self._entry.result):
            return STREAM, stream_pieces(self._handles, self._entry.result)
        return JSON, json_pieces(self._handles, self._entry.result, self.task.plan["folder"])

    def raised(self, error: BaseException) -> JobError:
        """See ``Work``."""
        return self._raised("runJob", error)

    def end(self) -> None:
        """See ``Work``."""
        if self._outputs is not None:
            self._outputs.end()

    def _raised(self, method: str, error: BaseException) -> JobError:
        """What the job has thrown; it is in the job's output, too."""
        from ._jvmerrors import told

        found = told(self._handles, error, "validate_raised" if method == "validate" else "run_raised")
        with suppress(OSError):  # nobody may read it
            sys.stderr.write(f"Error while calling '{method}': {found.stack or found}\n")
        return found
