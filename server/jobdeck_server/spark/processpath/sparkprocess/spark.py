"""What is asked of Spark inside the Java process, over py4j, each call on a connection and a thread of its own.

Everything here blocks, and may do so for long when Java is busy: for threads. A call that gets no answer in time
raises ``AskError``, and nothing else waits for it. The SparkContext is made as pyspark makes it, so that Python jobs
find what they expect.
"""

# py4j's objects are whatever Java says they are.
# ruff: noqa: ANN401
from __future__ import annotations

import logging
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass

from .masters import is_registered, nobody_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

__all__ = ["NOTHING", "AskError", "Facts", "Progress", "Spark", "import_py4j"]

# How far Spark is with a job that it has not heard of.
NOTHING = {"stages_done": 0, "stages": 0, "tasks_done": 0, "tasks_active": 0, "tasks": 0}

# What pyspark sets, and Python jobs on the executors rely on: the seed of hashes must be the same everywhere.
_PYSPARK = {
    "spark.rdd.compress": "True",
    "spark.serializer.objectStreamReset": "100",
    "spark.executorEnv.PYTHONHASHSEED": "0",
}
_SUBMIT_SETS = "spark.ui.showConsoleProgress"  # to true, for people at a prompt
_TEXT_CHARS = 4096
_STACK_CHARS = 64 * 1024
_SPARK_JOBS_COUNT = 256  # of one job, looked at anew each time


class AskError(Exception):
    """Java has refused, or has not answered. ``stack`` is Java's, or empty."""

    def __init__(self, text: str, stack: str = "") -> None:
        super().__init__(text)
        self.stack = stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A SparkContext that is up."""

    application: str
    master: str
    ui: str | None
    conf: dict[str, str]


class Progress:
    """What Spark has done for one job so far; of its Spark jobs that have ended it is counted once."""

    def __init__(self) -> None:
        self._ended: set[int] = set()  # those that Spark still knows
        self._total = NOTHING.copy()  # of all that have ended

    def take(self, gateway: Any, tracker: Any, ids: Sequence[int]) -> dict[str, int]:
        """Look at its Spark jobs.

        Args:
            gateway: For questions beside.
            tracker: Java's ``JavaSparkStatusTracker``.
            ids: Of the Spark jobs; the latest are looked at.
        """
        known = set(ids)
        self._ended &= known
        total = NOTHING.copy()
        for number in sorted(known - self._ended)[-_SPARK_JOBS_COUNT:]:
            info = tracker.getJobInfo(number)
            if info is None:
                continue
            ended = info.status().name() in ("SUCCEEDED", "FAILED")
            counts = _count(tracker, _numbers(gateway, info.stageIds()), ended=ended)
            if ended:
                self._ended.add(number)
            _add(self._total if ended else total, counts)
        _add(total, self._total)
        return total


def _add(total: dict[str, int], counts: Mapping[str, int]) -> None:
    for name, count in counts.items():
        total[name] += count


class Spark:
    """The gateway of a Java process, and its SparkContext once there is one."""

    def __init__(self, port: int, secret: str, *, call_s: float, make_s: float, master_s: float) -> None:
        from py4j.java_gateway import GatewayParameters, JavaGateway

        logging.disable()  # py4j would write a stack for each call that fails

        def opened(limit_s: float) -> Any:
            told = GatewayParameters(port=port, auth_token=secret, auto_convert=True, read_timeout=limit_s)
            return JavaGateway(gateway_parameters=told)

        self._quick = opened(call_s)
        self._slow = opened(make_s)
        self._make_s = make_s
        self._master_s = master_s
        self._jsc: Any = None  # for short questions
        self._made: Any = None  # the same, for what takes long; and it keeps Java from forgetting it

    def make(self, name: str, conf: Mapping[str, str], defaults: Mapping[str, str], jars: Sequence[str]) -> Facts:
        """Make the SparkContext.

        Args:
            name: Of the application.
            conf: What it was asked for with.
            defaults: For what neither ``conf`` nor Spark's own ``spark-defaults.conf`` says.
            jars: For the executors.

        Raises:
            AskError: It cannot be made so.
        """
        master = conf.get("spark.master", "")
        if (why := nobody_at(master, self._master_s)) is not None:
            raise AskError(f"Nobody answers at {master} ({why}).")
        start_s = time.monotonic()
        try:
            with _in_words():
                facts = self._make(name, conf, defaults, jars)
        except AskError:
            if time.monotonic() - start_s < self._make_s:
                raise
            raise AskError(f"It took more than {self._make_s:g} s.") from None
        if not is_registered(facts.master, facts.application):
            raise AskError(f"All masters are unresponsive: {facts.master} has not taken the application.")
        return facts

    def _make(self, name: str, conf: Mapping[str, str], defaults: Mapping[str, str], jars: Sequence[str]) -> Facts:
        from py4j.java_gateway import JavaObject

        wanted = self._slow.jvm.org.apache.spark.SparkConf(True)
        for key, value in {**_PYSPARK, **defaults}.items():
            if key == _SUBMIT_SETS:
                wanted.set(key, value)
            else:
                wanted.setIfMissing(key, value)
        for key, value in conf.items():
            wanted.set(key, value)
        wanted.setAppName(name)
        self._made = jsc = self._slow.jvm.org.apache.spark.api.java.JavaSparkContext(wanted)
        self._jsc = JavaObject(jsc._get_object_id(), self._quick._gateway_client)
        for jar in jars:
            jsc.addJar(jar)
        context = jsc.sc()
        ui = context.uiWebUrl()
        return Facts(
            application=context.applicationId(),
            master=context.master(),
            ui=ui.get() if ui.isDefined() else None,
            conf={pair._1(): pair._2() for pair in context.getConf().getAll()},
        )

    def stop(self) -> None:
        """Stop the SparkContext, if there is one.

        Raises:
            AskError: That did not work.
        """
        with _in_words():
            if self._made is not None:
                self._made.stop()

    def is_stopped(self) -> bool:
        """Whether somebody has stopped the SparkContext.

        Raises:
            AskError: Java did not say.
        """
        with _in_words():
            return bool(self._jsc.sc().isStopped())

    def cancel(self, job_id: str) -> bool:
        """Cancel what runs for a job, and interrupt the threads of Java that bear its name.

        Returns:
            Whether something ran. What a thread of the job's begins after this is not cancelled: ask again.

        Raises:
            AskError: Java did not answer.
        """
        with _in_words():
            ran = self._jsc.statusTracker().getJobIdsForGroup(job_id)
            self._jsc.cancelJobGroup(job_id)
            self._jsc.cancelJobsWithTag(f"job-{job_id}")  # what it, or Spark for it, has put into other groups
            active = self._active(ran)
            return self._interrupt(f"job-{job_id}") or active

    def working(self, job_ids: Sequence[str]) -> list[str]:
        """Those of some jobs for whom Spark works.

        Raises:
            AskError: Java did not say.
        """
        with _in_words():
            tracker = self._jsc.statusTracker()
            active = set(_numbers(self._quick, tracker.getActiveJobIds()))
            if not active:
                return []
            of = {each: _numbers(self._quick, tracker.getJobIdsForGroup(each)) for each in job_ids}
            return [each for each, numbers in of.items() if not active.isdisjoint(numbers)]

    def forget(self, job_id: str) -> None:
        """Stop the streaming queries of a job, and close the gateway that it has opened, and all that Java holds by it.

        Raises:
            AskError: Java did not answer.
        """
        from py4j.java_gateway import JavaObject

        with _in_words():
            shared = JavaObject("GATEWAY_SERVER", self._quick._gateway_client).getGateway()
            gateway = shared.getBindings().remove(f"jobdeck.gateway.{job_id}")
            if gateway is None:
                return
            session = gateway.getJavaServer().getGateway().getBindings().get("jobdeck.session")
            gateway.shutdown()  # first: a query may take its time to stop
            for query in [] if session is None else session.streams().active():
                query.stop()

    def _active(self, ran: Any) -> bool:
        numbers = set(_numbers(self._quick, ran))
        if not numbers:
            return False
        active = self._jsc.statusTracker().getActiveJobIds()
        return not numbers.isdisjoint(_numbers(self._quick, active))

    def _interrupt(self, name: str) -> bool:
        jvm = self._quick.jvm
        group = jvm.java.lang.Thread.currentThread().getThreadGroup()
        while (above := group.getParent()) is not None:
            group = above
        threads = self._quick.new_array(jvm.java.lang.Thread, group.activeCount() * 2 + 16)
        count = group.enumerate(threads)
        if f"Thread[{name}," not in jvm.scala.runtime.ScalaRunTime.stringOf(threads):  # one question for all
            return False
        found = [threads[index] for index in range(count) if threads[index].getName() == name]
        for thread in found:
            thread.interrupt()
        return bool(found)

    def progress(self, job_id: str, seen: Progress) -> dict[str, int]:
        """How far Spark is with a job.

        Raises:
            AskError: Java did not say.
        """
        with _in_words():
            tracker = self._jsc.statusTracker()
            return seen.take(self._quick, tracker, _numbers(self._quick, tracker.getJobIdsForGroup(job_id)))


def _numbers(gateway: Any, array: Any) -> list[int]:
    """An array of Java's, in one question rather than one for each."""
    text = gateway.jvm.java.util.Arrays.toString(array)
    return [int(each) for each in text.strip("[]").split(",") if each.strip()]


