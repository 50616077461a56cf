"""Jars over the API: the document's own example, and what is answered when it does not go so well."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.spark.jvm import build
from tests.spark.kit import ENDED, Deck, spark_server

pytestmark = pytest.mark.timeout(200)

JAVA = "application/java-archive"
WORDS = "input.string = a b c a b see"
COUNTS = {"a": 2, "b": 2, "c": 1, "see": 1}
EXAMPLE = "appName=test&classPath=spark.jobserver.WordCountExample"
KEYS = ["jobId", "startTime", "classPath", "context", "contextId", "duration", "status"]
WRONG_KIND = (400, {"status": "ERROR", "result": "Invalid job type for this context"})
KILL_LIMIT_S = 2.0


@pytest.fixture(scope="module")
def deck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deck]:
    jars = build.jars()
    with spark_server(tmp_path_factory.mktemp("jvm"), *build.api_flags()) as running:
        running.upload("test", jars.path("jobs").read_bytes(), JAVA)
        running.up("jvm", context_factory="spark.jobserver.context.DefaultSparkContextFactory")
        yield running


def ended(deck: Deck, job_id: str) -> dict[str, Any]:
    """Its report, once it has ended, with its result."""
    return dict(deck.until(lambda: found if (found := deck.report(job_id))["status"] in ENDED else None))


def test_the_documents_example_in_a_context_of_its_own(deck: Deck) -> None:
    status, _, answer = deck.server.ask("POST", f"/jobs?{EXAMPLE}&timeout=100", WORDS)
    assert status == 202
    started = json.loads(answer)
    assert list(started) == KEYS
    assert (started["status"], started["duration"]) == ("STARTED", "Job not done yet")
    assert started["classPath"] == "spark.jobserver.WordCountExample"
    assert started["context"].endswith("-spark.jobserver.WordCountExample")
    report = ended(deck, started["jobId"])
    assert (report["status"], report["result"]) == ("FINISHED", COUNTS), report
    assert deck.told("GET", f"/jobs/{started['jobId']}/config") == (200, {"input": {"string": "a b c a b see"}})


def test_the_documents_example_in_a_context_that_stays(deck: Deck) -> None:
    status, told = deck.told("POST", f"/jobs?{EXAMPLE}&context=jvm&sync=true&timeout=100", WORDS)
    assert (status, set(told), told["result"]) == (200, {"jobId", "result"}, COUNTS)
    query = "cp=test&mainClass=spark.jobserver.WordCountExample&context=jvm&sync=true&timeout=100"
    assert deck.told("POST", f"/jobs?{query}", WORDS)[1]["result"] == COUNTS


@pytest.mark.parametrize("sync", ["true", "false"])
def test_a_refusal(deck: Deck, sync: str) -> None:
    message = "One(SparkJobInvalid(No input.string config param))"
    thrown = {"message": message, "errorClass": "java.lang.Throwable", "stack": f"java.lang.Throwable: {message}"}
    answer = deck.told("POST", f"/jobs?{EXAMPLE}&context=jvm&sync={sync}&timeout=100", "")
    assert answer == (400, {"status": "VALIDATION FAILED", "result": thrown})


@pytest.mark.parametrize("sync", ["true", "false"])
def test_a_class_that_is_not_there(deck: Deck, sync: str) -> None:
    query = f"appName=test&classPath=no.Where&context=jvm&sync={sync}&timeout=100"
    assert deck.told("POST", f"/jobs?{query}") == (404, {"status": "ERROR", "result": "classPath no.Where not found"})


def test_the_classes_of_a_jar_are_listed(deck: Deck) -> None:
    status, told = deck.told("GET", "/v1/packages/test")
    assert (status, told["classes_complete"]) == (200, True)
    listed = set(told["classes"])
    assert {"spark.jobserver.WordCountExample", "jobs.JavaJobs$Count", "jobs.ScalaMain", "jobs.Environment"} <= listed
    assert not listed & {"jobs.Word", "jobs.Easy", "jobs.Easy$class"}


def test_what_fails(deck: Deck) -> None:
    query = "appName=test&classPath=jobs.Failing&context=jvm&sync=true&timeout=100"
    status, told = deck.told("POST", f"/jobs?{query}", "where = driver")
    assert (status, told["status"], told["result"]["errorClass"]) == (200, "ERROR", "java.lang.IllegalStateException")
    assert told["result"]["message"] == "it broke"
    assert "Caused by: java.lang.RuntimeException: as the cause said" in told["result"]["stack"]
    query = "appName=test&classPath=jobs.FailingValidation&context=jvm&timeout=100"
    status, told = deck.told("POST", f"/jobs?{query}")
    assert (status, told["status"], told["result"]["message"]) == (200, "ERROR", "cannot look")


def test_a_job_that_is_killed(deck: Deck) -> None:
    flag = deck.folder / "begun"
    query = "appName=test&classPath=jobs.Waiting&context=jvm&timeout=100"
    status, told = deck.told("POST", f"/jobs?{query}", {"where": "action", "flag": str(flag)})
    assert status == 202, told
    job_id = told["jobId"]
    deck.until(flag.exists)
    begin_s = time.monotonic()
    assert deck.told("DELETE", f"/jobs/{job_id}") == (200, {"status": "KILLED"})
    report = ended(deck, job_id)
    assert time.monotonic() - begin_s < KILL_LIMIT_S
    assert report["status"] == "KILLED"
    assert deck.told("POST", f"/jobs?{EXAMPLE}&context=jvm&sync=true&timeout=100", WORDS)[1]["result"] == COUNTS


def test_wrong_pairings(deck: Deck) -> None:
    query = "context=jvm&timeout=100"
    assert deck.told("POST", f"/jobs?appName=jobs&classPath=sparkjobs.jobs.Says&{query}") == WRONG_KIND
    assert deck.told("POST", f"/jobs?cp=test,jobs&mainClass=jobs.Sum&{query}") == WRONG_KIND
    status, told = deck.told("POST", "/jobs?cp=test,jobs&mainClass=jobs.Sum")
    assert (status, told["status"]) == (400, "JOB LOADING FAILED"), told
    status, _ = deck.told("POST", "/contexts/plain?context-factory=spark.jobserver.python.PythonSessionContextFactory")
    assert status == 200
    assert deck.told("POST", f"/jobs?{EXAMPLE}&context=plain", WORDS) == WRONG_KIND
    deck.gone("plain")


def test_a_jar_that_has_been_replaced(deck: Deck) -> None:
    source = """
        package small;
        public class Version {
            public static void main(String[] args) { System.out.println("%s"); }
        }
    """
    query = "appName=versioned&classPath=small.Version&sync=true&timeout=100"
    for number, jar in enumerate(build.small(word, source % word, "Version") for word in ("one", "two")):
        deck.upload("versioned", jar.read_bytes(), JAVA)
        status, told = deck.told("POST", f"/jobs?{query}&context=jvm")
        if number == 0:
            assert (status, told["result"]) == (200, None)
        else:
            assert (status, told["status"]) == (400, "JOB LOADING FAILED")
            assert "A new context can run it" in told["result"]["message"]
    status, told = deck.told("POST", f"/jobs?{query}")
    assert status == 200, told
    assert deck.server.attach(told["jobId"]) == b"two\n"
