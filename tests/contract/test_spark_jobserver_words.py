"""Spark JobServer's API by the wire reference, section by section: 1 conventions, 2 binaries, 3 contexts, 4 jobs."""

from __future__ import annotations

import json
import socket
import time
from urllib.parse import quote

import pytest

from tests.contract.sparking import WHEEL, Sparks
from tests.contract.test_spark_jobserver import KEYS, place
from tests.e2e.wire import Answer, parse, request, talk

JAR = "application/java-archive"


def refused(answer: Answer, status: int, text: str, label: str = "ERROR") -> None:
    """Envelope A."""
    assert (answer.status, json.loads(answer.body)) == (status, {"status": label, "result": text})
    assert answer.headers["content-type"] == "application/json"


def plain(answer: Answer, status: int, text: str) -> None:
    """What the original's HTTP library says by itself."""
    assert (answer.status, answer.text) == (status, text)
    assert answer.headers["content-type"] == "text/plain; charset=UTF-8"


# -- 1 --


@pytest.mark.parametrize("path", ["/jobs/a/b", "/binaries/a/b", "/contexts/a/b", "/jobs/", "/jars/a/b/c"])
def test_unknown_paths(spark: Sparks, path: str) -> None:
    plain(spark.ask("GET", path), 404, "The requested resource could not be found.")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PATCH", "/jobs", "GET, HEAD, OPTIONS, POST"),
        ("DELETE", "/jobs", "GET, HEAD, OPTIONS, POST"),
        ("POST", "/jobs/x", "DELETE, GET, HEAD, OPTIONS"),
        ("DELETE", "/jobs/x/config", "GET, HEAD, OPTIONS"),
        ("POST", "/contexts", "GET, HEAD, OPTIONS, PUT"),
        ("PUT", "/binaries/x", "DELETE, GET, HEAD, OPTIONS, POST"),
        ("DELETE", "/jars/x", "OPTIONS, POST"),
        ("GET", "/jobs?_method=delete", "GET, HEAD, OPTIONS, POST"),
        ("POST", "/jobs/x?_method=nonsense", "DELETE, GET, HEAD, OPTIONS"),
    ],
)
def test_wrong_methods(spark: Sparks, method: str, path: str, allow: str) -> None:
    answer = spark.ask(method, path)
    plain(answer, 405, f"HTTP method not allowed, supported methods: {allow}")
    assert answer.headers["allow"] == allow


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/jobs?limit=abc", "limit"),
        ("/jobs?limit=", "limit"),
        ("/jobs?limit=2147483648", "limit"),
        ("/jobs?_method=POST&appName=test&classPath=a.B&sync=maybe", "sync"),
        ("/jobs?_method=POST&appName=test&classPath=a.B&timeout=1.5", "timeout"),
        ("/contexts/x?_method=DELETE&force=2", "force"),
        ("/contexts?_method=PUT&reset=reboot&sync=later", "sync"),
    ],
)
def test_malformed_arguments(spark: Sparks, path: str, name: str) -> None:
    answer = spark.ask("GET", path)
    assert answer.text.startswith(f"The query parameter '{name}' was malformed:\n")
    plain(answer, 400, answer.text)


def test_a_missing_argument(spark: Sparks) -> None:
    plain(spark.ask("PUT", "/contexts"), 404, "Request is missing required query parameter 'reset'")
    refused(spark.ask("PUT", "/contexts?reset=now"), 500, "ERROR")


def test_names_are_decoded_once(spark: Sparks) -> None:
    """A slash within a name, blanks, letters beyond ASCII; a plus stays a plus."""
    for name in ("a/b", "a b", "käse 世界", "1+1", "%41", "..", "a?b#c", "x" * 200):
        path = "/binaries/" + quote(name, safe="")
        assert spark.ask("POST", path, b"PK\x03\x04..", {"Content-Type": JAR}).status == 201
        assert spark.told("GET", path)[1]["app-name"] == name
        assert name in spark.told("GET", "/binaries")[1]
        assert spark.told("DELETE", path) == (200, {"status": "SUCCESS"})
        refused(spark.ask("GET", path), 404, f"Can't find binary with name {name}")
        refused(spark.ask("DELETE", path), 404, f"can't find binary with name {name}")


