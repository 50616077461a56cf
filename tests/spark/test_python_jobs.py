"""Python jobs in one context on Spark, many at once: what they get, what the executors get, and how they end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobdeck_server.packages import outcome
from tests.e2e import examplejobs
from tests.server.packages.kit import egg, wheel
from tests.spark import pyjobs
from tests.spark.pyjobs import Context, job, package, until

WORDS = """
    from sparkjobserver.api import SparkJob, build_problems
    from jobs.words import Word

    class Job(SparkJob):
        def validate(self, context, runtime, config):
            words = config.get('words', None)
            return words if words else build_problems(['no words'])

        def run_job(self, context, runtime, data):
            rdd = context.sparkContext.parallelize(data, 2)
            return dict(rdd.map(Word).map(lambda word: (word.small(), 1)).reduceByKey(int.__add__).collect())
"""
WORD = """
    class Word:
        def __init__(self, text):
            self.text = text

        def small(self):
            return self.text.lower()
"""
ACTION_S = 5.0  # it is some 0.1 s on a machine with nothing else to do
WORKERS_S = 20.0  # Spark looks every 2 s whether a worker of Python's is to be ended, and gives it 0.5 s more
# Tasks that write a line every 20 ms until they are ended.
HOLDING = """
ledger = data['ledger']
def hold(number):
    while True:
        with open(ledger, 'a') as file:
            file.write('.')
        time.sleep(0.02)
