"""What a start asks for, what it is answered, and how jobs are told: all that needs no server."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jobdeck_protocol.job import Job, JobState
from jobdeck_server.core import errors
from jobdeck_server.core.blobtypes import BlobFile
from jobdeck_server.core.hocon import EMPTY, JobConfig
from jobdeck_server.core.outbound.errors import FailedError, RefusedError, SchemeError
from jobdeck_server.core.packagejobs import PackageJob, PackageResult
from jobdeck_server.core.store import StoreError
from jobdeck_server.dialects.spark import report, results, start
from jobdeck_server.dialects.spark.contexts import uris_of
from jobdeck_server.dialects.spark.query import MalformedError, Query
from jobdeck_server.dialects.spark.service import spark
from jobdeck_server.http.message import FileSlice, Request, Response, Role
from jobdeck_server.packages.outcome import EXIT_CODES, JobError, Outcome
from jobdeck_server.settings import Settings

ID = "11111111-2222-4333-8444-555555555555"
JOB = Job(id=ID, dialect="spark", main_class="a.B", context="here", state=JobState.RUNNING, created_us=1_000_000)


def query(text: str) -> Query:
    return Query(Request(method="POST", path="/jobs", query=text, body=None))  # type: ignore[arg-type]  # no body is read


def config(**head: Any) -> JobConfig:
    return JobConfig(text=b"{}", head=head)


def job(state: JobState, outcome: Outcome | None = None, **more: Any) -> PackageJob:
    record = replace(JOB, state=state, started_us=2_000_000, finished_us=3_500_000, **more)
    return PackageJob(job=record, context_id="c", outcome=outcome)


def failed(kind: str, *problems: str) -> PackageJob:
    error = JobError(message="why", error_class="X", stack="where")
    return job(JobState.FAILED, Outcome(kind=kind, error=error, problems=problems))


def told(answer: Response) -> tuple[int, Any]:
    assert isinstance(answer.body, bytes)
    return answer.status, json.loads(answer.body)


# -- what is asked for --


@pytest.mark.parametrize(
    ("text", "head", "main_class", "packages"),
    [
        ("appName=x&classPath=a.B", {}, "a.B", ["x"]),
        ("appName=x&classPath=a.B&cp=y,z&mainClass=c.D", {"cp": "no", "mainClass": "no"}, "a.B", ["x"]),
        ("cp=x&mainClass=a.B", {}, "a.B", ["x"]),
        ("cp=x,%20http%3A%2F%2Fh%2Fy,&mainClass=a.B", {}, "a.B", ["x", "http://h/y"]),
        ("", {"cp": ["x", "y"], "mainClass": "a.B"}, "a.B", ["x", "y"]),
        ("mainClass=a.B", {"cp": "x,y", "mainClass": "no"}, "a.B", ["x", "y"]),
        ("cp=x", {"cp": "no", "mainClass": "a.B"}, "a.B", ["x"]),
        ("appName=&cp=x&mainClass=a.B", {}, "a.B", ["x"]),
    ],
)
def test_what_runs(text: str, head: dict[str, Any], main_class: str, packages: list[str]) -> None:
    assert start.what_runs(query(text), config(**head)) == (main_class, packages)


@pytest.mark.parametrize(
    ("text", "head", "words"),
    [
        ("", {}, "To start the job appName or cp parameters should be configured!"),
        ("appName=&cp=", {}, "To start the job appName or cp parameters should be configured!"),
        ("appName=x", {}, "classPath parameter is missing!"),
        ("appName=x&mainClass=a.B&classPath=", {}, "classPath parameter is missing!"),
        ("cp=x", {}, "mainClass parameter is missing!"),
        ("cp=x", {"mainClass": {"a": 1}}, "mainClass parameter is missing!"),
        ("mainClass=a.B", {"cp": 5}, "cp is neither a text nor a list of texts"),
    ],
)
def test_what_is_missing(text: str, head: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.BadRequestError) as caught:
        start.what_runs(query(text), config(**head))
    assert str(caught.value) == f"Cannot parse config: {words}"


def test_what_else_a_query_says() -> None:
    assert start.wanted(query(""), limit_s=600) == start.Wanted(
        sync=False, timeout_s=10, callback_url=None, context=None
    )
    text = "sync=ON&timeout=1000&context=c&callbackUrl=http%3A%2F%2Fh%2Fx%2520y&spark.proxy.user=alice"
    asked = start.wanted(query(text), limit_s=600)
    assert asked == start.Wanted(sync=True, timeout_s=600, callback_url="http://h/x y", context="c")
    order = start.order_of(query(text + "&appName=x&classPath=a.B"), EMPTY, asked)
    assert (order.context, order.callback_url, order.query) == ("c", "http://h/x y", {"spark.proxy.user": "alice"})
    with pytest.raises(MalformedError):
        start.wanted(query("timeout=soon"), limit_s=600)


def test_packages_of_contexts_that_are_fetched() -> None:
    body = config(
        spark={"context-settings": {"cp": "a,file:///b.whl", "dependent-jar-uris": ["http://h/c.whl", "d:e"]}}
    )
    assert uris_of({"cp": "x,ftp://h/x.whl", "num-cpu-cores": "2"}, body) == [
        "ftp://h/x.whl",
        "file:///b.whl",
        "http://h/c.whl",
    ]
    assert uris_of({}, config(spark={"context-settings": 5})) == []
    with pytest.raises(errors.BadRequestError):
        uris_of({}, config(spark={"context-settings": {"cp": [1]}}))


# -- what it is answered --


@pytest.mark.parametrize(
    ("error", "status", "label", "text"),
    [
        (errors.UnknownBinaryError("p"), 404, "ERROR", "appName p not found"),
        (errors.UnknownContextError("c"), 404, "ERROR", "context c not found"),
        (errors.ContextStoppingError("c"), 409, "ERROR", "Context stop in progress"),
        (errors.WrongKindError(), 400, "ERROR", "Invalid job type for this context"),
        (errors.NoSpaceError(), 500, "ERROR", "Failed to save job config"),
        (StoreError("the disk is gone"), 500, "ERROR", "Failed to save job config"),
        (
            errors.NoSlotsError("py1", 8),
            503,
            "NO SLOTS AVAILABLE",
            "Too many running jobs (8) for job context 'py1'",
        ),
    ],
)
def test_refusals_in_words(error: errors.JobdeckError | StoreError, status: int, label: str, text: str) -> None:
    assert told(start.refusal_of(error)) == (status, {"status": label, "result": text})


@pytest.mark.parametrize(
    ("error", "status", "label", "error_class"),
    [
        (errors.PackageError("why"), 400, "JOB LOADING FAILED", "java.lang.Exception"),
        (errors.ContextInitError("why"), 500, "ERROR", "java.lang.RuntimeException"),
        (RefusedError("why"), 400, "JOB LOADING FAILED", "java.io.IOException"),
        (FailedError("why"), 400, "JOB LOADING FAILED", "java.io.IOException"),
        (SchemeError("why"), 400, "JOB LOADING FAILED: Malformed URL", "java.net.MalformedURLException"),
    ],
)
def test_refusals_that_are_exceptions(error: Any, status: int, label: str, error_class: str) -> None:
    exception = {"message": "why", "errorClass": error_class, "stack": f"{error_class}: why"}
    assert told(start.refusal_of(error)) == (status, {"status": label, "result": exception})


def test_all_other_refusals_are_told_as_everywhere() -> None:
    with pytest.raises(errors.TooLargeError):
        start.refusal_of(errors.TooLargeError("It", 5))


@pytest.mark.parametrize("kind", [*EXIT_CODES, "exited", "signalled", "limited", "not_started", "lost"])
def test_each_way_to_fail_is_answered(kind: str) -> None:
    if kind == "finished":
        return
    each = failed(kind, *(["no"] if kind == "validation" else []))
    exception = report.exception_of(each)
    assert exception == {"message": "why", "errorClass": "X", "stack": "where"}
    status, body = told(start.unfinished(each, exception))
    labels = {
        "validation": (400, "VALIDATION FAILED"),
        "class_missing": (404, "ERROR"),
        "load_error": (400, "JOB LOADING FAILED"),
        "package_error": (400, "JOB LOADING FAILED"),
        "not_started": (400, "JOB LOADING FAILED"),
        "context_error": (500, "ERROR"),
    }
    assert (status, body["status"]) == labels.get(kind, (200, "ERROR"))
    if status == 200:
        assert body == {"jobId": ID, "status": "ERROR", "result": exception}


def test_problems() -> None:
    assert told(start.not_valid(["a"]))[1]["result"]["message"] == "One(SparkJobInvalid(a))"
    assert told(start.not_valid(["a", "b"]))[1]["result"]["message"] == "Many(SparkJobInvalid(a), SparkJobInvalid(b))"


def test_problems_of_a_job_out_of_a_jar() -> None:
    error = JobError(message="Many(SingleProblem(a), SingleProblem(b))", error_class="java.lang.Throwable", stack="s")
    outcome = Outcome(kind="validation", error=error, problems=("a", "b"))
    wanted = (400, {"status": "VALIDATION FAILED", "result": error.to_wire()})
    assert told(start.not_valid(("a", "b"), outcome)) == wanted
    assert told(start.unfinished(job(JobState.FAILED, outcome), error.to_wire())) == wanted


def test_too_late() -> None:
    status, body = told(start.too_late(ID, 1.5))
    assert (status, list(body), body["jobId"]) == (500, ["status", "jobId", "result"], ID)
    assert body["result"]["message"].startswith(f"Ask timed out on [job {ID}] after [1500 ms]")


# -- how jobs are told --


@pytest.mark.parametrize("state", list(JobState))
def test_reports(state: JobState) -> None:
    each = report.report(job(state))
    assert list(each)[:7] == ["jobId", "startTime", "classPath", "context", "contextId", "duration", "status"]
    assert (each["jobId"], each["classPath"], each["context"], each["contextId"]) == (ID, "a.B", "here", "c")
    assert each["duration"] == "1.5 secs"
    assert ("result" in each) == (each["status"] in ("ERROR", "KILLED"))
    begun = report.start_report(job(state))
    assert {**begun, "duration": each["duration"], "status": each["status"]} == {k: each[k] for k in begun}
    assert (begun["duration"], begun["status"]) == ("Job not done yet", "STARTED")


def test_why_a_job_ended() -> None:
    assert report.exception_of(job(JobState.SUCCEEDED)) is None
    assert report.exception_of(job(JobState.RUNNING)) is None
    killed = report.exception_of(job(JobState.STOPPED))
    name = "spark.jobserver.JobManagerActor$JobKilledException"
    text = f"Job {ID} killed"
    assert killed == {"message": text, "errorClass": name, "stack": f"{name}: {text}"}
    assert (report.exception_of(job(JobState.LOST, error="its machine burnt")) or {})["message"] == "its machine burnt"
    assert (report.exception_of(job(JobState.FAILED)) or {})["message"] == "The job has ended as failed."


async def test_a_result_is_sent_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "result"
    path.write_bytes(b"[1]")
    opened: list[BlobFile] = []

    async def open_result(_: PackageJob) -> BlobFile:
        with path.open("rb") as file:
            opened.append(BlobFile(os.dup(file.fileno()), "f" * 40, 3))
        return opened[0]

    jobs: Any = SimpleNamespace(open_result=open_result)
    done = replace(job(JobState.SUCCEEDED), result=PackageResult(kind="json", content="f" * 40, size_bytes=3))
    answer = await results.with_result(jobs, done, {"jobId": ID})
    assert answer.body == (f'{{"jobId":"{ID}","result":'.encode(), FileSlice(opened[0].fd, 0, 3), b"}")
    assert answer.close is not None
    answer.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0].fd)
    nothing = await results.with_result(jobs, job(JobState.SUCCEEDED), {"a": 1}, missing=b"null")
    assert nothing.body == b'{"a":1,"result":null}'
    assert (await results.with_result(jobs, job(JobState.SUCCEEDED), {"a": 1})).body == b'{"a":1}'


def test_who_may_do_what() -> None:
    core: Any = SimpleNamespace(settings=Settings(data_dir=Path("/nonexistent")))
    part: Any = SimpleNamespace()
    dialect = spark(
        core,
        binaries=part,
        contexts=part,
        jobs=part,
        callbacks=part,
        fetcher=part,
        data_files=part,
        configs=part,
        patience=part,
    )
    for route in dialect.routes:
        assert route.role is (Role.VIEW if route.method == "GET" else Role.RUN)
        assert route.pattern.split("/")[1] in dialect.segments
        assert route.summary
    assert dialect.method_argument == "_method"
