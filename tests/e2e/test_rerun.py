"""Running the same again, by the real program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.native import ids, post, submitted
from tests.e2e.program import Server, server
from tests.e2e.wire import Answer, ask

OWN = {"id", "rerun_of", "state", "created", "started", "finished", "exit_code", "step", "output_bytes"}


def again(running: Server, job_id: str, body: bytes = b"{}", key: str | None = None) -> Answer:
    headers = {} if key is None else {"Idempotency-Key": key}
    return ask(running.port, "POST", f"/v1/jobs/{job_id}/rerun", body, headers)


def made(answer: Answer) -> dict[str, Any]:
    assert answer.status == 201, answer.text
    job: dict[str, Any] = json.loads(answer.body)
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    return job


@pytest.mark.slow
def test_the_same_commands_with_the_same_environment_run_again(tmp_path: Path) -> None:
    with server(tmp_path / "data") as running:
        folder = tmp_path / "folder"
        folder.mkdir()
        wanted = {
            "steps": [{"command": 'echo "$SECRET" >>ran; echo $SECRET'}, {"argv": ["sh", "-c", "exit 3"]}],
            "env": {"SECRET": "väl ue"},
            "cwd": str(folder),
            "labels": ["nightly", "deploy"],
            "time_limit_s": 77,
            "linger_s": 1.5,
            "grace_s": 2,
        }
        first = running.wait(json.loads(post(running, wanted).body)["id"])
        running.kill()
        running.start()
        job = made(again(running, first["id"][:8]))
        assert job["rerun_of"] == first["id"]
        ended = running.wait(job["id"])
        assert {name: ended[name] for name in ended if name not in OWN} == {
            name: first[name] for name in first if name not in OWN
        }
        assert (ended["exit_code"], ended["step"]) == (3, 1)
        assert running.attach(job["id"]) == running.attach(first["id"]) == "väl ue\n".encode()
        assert (folder / "ran").read_text() == "väl ue\nväl ue\n"
        assert ids(running, "?label=deploy") == [job["id"], first["id"]]
        assert "väl" not in json.dumps(ended, ensure_ascii=False)


def test_a_job_of_another_api_stays_one_of_it(deck: Server) -> None:
    first = deck.submit("echo $WHAT", WHAT="said")
    job = made(again(deck, first, b""))
    assert (job["dialect"], job["rerun_of"]) == ("jobrunner", first)
    assert deck.attach(job["id"]) == b"said\n"


def test_a_job_with_standard_input_begins_with_an_empty_one(deck: Server) -> None:
    first = submitted(deck, "cat", stdin=True)
    job = made(again(deck, first))
    assert (job["stdin"], job["output_bytes"]) == (True, 0)
    for job_id in (first, job["id"]):
        assert ask(deck.port, "POST", f"/v1/jobs/{job_id}/stop", b'{"signal": "KILL"}').status == 202
        assert deck.wait(job_id)["state"] == "stopped"


def test_one_key_makes_one_new_job_of_each(deck: Server) -> None:
    first, other = submitted(deck, "true"), submitted(deck, "true")
    job = made(again(deck, first, key="again"))
    assert made(again(deck, first, b"", key="again"))["id"] == job["id"]
    assert again(deck, other, key="again").status == 422
    assert post(deck, {"command": "true"}, "again").status == 422
    assert made(again(deck, other, key="other"))["id"] != job["id"]


def test_what_is_refused(deck: Server) -> None:
    first = submitted(deck, "true")
    assert again(deck, "00000000-0000-4000-8000-000000000000").status == 404
    answer = again(deck, first, b'{"env": {}}')
    assert (answer.status, json.loads(answer.body)["field"]) == (400, "env")
    assert again(deck, first, b"[]").status == 400
    assert ask(deck.port, "GET", f"/v1/jobs/{first}/rerun").status == 405
