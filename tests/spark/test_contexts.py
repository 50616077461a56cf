"""Contexts on Spark over HTTP: whose settings hold, many jobs and several contexts at once, and how they are ended."""

from __future__ import annotations

import collections
import collections.abc
import importlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.procs import alive
from tests.spark.kit import ENDED, Deck, processes, spark_server
from tests.spark.victims import context_processes

pytestmark = pytest.mark.timeout(200)

KILL_LIMIT_S = 2.0
TEN = 10
OPERATORS = """
spark.context-settings {
    spark.jd { operator = operator, query = operator, body = operator }
    passthrough { spark.jd.passed = operator }
}
"""
WRONG_KIND = (400, {"status": "ERROR", "result": "Invalid job type for this context"})


@pytest.fixture(scope="module")
def deck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deck]:
    folder = tmp_path_factory.mktemp("contexts")
    operators = folder / "contexts.conf"
    operators.write_text(OPERATORS)
    with spark_server(folder, "--context-defaults", str(operators), "--running-limit", "20") as running:
        yield running


def test_whose_word_holds(deck: Deck) -> None:
    """The body's, then the query's, then the operator's; and what each setting is to Spark."""
    settings = """
        spark.jd.body = body
        num-cpu-cores = 1, memory-per-node = 460m
        hadoop { jd.test = "of hadoop" }
        passthrough { spark.jd.also = "passed on" }
        launcher { spark.driver.memory = 450m }
        spark.proxy.user = somebody
    """
    query = {"spark__jd__query": "query", "spark__jd__body": "query", "num_cpu_cores": "2", "spark__master": "local[3]"}
    deck.up("settled", settings, **query)
    said = deck.result("Says", "settled", {"hadoop": "jd.test"})
    wanted = {
        "spark.jd.operator": "operator",
        "spark.jd.query": "query",
        "spark.jd.body": "body",
        "spark.jd.passed": "operator",
        "spark.jd.also": "passed on",
        "spark.cores.max": "1",
        "spark.executor.memory": "460m",
        "spark.hadoop.jd.test": "of hadoop",
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
    }
    assert {key: said["conf"].get(key) for key in wanted} == wanted
    assert (said["master"], said["parallelism"], said["hadoop"]) == ("local[3]", 3, "of hadoop")
    assert said["user"] == "somebody"
    assert 450 << 20 <= said["heap"] < 460 << 20
    deck.gone("settled")


def test_ten_jobs_at_once_and_another_context(deck: Deck) -> None:
    """Each is a job of its own: one is killed within two seconds, one fails, the others do not see it."""
    deck.up("ten", f"max-jobs-per-context = {TEN + 1}", spark__master=f"local[{TEN}]")
    deck.up("other")
    jobs = [deck.holding("ten", f"ten-{number}") for number in range(TEN)]
    beside = deck.holding("other", "beside")
    for each in (*jobs, beside):
        each.begun()
    first, second = deck.context("ten"), deck.context("other")
    assert (first["running_count"], second["running_count"]) == (TEN, 1)
    assert first["application"] != second["application"]
    failed = deck.start("Fails", "ten")
    assert deck.ended(failed)["status"] == "ERROR"
    began_s = time.monotonic()
    assert deck.told("DELETE", f"/jobs/{jobs[0].id}") == (200, {"status": "KILLED"})
    assert deck.ended(jobs[0].id)["status"] == "KILLED"
    assert time.monotonic() - began_s < KILL_LIMIT_S
    deck.gone("other")  # with its job
    assert deck.ended(beside.id)["status"] in ("ERROR", "KILLED")
    for each in jobs[1:]:
        assert deck.report(each.id)["status"] == "RUNNING"
        each.go()
    for each in jobs[1:]:
        assert (deck.ended(each.id)["result"], each.lines("runs"), each.lines("tasks")) == (1, 1, 1)
    assert not jobs[0].lines("ended")
    assert deck.result("Words", "ten", {"input.string": "a b a"}) == {"A": 2, "B": 1}
    deck.gone("ten")