context.sparkContext.parallelize(range(2), 2).foreach(hold)
"""


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    with pyjobs.context(tmp_path_factory.mktemp("context") / "process") as up:
        yield up


@pytest.fixture(autouse=True)
def _cleared(context: Context) -> Iterator[None]:
    yield
    context.clear()


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def stops_growing(path: Path, limit_s: float) -> None:
    """Within this time nothing more is written."""
    end_s = time.monotonic() + limit_s
    seen, since_s = size(path), time.monotonic()
    while time.monotonic() - since_s < 0.5:
        if size(path) != seen:
            seen, since_s = size(path), time.monotonic()
        assert time.monotonic() < end_s
        time.sleep(0.01)


# -- what a job gets --


def test_counts_words_with_classes_out_of_a_wheel_and_out_of_an_egg(context: Context, tmp_path: Path) -> None:
    files = {"jobs/__init__.py": "", "jobs/job.py": WORDS, "jobs/words.py": WORD}
    for made in (wheel(tmp_path / "a.whl", dict(files)), egg(tmp_path / "a.egg", files)):
        assert context.value(tmp_path, "", wheel=made, config={"words": ["a", "B", "A"]}) == {"a": 2, "b": 1}
    refused = context.run(tmp_path, "", wheel=made)
    assert (refused.code, refused.outcome.kind, refused.outcome.problems) == (1, "validation", ("no words",))


def test_each_factory_has_its_own_context_and_pyspark_finds_it(context: Context, tmp_path: Path) -> None:
    body = """
    from pyspark import SparkContext
    from pyspark.sql import SparkSession
    found = SparkSession.builder.getOrCreate()
    sc = SparkContext.getOrCreate()
    assert EARLY is found
    return [type(context).__name__, context.name, found is context, sc is context, found.sparkContext is sc,
            sc.getLocalProperty('spark.jobGroup.id') == runtime.jobId, found is SparkSession.builder.getOrCreate()]
    """
    head = "from pyspark.sql import SparkSession\nEARLY = SparkSession.builder.getOrCreate()"
    made = package(tmp_path / "p", job(body, head=head))
    for factory, kind, is_session, is_context in (
        (None, "SparkSession", True, False),
        ("Session", "SparkSession", True, False),
        ("Spark", "SparkContext", False, True),
        ("SQL", "SQLContext", False, False),
    ):
        told = context.value(tmp_path, "", wheel=made, factory=factory)
        assert told == [kind, "here", is_session, is_context, True, True, True]


def test_sessions_are_the_jobs_own_and_tables_are_shared(context: Context, tmp_path: Path) -> None:
    first = """
    context.range(3).createOrReplaceTempView('mine')
    context.range(5).createOrReplaceGlobalTempView('ours')
    context.conf.set('spark.sql.shuffle.partitions', 7)
    return context.sql('select count(*) as n from mine').first()
    """
    assert context.value(tmp_path, job(first)) == {"n": 3}
    second = """
    ours = context.sql('select count(*) as n from global_temp.ours').collect()
    return [ours, context.conf.get('spark.sql.shuffle.partitions'), context.catalog.tableExists('mine')]
    """
    assert context.value(tmp_path, job(second)) == [[{"n": 5}], "200", False]


def test_functions_of_the_package_are_there_in_sql(context: Context, tmp_path: Path) -> None:
    body = """
    from pyspark.sql.functions import udf
    from jobs import tools
    context.udf.register('twice', tools.twice, 'int')
    rows = context.createDataFrame([(1, 'a'), (2, 'b')], ['n', 's'])
    rows.createOrReplaceTempView('rows')
    return {'sql': context.sql('select twice(n) as n from rows order by n').collect(),
            'row': rows.select(udf(tools.twice, 'string')('s').alias('s')).first()}
    """
    made = package(tmp_path / "p", job(body), jobs__tools="def twice(value):\n    return value * 2\n")
    assert context.value(tmp_path, "", wheel=made) == {"sql": [{"n": 2}, {"n": 4}], "row": {"s": "aa"}}


def test_a_way_to_values_is_no_result(context: Context, tmp_path: Path) -> None:
    for body in ("return context.range(3)", "return {'a': [context.sparkContext.parallelize([1])]}"):
        ran = context.run(tmp_path, job(body))
        assert (ran.code, ran.outcome.kind) == (4, "result_error")
        assert "collect()" in ran.message


def test_the_examples_of_plain_contexts_run_unchanged(context: Context, tmp_path: Path) -> None:
    made, _ = examplejobs.build(tmp_path / "project")

    def value(name: str, **config: object) -> object:
        return context.value(tmp_path, "", wheel=made, main=f"example_jobs.{name}", config=config)

    assert value("word_count.WordCount", input={"strings": ["a", "b", "a"]}) == {"a": 2, "b": 1}
    assert value("kinds.Plain") == [2, 4, 6]
    assert value("kinds.Huge", count=50_000) == list(range(50_000))
    assert value("kinds.Streaming", count=3) == [0, 1, 2]
    assert context.run(tmp_path, "", wheel=made, main="example_jobs.kinds.Binary").out == examplejobs.BINARY_OUTPUT
    for main, kind in (
        ("kinds.Failing", "run_raised"),
        ("kinds.FailingToValidate", "validate_raised"),
        ("word_count.WordCount", "validation"),
        ("kinds.Gone", "class_missing"),
    ):
        assert context.run(tmp_path, "", wheel=made, main=f"example_jobs.{main}").outcome.kind == kind


def test_a_virtual_environment_without_pyspark_will_do(context: Context, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True, timeout=60)
    body = """
    import sys
    executables = context.sparkContext.parallelize([1], 1).map(lambda _: sys.executable).collect()
    return [sys.prefix != sys.base_prefix, executables == [sys.executable]]
    """
    assert context.value(tmp_path, job(body), python=str(tmp_path / "venv/bin/python")) == [True, True]


# -- what the executors get --


def test_a_replaced_package_runs_its_new_code_everywhere(context: Context, tmp_path: Path) -> None:
    body = """
    from jobs import version
    sc = context.sparkContext
    def there(_):
        from jobs import version
        return version.NUMBER
    return [version.NUMBER, *sorted(set(sc.parallelize(range(4), 2).map(there).collect()))]
    """
    packages = [package(tmp_path / str(n), job(body), jobs__version=f"NUMBER = {n}\n") for n in range(2)]
    for number in (0, 1, 0, 1):
        assert context.value(tmp_path, "", wheel=packages[number]) == [number, number]


def test_packages_that_are_folders_and_wheels_they_depend_on_reach_the_executors(
    context: Context, tmp_path: Path
) -> None:
    folder = tmp_path / "unpacked with blanks"
    body = """
    def there(_):
        import helper, jobs.data
        return [helper.WORD, open(jobs.data.PATH).read()]
    return context.sparkContext.parallelize([1], 1).map(there).collect()
    """
    (folder / "jobs").mkdir(parents=True)
    (folder / "jobs/__init__.py").touch()
    (folder / "jobs/job.py").write_text(job(body))
    (folder / "jobs/data.py").write_text("import os\nPATH = os.path.join(os.path.dirname(__file__), 'data.txt')\n")
    (folder / "jobs/data.txt").write_text("data")
    depends = wheel(tmp_path / "helper-1.0-py3-none-any.whl", {"helper.py": "WORD = 'help'\n"}, name="helper")
    assert context.value(tmp_path, "", wheel=folder, wheels=[depends]) == [["help", "data"]]


# -- others in the same context --


def test_ten_jobs_at_once_have_their_own_results(context: Context, tmp_path: Path) -> None:
    body = "return context.sparkContext.parallelize(range(data['n']), 2).map(lambda n: n * 2).sum()"
    made = package(tmp_path / "p", job(body))
    jobs = [context.start(tmp_path, "", wheel=made, config={"n": n}) for n in range(10)]
    rans = [each.ended() for each in jobs]
    assert [ran.value for ran in rans] == [n * (n - 1) for n in range(10)], rans


def test_what_a_job_stops_is_its_own_view(context: Context, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    other = context.start(tmp_path, job(HOLDING), config={"ledger": str(ledger)})
    until(lambda: size(ledger))
    body = """
    from pyspark import SparkContext
    from pyspark.sql import SparkSession
    sc = context.sparkContext
    sc.cancelAllJobs()
    context.stop()
    sc.stop()
    again = SparkContext('local[7]', 'mine')
    assert again.getLocalProperty('spark.jobGroup.id') == runtime.jobId
    total = again.parallelize(range(4), 2).sum()
    session = SparkSession.builder.appName('x').getOrCreate()
    assert session.sparkContext is again
    rows = session.range(3).count()
    session.stop()
    return [total, rows, again.master]
    """
    assert context.value(tmp_path, job(body)) == [6, 3, pyjobs.MASTER]
    before = size(ledger)
    until(lambda: size(ledger) > before)
    other.kill()
    stops_growing(ledger, WORKERS_S)


def test_interrupts_are_not_for_pyspark_to_take(context: Context, tmp_path: Path) -> None:
    body = "import signal; return signal.getsignal(signal.SIGINT) in (signal.default_int_handler, signal.SIG_IGN)"
    assert context.value(tmp_path, job(body)) is True  # what is started in the background is told to ignore them


def test_java_forgets_what_it_held_for_jobs_however_they_have_ended(context: Context, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    body = """
    kept = context.sparkContext.parallelize(range(9), 2).cache()
    kept.count()
    rows = context.readStream.format('rate').load().writeStream.format('noop')
    rows.option('checkpointLocation', data['flag'] + '.checkpoint').start()
    open(data['flag'], 'w')
    while data['waits']: time.sleep(1)
    return context.sparkContext._temp_dir
    """
    made = package(tmp_path / "p", job(body))
    folder = context.value(tmp_path, "", wheel=made, config={"flag": str(flag), "waits": False})
    assert not os.path.exists(folder)
    flag.unlink()
    started = context.start(tmp_path, "", wheel=made, config={"flag": str(flag), "waits": True})
    until(flag.exists)
    started.kill()
    looking = """
    jvm, java = context._jvm, context.sparkContext._jsc.sc()
    until = time.monotonic() + 30
    def left():
        jvm.java.lang.System.gc()
        names = str(jvm.java.lang.Thread.getAllStackTraces().keySet())
        return [java.getPersistentRDDs().size(), names.count('stream execution thread')]
    while any(left()) and time.monotonic() < until: time.sleep(0.1)
    return left()
    """
    assert context.value(tmp_path, job(looking)) == [0, 0]


# -- threads, groups, and how jobs end --


def test_what_threads_of_a_job_start_belongs_to_it(context: Context, tmp_path: Path) -> None:
    body = """
    sc, found = context.sparkContext, []
    def ask():
        thread = sc._jvm.java.lang.Thread.currentThread()
        total = sc.parallelize([1, 2], 2).sum()
        is_active = context.getActiveSession() is not None
        found.append([sc.getLocalProperty('spark.jobGroup.id'), thread.getName(), total, is_active])
    for _ in range(12):
        threads = [threading.Thread(target=ask) for _ in range(2)]
        [each.start() for each in threads]
        [each.join() for each in threads]
    wanted = [runtime.jobId, 'job-' + runtime.jobId, 3, True]
    ids = sc.statusTracker().getJobIdsForGroup(runtime.jobId)
    return [found == [wanted] * 24, len(ids), len(sc._gateway._gateway_client.deque) < 8]
    """
    assert context.value(tmp_path, job(body)) == [True, 24, True]


@pytest.mark.parametrize("group", [None, "mine"])
def test_kill_9_of_a_job_in_the_midst_of_an_action_ends_the_action(
    context: Context, tmp_path: Path, group: str | None
) -> None:
    ledger = tmp_path / "ledger"
    watching = """
    tracker = context.sparkContext.statusTracker()
    while not tracker.getActiveJobsIds(): time.sleep(0.01)
    runtime.progress(0.5)
    while tracker.getActiveJobsIds(): time.sleep(0.01)
    return time.time()
    """
    watcher = context.start(tmp_path, job(watching))
    body = HOLDING if group is None else f"context.sparkContext.setJobGroup({group!r}, 'x')\n{HOLDING}"
    started = context.start(tmp_path, job(body), config={"ledger": str(ledger)})
    until(lambda: size(ledger) and outcome.read_progress(watcher.folder))
    killed_s = time.time()
    started.kill()
    assert watcher.ended().value - killed_s < ACTION_S
    stops_growing(ledger, WORKERS_S)
    assert context.value(tmp_path, job("return context.range(3).count()")) == 3


def test_a_job_that_only_loops_is_killed_and_the_context_goes_on(context: Context, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    started = context.start(tmp_path, job("open(data['flag'], 'w')\nwhile True: pass"), config={"flag": str(flag)})
    until(flag.exists)
    started.kill()
    assert context.value(tmp_path, job("return context.range(4).count()")) == 4


def test_what_java_keeps_for_a_job_does_not_lie_where_others_take_all_for_texts(
    context: Context, tmp_path: Path
) -> None:
    body = """
    properties = context._jvm.java.lang.System.getProperties()
    return [properties.size(), properties.stringPropertyNames().size()]
    """
    ran = context.run(tmp_path, job(body))
    assert ran.value[0] == ran.value[1] > 0, ran.err


def test_an_error_of_an_executor_is_told_with_its_traceback(context: Context, tmp_path: Path) -> None:
    body = """
    def fails(value):
        raise ValueError('far away')
    context.sparkContext.parallelize([1], 1).map(fails).collect()
    """
    ran = context.run(tmp_path, job(body))
    assert (ran.code, ran.outcome.kind) == (4, "run_raised")
    assert "ValueError: far away" in ran.message
    assert ran.outcome.error is not None
    assert ran.outcome.error.error_class == "py4j.protocol.Py4JJavaError"
    assert "jobs/job.py" in ran.outcome.error.stack


def test_progress_of_stages_is_told_until_the_job_tells_its_own(context: Context, tmp_path: Path) -> None:
    body = """
    def slow(pair):
        time.sleep(0.25)
        return pair
    rows = context.sparkContext.parallelize([(n, 1) for n in range(12)], 12).map(slow)
    rows.reduceByKey(int.__add__, 3).map(slow).collect()
    runtime.progress(0.125, 'mine')
    rows.count()
    """
    started = context.start(tmp_path, job(body))
    seen: list[outcome.Progress] = []
    while started.process.poll() is None:
        told = outcome.read_progress(started.folder)
        if told is not None and (not seen or seen[-1] != told):
            seen.append(told)
        time.sleep(0.02)
    assert started.ended().code == 0
    assert seen[-1] == outcome.Progress(fraction=0.125, text="mine")
    assert len(seen) > 2
    for told in seen[:-1]:
        match = re.fullmatch(r"stage (\d) of 2, (\d+) of 15 tasks", told.text)
        assert match is not None, told
        assert told.fraction == int(match[2]) / 15


# -- the end of the context --


def test_jobs_end_with_their_context_whatever_they_do(tmp_path: Path) -> None:
    ledger, flag = tmp_path / "ledger", tmp_path / "flag"
    with pyjobs.context(tmp_path / "process") as dying:
        jobs = [
            dying.start(tmp_path, job(HOLDING), config={"ledger": str(ledger)}),
            dying.start(tmp_path, job("open(data['flag'], 'w')\nwhile True: pass"), config={"flag": str(flag)}),
        ]
        until(lambda: size(ledger) and flag.exists())
        (java,) = Path(f"/proc/{dying.process.pid}/task/{dying.process.pid}/children").read_text().split()
        os.kill(int(java), signal.SIGKILL)
        for each in jobs:
            ran = each.ended(20)
            assert (ran.code, ran.outcome.kind) == (2, "context_lost"), ran.err
            assert ran.message == f"Unexpected termination of context {dying.id}"
        assert dying.process.wait(20) != 0
        late = dying.run(tmp_path, job("return 1"))
        assert (late.code, late.outcome.kind) == (2, "context_lost")
    stops_growing(ledger, WORKERS_S)


def test_at_the_last_a_job_that_stops_sparks_own_context_ends_all_jobs(context: Context, tmp_path: Path) -> None:
    """Stands last: after it the context that all others use is no more."""
    ran = context.run(tmp_path, job("context.sparkContext._jsc.stop()\ncontext.range(3).count()"))
    assert (ran.code, ran.outcome.kind) == (2, "context_lost"), ran.err