def test_a_path_that_is_none(spark: Sparks) -> None:
    plain(spark.ask("GET", "/binaries/%zz"), 400, "The path has a broken percent escape.")
    plain(spark.ask("GET", "/jobs/%ff"), 400, "The path is not UTF-8.")


def test_a_body_beyond_the_limit(spark: Sparks) -> None:
    """30 MiB in the original: a body is a job's configuration here, and no upload."""
    head = request("POST", "/jobs?appName=test&classPath=a.B", headers={"Content-Length": str(31 << 20)})
    refused(parse(talk(spark.server.port, head)), 413, f"The body is over the limit of {30 << 20} bytes.")


def test_health_needs_nothing(spark: Sparks) -> None:
    answer = spark.ask("GET", "/healthz")
    assert (answer.status, answer.body) == (200, b'{"status":"SUCCESS"}')


# -- 2 --


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        (None, "application/octet-stream"),
        ("application/octet-stream", "application/octet-stream"),
        ("Application/ZIP; x=y", "application/zip"),
        ("application/python-wheels", "application/python-wheels"),
        ("nonsense", "nonsense"),
    ],
)
def test_types_that_are_none(spark: Sparks, kind: str | None, shown: str) -> None:
    """Looked at before the bytes are."""
    headers = {} if kind is None else {"Content-Type": kind}
    refused(spark.ask("POST", "/binaries/x", b"no zip", headers), 415, f"Unsupported binary type {shown}")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"#!/bin/sh\n", b"P"])
def test_bytes_that_are_no_zip(spark: Sparks, data: bytes) -> None:
    refused(spark.ask("POST", "/binaries/x", data, {"Content-Type": WHEEL}), 400, "Binary is not of the right format")
    refused(spark.ask("POST", "/jars/x", data), 400, "Jar is not of the right format")
    assert "x" not in spark.told("GET", "/binaries")[1]


def test_jars_of_older_clients(spark: Sparks) -> None:
    assert spark.told("POST", "/jars/old", b"PK\x03\x04..") == (200, {"status": "SUCCESS", "result": "Jar uploaded"})
    listed = spark.told("GET", "/jars")[1]
    assert "test" not in listed
    assert listed["old"] == spark.told("GET", "/binaries/old")[1]["upload-time"]


def test_the_newest_upload_wins_and_running_jobs_keep_theirs(spark: Sparks) -> None:
    data = (spark.folder / "jobs-1.0-py3-none-any.whl").read_bytes()
    spark.upload("again", data)
    flag = spark.folder / "again"
    job_id = spark.start("Until", f'flag = "{flag}"', appName="again")[1]["jobId"]
    refused(spark.ask("DELETE", "/binaries/again"), 403, f"Binary is in use by job(s): {job_id}")
    spark.upload("again", b"PK\x03\x04 nothing that runs")
    assert spark.start("Plain", appName="again")[0] == 400
    flag.touch()
    assert spark.ended(job_id)["result"] == "seen"
    assert spark.told("DELETE", "/binaries/again") == (200, {"status": "SUCCESS"})


# -- 3 --


def test_settings_of_the_body_count_for_more_than_those_of_the_query(spark: Sparks) -> None:
    body = "spark.context-settings { spark.b = body }, spark.c = ignored"
    assert spark.told("POST", "/contexts/both?spark.a=query&spark.b=query", body)[0] == 200
    told = spark.start("Settings", context="both", sync="true")[1]["result"]
    assert told["name"] == "both"
    text = json.dumps(told["settings"])
    assert '"query"' in text
    assert '"body"' in text
    assert "ignored" not in text
    assert spark.told("DELETE", "/contexts/both")[0] == 200


