"""What the OpenAPI document says of the scheduler's API; plain data."""

from __future__ import annotations

from typing import Any

Piece = dict[str, Any]

_STRING: Piece = {"type": "string"}
_FLAG: Piece = {"type": "boolean"}


def _object(**properties: Piece) -> Piece:
    return {"type": "object", "properties": properties}


def _content(schema: Piece) -> Piece:
    return {"application/json": {"schema": schema}}


def _call(fields: tuple[str, ...], status: str, text: str, schema: Piece) -> Piece:
    """A request of texts, its good answer, and the 500 that every other one is."""
    return {
        "requestBody": {"required": True, "content": _content(_object(**dict.fromkeys(fields, _STRING)))},
        "responses": {
            status: {"description": text, "content": _content(schema)},
            "500": {"description": "A refusal", "content": _content(_object(error=_STRING))},
        },
    }


START: Piece = _call(
    ("worker_id", "command", "path"),
    "201",
    "Accepted; it will run even if the server dies now",
    _object(job_id=_STRING),
)
STOP: Piece = _call(("worker_id", "job_id"), "200", "The stop is durable", _object(success=_FLAG))
QUERY: Piece = _call(
    ("worker_id", "job_id"),
    "200",
    "Whether it has ended; error_text is exit status N, signal: WORDS, or empty",
    _object(done=_FLAG, error=_FLAG, error_text=_STRING),
)
_WORKER: Piece = _object(**dict.fromkeys(("id", "address", "env", "env-type", "server-status", "launch-time"), _STRING))
LIST: Piece = {
    "responses": {
        "200": {
            "description": "Workers by their ids; env is a worker's name, env-type its engine",
            "content": _content({"type": "object", "additionalProperties": _WORKER}),
        }
    }
}
