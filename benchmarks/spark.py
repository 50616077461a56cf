"""Contexts on Spark: CPU and time from nothing to a SparkContext that is up, ours beside pyspark's own start.

pyspark's own is ``SparkContext(conf)`` in a fresh interpreter, as any program with pyspark starts: its scripts, the
Java that works out a command line, and the Java of that command line. Ours is the process of a context, from its
start to its answer that the context is up: without a class-data archive, with one, and one that was ready and waited.
All have the same configuration, heap and Java. CPU time is that of all processes below the one that was started, those
that have ended too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from itertools import count
from pathlib import Path

import trio

from benchmarks.measure import Figure, Plan, Sample, Side, Table, children_cpu_s, cpu_ns, run_rounds
from jobdeck_keeper import procs
from jobdeck_server.spark.archive import Archives
from jobdeck_server.spark.install import Install
from jobdeck_server.spark.launch import Launch
from tests.spark.places import SPARK_HOME, missing
from tests.spark.processes import installed, process

_TITLE = "A SparkContext in local mode, from nothing until it is up"
_FIGURES = (Figure("cpu", "s of all processes"), Figure("wall", "s"))
_STOCK = "pyspark's own start"
_LAUNCH = Launch()
_CONF = {
    "spark.master": "local[2]",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
_STOCK_PROGRAM = """
import sys
from pyspark import SparkConf, SparkContext
context = SparkContext(conf=SparkConf().setAppName("benchmark").setAll(eval(sys.argv[1]).items()))
print("up", flush=True)
sys.stdin.read()
"""


def run(plan: Plan) -> list[Table]:
    """Each side once a round."""
    lacks = missing()
    if lacks is not None:
        return [Table(title=_TITLE, figures=_FIGURES, samples={}, notes=(f"Left out: there is no {lacks}.",))]
    install = installed()
    numbers = count()

    def folder() -> Path:
        return plan.folder / f"p{next(numbers)}"

    makes = plan.pick(full=True, quick=True, tiny=False)
    archive = trio.run(_archive, plan.folder / "spark", install) if makes else None
    sides: dict[str, Side] = {
        _STOCK: partial(_stock, plan.folder, install),
        "ours, without archive": lambda: _ours(folder(), install, None),
        "ours, ready and waiting": lambda: _ready(folder(), install, archive),
    }
    if archive is not None:
        sides["ours, with archive"] = lambda: _ours(folder(), install, archive)
    samples = run_rounds(sides, plan)
    notes = ("Goal: with the archive at most half of the CPU time of pyspark's own start.",)
    return [Table(title=_TITLE, figures=_FIGURES, samples=samples, bases=(_STOCK,), notes=notes)]


def _stock(folder: Path, install: Install) -> Sample:
    """In an interpreter that knows pyspark already as bytecode."""
    environment = {
        "PATH": f"{install.java.path.parent}:{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": str(SPARK_HOME.parent),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "TMPDIR": str(folder),
    }
    start_s = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", _STOCK_PROGRAM, repr(_CONF)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as started:
        assert started.stdin is not None
        assert started.stdout is not None
        assert started.stdout.readline() == b"up\n"
        sample = {"cpu": _tree_cpu_s(started.pid), "wall": time.perf_counter() - start_s}
        started.stdin.close()
    return sample


def _ours(folder: Path, install: Install, archive: Path | None) -> Sample:
    start_s = time.perf_counter()
    with process(folder, install, launch=_LAUNCH, archive=archive) as running:
        answer = running.make(conf=_CONF)
        assert answer["ok"], answer
        return {"cpu": _tree_cpu_s(running.popen.pid), "wall": time.perf_counter() - start_s}


def _ready(folder: Path, install: Install, archive: Path | None) -> Sample:
    with process(folder, install, launch=_LAUNCH, archive=archive) as running:
        running.until_ready()
        before_s, start_s = _tree_cpu_s(running.popen.pid), time.perf_counter()
        answer = running.make(conf=_CONF)
        assert answer["ok"], answer
        return {"cpu": _tree_cpu_s(running.popen.pid) - before_s, "wall": time.perf_counter() - start_s}


async def _archive(folder: Path, install: Install) -> Path:
    """Have one made, as a server does."""
    path = await Archives(folder, wanted=True).make(install, _LAUNCH)
    assert path is not None
    return path


def _tree_cpu_s(root: int) -> float:
    """Of a process, of all that live below it, and of those that they have waited for."""
    return sum(cpu_ns(pid) / 1e9 + children_cpu_s(pid) for pid in (root, *procs.descendants(root)))
