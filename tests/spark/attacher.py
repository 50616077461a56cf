"""Stands in for a job's interpreter: attaches to the process of a context, says so, and does one thing.

python attacher.py SPARK_HOME FOLDER JOB count|sleep|loop|stop|fork
"""

from __future__ import annotations

import glob
import json
import os
import socket
import sys
import time
from typing import Any


def main(spark_home: str, folder: str, job_id: str, what: str) -> None:
    lifeline = socket.socket(socket.AF_UNIX)
    place = os.open(folder, os.O_PATH)
    lifeline.connect(f"/proc/self/fd/{place}/control.sock")
    lifeline.sendall(json.dumps({"op": "attach", "job": job_id}).encode() + b"\n")
    answer = json.loads(lifeline.makefile("rb").readline())
    assert answer["ok"], answer
    if what == "fork":
        fork()
    os.environ.update(PYSPARK_GATEWAY_PORT=str(answer["port"]), PYSPARK_GATEWAY_SECRET=answer["secret"])
    os.environ.update(PYSPARK_PYTHON=sys.executable, SPARK_HOME=spark_home)
    sys.path[0:0] = [f"{spark_home}/python/lib/pyspark.zip", *glob.glob(f"{spark_home}/python/lib/py4j-*")]
    context = attached(job_id)
    say("attached")
    globals()[what](context)
    os._exit(0)  # the context is not ours to stop


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def fork() -> None:
    """End, but leave the connection to a child that lives on for a while."""
    if os.fork() == 0:
        time.sleep(20)
    else:
        say("attached")
    os._exit(0)


def attached(job_id: str) -> Any:
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway

    gateway = launch_gateway()
    there = gateway.jvm.org.apache.spark.SparkContext.getOrCreate()
    java = gateway.jvm.org.apache.spark.api.java.JavaSparkContext.fromSparkContext(there)
    context = SparkContext(gateway=gateway, jsc=java, conf=SparkConf(_jconf=there.getConf()))
    gateway.jvm.java.lang.Thread.currentThread().setName(f"job-{job_id}")
    context.setJobGroup(job_id, job_id, True)
    return context


def count(context: Any) -> None:
    say(str(context.parallelize(["a", "b"], 1).count()))


def sleep(context: Any) -> None:
    """An action that takes a minute."""

    def slow(item: int) -> int:
        time.sleep(60)
        return item

    context.parallelize([1, 2], 2).map(slow).count()


def loop(context: Any) -> None:
    """A thread of Java that goes on for a minute, and no action at all."""
    context._jvm.java.lang.Thread.sleep(60_000)


def stop(context: Any) -> None:
    context.stop()
    say("stopped")


if __name__ == "__main__":
    main(*sys.argv[1:])
