"""The examples of the scheduler's document, "HTTP API", byte for byte, with curl.

The document prints JSON with line breaks for its readers; on the wire the original sends it without blanks and with a
line end, and so do we. Its ids are examples: the worker's is the one that is there.
"""

from __future__ import annotations

import json
import re

from tests.contract.scheduling import Deck
from tests.contract.test_examples import UUID, dateless
from tests.e2e.wire import curl

START = """{
  "worker_id": "d5feef60-3029-11e9-b210-d663bd873d93",
  "command": "bash",
  "path": "worker/scripts/count.sh"
}"""
STOP = """{
  "worker_id": "d5feef60-3029-11e9-b210-d663bd873d93",
  "job_id": "4c5ced1c-5ea9-40f8-90ce-63d09cea26f6"
}"""
WORKER = "d5feef60-3029-11e9-b210-d663bd873d93"
JOB = "4c5ced1c-5ea9-40f8-90ce-63d09cea26f6"


def post(deck: Deck, route: str, body: str) -> tuple[str, str]:
    """Head without its Date, and body."""
    raw = curl("-i", "-X", "POST", "-d", body, deck.url + route)
    head, _, text = raw.partition(b"\r\n\r\n")
    return dateless(head), text.decode()


def head(status: str, length: int) -> str:
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}"


def mine(deck: Deck, body: str, job_id: str = JOB) -> str:
    return body.replace(WORKER, deck.worker_id).replace(JOB, job_id)


def test_start_job_on_worker(deck: Deck) -> None:
    """Start Job on Worker: the request as printed; 201 Created."""
    told, body = post(deck, "/start", mine(deck, START))
    assert told == head("201 Created", 50)
    assert re.fullmatch(rf'{{"job_id":"{UUID}"}}\n', body)
    job_id = json.loads(body)["job_id"]
    assert deck.end(job_id) == '{"done":true,"error":false,"error_text":""}\n'
    assert deck.server.attach(job_id) == b"1\n2\n3\n"


def test_stop_and_query_job_on_worker(deck: Deck) -> None:
    """Stop Job on Worker, Query Job on Worker: 200 OK, and the printed answers to a job that was stopped."""
    job_id = deck.start("sleep", "60")
    assert post(deck, "/query", mine(deck, STOP, job_id)) == (
        head("200 OK", 45),
        '{"done":false,"error":false,"error_text":""}\n',
    )
    assert post(deck, "/stop", mine(deck, STOP, job_id)) == (head("200 OK", 17), '{"success":true}\n')
    deck.end(job_id)
    told = '{"done":true,"error":true,"error_text":"signal: killed"}\n'
    assert post(deck, "/query", mine(deck, STOP, job_id)) == (head("200 OK", len(told)), told)


def test_unknown_workers(deck: Deck) -> None:
    """The one error response that the document prints for each route: 500 Internal Server Error."""
    for route, body in (("/start", START), ("/stop", STOP), ("/query", STOP)):
        assert post(deck, route, body) == (head("500 Internal Server Error", 29), '{"error":"worker not found"}\n')