def test_a_job_and_a_context_that_do_not_go_together(deck: Deck) -> None:
    deck.up("for-jars", context_factory="spark.jobserver.context.DefaultSparkContextFactory")
    assert deck.ask("Words", {"input.string": "a"}, context="for-jars") == WRONG_KIND
    deck.gone("for-jars")
    deck.upload("jar", b"PK\x03\x04" + b"\0" * 40, "application/java-archive")
    assert deck.told("POST", "/contexts/plain")[0] == 200
    assert deck.ask("any", context="plain", appName="jar") == WRONG_KIND
    deck.gone("plain")


def test_a_context_of_a_job_of_its_own(deck: Deck) -> None:
    """It is made with the settings in the job's body, and ends with it."""
    settings = {"spark": {"context-settings": {"spark.master": "local[1]", "spark.jd.own": "own"}}}
    status, told = deck.ask("Says", settings, sync="true")
    assert status == 200, told
    assert told["result"]["conf"]["spark.jd.own"] == "own"
    status, started = deck.ask("Asks", settings)
    assert status in (202, 400), started
    deck.until(lambda: deck.told("GET", "/contexts")[1] == [])
    work = deck.server.data_dir / "work"
    deck.until(lambda: not list(work.iterdir()))


@pytest.mark.parametrize("force", [False, True])
def test_a_context_is_deleted_with_its_jobs(deck: Deck, force: bool) -> None:
    deck.up("deleted")
    before = processes(deck.server.data_dir / "work")
    job = deck.holding("deleted", f"deleted-{force}").begun()
    began_s = time.monotonic()
    deck.gone("deleted", force=force)
    assert deck.report(job.id)["status"] in ("ERROR", "KILLED")
    assert deck.context("deleted")["state"] == ("killed" if force else "finished")
    assert time.monotonic() - began_s < 15
    assert not any(map(alive, before))
    assert deck.told("GET", "/contexts")[1] == []


def test_the_published_client(deck: Deck) -> None:
    """python-sjsclient as it is, against a context on Spark."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collections, "MutableMapping", collections.abc.MutableMapping, raising=False)
        client = importlib.import_module("sjsclient.client").Client(deck.server.url)
        factory = "spark.jobserver.python.PythonSessionContextFactory"
        context = client.contexts.create("published", {"context-factory": factory, "spark.master": "local[2]"})
        app = client.apps.get("jobs")
        job = client.jobs.create(app, "sparkjobs.jobs.Words", 'input.string = "a b a"', ctx=context)
        done = deck.until(lambda: found if (found := client.jobs.get(job.jobId)).status in ENDED else None)
        assert (done.status, done.result) == ("FINISHED", {"A": 2, "B": 1})
        flag, ledger = deck.folder / "published.go", deck.folder / "published"
        job = client.jobs.create(app, "sparkjobs.jobs.Holds", f'ledger = "{ledger}", flag = "{flag}"', ctx=context)
        deck.until(lambda: Path(f"{ledger}.tasks").exists())
        assert client.jobs.delete(job.jobId).json() == {"status": "KILLED"}
        assert client.jobs.get(job.jobId).status == "KILLED"
        assert context.delete().status_code == 200
        deck.until(lambda: "published" not in [each.name for each in client.contexts.list()])


def test_a_context_is_made_of_a_process_that_is_ready(tmp_path: Path) -> None:
    with spark_server(tmp_path, "--spark-ready", "1") as deck:
        data = deck.server.data_dir
        (ready,) = deck.until(lambda: context_processes(data))
        made = deck.up("first")
        assert made["process"] == ready
        assert deck.result("Words", "first", {"input.string": "a b a"}) == {"A": 2, "B": 1}
        deck.until(lambda: len(context_processes(data)) == 2)  # the next one comes to be ready
        status, answer = deck.told("PUT", "/contexts?reset=reboot")
        assert (status, answer["result"]) == (200, "Context reset")
        assert deck.told("GET", "/contexts") == (200, [])
        deck.until(lambda: ready not in context_processes(data))
