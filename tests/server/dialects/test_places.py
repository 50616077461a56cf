"""What ``worker`` means in a query for jobs."""

from __future__ import annotations

from typing import cast

import pytest

from jobdeck_protocol.workerinfo import WorkerInfo
from jobdeck_server.core.errors import BadRequestError, UnknownWorkerError
from jobdeck_server.core.workers import Workers
from jobdeck_server.dialects.v1.jobs import places_of

HERE, FAR, TWIN = (
    WorkerInfo(id=letter * 36, name=name) for letter, name in (("a", "here"), ("b", "far"), ("c", "far"))
)


class Known:
    """The workers of a server."""

    local_id = HERE.id

    def __init__(self, *workers: WorkerInfo) -> None:
        self.workers = workers

    def all(self) -> list[WorkerInfo]:
        return list(self.workers)

    def resolve(self, text: str) -> WorkerInfo:
        for worker in self.workers:
            if text in (worker.id, worker.id[:8], worker.name):
                return worker
        raise UnknownWorkerError(text)


def known(*workers: WorkerInfo) -> Workers:
    return cast("Workers", Known(*workers))


def test_the_servers_own_worker_is_not_named_by_most_of_its_jobs() -> None:
    for text in (HERE.id, HERE.id[:8], "here"):
        assert places_of(known(HERE, FAR), text) == ("", HERE.id)
    for text in (FAR.id, FAR.id[:8], "far"):
        assert places_of(known(HERE, FAR), text) == (FAR.id,)


def test_one_that_is_not_known_any_more_is_found_by_what_its_jobs_say() -> None:
    assert places_of(known(HERE), FAR.id) == (FAR.id,)


def test_a_name_that_several_have_is_refused() -> None:
    with pytest.raises(BadRequestError) as caught:
        places_of(known(HERE, FAR, TWIN), "far")
    assert caught.value.field == "worker"
    assert places_of(known(HERE, FAR, TWIN), TWIN.id) == (TWIN.id,)
