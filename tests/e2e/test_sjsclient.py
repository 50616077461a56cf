"""The published Python client of Spark JobServer, as it is, through all that it can do.

It was written for Python before 3.10 and needs one name that is gone since: its users put that back, and so does this.
Most of this is what its own functional tests do against the original, on our packages.
"""

from __future__ import annotations

import collections
import collections.abc
import importlib
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import examplejobs
from tests.e2e.program import JOBDECK, Server, server
from tests.server.packages.kit import wheel

# Its sessions are never closed.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

COUNT = "example_jobs.word_count.WordCount"
LIMIT_S = 30.0
PYTHON_FACTORY = "spark.jobserver.python.PythonSessionContextFactory"


@dataclass(frozen=True, kw_only=True)
class World:
    """A server, the client's modules, and two uploaded packages."""

    server: Server
    module: Callable[[str], Any]
    client: Any
    package: bytes
    egg: Any
    wheel: Any

    def until(self, true: Callable[[], Any]) -> Any:
        end_s = time.monotonic() + LIMIT_S
        while not (found := true()):
            assert time.monotonic() < end_s
            time.sleep(0.02)
        return found

    def done(self, job: Any, status: str = "FINISHED") -> Any:
        """The job, once it has ended."""
        ended = ("FINISHED", "ERROR", "KILLED")
        last = self.until(lambda: found if (found := self.client.jobs.get(job.jobId)).status in ended else None)
        assert last.status == status, dict(last)
        return last


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("sjs")
    packages = examplejobs.build(folder / "project")
    with pytest.MonkeyPatch.context() as patch, server(folder / "data") as deck:
        patch.setattr(collections, "MutableMapping", collections.abc.MutableMapping, raising=False)

        def module(name: str) -> Any:
            return importlib.import_module(f"sjsclient.{name}")

        client = module("client").Client(deck.url)
        python = module("app").AppType.PYTHON
        with ThreadPoolExecutor(2) as threads:  # each sleeps a second
            made = [
                threads.submit(client.apps.create, name, package.read_bytes(), python)
                for name, package in zip(("wheel", "egg"), packages, strict=True)
            ]
            apps = [each.result() for each in made]
        yield World(
            server=deck, module=module, client=client, package=packages[0].read_bytes(), wheel=apps[0], egg=apps[1]
        )


def test_apps(world: World, tmp_path: Path) -> None:
    client, missing = world.client, world.module("exceptions").NotFoundException
    assert {"egg", "wheel"} <= {app.name for app in client.apps.list()}
    assert (world.egg.name, client.apps.get("egg").name) == ("egg", "egg")
    assert world.egg.time["binary-type"] == "Egg"
    assert world.egg.time["upload-time"].endswith("Z")
    with pytest.raises(missing):
        client.apps.get("does-not-exist")
    jar = client.apps.create("a jar", wheel(tmp_path / "any.zip", {"a": ""}).read_bytes())
    assert jar.time["binary-type"] == "Jar"
    assert client.apps.delete("a jar").json() == {"status": "SUCCESS"}
    with pytest.raises(missing):
        client.apps.get("a jar")
    with pytest.raises(missing) as caught:
        client.apps.delete("a jar")
    assert (caught.value.status_code, caught.value.details) == (404, "ERROR")


def test_contexts(world: World) -> None:
    client, errors = world.client, world.module("exceptions")
    name = f"ctx_{uuid.uuid4()}"
    made = client.contexts.create(name, {"num-cpu-cores": "1", "memory-per-node": "512m"})
    assert made.name == name
    assert client.contexts.get(name).name == name
    with pytest.raises(errors.HttpException) as caught:
        client.contexts.create(name)
    assert (caught.value.status_code, caught.value.details) == (400, "ERROR")
    with pytest.raises(errors.HttpException):
        client.contexts.create("1_name_starting_with_number", {"num-cpu-cores": "4", "memory-per-node": "512m"})
    for ask in (client.contexts.get, client.contexts.delete):
        with pytest.raises(errors.NotFoundException):
            ask("does-not-exist")
    assert made.delete().status_code == 200
    world.until(lambda: name not in [context.name for context in client.contexts.list()])


