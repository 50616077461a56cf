"""Contexts on a real standalone cluster: jobs and functions of their package on executors, and who dies meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e.procs import alive
from tests.spark.cluster import Cluster
from tests.spark.jvm import build
from tests.spark.kit import Deck, processes, spark_server

pytestmark = pytest.mark.timeout(240)

KILL_LIMIT_S = 2.0
ONE_CORE = "num-cpu-cores = 1, memory-per-node = 480m"
WORDS = {"input.string": "a b a"}
COUNTED = {"A": 2, "B": 1}


@pytest.fixture(scope="module")
def deck(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Deck]:
    """Its contexts are on the cluster, if they do not say otherwise."""
    flags = ("--spark-master", cluster.url, *build.api_flags())
    with spark_server(tmp_path_factory.mktemp("deck"), *flags) as running:
        yield running


@pytest.fixture(scope="module")
def context(deck: Deck, cluster: Cluster) -> str:
    """A context for all that leave it as it was."""
    deck.up("shared", ONE_CORE, spark__master=cluster.url)
    return "shared"


def test_two_contexts_share_the_cluster(deck: Deck, cluster: Cluster, context: str) -> None:
    """Each has the cores that it asked for, functions of the package run on executors, and both compute at once."""
    deck.up("second", ONE_CORE, spark__master=cluster.url)
    assert deck.result("Words", context, WORDS) == COUNTED
    jobs = [deck.holding(name, name) for name in (context, "second")]
    for each in jobs:
        each.begun()
    told = cluster.applications()
    shown = {deck.context(name)["application"] for name in (context, "second")}
    assert {each["id"] for each in told.values()} == shown
    assert [each["cores"] for each in told.values()] == [1, 1]
    for each in jobs:
        each.go()
        assert deck.ended(each.id)["result"] == 1
    executors = cluster.executors()
    assert len(executors) == 2
    deck.gone("second")
    deck.until(lambda: len(cluster.applications()) == 1 and sum(map(alive, executors)) == 1)


def test_classes_out_of_a_jar_on_executors(deck: Deck, context: str) -> None:
    """Its closures, with values of its own classes, and the traits that the operator supplies."""
    deck.upload("jar", build.jars().path("jobs").read_bytes(), "application/java-archive")
    where = f"appName=jar&context={context}&sync=true&timeout=100"
    for name, config, result in (
        ("spark.jobserver.WordCountExample", {"input": {"string": "a b a"}}, {"a": 2, "b": 1}),
        ("jobs.Session", {"count": 3}, [["w0", 0], ["w1", 2], ["w2", 4]]),
        ("jobs.JavaJobs$Count", {"words": ["a", "b", "a"]}, {"A": 2, "B": 1}),
    ):
        status, told = deck.told("POST", f"/jobs?{where}&classPath={name}", config)
        assert (status, told["result"]) == (200, result), told


def test_the_worker_is_killed_in_the_middle_of_a_job(deck: Deck, cluster: Cluster, context: str) -> None:
    """Another one comes: Spark runs the task again there, and the job has run once."""
    job = deck.holding(context, "moved").begun()
    cluster.kill_worker()
    assert deck.report(job.id)["status"] == "RUNNING"
    cluster.start_worker()
    job.begun(tasks=2)
    job.go()
    assert deck.ended(job.id)["result"] == 1
    assert (job.lines("runs"), job.lines("ended")) == (1, 1)


def test_the_worker_is_killed_and_none_comes(deck: Deck, cluster: Cluster, context: str) -> None:
    """The job waits, and can be killed; the context is as good as before when there is a worker again."""
    job = deck.holding(context, "stranded").begun()
    cluster.kill_worker()
    waiting = deck.start("Words", context, WORDS)
    began_s = time.monotonic()
    assert deck.told("DELETE", f"/jobs/{job.id}") == (200, {"status": "KILLED"})
    assert deck.ended(job.id)["status"] == "KILLED"
    assert time.monotonic() - began_s < KILL_LIMIT_S
    assert deck.report(waiting)["status"] == "RUNNING"
    cluster.start_worker()
    assert deck.ended(waiting)["result"] == COUNTED
    assert not job.lines("ended")


def test_the_master_is_killed(deck: Deck, cluster: Cluster, context: str) -> None:
    """What has its executors computes on; without a master no context can be made, but one can be stopped."""
    job = deck.holding(context, "masterless").begun()
    application = deck.context(context)["application"]
    cluster.kill_master()
    job.go()
    assert deck.ended(job.id)["result"] == 1
    cluster.start_master()
    deck.until(lambda: application in {each["id"] for each in cluster.applications().values()})
    assert deck.result("Words", context, WORDS) == COUNTED
    cluster.kill_master()
    assert deck.result("Words", context, WORDS) == COUNTED
    assert deck.context(context)["state"] == "running"
    status, answer = deck.make("third", ONE_CORE, spark__master=cluster.url)
    assert (status, answer["status"]) == (500, "CONTEXT INIT ERROR"), answer
    assert f"Nobody answers at {cluster.url}" in answer["result"]["message"]
    deck.gone(context)
    assert not processes(deck.server.data_dir / "work")