def test_an_ad_hoc_context_is_listed_while_it_lives(spark: Sparks) -> None:
    flag = spark.folder / "adhoc"
    body = f'flag = "{flag}", spark.context-settings.num-cpu-cores = 3'
    told = spark.start("Until", body)[1]
    assert told["context"] in spark.told("GET", "/contexts")[1]
    assert spark.told("GET", "/contexts/" + quote(told["context"], safe=""))[1]["id"] == told["contextId"]
    flag.touch()
    spark.ended(told["jobId"])
    spark.until(lambda: told["context"] not in spark.told("GET", "/contexts")[1])


def test_the_end_of_a_context_is_that_of_its_jobs(spark: Sparks) -> None:
    """Told as their error, and no callback is called."""
    spark.told("POST", "/contexts/short")
    with place() as (there, asked):
        body = 'flag = "/nonexistent"'
        job_id = spark.start("Until", body, context="short", callbackUrl=there)[1]["jobId"]
        assert spark.told("DELETE", "/contexts/short") == (200, {"status": "SUCCESS", "result": "Context stopped"})
        told = spark.ended(job_id)
        spark.start("Plain", callbackUrl=there + "/after")
        spark.until(lambda: asked)
    assert [line for line, _ in asked] == ["POST /after application/json"]
    assert told["status"] in ("ERROR", "KILLED")
    assert told["result"]["message"] == "Context (short) for this job was terminated"
    assert list(told["result"]) == ["message", "errorClass", "stack"]


@pytest.mark.parametrize(("query", "status"), [("", "Context reset"), ("&sync=false", "Context reset requested")])
def test_reset(spark: Sparks, query: str, status: str) -> None:
    spark.told("POST", "/contexts/reset")
    assert spark.told("PUT", "/contexts?reset=reboot" + query) == (200, {"status": "SUCCESS", "result": status})
    spark.until(lambda: "reset" not in spark.told("GET", "/contexts")[1])


def test_a_context_whose_settings_cannot_be_read(spark: Sparks) -> None:
    status, told = spark.told("POST", "/contexts/bad", "not parseable !!")
    assert (status, told["status"]) == (400, "ERROR")
    assert told["result"].startswith("Cannot parse config: ")
    assert "bad" not in spark.told("GET", "/contexts")[1]


@pytest.mark.parametrize(
    ("query", "body", "label"),
    [
        ("cp=gopher%3A%2F%2Fx%2Fy", "", "CONTEXT INIT ERROR: Malformed URL"),
        ("", 'spark.context-settings.dependent-jar-uris = ["x://y"]', "CONTEXT INIT ERROR: Malformed URL"),
        ("cp=http%3A%2F%2Fexample.org%2Fx.whl", "", "CONTEXT INIT ERROR"),
    ],
)
def test_packages_of_a_context_that_cannot_be_fetched(spark: Sparks, query: str, body: str, label: str) -> None:
    status, told = spark.told("POST", f"/contexts/bad?{query}", body)
    assert (status, told["status"]) == (400, label)
    assert list(told["result"]) == ["message", "errorClass", "stack"]


def test_a_context_that_cannot_be_made(spark: Sparks) -> None:
    for factory, why in (
        ("spark.jobserver.context.DefaultSparkContextFactory", "is no folder of Spark"),
        ("no.such.Factory", "no.such.Factory"),
    ):
        status, told = spark.told("POST", f"/contexts/bad?context-factory={factory}")
        assert (status, told["status"]) == (500, "CONTEXT INIT ERROR")
        assert why in told["result"]["message"]
    assert "bad" not in spark.told("GET", "/contexts")[1]


# -- 4 --


