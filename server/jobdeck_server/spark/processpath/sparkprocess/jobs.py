"""The jobs of a context, as far as its process sees them: who is attached, how far Spark is with each, and cancelling.

A job is attached for as long as its lifeline holds: a connection, and the process at its other end. When that is lost
the job's group is cancelled, at once and then again until nothing of it is seen any more, since a thread of Java's may
go on with the job's next action, and Spark may have been about to begin one. Threads of its own that a job has left
behind may begin one much later: of the latest jobs that is looked for now and then.
"""

from __future__ import annotations

import time
from collections import Counter, deque

from .memory import tree_memory_bytes
from .saying import say
from .spark import NOTHING, Progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .limits import Limits
    from .spark import Spark
    from .threads import Threads
    from .timers import Timers

__all__ = ["Jobs"]

_AGAIN_S = (0.2, 0.4, 0.8, 1.6)  # then always the last
_QUIET_COUNT = 2  # looks one after the other that find nothing
_CANCEL_S = 60.0  # and not longer: Java itself is beyond help then
_ENDED_COUNT = 64  # jobs that may have left threads behind


class Jobs:
    """The attached ones.

    Attributes:
        memory_bytes: Of everything below this process, when it was last looked at.
    """

    def __init__(self, threads: Threads, timers: Timers, limits: Limits, pid: int) -> None:
        self.memory_bytes = 0
        self._threads = threads
        self._timers = timers
        self._limits = limits
        self._pid = pid
        self._spark: Spark | None = None
        self._attached: Counter[str] = Counter()  # job to the number of its lifelines
        self._progress: dict[str, Progress] = {}
        self._counts: dict[str, dict[str, int]] = {}
        self._cancelling: dict[str, _Cancelling] = {}
        self._ended: deque[str] = deque(maxlen=_ENDED_COUNT)
        self._is_looking_after = False
        self._sampled_s = float("-inf")
        self._is_sampling = False

    def has_spark(self, spark: Spark) -> None:
        """There is a SparkContext now."""
        self._spark = spark

    def attach(self, job_id: str) -> None:
        """A lifeline more."""
        self._attached[job_id] += 1

    def detach(self, job_id: str) -> None:
        """A lifeline less; without any the job is cancelled."""
        self._attached[job_id] -= 1
        if self._attached[job_id] > 0:
            return
        del self._attached[job_id]
        self._counts.pop(job_id, None)
        self._progress.pop(job_id, None)
        self.cancel(job_id)
        self._ended.append(job_id)
        spark = self._spark
        if spark is not None:
            self._threads.do(lambda: spark.forget(job_id), _nothing)  # Java that does not answer is seen by others

    def counts(self) -> dict[str, dict[str, int]]:
        """How far Spark is with each that is attached, when it was last looked at."""
        return {job_id: self._counts.get(job_id, NOTHING) for job_id in self._attached}

    # -- looking --

    def look(self) -> None:
        """Look at jobs and memory, unless that was done just now; what is seen is there later."""
        if self._is_sampling or time.monotonic() - self._sampled_s < self._limits.sample_s:
            return
        self._is_sampling = True
        spark = self._spark
        wanted = {job_id: self._progress.setdefault(job_id, Progress()) for job_id in self._attached}

        def sample() -> dict[str, dict[str, int]]:
            self.memory_bytes = tree_memory_bytes(self._pid)
            return {} if spark is None else {job_id: spark.progress(job_id, seen) for job_id, seen in wanted.items()}

        self._threads.do(sample, self._sampled)

    def _sampled(self, came: dict[str, dict[str, int]] | Exception) -> None:
        self._is_sampling = False
        self._sampled_s = time.monotonic()
        if isinstance(came, Exception):  # Java is busy: what was seen before stands
            return
        self._counts.update((job_id, count) for job_id, count in came.items() if job_id in self._attached)

    # -- cancelling --

    def cancel(self, job_id: str) -> None:
        """Cancel what Spark does for a job, until nothing of it is seen any more."""
        spark, until_s = self._spark, time.monotonic() + _CANCEL_S
        if spark is None:
            return
        known = self._cancelling.get(job_id)
        if known is not None:  # asked for again: what was quiet before may have been too soon
            known.until_s, known.round_count, known.quiet_count = until_s, 0, 0
            return
        self._cancelling[job_id] = _Cancelling(until_s)
        self._cancel(spark, job_id)

    def _cancel(self, spark: Spark, job_id: str) -> None:
        """One round; the next is begun when Java has answered, and some time has gone."""
        known = self._cancelling[job_id]
        asked_s = known.until_s

        def again(came: bool | Exception) -> None:
            quiet = came is False and asked_s == known.until_s  # else it was asked for again meanwhile
            known.quiet_count = known.quiet_count + 1 if quiet else 0
            if known.quiet_count < _QUIET_COUNT and time.monotonic() < known.until_s:
                delay_s = _AGAIN_S[min(known.round_count, len(_AGAIN_S) - 1)]
                known.round_count += 1
                self._timers.later(delay_s, lambda: self._cancel(spark, job_id))
                return
            del self._cancelling[job_id]
            if known.quiet_count < _QUIET_COUNT:
                say(f"Job {job_id} is cancelled, and Java still works for it, or does not say.")

        self._threads.do(lambda: spark.cancel(job_id), again)

    def look_after(self) -> None:
        """Cancel what threads begin that jobs have left behind."""
        spark = self._spark
        ended = [each for each in self._ended if each not in self._attached and each not in self._cancelling]
        if spark is None or not ended or self._is_looking_after:
            return
        self._is_looking_after = True

        def found(came: list[str] | Exception) -> None:
            self._is_looking_after = False
            for job_id in [] if isinstance(came, Exception) else came:
                if job_id not in self._attached:
                    self.cancel(job_id)

        self._threads.do(lambda: spark.working(ended), found)


class _Cancelling:
    """A job whose work is being cancelled."""

    def __init__(self, until_s: float) -> None:
        self.until_s = until_s
        self.round_count = 0
        self.quiet_count = 0  # of the last rounds that have found nothing


def _nothing(came: object) -> None:
    del came
