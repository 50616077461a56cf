"""The Python jobs of the tests of Spark: a wheel with them. What they do can be counted in files afterwards."""

from __future__ import annotations

from pathlib import Path

from tests.server.packages.kit import wheel

_SOURCE = r"""
import os
import time

from sparkjobserver.api import build_problems


def shout(word):  # runs on executors, out of this package
    return word.upper()


def note(path, text):
    with open(path, "a") as file:
        file.write(f"{text}\n")


def hold(path, flag):
    # A task: it has begun, and goes on until there is a file
    note(path, os.getpid())
    while not os.path.exists(flag):
        time.sleep(0.05)
    return 1


class Job:
    def validate(self, context, runtime, config):
        return config

    def run_job(self, context, runtime, data):
        if data.get("ledger", None):
            note(data.get("ledger") + ".runs", os.getpid())
        return self.compute(getattr(context, "sparkContext", context), data)


class Words(Job):
    def compute(self, sc, data):
        words = sc.parallelize(data.get("input.string").split(), 2)
        counts = words.map(lambda word: (shout(word), 1)).reduceByKey(lambda a, b: a + b)
        return dict(counts.collect())


class Asks(Words):
    def validate(self, context, runtime, config):
        return config if config.get("input.string", None) else build_problems(["No input.string config param"])


class Says(Job):
    '''What its context is.'''
    def compute(self, sc, data):
        return {
            "conf": dict(sc.getConf().getAll()),
            "user": sc.sparkUser(),
            "application": sc.applicationId,
            "master": sc.master,
            "parallelism": sc.defaultParallelism,
            "hadoop": sc._jsc.hadoopConfiguration().get(data.get("hadoop", "none")),
            "heap": sc._jvm.java.lang.Runtime.getRuntime().maxMemory(),
        }


class Holds(Job):
    '''An action whose tasks go on until there is a file.'''
    def compute(self, sc, data):
        count, ledger, flag = int(data.get("tasks", 1)), data.get("ledger"), data.get("flag")
        held = sc.parallelize(range(count), count).map(lambda _: hold(ledger + ".tasks", flag)).sum()
        note(ledger + ".ended", held)
        return held


class Sums(Job):
    '''An action of some duration.'''
    def compute(self, sc, data):
        ledger, pause_s = data.get("ledger"), float(data.get("pause_s"))

        def one(number):
            time.sleep(pause_s)
            note(ledger + ".tasks", number)
            return number

        total = sc.parallelize(range(4), 2).map(one).sum()
        note(ledger + ".ended", total)
        return {"tag": data.get("tag"), "total": total}


class Idles(Job):
    '''Nothing of Spark's.'''
    def compute(self, sc, data):
        while not os.path.exists(data.get("flag")):
            time.sleep(0.02)
        return "idled"


class Fails(Job):
    def compute(self, sc, data):
        raise ValueError("not this one")


class Halts(Job):
    def compute(self, sc, data):
        sc._jvm.java.lang.System.exit(3)


class Stops(Job):
    def compute(self, sc, data):
        sc._jsc.sc().stop()
        time.sleep(60)
"""


def package(folder: Path) -> bytes:
    """The wheel; its classes are those of the module ``sparkjobs.jobs``."""
    files = {"sparkjobs/__init__.py": "", "sparkjobs/jobs.py": _SOURCE}
    return wheel(folder / "sparkjobs-1.0-py3-none-any.whl", files).read_bytes()
