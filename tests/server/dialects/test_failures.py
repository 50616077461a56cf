"""Every refusal, told by every dialect: a new one cannot be forgotten."""

from __future__ import annotations

import inspect
import json
from http import HTTPStatus

import pytest

from jobdeck_server.core import errors
from jobdeck_server.core.errors import JobdeckError
from jobdeck_server.core.store import StoreError
from jobdeck_server.dialects import jobrunner, scheduler
from jobdeck_server.dialects.refusals import STATUS
from jobdeck_server.dialects.spark import failure as spark
from jobdeck_server.dialects.v1 import problem
from jobdeck_server.dialects.webgme import failure as webgme
from jobdeck_server.http.errors import MethodNotAllowedError, NotFoundError, PathError

CLASSES = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, JobdeckError) and each is not JobdeckError
]
MADE: dict[type[Exception], Exception] = {
    errors.UnknownJobError: errors.UnknownJobError("x"),
    errors.BadBinaryError: errors.BadBinaryError(),
    errors.NoResultError: errors.NoResultError("x"),
    errors.WrongKindError: errors.WrongKindError(),
    errors.BinaryInUseError: errors.BinaryInUseError(["x", "y"]),
    errors.UnknownContextError: errors.UnknownContextError("c"),
    errors.ContextExistsError: errors.ContextExistsError("c"),
    errors.ContextStoppingError: errors.ContextStoppingError("c"),
    errors.NoSlotsError: errors.NoSlotsError("c", 8),
    errors.UnknownEntryError: errors.UnknownEntryError("x", "a/b"),
    errors.TooLargeError: errors.TooLargeError("It", 5),
    errors.IdempotencyError: errors.IdempotencyError(),
    errors.UnauthorizedError: errors.UnauthorizedError(),
    errors.OutputGoneError: errors.OutputGoneError("x"),
    errors.OffsetError: errors.OffsetError(7, 3),
}


@pytest.mark.parametrize("kind", [*CLASSES, StoreError], ids=lambda kind: kind.__name__)
def test_each_refusal_has_a_status_and_words_in_each_dialect(kind: type[Exception]) -> None:
    error = MADE.get(kind) or kind("These words.")
    assert 400 <= STATUS[kind] < 600
    plain = jobrunner.failure(error)
    assert plain.status == STATUS[kind]
    assert plain.body == str(error).encode() + b"\n"
    assert dict(plain.headers)["Content-Type"].startswith("text/plain")
    native = problem.failure(error)
    assert isinstance(native.body, bytes)
    assert json.loads(native.body)["detail"] == str(error)
    assert json.loads(native.body)["status"] == native.status == STATUS[kind]


def test_a_bug_tells_nothing() -> None:
    for failure in (jobrunner.failure, problem.failure, webgme.failure, scheduler.failure, spark.failure):
        answer = failure(RuntimeError("secret"))
        assert isinstance(answer.body, bytes)
        assert answer.status == 500
        assert b"secret" not in answer.body


def test_unknown_paths_have_the_originals_words() -> None:
    assert jobrunner.failure(NotFoundError("/x/y")).body == b"404 page not found\n"


@pytest.mark.parametrize("kind", [*CLASSES, StoreError], ids=lambda kind: kind.__name__)
def test_each_refusal_has_a_status_in_the_words_of_the_blob_store(kind: type[Exception]) -> None:
    error = MADE.get(kind) or kind("These words.")
    told = webgme.failure(error)
    lost = kind in (errors.MissingContentError, errors.BlobLinkError)
    assert told.status == (500 if lost else STATUS[kind])
    assert isinstance(told.body, bytes)
    assert told.body.decode() in (str(error), HTTPStatus(told.status).phrase)


@pytest.mark.parametrize("kind", [*CLASSES, StoreError], ids=lambda kind: kind.__name__)
def test_each_refusal_is_500_in_the_words_of_the_scheduler(kind: type[Exception]) -> None:
    """But for what its document knows nothing of: tokens and origins."""
    error = MADE.get(kind) or kind("These words.")
    told = scheduler.failure(error)
    known: dict[type[Exception], str] = {
        errors.UnknownWorkerError: "worker not found",
        errors.UnknownJobError: "job not found",
    }
    assert told.status == {errors.ForbiddenError: 403, errors.UnauthorizedError: 401}.get(kind, 500)
    assert isinstance(told.body, bytes)
    assert json.loads(told.body) == {"error": known.get(kind, str(error))}
    assert ("WWW-Authenticate" in dict(told.headers)) == (kind is errors.UnauthorizedError)


def test_the_blob_store_has_the_originals_words() -> None:
    for error, status, words in (
        (NotFoundError("/rest/x"), 404, b"Not Found"),
        (MethodNotAllowedError("/rest/blob/metadata", ("GET",)), 404, b"Not Found"),
        (PathError("a broken escape"), 400, b"Bad Request"),
        (errors.ForbiddenError("no"), 403, b"Forbidden"),
        (errors.UnknownEntryError("f" * 40, "nope.txt"), 404, b"Not Found"),
        (errors.UnknownBlobError("f" * 40), 404, b"Requested object does not exist: " + b"f" * 40),
        (errors.UnknownBlobError("<script>"), 404, b"Not Found"),
    ):
        told = webgme.failure(error)
        assert (told.status, told.body) == (status, words)


@pytest.mark.parametrize("kind", [*CLASSES, StoreError], ids=lambda kind: kind.__name__)
def test_each_refusal_is_an_envelope_in_the_words_of_spark_jobserver(kind: type[Exception]) -> None:
    error = MADE.get(kind) or kind("These words.")
    told = spark.failure(error)
    assert told.status == STATUS[kind]
    assert isinstance(told.body, bytes)
    text = "No such job ID x" if kind is errors.UnknownJobError else str(error)
    assert json.loads(told.body) == {"status": "ERROR", "result": text}