def test_a_job_of_a_context(world: World) -> None:
    client = world.client
    context = client.contexts.create("py", {"context-factory": PYTHON_FACTORY})
    job = client.jobs.create(world.egg, COUNT, "input.strings = ['a', 'b', 'a', 'b']", ctx=context)
    assert job.jobId
    assert (job.status, job.context, job["classPath"], job.duration) == ("STARTED", "py", COUNT, "Job not done yet")
    done = world.done(job)
    # single quotes are characters like others in HOCON
    assert done.result == {"'a'": 2, "'b'": 2}
    assert done.duration.endswith(" secs")
    assert job.jobId in [each.jobId for each in client.jobs.list()]
    assert [each.jobId for each in client.jobs.list(limit=1, status="finished")] == [job.jobId]
    assert list(client.jobs.list(status="unheard-of")) == []
    with pytest.raises(world.module("exceptions").NotFoundException):
        client.jobs.delete(job.jobId)
    context.delete()


def test_a_job_without_a_context_and_its_config(world: World) -> None:
    client = world.client
    job = client.jobs.create(world.wheel, "example_jobs.kinds.Plain", conf={"test_config": "test_config_value"})
    done = world.done(job)
    assert done.result == [2, 4, 6]
    assert done.get_config() == {"test_config": "test_config_value"}
    assert client.jobs.get_config(job.jobId)["test_config"] == "test_config_value"


def test_synchronous_jobs(world: World) -> None:
    client = world.client
    job = client.jobs.create(world.egg, "example_jobs.kinds.Plain", sync=True)
    assert job.result == [2, 4, 6]
    assert dict(job) == {"jobId": job.jobId, "result": [2, 4, 6]}
    failed = client.jobs.create(world.wheel, "example_jobs.kinds.Failing", sync=True)
    assert failed.status == "ERROR"
    assert "this one always fails" in failed.result["message"]
    with pytest.raises(world.module("exceptions").HttpException) as caught:
        client.jobs.create(world.egg, COUNT, sync=True)
    assert (caught.value.status_code, caught.value.details) == (400, "VALIDATION FAILED")


def test_a_job_is_deleted(world: World) -> None:
    client, missing = world.client, world.module("exceptions").NotFoundException
    job = client.jobs.create(world.egg, "example_jobs.kinds.Long")
    world.until(lambda: client.jobs.get(job.jobId).status == "RUNNING")
    answer = client.jobs.delete(job.jobId)
    assert (answer.status_code, answer.json()) == (200, {"status": "KILLED"})
    killed = world.done(job, "KILLED")
    assert killed.result["message"] == f"Job {job.jobId} killed"
    for job_id in (job.jobId, "does-not-exist"):
        with pytest.raises(missing):
            client.jobs.delete(job_id)
    for ask in (client.jobs.get, client.jobs.get_config):
        with pytest.raises(missing):
            ask("does-not-exist")


def test_who_it_is_and_no_slots(tmp_path: Path, world: World) -> None:
    """The password of its users is the token; and where a server is told to refuse, they look for these words."""
    make, error = world.module("client").Client, world.module("exceptions").HttpException
    token = _token(tmp_path / "data")
    with server(tmp_path / "data", "--require-token", "--context-full", "refuse") as deck:
        with pytest.raises(error) as caught:
            list(make(deck.url).apps.list())
        assert caught.value.status_code == 401
        client = make(deck.url, auth=("anybody", token))
        assert list(client.apps.list()) == []
        headers = {"Content-Type": "application/python-wheel", "Authorization": f"Bearer {token}"}
        assert deck.ask("POST", "/binaries/jobs", world.package, headers)[0] == 201
        context = client.contexts.create("one", {"max-jobs-per-context": "1"})
        app = client.apps.get("jobs")
        first = client.jobs.create(app, "example_jobs.kinds.Long", ctx=context)
        with pytest.raises(error) as caught:
            client.jobs.create(app, "example_jobs.kinds.Long", ctx=context)
        assert (caught.value.status_code, caught.value.details) == (503, "NO SLOTS AVAILABLE")
        first.delete()


def _token(data_dir: Path) -> str:
    made = subprocess.run(
        [*JOBDECK, "token", "create", "--role", "run", "--data-dir", str(data_dir)],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return made.stdout.split()[0]
