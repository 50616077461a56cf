"""Contexts of the real server, killed at bad moments; and a job in a virtual environment made of wheels."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.program import Server, server
from tests.server.packages.kit import wheel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

LIMIT_S = 60.0
JOBS = """
    import time
    from pathlib import Path

    class Waits:
        def validate(self, context, runtime, config):
            return config

        def run_job(self, context, runtime, data):
            with Path(data["began"]).open("a") as file:
                file.write(str(data["number"]) + "\\n")
            while not Path(data["go"]).exists():
                time.sleep(0.02)
            return [context.name, data["number"]]

    class Imports:
        def validate(self, context, runtime, config):
            return config

        def run_job(self, context, runtime, data):
            import depended_on
            return depended_on.VALUE
"""


def until(true: Callable[[], object]) -> None:
    end_s = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def told(deck: Server, method: str, path: str, body: object = None) -> Any:
    status, _, answer = deck.ask(method, path, None if body is None else json.dumps(body))
    assert status < 300, answer
    return json.loads(answer)


def upload(deck: Server, name: str, path: Path) -> None:
    content = {"Content-Type": "application/python-wheel"}
    assert deck.ask("PUT", f"/v1/packages/{name}", path.read_bytes(), content)[0] == 201


def ready(deck: Server, folder: Path) -> None:
    upload(deck, "jobs", wheel(folder / "jobs.whl", {"waiting.py": JOBS}))


def start(deck: Server, context: str, folder: Path, number: int) -> str:
    config = {"began": str(folder / "began"), "go": str(folder / f"go{number}"), "number": number}
    order = {"main_class": "waiting.Waits", "packages": ["jobs"], "context": context, "config": config}
    job_id: str = told(deck, "POST", "/v1/jobs", order)["id"]
    return job_id


def began(folder: Path) -> list[int]:
    path = folder / "began"
    return list(map(int, path.read_text().split())) if path.exists() else []


def until_began(folder: Path, *numbers: int) -> None:
    until(lambda: set(numbers) <= set(began(folder)))


def until_state(deck: Server, name: str, state: str) -> None:
    until(lambda: told(deck, "GET", f"/v1/contexts/{name}")["state"] == state)


def test_the_queue_of_a_context_outlives_the_server(tmp_path: Path) -> None:
    with server(tmp_path / "data") as deck:
        ready(deck, tmp_path)
        made = told(deck, "POST", "/v1/contexts", {"name": "c1", "settings": "max-jobs-per-context = 1"})
        jobs = [start(deck, "c1", tmp_path, number) for number in range(4)]
        until(lambda: began(tmp_path) == [0])
        deck.kill()
        (tmp_path / "go0").touch()  # it ends while there is no server
        deck.start()
        until(lambda: began(tmp_path) == [0, 1])
        deck.kill()
        deck.start()
        shown = told(deck, "GET", "/v1/contexts/c1")
        assert (shown["id"], shown["state"], shown["slots_count"]) == (made["id"], "running", 1)
        assert (shown["running_count"], shown["queued_count"], shown["jobs"]) == (1, 2, jobs[1:])
        for number in (1, 2, 3):
            (tmp_path / f"go{number}").touch()
            assert deck.wait(jobs[number], LIMIT_S)["state"] == "succeeded"
            assert told(deck, "GET", f"/v1/jobs/{jobs[number]}/result") == ["c1", number]
        assert began(tmp_path) == [0, 1, 2, 3]


def test_a_context_that_was_being_stopped_ends_after_the_restart(tmp_path: Path) -> None:
    """At any moment: its jobs end for this reason, and those that ended before for their own."""
    with server(tmp_path / "data") as deck:
        ready(deck, tmp_path)
        for turn, delay_s in enumerate((0.0, 0.005, 0.02, 0.1)):
            name = f"c{turn}"
            told(deck, "POST", "/v1/contexts", {"name": name, "settings": {"max-jobs-per-context": 2}})
            jobs = [start(deck, name, tmp_path, 10 * turn + number) for number in range(4)]
            until_began(tmp_path, 10 * turn, 10 * turn + 1)
            connection_lost_after(deck, f"/v1/contexts/{name}", delay_s)
            deck.start()
            if told(deck, "GET", f"/v1/contexts/{name}")["state"] == "running":
                continue  # it was killed before it heard of it
            until_state(deck, name, "finished")
            for job_id in jobs:
                assert deck.wait(job_id, LIMIT_S)["state"] == "stopped"
                shown = told(deck, "GET", f"/jobs/{job_id}")
                assert shown["result"]["message"] == f"Context ({name}) for this job was terminated"
            assert not {10 * turn + 2, 10 * turn + 3} & set(began(tmp_path))


def connection_lost_after(deck: Server, path: str, delay_s: float) -> None:
    """Ask for the end of a context, and kill the server a moment later."""
    connection = http.client.HTTPConnection("127.0.0.1", deck.port, timeout=30)
    connection.request("DELETE", quote(path))
    time.sleep(delay_s)
    deck.kill()
    connection.close()


def test_a_job_has_the_wheels_of_its_contexts_environment(tmp_path: Path) -> None:
    with server(tmp_path / "data") as deck:
        ready(deck, tmp_path)
        upload(deck, "dep", wheel(tmp_path / "d.whl", {"depended_on.py": "VALUE = [4, 2]"}, name="depended_on"))
        settings = "python { virtualenv = true, packages = [dep] }"
        told(deck, "POST", "/v1/contexts", {"name": "c1", "settings": settings})
        until_state(deck, "c1", "running")
        order = {"main_class": "waiting.Imports", "packages": ["jobs"]}
        job = deck.wait(told(deck, "POST", "/v1/jobs", {**order, "context": "c1"})["id"], LIMIT_S)
        assert job["state"] == "succeeded"
        assert told(deck, "GET", f"/v1/jobs/{job['id']}/result") == [4, 2]
        # A context of its own that asks for the same has the same; without, there is no such module
        own = {**order, "config": {"spark": {"context-settings": {"python": {"virtualenv": True, "packages": "dep"}}}}}
        job = deck.wait(told(deck, "POST", "/v1/jobs", own)["id"], LIMIT_S)
        assert told(deck, "GET", f"/v1/jobs/{job['id']}/result") == [4, 2]
        assert len(list((tmp_path / "data/venvs").iterdir())) == 1
        job = deck.wait(told(deck, "POST", "/v1/jobs", order)["id"], LIMIT_S)
        assert job["state"] == "failed"
        # One that cannot be made says why, to the job that has waited for it
        own["config"] = {"spark": {"context-settings": {"python": {"virtualenv": True, "packages": "no"}}}}
        job = deck.wait(told(deck, "POST", "/v1/jobs", own)["id"], LIMIT_S)
        shown = told(deck, "GET", f"/jobs/{job['id']}")["result"]["message"]
        assert "cannot be made: " in shown
        assert "no" in shown


def test_the_operators_file_is_read_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "contexts.conf"
    path.write_text("spark.context-settings { x = 1, y = 1 }\ncontexts { set { y = 2, max-jobs-per-context = 3 } }\n")
    flags = ("--context-defaults", str(path), "--max-jobs-per-context", "5")
    with server(tmp_path / "data", *flags) as deck:
        until_state(deck, "set", "running")
        (made,) = told(deck, "GET", "/v1/contexts")["contexts"]
        assert (made["slots_count"], made["settings"]) == (3, {"x": 1, "y": 2, "max-jobs-per-context": 3})
        assert told(deck, "POST", "/v1/contexts", {"name": "c1", "settings": "y = 3"})["settings"] == {"x": 1, "y": 3}
        assert told(deck, "GET", "/v1/contexts/c1")["slots_count"] == 5
        status, _, body = deck.ask("PUT", "/contexts?reset=reboot")
        assert (status, json.loads(body)["result"]) == (200, "Context reset")
        (again,) = told(deck, "GET", "/v1/contexts")["contexts"]
        assert (again["name"], again["id"] != made["id"]) == ("set", True)
        assert deck.stop() == 0
        path.write_text("contexts { set { context-factory = my.Factory } }")
        deck.launch()
        assert deck.process is not None
        assert deck.process.wait(LIMIT_S) == 2
        assert "context set: There is no context-factory 'my.Factory'" in deck.log.read_text()
