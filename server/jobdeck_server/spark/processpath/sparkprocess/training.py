"""Making a class-data archive: Java remembers the classes that it has loaded, and later ones need not do so again.

The plan is ``FOLDER/plan.json``:

    {"java": [words],      the command line of Java with ``-XX:ArchiveClassesAtExit=FOLDER/new.jsa``
     "check": [words],     one that ends with 0 if Java takes the archive
     "env": {name: text},  what its environment has beside ours
     "conf": {key: text},  of the context
     "paths": [paths],     of pyspark's and py4j's zips
     "scratch": path,      a folder of ours
     "limit_s": seconds}   for all of it

What is loaded is what contexts and Python jobs need: a context in local mode, a job with Python workers, a query. All
of it runs at the lowest priority. One at a time: whoever holds ``FOLDER/lock``. It ends, and Java with it, when its
standard input does, since whoever wants the archive is gone then.

    0   there is a new.jsa
    1   there is none; standard error says why
    75  another one is at work
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

from .jvm import Jvm, how_ended

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["main"]

_BUSY = 75
_LOOK_S = 0.05
_DUMP_S = 300.0  # for Java to write the archive at its end: some 5 s, and it gives way to everybody else


def main(folder: str) -> int:
    """Make the archive of a folder's plan.

    Returns:
        The exit code.
    """
    folder = os.path.abspath(folder)
    lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _BUSY
    os.nice(19)
    try:
        with open(os.path.join(folder, "plan.json"), "rb") as file:
            _train(json.load(file))
    except Exception as error:  # noqa: BLE001  # there is no archive then, whatever it was
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        os._exit(1)
    return 0


def _train(plan: Mapping[str, Any]) -> None:
    os.makedirs(plan["scratch"], mode=0o700, exist_ok=True)
    java = Jvm(plan["java"], {**os.environ, **plan["env"]}, plan["scratch"])
    signal.signal(signal.SIGTERM, lambda number, frame: _give_up(java))
    threading.Thread(target=_end_with_input, args=(java, plan["limit_s"]), daemon=True).start()
    try:
        _load(java, plan)
    except BaseException:
        java.kill()
        raise
    java.end(_DUMP_S)
    code = java.poll()
    if code:
        raise RuntimeError(f"Java has ended while it wrote the archive: {how_ended(code)}.")
    checked = subprocess.run(plan["check"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if checked.returncode != 0:
        said = (checked.stdout + checked.stderr).decode(errors="replace")[-500:].strip()
        raise RuntimeError(f"Java does not take its own archive: {said}")


def _end_with_input(java: Jvm, limit_s: float) -> None:
    """Wait until nobody wants the archive any more, or it has taken too long."""
    timer = threading.Timer(limit_s, java.kill)
    timer.daemon = True
    timer.start()
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    _give_up(java)


def _give_up(java: Jvm) -> None:
    java.kill()
    os._exit(1)


def _load(java: Jvm, plan: Mapping[str, Any]) -> None:
    """Have Java load what contexts and jobs need."""
    while (gateway := java.gateway()) is None:
        if java.poll() is not None:
            raise RuntimeError("Java has not come up.")
        time.sleep(_LOOK_S)
    os.environ.update(PYSPARK_GATEWAY_PORT=str(gateway[0]), PYSPARK_GATEWAY_SECRET=gateway[1])
    os.environ.update(PYSPARK_PYTHON=sys.executable, SPARK_HOME=plan["env"]["SPARK_HOME"])
    sys.path[0:0] = plan["paths"]
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    through = launch_gateway()
    conf = SparkConf(_jvm=through.jvm)
    for key, value in plan["conf"].items():
        conf.set(key, value)
    context = SparkContext(conf=conf, gateway=through)
    words = context.parallelize(["a", "b", "a"], 2).map(lambda word: (word, 1))
    assert dict(words.reduceByKey(lambda one, other: one + other).collect()) == {"a": 2, "b": 1}
    session = SparkSession(context)
    rows = session.createDataFrame([(1, "a"), (2, "b"), (3, "a")], ["number", "word"])
    assert rows.groupBy("word").count().count() == 2
    context.statusTracker().getJobIdsForGroup("none")
    context.cancelJobGroup("none")
    context.stop()
