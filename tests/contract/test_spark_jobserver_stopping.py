"""Spark JobServer's API where jobs, contexts and the server end: jobs that do not want to, and requests that wait."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.sparking import Sparks, sparks
from tests.server.packages.kit import wheel

pytestmark = pytest.mark.slow  # each waits for the time that a job is given to end

_STUBBORN = """
    import signal
    import time
    from pathlib import Path

    class Job:
        '''Ends by force alone.'''
        def validate(self, context, runtime, config):
            return config

        def run_job(self, context, runtime, data):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            Path(data["flag"]).touch()
            time.sleep(1000)
"""


@pytest.fixture
def own() -> Iterator[Sparks]:
    """A server that ends here, with a package of a job that does not."""
    folder = tempfile.TemporaryDirectory(prefix="jd-", ignore_cleanup_errors=True)
    with folder as made, sparks(Path(made)) as each:
        path = wheel(each.folder / "stubborn-1.0-py3-none-any.whl", {"stubborn.py": _STUBBORN})
        each.upload("stubborn", path.read_bytes())
        yield each


def begun(own: Sparks, **query: str) -> str:
    """The id of a stubborn job that runs."""
    flag = own.folder / f"flag-{time.monotonic_ns()}"
    job_id: str = own.start("", f'flag = "{flag}"', appName="stubborn", classPath="stubborn.Job", **query)[1]["jobId"]
    own.until(flag.exists)
    return job_id


class Asked(threading.Thread):
    """A request on its way, and its answer."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._ask = ask
        self.answer: Any = None
        self.start()

    def run(self) -> None:
        self.answer = self._ask()

    def wait(self) -> Any:
        self.join(30)
        assert self.answer is not None
        return self.answer


def test_a_kill_is_answered_when_the_job_has_ended(own: Sparks) -> None:
    job_id = begun(own)
    assert own.told("DELETE", f"/jobs/{job_id}") == (200, {"status": "KILLED"})
    assert own.server.job(job_id)["state"] == "stopped"
    assert own.server.job(job_id)["signal"] == 9


def test_who_waits_for_the_result_of_a_job_that_is_killed_is_told(own: Sparks) -> None:
    waiting = Asked(lambda: own.start("Until", 'flag = "/nonexistent"', sync="true", timeout="600"))
    (running,) = own.until(lambda: own.told("GET", "/jobs?status=running")[1])
    assert own.told("DELETE", f"/jobs/{running['jobId']}") == (200, {"status": "KILLED"})
    status, told = waiting.wait()
    assert (status, list(told), told["status"]) == (200, ["jobId", "status", "result"], "KILLED")
    assert told["result"]["message"] == f"Job {running['jobId']} killed"


def test_a_context_that_is_being_stopped_takes_no_jobs(own: Sparks) -> None:
    own.told("POST", "/contexts/ending")
    job_id = begun(own, context="ending")
    stop = Asked(lambda: own.told("DELETE", "/contexts/ending"))
    own.until(lambda: own.told("GET", "/contexts/ending")[1]["state"] == "STOPPING")
    status, told = own.start("Plain", context="ending")
    assert (status, told) == (409, {"status": "ERROR", "result": "Context stop in progress"})
    assert "ending" in own.told("GET", "/contexts")[1]
    assert stop.wait() == (200, {"status": "SUCCESS", "result": "Context stopped"})
    assert own.ended(job_id)["result"]["message"] == "Context (ending) for this job was terminated"


def test_a_full_context_may_refuse_jobs() -> None:
    """As in the original, where its operator wants that."""
    folder = tempfile.TemporaryDirectory(prefix="jd-", ignore_cleanup_errors=True)
    with folder as made, sparks(Path(made), "--context-full", "refuse") as own:
        flag = own.folder / "full"
        own.told("POST", "/contexts/py1?max-jobs-per-context=2")
        jobs = [own.start("Until", f'flag = "{flag}"', context="py1")[1]["jobId"] for _ in range(2)]
        for query in ({}, {"sync": "true"}):
            assert own.start("Plain", context="py1", **query) == (
                503,
                {"status": "NO SLOTS AVAILABLE", "result": "Too many running jobs (2) for job context 'py1'"},
            )
        flag.touch()
        assert [own.ended(job_id)["result"] for job_id in jobs] == ["seen", "seen"]
        assert own.start("Plain", "value = 1", context="py1", sync="true")[1]["result"] == 1


def test_who_waits_for_a_result_is_told_when_the_server_ends(own: Sparks) -> None:
    flag = own.folder / "waited"
    waiting = Asked(lambda: own.start("Until", f'flag = "{flag}"', sync="true", timeout="600"))
    own.until(lambda: own.told("GET", "/jobs?status=running")[1])
    assert own.server.stop() == 0
    status, told = waiting.wait()
    assert (status, told["status"]) == (500, "ERROR")
    assert "as the server is about to end" in told["result"]["message"]
    own.server.start()
    flag.touch()
    assert own.ended(told["jobId"])["result"] == "seen"


def test_all_is_there_after_a_server_was_killed(own: Sparks) -> None:
    """Packages, contexts, jobs that run, results, configurations, reasons."""
    own.told("POST", "/contexts/stays?num-cpu-cores=2")
    flag = own.folder / "survives"
    job_id = own.start("Until", f'flag = "{flag}"', context="stays")[1]["jobId"]
    done = own.start("Plain", "value = {a = [1, null]}", sync="true")[1]
    failed = own.start("Failing", sync="true")[1]
    before = [json.dumps(own.told("GET", path)[1]) for path in ("/binaries", "/contexts")]
    own.server.kill()
    own.server.start()
    assert [json.dumps(own.told("GET", path)[1]) for path in ("/binaries", "/contexts")] == before
    assert own.told("GET", f"/jobs/{done['jobId']}")[1]["result"] == {"a": [1, None]}
    assert own.told("GET", f"/jobs/{done['jobId']}/config")[1] == {"value": {"a": [1, None]}}
    assert own.told("GET", f"/jobs/{failed['jobId']}")[1]["result"] == failed["result"]
    flag.touch()
    assert own.ended(job_id)["result"] == "seen"
    assert own.start("Plain", "value = 1", context="stays", sync="true")[1]["result"] == 1