def _count(tracker: Any, stages: Sequence[int], *, ended: bool) -> dict[str, int]:
    """Of the stages of one Spark job; those that an ended one has not needed do not count."""
    infos = [info for stage in stages if (info := tracker.getStageInfo(stage)) is not None]
    told = [(info.numTasks(), info.numActiveTasks(), info.numCompletedTasks()) for info in infos]
    if ended:
        told = [each for each in told if each[2]]
    return {
        "stages_done": sum(done >= tasks for tasks, _, done in told),
        "stages": len(told) if ended else len(stages),
        "tasks_done": sum(done for _, _, done in told),
        "tasks_active": 0 if ended else sum(active for _, active, _ in told),
        "tasks": sum(tasks for tasks, _, _ in told),
    }


@contextmanager
def _in_words() -> Iterator[None]:
    """Whatever py4j raises, as ``AskError``."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  # py4j raises what sockets do, its own, and a KeyError or two
        raise _told(error) from None


def _told(error: Exception) -> AskError:
    """In words; an exception of Java's in its own."""
    from py4j.protocol import Py4JJavaError

    if not isinstance(error, Py4JJavaError):
        return AskError(f"Java does not answer: {error}"[:_TEXT_CHARS])
    try:
        return AskError(str(error.java_exception.toString())[:_TEXT_CHARS], str(error)[:_STACK_CHARS])
    except Exception:  # noqa: BLE001  # it was asked for its words, and has died meanwhile
        return AskError("Java does not answer any more.", "")


def import_py4j(path: str) -> None:
    """Put py4j's zip on the path.

    Raises:
        ImportError: It is not there.
    """
    sys.path.insert(0, path)
    import py4j.java_gateway  # noqa: F401  # tells now, not at the first call
