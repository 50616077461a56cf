"""Every refusal, told by every dialect: a new one cannot be forgotten."""

from __future__ import annotations

import inspect
import json

import pytest

from jobdeck_server.core import errors
from jobdeck_server.core.errors import JobdeckError
from jobdeck_server.core.store import StoreError
from jobdeck_server.dialects import jobrunner
from jobdeck_server.dialects.refusals import STATUS
from jobdeck_server.dialects.v1 import problem
from jobdeck_server.http.errors import NotFoundError

CLASSES = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, JobdeckError) and each is not JobdeckError
]
MADE: dict[type[Exception], Exception] = {
    errors.UnknownJobError: errors.UnknownJobError("x"),
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
    for failure in (jobrunner.failure, problem.failure):
        answer = failure(RuntimeError("secret"))
        assert isinstance(answer.body, bytes)
        assert answer.status == 500
        assert b"secret" not in answer.body


def test_unknown_paths_have_the_originals_words() -> None:
    assert jobrunner.failure(NotFoundError("/x/y")).body == b"404 page not found\n"
