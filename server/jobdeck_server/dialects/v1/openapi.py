"""The OpenAPI 3.1 document, made from the table by which requests are routed, so that it cannot say what is not so.

The pieces of it that a table cannot know (parameters, bodies, answers) stand here as plain data; routes name them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from jobdeck_protocol.job import JobState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jobdeck_server.dialects.base import Dialect

Piece = dict[str, Any]


def query(name: str, text: str, schema: Piece) -> Piece:
    """A field of the query."""
    return {"name": name, "in": "query", "required": False, "description": text, "schema": schema}


def json_body(schema: Piece, *, required: bool) -> Piece:
    """A request body of JSON."""
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def answers(status: str, text: str, schema: Piece | None = None, *, mime: str = "application/json") -> Piece:
    """The good answer, and the problem that every other one is."""
    good: Piece = {"description": text}
    if schema is not None:
        good["content"] = {mime: {"schema": schema}}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: good, "default": {"description": "A problem (RFC 9457)", "content": problem}}


STRING: Piece = {"type": "string"}
INTEGER: Piece = {"type": "integer"}
SECONDS: Piece = {"type": "number", "minimum": 0}
STRINGS: Piece = {"type": "array", "items": STRING}
_ENV: Piece = {"type": "object", "additionalProperties": STRING}
BYTES: Piece = {"type": "string", "format": "binary"}
_JOB: Piece = {"$ref": "#/components/schemas/Job"}
_STREAM = query("stream", "Only this stream", {"enum": ["stdout", "stderr"]})

LIST: Piece = {
    "parameters": [
        query("state", "States, separated by commas", STRING),
        query("dialect", "Only jobs made through this API", STRING),
        query("label", "Only jobs with this label", STRING),
        query("worker", "Only jobs that this worker has or had: its id, 8 characters of it, or its name", STRING),
        query("context", "Only jobs in a context of this name", STRING),
        query("text", "Only jobs whose command, id, labels, packages or context hold this", STRING),
        query("since", "Only jobs created at or after this time (RFC 3339)", {"type": "string", "format": "date-time"}),
        query(
            "sort",
            "Order; - for the greatest first",
            {"enum": [s + n for n in ("created", "ended", "state") for s in ("", "-")]},
        ),
        query("limit", "Longest page", INTEGER),
        query("cursor", "Where the last page stopped", STRING),
        query("after", "Id of a job; the page is what follows it in this order", STRING),
    ],
    "responses": answers(
        "200",
        "A page; it may be short or empty while next is not null",
        {
            "type": "object",
            "properties": {"items": {"type": "array", "items": _JOB}, "next": {"type": ["string", "null"]}},
        },
    ),
}
_STEP_PROPERTIES: Piece = {"command": STRING, "argv": STRINGS, "env": _ENV, "cwd": STRING}
SUBMIT: Piece = {
    "parameters": [{"name": "Idempotency-Key", "in": "header", "required": False, "schema": STRING}],
    "requestBody": json_body(
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                **_STEP_PROPERTIES,
                "steps": {"type": "array", "items": {"type": "object", "properties": _STEP_PROPERTIES}},
                "main_class": {"type": "string", "description": "Instead of commands: package.module.Class"},
                "packages": {**STRINGS, "description": "That bring the class: names of packages, or URIs"},
                "config": {"type": ["string", "object"], "description": "What the class is told: HOCON, or an object"},
                "context": {"type": "string", "description": "In which the class runs; without, in one of its own"},
                "callback_url": {"type": "string", "description": "Where the end of a class is told"},
                "worker": {"type": "string", "description": "Its id, the beginning of it, or its name"},
                "worker_labels": {**STRINGS, "description": "That its worker must have, all of them"},
                "labels": STRINGS,
                "time_limit_s": SECONDS,
                "linger_s": SECONDS,
                "grace_s": SECONDS,
                "stdin": {"type": "boolean"},
                "on_limit": {"enum": ["drop", "stop"]},
                "order": {"enum": ["exact", "bulk"]},
            },
        },
        required=True,
    ),
    "responses": answers("201", "Accepted; it will run even if the server dies now", _JOB),
}
RERUN: Piece = {
    "parameters": SUBMIT["parameters"],
    "requestBody": json_body({"type": "object", "additionalProperties": False}, required=False),
    "responses": answers("201", "Accepted: a new job from the same specification", _JOB),
}
RESULT: Piece = {
    "parameters": [{"name": "Range", "in": "header", "required": False, "schema": STRING}],
    "responses": answers("200", "JSON, or what the class has streamed (application/octet-stream)", {}),
}
OUTCOME: Piece = {
    "responses": answers(
        "200",
        "How it ended",
        {
            "type": "object",
            "properties": {
                "kind": {
                    "type": ["string", "null"],
                    "description": "finished, run_raised, validation, ...; null before its end",
                },
                "error": {
                    "type": ["object", "null"],
                    "properties": {"message": STRING, "class": STRING, "stack": STRING},
                },
                "problems": {**STRINGS, "description": "Why it has refused its configuration"},
                "result": {
                    "type": ["object", "null"],
                    "properties": {"kind": {"enum": ["json", "stream"]}, "size_bytes": INTEGER},
                },
            },
        },
    )
}
CONFIG: Piece = {"responses": answers("200", "What the class was told", {"type": "object"})}
CALLBACK: Piece = {
    "responses": answers(
        "200",
        "Where it stands",
        {
            "type": "object",
            "properties": {
                "url": {**STRING, "description": "Without its query"},
                "state": {"enum": ["waiting", "due", "delivered", "dropped", "silent"]},
                "delivery": {**STRING, "description": "X-Jobdeck-Delivery of all tries"},
                "tries": INTEGER,
                "next": {"type": ["string", "null"], "format": "date-time"},
                "last": {"type": ["string", "null"], "description": "What the last try came to"},
            },
        },
    )
}
JOB: Piece = {"responses": answers("200", "The record", _JOB)}
REMOVED: Piece = {"responses": answers("204", "Record and output are gone")}
_SIGNAL: Piece = {"description": "15, TERM or SIGTERM", "type": ["integer", "string"]}
STOP: Piece = {
    "requestBody": json_body({"type": "object", "properties": {"signal": _SIGNAL, "grace_s": SECONDS}}, required=False),
    "responses": answers("202", "The stop is durable", _JOB),
}
SIGNAL: Piece = {
    "requestBody": json_body(
        {"type": "object", "properties": {"signal": _SIGNAL}, "required": ["signal"]}, required=True
    ),
    "responses": answers("202", "The signal was sent", _JOB),
}
OUTPUT: Piece = {
    "parameters": [_STREAM, {"name": "Range", "in": "header", "required": False, "schema": STRING}],
    "responses": answers("200", "The bytes kept so far", BYTES, mime="text/plain"),
}
_RUN: Piece = {"type": "array", "prefixItems": [INTEGER, STRING, INTEGER]}
_LINE_SCHEMA: Piece = {
    "type": "object",
    "properties": {
        "n": INTEGER,
        "offset": INTEGER,
        "length": {"type": "integer", "description": "Of the whole line in bytes, without its newline"},
        "newline": {"type": "boolean"},
        "time": {"type": "integer", "description": "Of its first byte, microseconds since 1970 UTC; 0 if not known"},
        "runs": {"type": "array", "items": _RUN, "description": "[length, stream, time] of what is in data"},
        "data": {"type": "string", "contentEncoding": "base64"},
    },
}
LINES: Piece = {
    "parameters": [
        query("from", "Number of the first line; negative from the present end", INTEGER),
        query("offset", "A byte of the first line, instead of from; negative from the present end", INTEGER),
        query("count", "The most lines", INTEGER),
        query("cap", "The most bytes of each line", INTEGER),
        _STREAM,
    ],
    "responses": answers(
        "200",
        "Lines, fewer where the answer would be too long; in CBOR, data in bytes, for who accepts application/cbor",
        {
            "type": "object",
            "properties": {
                "from": INTEGER,
                "total": {"type": "integer", "description": "Lines in the first indexed bytes"},
                "size": {"type": "integer", "description": "Of the log in bytes"},
                "indexed": {"type": "integer", "description": "Bytes that were looked through for newlines"},
                "ended": {"type": "boolean"},
                "lines": {"type": "array", "items": _LINE_SCHEMA},
            },
        },
    ),
}
FIND: Piece = {
    "parameters": [
        {
            **query("pattern", "Words, or a regular expression of RE2, matched within a line", STRING),
            "required": True,
        },
        query("regex", "It is a regular expression", {"type": "boolean", "default": False}),
        query("case", "Upper and lower case are told apart", {"type": "boolean", "default": True}),
        query("from", "Number of the line to begin with; negative from the end", INTEGER),
        query("direction", "Which way to go", {"enum": ["forward", "backward"]}),
        query("limit", "The most hits", INTEGER),
        _STREAM,
    ],
    "responses": answers(
        "200",
        "A line each: hits as they are found, how far the search has come, and done at the end",
        {
            "oneOf": [
                {
                    "type": "object",
                    "required": ["hit"],
                    "properties": {
                        "hit": {
                            "type": "object",
                            "properties": dict.fromkeys(("line", "offset", "column", "length"), INTEGER),
                        }
                    },
                },
                {"type": "object", "required": ["at"], "properties": {"at": INTEGER, "offset": INTEGER}},
                {
                    "type": "object",
                    "required": ["done"],
                    "properties": {
                        "done": {"const": True},
                        "hits": INTEGER,
                        "more": {"type": "boolean"},
                        "line": INTEGER,
                    },
                },
            ]
        },
        mime="application/x-ndjson",
    ),
}
EVENTS: Piece = {
    "parameters": [
        query("since", "The last number that was seen; without it a snapshot comes first", INTEGER),
        query("store", "The store that numbered it, as the first message tells", STRING),
        query("watch", "Ids of jobs, separated by commas, the growth of whose output is to be told", STRING),
        query("counts", "Tell how many jobs stand in each state", {"type": "boolean"}),
    ],
    "responses": answers("101", "A WebSocket with a JSON text for each message, or with CBOR by the subprotocol"),
}
WORKER: Piece = {
    "responses": answers("101", "A WebSocket with the subprotocol jobdeck.worker.v1: CBOR in binary messages"),
}
_NULLABLE = (
    "key",
    "bundle",
    "main_class",
    "context",
    "progress",
    "progress_text",
    "rerun_of",
    "time_limit_s",
    "worker",
    "exit_code",
    "signal",
    "error",
    "step",
    "note",
    "created",
    "started",
    "finished",
)
_NUMBERS = (
    "progress",
    "time_limit_s",
    "linger_s",
    "grace_s",
    "attempt",
    "exit_code",
    "signal",
    "step",
    "output_bytes",
    "dropped_bytes",
)
_FLAGS = ("stdin", "stop_requested", "core_dumped", "output_removed", "held", "unreachable")
_TEXTS = (
    "id",
    "dialect",
    "key",
    "bundle",
    "main_class",
    "context",
    "progress_text",
    "rerun_of",
    "command",
    "engine",
    "worker",
    "error",
    "note",
    "created",
    "started",
    "finished",
)
_JOB_SCHEMA: Piece = {
    "type": "object",
    "properties": {
        "state": {"enum": [state.value for state in JobState]},
        "labels": STRINGS,
        "packages": STRINGS,
        "worker_labels": STRINGS,
        "steps": {"type": "array", "items": {"type": "object"}},
        "results": {"type": "object"},
        **{
            name: {"type": [kind, "null"] if name in _NULLABLE else kind}
            for names, kind in ((_NUMBERS, "number"), (_FLAGS, "boolean"), (_TEXTS, "string"))
            for name in names
        },
    },
}
_PROBLEM_SCHEMA: Piece = {
    "type": "object",
    "properties": {"type": STRING, "title": STRING, "status": INTEGER, "detail": STRING, "field": STRING},
}


def document(dialects: Iterable[Dialect], *, version: str) -> Piece:
    """The whole document: every route of every dialect."""
    paths: dict[str, Piece] = {}
    for dialect in dialects:
        for route in dialect.routes:
            operation = {
                "operationId": _operation_id(dialect.name, route.method, route.pattern),
                "summary": route.summary,
                "tags": [dialect.name],
                "x-role": route.role.name.lower(),
                "responses": {"default": {"description": "See the documentation of this API"}},
                **_parameters(route.pattern, route.doc),
            }
            paths.setdefault(route.pattern.replace("*}", "}"), {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "jobdeck", "version": version},
        "security": [{}, {"bearer": []}, {"apiToken": []}, {"basic": []}],
        "paths": paths,
        "components": {
            "schemas": {"Job": _JOB_SCHEMA, "Problem": _PROBLEM_SCHEMA},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiToken": {"type": "apiKey", "in": "header", "name": "x-api-token"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _operation_id(dialect: str, method: str, pattern: str) -> str:
    """``v1.get.jobs.id`` for ``GET /v1/jobs/{id}``: different for different routes, whoever answers them."""
    words = [word for word in re.findall(r"\w+", pattern) if word != dialect]
    return ".".join((dialect, method.lower(), *words, *(("slash",) if words and pattern.endswith("/") else ())))


def _parameters(pattern: str, doc: Mapping[str, Any]) -> Piece:
    names = re.findall(r"\{(\w+)\*?\}", pattern)
    own = [{"name": name, "in": "path", "required": True, "schema": STRING} for name in names]
    return {**doc, "parameters": [*own, *doc.get("parameters", ())]}
