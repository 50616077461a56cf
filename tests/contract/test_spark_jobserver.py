"""The examples of Spark JobServer's document "Submitting new jobs", with curl as it prints them; then the worked
examples of the wire reference, by their numbers."""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pytest

from tests.contract.sparking import WHEEL, WORDS, Sparks
from tests.e2e.wire import curl, parse

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
KEYS = ["jobId", "startTime", "classPath", "context", "contextId", "duration", "status"]


def started(raw: bytes, main_class: str = WORDS) -> str:
    """The id in an answer such as the document prints to ``POST /jobs``."""
    answer = parse(raw)
    assert (answer.status, answer.headers["content-type"]) == (202, "application/json")
    told = json.loads(answer.body)
    assert list(told) == KEYS
    assert re.fullmatch(UUID, told["jobId"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+05:30", told["startTime"])
    assert re.fullmatch(rf"[0-9a-f]{{8}}-{re.escape(main_class)}", told["context"])
    assert told["context"][:8] == told["contextId"][:8]
    assert (told["classPath"], told["duration"], told["status"]) == (main_class, "Job not done yet", "STARTED")
    job_id: str = told["jobId"]
    return job_id


@contextmanager
def place(*answers: bytes) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """An HTTP server that answers with each of ``answers`` in turn; its URL, and what it was asked."""
    asked: list[tuple[str, bytes]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append((f"{self.command} {self.path} {self.headers.get('Content-Type')}", body))
            data = answers[len(asked) - 1] if len(asked) <= len(answers) else b""
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = answer

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://localhost:{listening.server_port}", asked
        finally:
            listening.shutdown()
            thread.join()


# -- the document --


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("application/java-archive", "Jar"),
        ("application/python-egg", "Egg"),
        ("application/python-archive", "Egg"),
        ("application/python-wheel", "Wheel"),
    ],
)
def test_an_upload_prints_ok(spark: Sparks, kind: str, word: str) -> None:
    """``curl -X POST localhost:8090/binaries/test -H "Content-Type: ..." --data-binary @path``, then ``OK``."""
    path = spark.folder / "binary.jar"
    path.write_bytes(b"PK\x03\x04 and so on")
    raw = curl(
        "-i", "-X", "POST", f"{spark.url}/binaries/doc", "-H", f"Content-Type: {kind}", "--data-binary", f"@{path}"
    )
    answer = parse(raw)
    assert (answer.status, answer.body) == (201, b"OK")
    assert answer.headers["content-type"] == "text/plain; charset=UTF-8"
    assert spark.told("GET", "/binaries/doc")[1]["binary-type"] == word


def test_a_start_by_app_name(spark: Sparks) -> None:
    """``curl -d "input.string = a b c a b see" "localhost:8090/jobs?appName=test&classPath=..."``."""
    url = f"{spark.url}/jobs?appName=test&classPath={WORDS}"
    job_id = started(curl("-i", "-d", "input.string = a b c a b see", url))
    assert spark.ended(job_id)["result"] == {"a": 2, "b": 2, "see": 1, "c": 1}


def test_a_start_by_packages(spark: Sparks) -> None:
    """``curl -d "..." "localhost:8090/jobs?cp=binName,...&mainClass=some.main.Class"``; one package for Python."""
    url = f"{spark.url}/jobs?cp=test&mainClass=some.main.Class"
    job_id = started(curl("-i", "-d", "input.string = a b c a b see", url), "some.main.Class")
    assert spark.ended(job_id)["result"] == {"a": 2, "b": 2, "see": 1, "c": 1}


def test_a_start_by_packages_elsewhere(spark: Sparks) -> None:
    """The same without an upload: "just specifying URI with supported protocol is enough"."""
    data = (spark.folder / "jobs-1.0-py3-none-any.whl").read_bytes()
    with place(data) as (there, asked):
        url = f"{spark.url}/jobs?cp={there}/path/to/some.whl&mainClass=some.main.Class"
        job_id = started(curl("-i", "-d", "input.string = a b c a b see", url), "some.main.Class")
        assert [line for line, _ in asked] == ["GET /path/to/some.whl None"]
    assert spark.ended(job_id)["result"] == {"a": 2, "b": 2, "see": 1, "c": 1}


def test_two_packages_for_python(spark: Sparks) -> None:
    """ "Please note, that for Python jobs only one package file can be used"."""
    with place((spark.folder / "jobs-1.0-py3-none-any.whl").read_bytes()) as (there, _):
        url = f"{spark.url}/jobs?cp=test,{there}/path/to/other.whl&mainClass=some.main.Class"
        answer = parse(curl("-i", "-d", "input.string = a b c a b see", url))
    assert (answer.status, json.loads(answer.body)["status"]) == (400, "JOB LOADING FAILED")
    exception = json.loads(answer.body)["result"]
    assert exception["message"] == "Python should have exactly one package file! Found: 2"
    assert list(exception) == ["message", "errorClass", "stack"]


def test_a_start_with_a_callback(spark: Sparks) -> None:
    """``callbackUrl=http%3A%2F%2Flocalhost%3A6666``: the same answer, and the result comes to that place."""
    with place() as (there, asked):
        url = f"{spark.url}/jobs?appName=test&classPath={WORDS}&callbackUrl={quote(there, safe='')}"
        job_id = started(curl("-i", "-d", "input.string = a b c a b see", url))
        ((line, body),) = spark.until(lambda: asked)
    assert line == "POST / application/json"
    assert body == b'{"jobId":"%s","result":{"a":2,"b":2,"c":1,"see":1}}' % job_id.encode()


def test_a_synchronous_start(spark: Sparks) -> None:
    """ "if "true", then wait for and return results": the id and the result, to the byte."""
    url = f"{spark.url}/jobs?appName=test&classPath={WORDS}&sync=true&timeout=60"
    answer = parse(curl("-i", "--raw", "-d", "input.string = a b c a b see", url))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert re.fullmatch(rf'{{"jobId":"{UUID}","result":{{"a":2,"b":2,"c":1,"see":1}}}}', answer.text)


def test_a_streaming_result(spark: Sparks) -> None:
    """ "The actual result is substituted by <Stream result> and has to be manually fetched via GET /jobs/<jobId>"."""
    with place() as (there, asked):
        job_id = spark.start("Streaming", callbackUrl=there + "/hook")[1]["jobId"]
        ((_, body),) = spark.until(lambda: asked)
    assert json.loads(body) == {"jobId": job_id, "result": "<Stream result>"}
    raw = spark.ask("GET", f"/jobs/{job_id}").body
    assert raw.endswith(b'"status":"FINISHED","result":{"made":  [1,2 ] }}')


def test_an_impersonated_user_is_kept(spark: Sparks) -> None:
    """``spark.proxy.user`` as a query parameter."""
    told = spark.start("Settings", sync="true", **{"spark.proxy.user": "alice"})[1]["result"]
    assert "alice" in json.dumps(told["settings"])
    assert told["name"].endswith("-spark.jobserver.Settings")


# -- the worked examples of the reference --


def test_1_and_3_upload_and_list(spark: Sparks) -> None:
    data = (spark.folder / "jobs-1.0-py3-none-any.whl").read_bytes()
    answer = spark.ask("POST", "/binaries/three", data, {"Content-Type": WHEEL, "Accept": "application/json"})
    assert (answer.status, answer.body) == (201, b'{"status":"SUCCESS"}')
    listed = spark.told("GET", "/binaries")[1]["three"]
    assert list(listed) == ["binary-type", "upload-time"]
    assert listed["binary-type"] == "Wheel"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", listed["upload-time"])
    assert spark.told("GET", "/binaries/three") == (200, {"app-name": "three", **listed})


def test_2_upload_without_a_type(spark: Sparks) -> None:
    answer = parse(curl("-i", "--data-binary", "PK", f"{spark.url}/binaries/test"))
    text = '{"status":"ERROR","result":"Unsupported binary type application/x-www-form-urlencoded"}'
    assert (answer.status, answer.text) == (415, text)


def test_4_and_5_contexts(spark: Sparks) -> None:
    path = "/contexts/py1?context-factory=spark.jobserver.python.PythonSessionContextFactory&num-cpu-cores=2"
    assert spark.ask("POST", path).text == '{"status":"SUCCESS","result":"Context initialized"}'
    again = spark.ask("POST", path)
    assert (again.status, again.text) == (400, '{"status":"ERROR","result":"context py1 exists"}')
    bad = spark.ask("POST", "/contexts/1x")
    assert (bad.status, bad.text) == (400, '{"status":"ERROR","result":"context name must start with letters"}')
    assert "py1" in spark.told("GET", "/contexts")[1]
    shown = spark.told("GET", "/contexts/py1")[1]
    assert (shown["name"], shown["state"], shown["endTime"]) == ("py1", "RUNNING", "Empty")
    assert all(isinstance(value, str) for value in shown.values())
    stopped = spark.ask("DELETE", "/contexts/py1")
    assert (stopped.status, stopped.text) == (200, '{"status":"SUCCESS","result":"Context stopped"}')
    assert "py1" not in spark.told("GET", "/contexts")[1]
    ended = spark.told("GET", "/contexts/py1")[1]
    assert (ended["state"], ended["id"]) == ("FINISHED", shown["id"])
    assert ended["endTime"].endswith("Z")
    gone = spark.ask("DELETE", "/contexts/py1")
    assert (gone.status, gone.text) == (404, '{"status":"ERROR","result":"context py1 not found"}')


def test_6_7_and_16_start_poll_and_config(spark: Sparks) -> None:
    spark.ask("POST", "/contexts/poll")
    status, told = spark.start("Strings", "input.strings = [a, b, a]", context="poll")
    assert (status, list(told), told["context"]) == (202, KEYS, "poll")
    done = spark.ended(told["jobId"])
    assert list(done) == [*KEYS, "result"]
    assert (done["status"], done["result"]) == ("FINISHED", {"a": 2, "b": 1})
    assert re.fullmatch(r"\d+\.\d{1,3} secs", done["duration"])
    assert {key: done[key] for key in KEYS[:5]} == {key: told[key] for key in KEYS[:5]}
    config = spark.ask("GET", f"/jobs/{told['jobId']}/config")
    assert (config.status, json.loads(config.body)) == (200, {"input": {"strings": ["a", "b", "a"]}})


def test_7_a_job_that_runs(spark: Sparks) -> None:
    flag = spark.folder / "seven"
    job_id = spark.start("Until", f'flag = "{flag}"')[1]["jobId"]
    told = spark.until(
        lambda: found if (found := spark.told("GET", f"/jobs/{job_id}")[1])["status"] == "RUNNING" else 0
    )
    assert (list(told), told["duration"]) == (KEYS, "Job not done yet")
    assert job_id in [each["jobId"] for each in spark.told("GET", "/jobs?status=running")[1]]
    flag.touch()
    assert spark.ended(job_id)["result"] == "seen"


def test_8_synchronous_by_cp(spark: Sparks) -> None:
    query = f"cp=test&mainClass={WORDS}&sync=true&timeout=60"
    status, told = spark.told("POST", f"/jobs?{query}", "input.string = a b a")
    assert (status, list(told), told["result"]) == (200, ["jobId", "result"], {"a": 2, "b": 1})


def test_9_failing(spark: Sparks) -> None:
    status, told = spark.start("Failing", sync="true")
    assert (status, list(told), told["status"]) == (200, ["jobId", "status", "result"], "ERROR")
    assert (told["result"]["message"], list(told["result"])) == ("x", ["message", "errorClass", "stack"])
    assert "ValueError" in told["result"]["errorClass"]
    assert "Traceback" in told["result"]["stack"]
    shown = spark.told("GET", f"/jobs/{told['jobId']}")[1]
    assert (shown["status"], shown["result"]) == ("ERROR", told["result"])


def test_10_too_slow(spark: Sparks) -> None:
    flag = spark.folder / "ten"
    status, told = spark.start("Until", f'flag = "{flag}"', sync="true", timeout="1")
    assert (status, list(told), told["status"]) == (500, ["status", "jobId", "result"], "ERROR")
    assert re.match(r"Ask timed out on \[.*\] after \[1000 ms\]", told["result"]["message"])
    assert told["result"]["errorClass"] == "akka.pattern.AskTimeoutException"
    assert spark.told("GET", f"/jobs/{told['jobId']}")[1]["status"] in ("STARTED", "RUNNING")
    flag.touch()
    assert spark.ended(told["jobId"])["result"] == "seen"


def test_11_bad_body(spark: Sparks) -> None:
    status, told = spark.start("Plain", "Not parseable jobConfig!!")
    assert (status, told["status"]) == (400, "ERROR")
    assert told["result"].startswith("Cannot parse config: ")


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("classPath=a.B", 400, "Cannot parse config: To start the job appName or cp parameters should be configured!"),
        ("", 400, "Cannot parse config: To start the job appName or cp parameters should be configured!"),
        ("appName=test", 400, "Cannot parse config: classPath parameter is missing!"),
        ("appName=test&mainClass=a.B", 400, "Cannot parse config: classPath parameter is missing!"),
        ("cp=test", 400, "Cannot parse config: mainClass parameter is missing!"),
        ("cp=test&classPath=a.B", 400, "Cannot parse config: mainClass parameter is missing!"),
        ("appName=nope&classPath=a.B", 404, "appName nope not found"),
        ("cp=nope&mainClass=a.B", 404, "appName nope not found"),
        ("appName=test&classPath=a.B&context=nope", 404, "context nope not found"),
        ("appName=nope&classPath=a.B&context=nope", 404, "appName nope not found"),
        ("appName=test&classPath=a.B", 404, "classPath a.B not found"),
        ("cp=test&mainClass=some.main.Nope&sync=yes", 404, "classPath some.main.Nope not found"),
    ],
)
def test_12_and_13_what_is_missing(spark: Sparks, query: str, status: int, text: str) -> None:
    answer = spark.ask("POST", f"/jobs?{query}&timeout=60", "value = 1")
    assert (answer.status, json.loads(answer.body)) == (status, {"status": "ERROR", "result": text})