def test_what_was_asked_in_the_body(spark: Sparks) -> None:
    for body in (
        'cp = ["test"], mainClass = some.main.Class, input.string = a',
        'cp = "test", mainClass = some.main.Class, input.string = a',
        '{"cp": ["test"], "mainClass": "some.main.Class", "input": {"string": "a"}}',
    ):
        status, told = spark.told("POST", "/jobs?sync=true&timeout=60", body)
        assert (status, told["result"]) == (200, {"a": 1})
    assert spark.start("Plain", "cp = nope, mainClass = a.B, value = 1", sync="true")[1]["result"] == 1


@pytest.mark.parametrize("kind", ["application/json", None])
def test_the_type_of_a_body_is_not_looked_at(spark: Sparks, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    path = "/jobs?appName=test&classPath=spark.jobserver.Strings&sync=true&timeout=60"
    answer = spark.ask("POST", path, b"input.strings = ['a', 'b', 'a', 'b']", headers)
    assert json.loads(answer.body)["result"] == {"'a'": 2, "'b'": 2}


@pytest.mark.parametrize(
    "body",
    ["a=1&b=2", "a = ${nowhere}", 'include file("/etc/passwd")', "{", "a = [1", "x = " + "[" * 10_000, "{a:" * 10_000],
)
def test_bodies_that_cannot_be_read(spark: Sparks, body: str) -> None:
    status, told = spark.start("Plain", body)
    assert (status, told["status"]) == (400, "ERROR")
    assert told["result"].startswith("Cannot parse config: ")
    assert len(told["result"]) < 1000


def test_the_order_in_which_things_are_wrong(spark: Sparks) -> None:
    """Body, callback, what is missing, binaries, context, class."""
    all_wrong = "/jobs?appName=nope&context=nope&callbackUrl=ftp%3A%2F%2Fx"
    assert spark.told("POST", all_wrong, "{")[0] == 400
    status, told = spark.told("POST", all_wrong, "a = 1")
    assert (status, told["result"]["errorClass"]) == (500, "java.lang.IllegalArgumentException")
    assert told["result"]["message"] == "Callback Url has to be 'http'/'https'"
    missing = all_wrong.partition("&callbackUrl")[0]
    refused(spark.ask("POST", missing), 400, "Cannot parse config: classPath parameter is missing!")
    refused(spark.ask("POST", missing + "&classPath=a.B"), 404, "appName nope not found")
    refused(spark.ask("POST", missing.replace("nope", "test", 1) + "&classPath=a.B"), 404, "context nope not found")


def test_an_ad_hoc_context_that_cannot_be_made(spark: Sparks) -> None:
    status, told = spark.start("Plain", "spark.context-settings.context-factory = no.such.Factory")
    assert (status, told["status"], told["result"]["errorClass"]) == (500, "ERROR", "java.lang.RuntimeException")
    assert "no.such.Factory" in told["result"]["message"]


def test_addresses_that_are_refused(spark: Sparks) -> None:
    """Where the operator has not said that it may be called: by default no other machine."""
    path = "/jobs?appName=test&classPath=spark.jobserver.Plain&callbackUrl="
    for url in (
        "http://example.org/x",
        "http://169.254.169.254/",
        "http://user@127.0.0.1/",
        "http://[::ffff:10.0.0.1]/",
    ):
        status, told = spark.told("POST", path + quote(url, safe=""))
        assert (status, told["status"]) == (403, "ERROR")
        assert told["result"].startswith("Callback Url is refused: ")
    for uri, label in (
        ("http://example.org/x.whl", "JOB LOADING FAILED"),
        ("file:///etc/passwd", "JOB LOADING FAILED"),
        ("gopher://x/y", "JOB LOADING FAILED: Malformed URL"),
    ):
        status, told = spark.told("POST", "/jobs?mainClass=a.B&cp=" + quote(uri, safe=""))
        assert (status, told["status"]) == (400, label)
        assert list(told["result"]) == ["message", "errorClass", "stack"]


def test_a_callback_is_decoded_once_more(spark: Sparks) -> None:
    with place() as (there, asked):
        spark.start("Plain", callbackUrl=quote(there + "/a%20b", safe=""))
        spark.until(lambda: asked)
    assert asked[0][0] == "POST /a%20b application/json"


def test_a_jar_runs_on_spark_alone(spark: Sparks) -> None:
    spark.upload("jar", b"PK\x03\x04..", JAR)
    spark.told("POST", "/contexts/plain")
    refused(
        spark.ask("POST", "/jobs?appName=jar&classPath=a.B&context=plain"), 400, "Invalid job type for this context"
    )
    status, told = spark.told("POST", "/jobs?appName=jar&classPath=a.B")
    assert (status, told["status"]) == (500, "ERROR")
    assert "is no folder of Spark" in told["result"]["message"]
    spark.told("DELETE", "/contexts/plain")


def test_a_package_that_cannot_be_loaded(spark: Sparks) -> None:
    spark.upload("rubbish", b"PK\x03\x04 and then nothing of a zip")
    for query in ({}, {"sync": "true"}):
        status, told = spark.start("Plain", appName="rubbish", **query)
        assert (status, told["status"]) == (400, "JOB LOADING FAILED")


def test_a_class_whose_import_fails(spark: Sparks) -> None:
    for query in ({}, {"sync": "true"}):
        status, told = spark.start("broken.Job", **query)
        assert (status, told["status"]) == (400, "JOB LOADING FAILED")
        assert "no_such_module_anywhere" in told["result"]["message"]


def test_an_exception_while_validating(spark: Sparks) -> None:
    """It has failed before it started: 200, with its id, also where nobody waits for the result."""
    for query in ({}, {"sync": "true"}):
        status, told = spark.start("Raising", **query)
        assert (status, list(told), told["status"]) == (200, ["jobId", "status", "result"], "ERROR")
        assert told["result"]["errorClass"] == "KeyError"
        assert spark.told("GET", f"/jobs/{told['jobId']}")[1]["result"] == told["result"]


def test_all_problems_of_a_configuration_are_told(spark: Sparks) -> None:
    status, told = spark.start("Two")
    assert (status, told["status"]) == (400, "VALIDATION FAILED")
    assert told["result"]["message"] == "Many(SparkJobInvalid(one thing), SparkJobInvalid(another))"


def test_no_result(spark: Sparks) -> None:
    """A synchronous answer has the key all the same; a report has not."""
    status, told = spark.start("Plain", sync="true")
    assert (status, told) == (200, {"jobId": told["jobId"], "result": None})
    assert list(spark.told("GET", f"/jobs/{told['jobId']}")[1]) == KEYS


def test_a_slow_validation_is_waited_for_no_longer_than_was_said(spark: Sparks) -> None:
    flag = spark.folder / "slow"
    status, told = spark.start("Slow", f'flag = "{flag}", value = 5', timeout="0")
    assert (status, told["status"], list(told)) == (202, "STARTED", KEYS)
    flag.touch()
    assert spark.ended(told["jobId"])["result"] == 5


def test_no_time_to_wait(spark: Sparks) -> None:
    status, told = spark.start("Plain", sync="true", timeout="-1")
    assert (status, told["result"]["errorClass"]) == (500, "akka.pattern.AskTimeoutException")
    assert "after [0 ms]" in told["result"]["message"]
    assert spark.ended(told["jobId"])["status"] == "FINISHED"


def test_a_start_in_a_full_context_is_answered_at_once(spark: Sparks) -> None:
    """Jobs wait for a place; the original refused them."""
    flag = spark.folder / "full"
    spark.told("POST", "/contexts/full?max-jobs-per-context=1")
    first = spark.start("Until", f'flag = "{flag}"', context="full")[1]["jobId"]
    begun_s = time.monotonic()
    status, told = spark.start("Plain", "value = 7", context="full", timeout="60")
    assert (status, told["status"]) == (202, "STARTED")
    assert time.monotonic() - begun_s < 30
    assert spark.told("GET", f"/jobs/{told['jobId']}")[1]["status"] == "STARTED"
    flag.touch()
    assert spark.ended(told["jobId"])["result"] == 7
    assert spark.ended(first)["status"] == "FINISHED"


def test_a_client_that_goes_does_not_stop_the_job(spark: Sparks) -> None:
    flag = spark.folder / "gone"
    body = f'flag = "{flag}"'.encode()
    query = "appName=test&classPath=spark.jobserver.Until&sync=true&timeout=600"
    before = {each["jobId"] for each in spark.told("GET", "/jobs?limit=1000")[1]}
    with socket.create_connection(("127.0.0.1", spark.server.port)) as sock:
        sock.sendall(request("POST", f"/jobs?{query}", body))
        (job_id,) = spark.until(
            lambda: {each["jobId"] for each in spark.told("GET", "/jobs?status=RUNNING")[1]} - before
        )
    flag.touch()
    assert spark.ended(job_id)["result"] == "seen"


def test_configurations_are_kept_of_all_jobs(spark: Sparks) -> None:
    job_id = spark.start("Plain", "value = 1, a.b = [x, 2]", sync="true")[1]["jobId"]
    assert spark.told("GET", f"/jobs/{job_id}/config") == (200, {"value": 1, "a": {"b": ["x", 2]}})
    empty = spark.start("Plain", sync="true")[1]["jobId"]
    assert spark.told("GET", f"/jobs/{empty}/config") == (200, {})


@pytest.mark.parametrize("path", ["/jobs/nope", "/jobs/nope/config", "/jobs/nope?_method=DELETE"])
def test_unknown_jobs(spark: Sparks, path: str) -> None:
    refused(spark.ask("GET", path), 404, "No such job ID nope")


def test_jobs_of_other_apis_are_none_of_these(spark: Sparks) -> None:
    job_id = spark.server.submit("true")
    refused(spark.ask("GET", f"/jobs/{job_id}"), 404, f"No such job ID {job_id}")
    refused(spark.ask("DELETE", f"/jobs/{job_id}"), 404, f"No such job ID {job_id}")
    assert job_id not in spark.ask("GET", "/jobs?limit=1000").text


def test_the_end_of_jobs_that_have_ended(spark: Sparks) -> None:
    failed = spark.start("Failing", sync="true")[1]
    told = spark.told("DELETE", f"/jobs/{failed['jobId']}")
    assert told == (200, {"status": "ERROR", "ERROR": failed["result"]})
    done = spark.start("Plain", "value = 1", sync="true")[1]["jobId"]
    refused(spark.ask("DELETE", f"/jobs/{done}"), 404, f"No running job with ID {done}")


def test_a_killed_job_calls_nobody(spark: Sparks) -> None:
    with place() as (there, asked):
        job_id = spark.start("Until", 'flag = "/nonexistent"', callbackUrl=there)[1]["jobId"]
        assert spark.told("DELETE", f"/jobs/{job_id}") == (200, {"status": "KILLED"})
        spark.start("Plain", callbackUrl=there + "/after")
        spark.until(lambda: asked)
    assert [line for line, _ in asked] == ["POST /after application/json"]


@pytest.mark.slow
def test_large_results_are_sent_as_they_are(spark: Sparks) -> None:
    """By the head of a report alone no more than its head; to a client of HTTP/1.0 without chunks."""
    text = "x" * 300_000
    job_id = spark.start("Plain", json.dumps({"value": text}), sync="true")[1]["jobId"]
    assert spark.told("GET", f"/jobs/{job_id}")[1]["result"] == text
    assert spark.ask("HEAD", f"/jobs/{job_id}").body == b""
    old = parse(talk(spark.server.port, f"GET /jobs/{job_id} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()))
    assert json.loads(old.body)["result"] == text
