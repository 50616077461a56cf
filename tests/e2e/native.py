"""The native API as tests ask it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from tests.e2e.program import Server
from tests.e2e.wire import Answer, ask


def post(running: Server, body: object, key: str | None = None) -> Answer:
    headers = {} if key is None else {"Idempotency-Key": key}
    return ask(running.port, "POST", "/v1/jobs", json.dumps(body).encode(), headers)


def submitted(running: Server, command: str, **more: object) -> str:
    answer = post(running, {"command": command, **more})
    assert answer.status == 201, answer.text
    return str(json.loads(answer.body)["id"])


def listed(running: Server, query: str = "") -> dict[str, Any]:
    answer = ask(running.port, "GET", f"/v1/jobs{query}")
    assert answer.status == 200, answer.text
    page: dict[str, Any] = json.loads(answer.body)
    assert set(page) == {"items", "next"}
    return page


def ids(running: Server, query: str = "") -> list[str]:
    return [job["id"] for job in listed(running, query)["items"]]


def until(condition: Callable[[], object], limit_s: float = 10.0) -> None:
    limit = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)
