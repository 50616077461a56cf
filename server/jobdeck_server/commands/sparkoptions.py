"""The options of contexts on Spark: where Spark and Java are, where contexts compute, what is kept ready."""

from __future__ import annotations

from jobdeck_server.commands.option import Option
from jobdeck_server.commands.values import a_list, a_word, amount, count, not_a_flag, text

__all__ = ["SPARK_OPTIONS"]

SPARK_OPTIONS: tuple[Option, ...] = (
    Option(
        name="spark_home",
        field="spark_home",
        parse=text,
        metavar="DIR",
        help="Where Spark 3.5 is, with jars/ and python/ in it. Default: the pyspark that is installed beside jobdeck "
        "(jobdeck[spark]).",
    ),
    Option(
        name="spark_java",
        field="spark_java",
        parse=text,
        metavar="DIR",
        help="The Java 17 of Spark's processes. Default: JAVA_HOME, then java in PATH, then what is in /usr/lib/jvm.",
    ),
    Option(
        name="spark_master",
        field="spark_master",
        parse=text,
        metavar="URL",
        help="Where contexts compute that do not say so (spark.master): local[4], spark://HOST:7077, ... With it all "
        "contexts are Spark's. Default: those alone that ask for Spark, on this machine.",
    ),
    Option(
        name="spark_ready",
        field="spark_ready_count",
        parse=count(0, 100),
        metavar="N",
        help="Processes with a JVM that wait for a context, so that it is up sooner. Default 0.",
    ),
    Option(
        name="spark_adhoc",
        field="spark_adhoc_limit_count",
        parse=count(1, 1000),
        metavar="N",
        help="Contexts on Spark of one job alone that are there at once, each with a JVM; the jobs of others wait. "
        "Default 8.",
    ),
    Option(
        name="spark_driver_memory",
        field="spark_driver_memory_bytes",
        parse=amount,
        metavar="SIZE",
        help="Heap of a context's JVM, unless the context says so itself (launcher.spark.driver.memory). Default 1GiB.",
    ),
    Option(
        name="spark_api_jars",
        field="spark_api_jars",
        parse=a_list(text),
        metavar="FILE",
        many=True,
        help="A jar that jobs out of jars are built for and do not bring: job-server-api, scalactic, typesafe config. "
        "Default: none.",
    ),
    Option(
        name="no_spark_archive",
        field="spark_archive",
        parse=not_a_flag,
        metavar=None,
        help="Keep no class-data archive, by which a JVM starts in a fraction of the time (120 MB in the data "
        "directory for each Spark and Java).",
    ),
    Option(
        name="context_restart",
        field="context_restart",
        parse=a_word("never", "always"),
        metavar="never|always",
        help="always: a context whose process has died is made anew, and the jobs that waited for it go on waiting; "
        "three times in ten minutes. never: it has ended (default). A context may say so itself (context-restart).",
    ),
)