def test_14_kill(spark: Sparks) -> None:
    job_id = spark.start("Until", 'flag = "/nonexistent"')[1]["jobId"]
    killed = spark.ask("DELETE", f"/jobs/{job_id}")
    assert (killed.status, killed.text) == (200, '{"status":"KILLED"}')
    told = spark.told("GET", f"/jobs/{job_id}")[1]
    assert (list(told), told["status"]) == ([*KEYS, "result"], "KILLED")
    assert told["duration"].endswith(" secs")
    assert told["result"]["message"] == f"Job {job_id} killed"
    assert told["result"]["errorClass"] == "spark.jobserver.JobManagerActor$JobKilledException"
    again = spark.ask("DELETE", f"/jobs/{job_id}")
    assert (again.status, again.text) == (404, f'{{"status":"ERROR","result":"No running job with ID {job_id}"}}')


def test_15_list(spark: Sparks) -> None:
    first = spark.start("Failing", sync="true")[1]["jobId"]
    second = spark.start("Failing", sync="true")[1]["jobId"]
    last = spark.start("Plain", "value = 1", sync="true")[1]["jobId"]
    (newest,) = spark.told("GET", "/jobs?status=error&limit=1")[1]
    assert (newest["jobId"], newest["status"], newest["result"]["message"]) == (second, "ERROR", "x")
    listed = spark.told("GET", "/jobs")[1]
    ids = [each["jobId"] for each in listed]
    assert ids.index(last) < ids.index(second) < ids.index(first)
    assert all("result" not in each for each in listed if each["status"] == "FINISHED")
    assert len(spark.told("GET", "/jobs?limit=2")[1]) == 2
    for query in ("limit=0", "limit=-5", "status=nonsense", "status=finished%20"):
        assert spark.told("GET", f"/jobs?{query}") == (200, [])


