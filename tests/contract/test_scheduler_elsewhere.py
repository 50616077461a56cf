"""The scheduler's API on a worker of another machine: the same calls, the same answers.

What needs the same words wherever a job runs is the very test of the server's own worker, run once more.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.contract import test_scheduler as here
from tests.contract import test_scheduler_examples as examples
from tests.contract.scheduling import Deck, write_scripts
from tests.contract.test_scheduler import refused
from tests.e2e.program import Server, server
from tests.e2e.wire import ask
from tests.e2e.worker_fleet import Worker, make_token

_LIMIT_S = 30.0


@dataclass
class Fleet:
    """A server, and the workers that were started for it."""

    folder: Path
    server: Server
    workers: list[Worker] = field(default_factory=list)

    def wait_state(self, name: str, state: str) -> str:
        """The id of a worker once it is in a state."""
        limit = time.monotonic() + _LIMIT_S
        while True:
            items = json.loads(ask(self.server.port, "GET", "/v1/workers").body)["items"]
            found = [each["id"] for each in items if (each["name"], each["state"]) == (name, state)]
            if found:
                return str(found[0])
            assert time.monotonic() < limit, (items, [worker.log.read_text()[-2000:] for worker in self.workers])
            time.sleep(0.02)


@pytest.fixture(scope="module")
def fleet() -> Iterator[tuple[Fleet, Deck]]:
    """A server with a folder of other scripts, and a worker that has the right ones."""
    with tempfile.TemporaryDirectory(prefix="jd-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        scripts = folder / "scripts"
        write_scripts(scripts)
        with server(folder / "data", "--worker-name", "deck") as running:
            found = Fleet(folder, running)
            try:
                far = start(found, "far", "--scripts", str(scripts))
                yield found, Deck(running, scripts, worker_id=far.id)
            finally:
                for worker in found.workers:
                    worker.close()


def start(found: Fleet, name: str, *flags: str) -> Worker:
    """One more worker, once it is online."""
    token_file = found.folder / f"{name}.token"
    token_file.write_text(make_token(found.server.data_dir, "worker", name))
    token_file.chmod(0o600)
    worker = Worker(name, found.folder, "--token-file", str(token_file), *flags)
    worker.url = found.server.url
    found.workers.append(worker)
    worker.launch()
    worker.id = found.wait_state(name, "online")
    return worker


@pytest.fixture
def far(fleet: tuple[Fleet, Deck]) -> Deck:
    return fleet[1]


@pytest.fixture(scope="module")
def strict(fleet: tuple[Fleet, Deck]) -> Deck:
    """A second worker, with one slot, which runs little."""
    found, far = fleet
    flags = ("--scripts", str(far.scripts), "--only-scripts", "--commands", "bash,sh", "--slots", "1")
    return Deck(found.server, far.scripts, worker_id=start(found, "strict", *flags).id)


@pytest.mark.parametrize(
    "test",
    [
        examples.test_start_job_on_worker,
        examples.test_stop_and_query_job_on_worker,
        here.test_keys_match_in_any_case_and_others_are_ignored,
        here.test_a_job_of_another_api_is_unknown,
        here.test_text_is_told_as_go_writes_it,
        here.test_a_missing_path_is_an_empty_argument,
        here.test_the_environment_is_small_and_has_no_secrets,
        here.test_standard_input_is_empty,
        here.test_both_streams_are_kept_and_told_apart,
        here.test_the_record_names_api_and_worker,
        here.test_it_can_be_run_again_by_the_native_api,
        here.test_how_signals_are_told,
        here.test_a_memory_image_is_told,
        here.test_a_stop_ends_all_that_the_job_started,
        here.test_a_stop_of_what_has_ended_succeeds_and_changes_nothing,
        here.test_a_stop_right_after_the_start,
    ],
    ids=lambda test: test.__name__.removeprefix("test_"),
)
def test_it_is_the_same_elsewhere(far: Deck, test: Callable[[Deck], None]) -> None:
    test(far)


# -- section 2.1: errors --


@pytest.mark.parametrize("route", ["/stop", "/query"])
@pytest.mark.parametrize("job_id", ["", "x", "4c5ced1c-5ea9-40f8-90ce-63d09cea26f6"])
def test_an_unknown_job(far: Deck, route: str, job_id: str) -> None:
    refused(far.call(route, job_id=job_id), "job not found")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "exec: no command"),
        ({"command": "", "path": "exit0.sh"}, "exec: no command"),
        ({"command": "no-such-cmd", "path": ""}, 'exec: "no-such-cmd": executable file not found in $PATH'),
        ({"command": "ls -l"}, 'exec: "ls -l": executable file not found in $PATH'),
        ({"command": 'a"b\\'}, 'exec: "a\\"b\\\\": executable file not found in $PATH'),
        ({"command": "a\0b"}, 'exec: "a\\x00b": executable file not found in $PATH'),
        ({"command": "\udcff"}, 'exec: "\\xff": executable file not found in $PATH'),
        ({"command": "/etc/passwd"}, "fork/exec /etc/passwd: permission denied"),
        ({"command": "./plain.txt"}, "fork/exec ./plain.txt: permission denied"),
        ({"command": "/tmp"}, "fork/exec /tmp: permission denied"),
        ({"command": "./nope"}, "fork/exec ./nope: no such file or directory"),
        ({"command": "bash", "path": "a\0b"}, "A NUL character stands in argv."),
        # Here only the worker's kernel can tell, and it is waited for
        ({"command": "./lost.sh"}, "./lost.sh: its interpreter was not found"),
    ],
    ids=lambda value: None if isinstance(value, str) else str(value)[:40],
)
def test_what_cannot_be_run_there_is_refused(far: Deck, fields: dict[str, str], text: str) -> None:
    refused(far.call("/start", **fields), text)


def test_a_job_of_another_worker_is_unknown(far: Deck) -> None:
    job_id = far.start("bash", "exit0.sh")
    own = Deck(far.server, far.scripts)
    assert own.worker_id != far.worker_id
    for route in ("/query", "/stop"):
        refused(own.call(route, job_id=job_id), "job not found")


def test_scripts_are_those_of_the_workers_folder(far: Deck) -> None:
    refused(
        Deck(far.server, far.scripts).call("/start", command="./run.sh"),
        "fork/exec ./run.sh: no such file or directory",
    )
    for path in ("", "two words", "$HOME; *", "é\udcff", "-x", "a\nb"):
        job_id = far.start("./run.sh", path)
        assert far.server.attach(job_id) == b"[%s] 1\n%s\n" % (os.fsencode(path), os.fsencode(far.scripts.resolve()))
        assert far.end(job_id) == '{"done":true,"error":false,"error_text":""}\n'


# -- section 3.1: how it is told --


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("exit0.sh", ""),
        ("exit1.sh", "exit status 1"),
        ("exit42.sh", "exit status 42"),
        ("nofile.sh", "exit status 127"),
    ],
)
def test_how_an_exit_is_told(far: Deck, path: str, text: str) -> None:
    here.test_how_an_exit_is_told(far, path, bool(text), text)


# -- what the worker allows, and whether it is there --


@pytest.mark.slow
def test_a_worker_has_rules_of_its_own(strict: Deck) -> None:
    (strict.scripts.parent / "outside.sh").write_text("echo outside\n")
    allowed = "is not allowed: this server runs bash, sh"
    refused(strict.call("/start", command="sleep", path="1"), f'command "sleep" {allowed}')
    refused(strict.call("/start", command="bash", path="-c"), 'path "-c" is not allowed: it reads like an option')
    outside = 'path "../outside.sh" is not allowed: it is outside the folder of scripts'
    refused(strict.call("/start", command="bash", path="../outside.sh"), outside)
    assert strict.end(strict.start("bash", "exit42.sh")).endswith('"exit status 42"}\n')


@pytest.mark.slow
def test_a_job_beyond_its_slots_is_accepted_and_waits(strict: Deck) -> None:
    first = strict.start("bash", "sleep.sh")
    second, third = (strict.start("bash", "exit1.sh") for _ in range(2))
    assert strict.server.job(second)["state"] == "queued"
    assert strict.query(second) == '{"done":false,"error":false,"error_text":""}\n'
    strict.call("/stop", job_id=third)
    assert strict.query(third) == '{"done":true,"error":true,"error_text":"signal: killed"}\n'
    strict.call("/stop", job_id=first)
    assert strict.end(second) == '{"done":true,"error":true,"error_text":"exit status 1"}\n'


@pytest.mark.slow
def test_a_frozen_worker_holds_up_nobody(fleet: tuple[Fleet, Deck]) -> None:
    """Section 6: the original had everybody wait for it. A start there is accepted when its time is up."""
    found, far = fleet
    frozen = next(worker for worker in found.workers if worker.id == far.worker_id)
    slow = far.start("bash", "sleep.sh")
    os.kill(frozen.pid, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        waits = far.start("bash", "exit42.sh")
        assert time.monotonic() - begin >= 0.9
        assert far.query(waits) == '{"done":false,"error":false,"error_text":""}\n'
        assert far.call("/stop", job_id=slow).text == '{"success":true}\n'
        assert far.query(slow).startswith('{"done":false')
        own = Deck(far.server, far.scripts)
        assert own.end(own.start("true", "")) == '{"done":true,"error":false,"error_text":""}\n'
    finally:
        os.kill(frozen.pid, signal.SIGCONT)
    assert far.end(waits, _LIMIT_S) == '{"done":true,"error":true,"error_text":"exit status 42"}\n'
    assert far.end(slow, _LIMIT_S) == '{"done":true,"error":true,"error_text":"signal: killed"}\n'


@pytest.mark.slow
def test_a_worker_that_has_left_is_told(fleet: tuple[Fleet, Deck], strict: Deck) -> None:
    found, _ = fleet
    (worker,) = [each for each in found.workers if each.id == strict.worker_id]
    job_id = strict.start("bash", "exit0.sh")
    strict.end(job_id)
    assert worker.stop() == 0
    found.wait_state(worker.name, "offline")
    refused(strict.call("/start", command="bash"), "worker unreachable")
    for route in ("/stop", "/query"):
        refused(strict.call(route, job_id=job_id), "worker unreachable")
    listed = json.loads(ask(found.server.port, "GET", "/workers/list").body)[worker.id]
    assert (listed["env"], listed["env-type"], listed["server-status"]) == ("strict", "worker", "offline")
    assert ask(found.server.port, "DELETE", "/v1/workers/strict").status == 204
    refused(strict.call("/query", job_id=job_id), "worker not found")
    found.workers.remove(worker)
    worker.close()
