"""The process of one Spark context, from its plan to its end.

The plan is a JSON file (``jobdeck_server.spark.launch`` writes it):

    {"java": [words],           the command line of the Java process
     "archive": path or null,   a class-data archive for it
     "env": {name: text},       what its environment has beside ours
     "py4j": path,              of py4j's zip
     "version": "3.5.9",        of Spark
     "scratch": path,           a folder of ours: Java's working folder, for all that it leaves behind
     "defaults": {key: text},   configuration for what nobody else says
     "limits": {name: number}}  see ``limits``; may be missing

It starts Java and listens on ``FOLDER/control.sock`` at once; see ``requests`` for what can be asked there. States:

    starting -> ready -> making -> up -> stopping

One loop owns all state. What may block, which is everything that is asked of Java, runs in threads: the loop, and so
each answer, never waits for Java. The process ends

    with 0   it was asked to, by ``stop`` or SIGTERM
    with 1   Java has ended, the SparkContext was stopped by somebody else, could not be made, or took too long
    with 70  there is no plan that can be read

and for each end but the first one line on standard error says why. Lifelines are cut first, so that jobs know what
their errors come from.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
from contextlib import suppress

from .jobs import Jobs
from .jvm import Jvm, how_ended
from .limits import Limits
from .requests import Requests
from .saying import say
from .spark import AskError, Facts, Spark, import_py4j
from .threads import Threads
from .timers import Timers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

__all__ = ["Process", "main"]

STARTING, READY, MAKING, UP, STOPPING = "starting", "ready", "making", "up", "stopping"
_NO_PLAN = 70
_FAILED = 1
_LOOK_S = 0.02  # for the gateway's file
_HEAR_S = 0.5
_NO_WORD_OF_IT = ("-Xlog:cds=off", "-Xlog:cds+dynamic=off", "-Xlog:class+path=off")  # if it does not fit
_CRASHES = {-number for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL)}


def main(folder: str) -> int:
    """Be the process of a folder.

    Returns:
        The exit code.
    """
    folder = os.path.abspath(folder)
    try:
        with open(os.path.join(folder, "plan.json"), "rb") as file:
            plan = json.load(file)
        process = Process(folder, plan)
    except Exception as error:  # noqa: BLE001  # there is no one else to tell it
        say(f"The process of a Spark context cannot start: {error!r}")
        return _NO_PLAN
    try:
        code = process.run()
    except Exception as error:  # noqa: BLE001  # a fault of ours: Java ends with us
        say(f"The process of a Spark context has failed: {error!r}")
        code = _FAILED
    os._exit(code)  # threads that wait for Java must not keep us


class Process:
    """It.

    Attributes:
        state: One of the five.
        note: What it does just now, for people, or None.
        context: The id of the context that it was given, or None.
        facts: Of the SparkContext, once it is up.
        version: Spark's.
        spark_home: Where Spark is, for the jobs' own interpreters.
        gateway: Port and secret, once Java has told them.
        jobs: The attached ones.
    """

    def __init__(self, folder: str, plan: Mapping[str, Any]) -> None:
        self.state = STARTING
        self.note: str | None = "Java is starting"
        self.context: str | None = None
        self.facts: Facts | None = None
        self.version: str = plan["version"]
        self.spark_home: str = plan["env"]["SPARK_HOME"]
        self.gateway: tuple[int, str] | None = None
        self._plan = plan
        self._limits = Limits.of(plan.get("limits", {}))
        self._selector = selectors.DefaultSelector()
        self._timers = Timers()
        self._threads = Threads()
        self._asked_to_end = False
        self._wanted: Mapping[str, Any] | None = None  # what is to be made
        self._spark: Spark | None = None
        self._code: int | None = None
        os.makedirs(plan["scratch"], mode=0o700, exist_ok=True)
        os.chmod(folder, 0o700)
        import_py4j(plan["py4j"])
        self._listen(folder)
        self._archive: str | None = plan.get("archive")
        self._jvm = self._start_java()
        self.jobs = Jobs(self._threads, self._timers, self._limits, os.getpid())

    def _listen(self, folder: str) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        signal.set_wakeup_fd(self._threads.ring, warn_on_full_buffer=False)
        self._selector.register(self._threads.bell, selectors.EVENT_READ, self._threads.take)
        self._requests = Requests(self, folder, self._selector, self._limits)

    def run(self) -> int:
        """Live.

        Returns:
            The exit code.
        """
        self._timers.later(0.0, self._look_for_gateway)
        self._timers.later(self._limits.start_s, self._too_late)
        while self._code is None:
            ready = self._selector.select(self._timers.patience_s())
            if self._asked_to_end:  # before anything that the same signal has done to Java is seen
                self._asked_to_end = False
                self.stop()
            for key, _ in ready:
                now = self._selector.get_map().get(key.fd)
                if now is not None and now.fileobj is key.fileobj:  # else one before it has closed it
                    now.data()
            self._timers.run()
        return self._code

    def _on_signal(self, number: int, frame: object) -> None:
        del number, frame
        self._asked_to_end = True

    # -- starting --

    def _start_java(self) -> Jvm:
        plan = self._plan
        java, *words = plan["java"]
        with_archive = [] if self._archive is None else [f"-XX:SharedArchiveFile={self._archive}", *_NO_WORD_OF_IT]
        jvm = Jvm([java, *with_archive, *words], {**os.environ, **plan["env"]}, plan["scratch"])
        self._selector.register(jvm.pidfd, selectors.EVENT_READ, self._java_has_ended)
        return jvm

    def _without_archive(self, why: str) -> None:
        """Java has died over its start, by its own fault: put the archive away, and try without."""
        assert self._archive is not None
        say(f"Java has died with its class-data archive ({why}), and is started without.")
        with suppress(OSError):
            os.unlink(self._archive)
            with open(f"{os.path.splitext(self._archive)[0]}.failed", "w") as file:
                file.write(f"Java has died with it: {why}\n")
        self._archive = None
        self._jvm.close()
        try:
            self._jvm = self._start_java()
        except OSError as error:
            self.die(f"Java cannot be started: {error}")

    def _look_for_gateway(self) -> None:
        if self.state != STARTING:
            return
        try:
            self.gateway = self._jvm.gateway()
            if self.gateway is None:
                self._timers.later(_LOOK_S, self._look_for_gateway)
                return
            port, secret = self.gateway
            limits = self._limits
            self._spark = Spark(port, secret, call_s=limits.call_s, make_s=limits.make_s, master_s=limits.master_s)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the end
            self.die(f"Java's gateway cannot be used: {error}")
            return
        self.state, self.note = READY, None
        if self._wanted is not None:
            self._make()

    def _too_late(self) -> None:
        if self.state == STARTING:
            self.die(f"Java was not up after {self._limits.start_s:g} s.")

    # -- the context --

    def make(self, wanted: Mapping[str, Any]) -> None:
        """Make the SparkContext, as soon as Java is up; ``Requests.made`` or ``lost`` tells of it.

        Args:
            wanted: The request ``make``, whose fields have been checked.
        """
        self.context, self._wanted = wanted["context"], wanted
        if self.state == READY:
            self._make()

    def _make(self) -> None:
        assert self._spark is not None
        assert self._wanted is not None
        spark, wanted = self._spark, self._wanted
        conf: dict[str, str] = wanted["conf"]
        jars: Sequence[str] = wanted["jars"]
        defaults: Mapping[str, str] = self._plan["defaults"]
        self.state = MAKING
        self.note = f"The SparkContext is being made on {conf.get('spark.master', 'its default master')}"
        self._threads.do(lambda: spark.make(wanted["name"], conf, defaults, jars), self._made)

    def _made(self, came: Facts | Exception) -> None:
        if self.state != MAKING:
            return
        if isinstance(came, Exception):
            why = f"The SparkContext could not be made: {came}"
            if isinstance(came, AskError) and came.stack:
                say(came.stack.rstrip())
                self.die(why)
            else:  # perhaps since Java has died, of which we hear a moment later
                self._timers.later(_HEAR_S, lambda: self.die(why))
            return
        assert self._spark is not None
        self.facts = came
        self.state, self.note = UP, None
        self.jobs.has_spark(self._spark)
        self._requests.made()
        self._watch()

    def _watch(self) -> None:
        """Look from time to time whether the SparkContext still runs, and whom it runs for."""
        self.jobs.look_after()
        self.check(then=lambda: self._timers.later(self._limits.watch_s, self._watch))

    def check(self, then: Callable[[], None] = lambda: None) -> None:
        """Look whether the SparkContext still runs: a job or its cluster may have stopped it."""
        if self.state != UP or self._spark is None:
            return

        def seen(came: bool | Exception) -> None:
            if came is True and self.state == UP:
                self.die("The SparkContext was stopped, by a job or since its cluster let go of it.")
            else:  # Java that does not say is busy
                then()

        self._threads.do(self._spark.is_stopped, seen)

    # -- the end --

    def stop(self) -> None:
        """End as it was asked for: stop the SparkContext, then Java."""
        if self.state == STOPPING:
            return
        was_up = self.state == UP
        self._ends("It is stopped.")
        if not was_up or self._spark is None:
            self._end_java(0)
            return
        self.note = "The SparkContext is stopping"
        ended = False

        def then(came: object) -> None:
            nonlocal ended
            if not ended:
                ended = True
                if isinstance(came, Exception):
                    say(f"The SparkContext did not stop: {came}")
                self._end_java(0)

        self._timers.later(self._limits.stop_s, lambda: then(AskError(f"it took more than {self._limits.stop_s:g} s")))
        self._threads.do(self._spark.stop, then)

    def die(self, why: str) -> None:
        """End since something is wrong."""
        if self.state == STOPPING:
            return
        say(why)
        self._ends(why)
        self._end_java(_FAILED)

    def _ends(self, why: str) -> None:
        self.state, self.note = STOPPING, why
        self._requests.lost(why)

    def _end_java(self, code: int) -> None:
        def ended(came: object) -> None:
            del came
            self._requests.close()
            self._code = code

        self._threads.do(lambda: self._jvm.end(self._limits.exit_s), ended)

    def _java_has_ended(self) -> None:
        self._selector.unregister(self._jvm.pidfd)
        if self.state != STOPPING:
            code = self._jvm.poll()
            if self.state == STARTING and self._archive is not None and code in _CRASHES:
                self._without_archive(how_ended(code))
                return
            self.die(f"Java has ended: {'nobody knows how' if code is None else how_ended(code)}.")