def test_18_a_callback_of_a_failure(spark: Sparks) -> None:
    with place() as (there, asked):
        job_id = spark.start("Failing", callbackUrl=there + "/hook")[1]["jobId"]
        ((line, body),) = spark.until(lambda: asked)
    assert line == "POST /hook application/json"
    assert (json.loads(body)["jobId"], json.loads(body)["status"]) == (job_id, "ERROR")
    assert json.loads(body)["result"]["message"] == "x"


def test_19_data(spark: Sparks) -> None:
    status, told = spark.told("POST", "/data/in.txt", b"some data")
    name = told["result"]["filename"]
    assert (status, list(told)) == (200, ["result"])
    assert re.fullmatch(r".*/in\.txt-\d{4}-\d\d-\d\dT\d\d_\d\d_\d\d\.\d{3}\+05_30\.dat", name)
    assert name in spark.told("GET", "/data")[1]
    removed = spark.ask("DELETE", "/data/" + quote(name, safe=""))
    assert (removed.status, removed.body, removed.headers["content-type"]) == (200, b"OK", "application/json")
    assert spark.ask("DELETE", "/data/" + quote(name, safe="")).status == 400


def test_20_refused_by_validation(spark: Sparks) -> None:
    for query in ({}, {"sync": "true"}):
        status, told = spark.start("WordCountExample", "input.nothing = 1", **query)
        assert (status, told["status"]) == (400, "VALIDATION FAILED")
        assert told["result"]["message"] == "One(SparkJobInvalid(No input.string config param))"
        assert told["result"]["errorClass"] == "java.lang.Throwable"
