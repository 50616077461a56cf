"""What the OpenAPI document says of this API; plain data."""

from __future__ import annotations

from typing import Any

Piece = dict[str, Any]

_STRING: Piece = {"type": "string"}
_NUMBER: Piece = {"type": "integer", "format": "int32"}
_FLAG: Piece = {"type": "string", "enum": ["true", "yes", "on", "1", "false", "no", "off", "0"]}
_BYTES: Piece = {"type": "string", "format": "binary"}
_ANY: Piece = {}


def _object(*texts: str, **properties: Piece) -> Piece:
    return {"type": "object", "properties": {**dict.fromkeys(texts, _STRING), **properties}}


def _map(schema: Piece) -> Piece:
    return {"type": "object", "additionalProperties": schema}


def _list(schema: Piece) -> Piece:
    return {"type": "array", "items": schema}


def _content(schema: Piece, mime: str = "application/json") -> Piece:
    return {mime: {"schema": schema}}


def _query(name: str, text: str, schema: Piece = _STRING) -> Piece:
    return {"name": name, "in": "query", "required": False, "description": text, "schema": schema}


_EXCEPTION: Piece = _object("message", "errorClass", "stack")
_ENVELOPE: Piece = _object("status", result={"oneOf": [_STRING, _EXCEPTION]})
_REPORT: Piece = _object("jobId", "startTime", "classPath", "context", "contextId", "duration", "status", result=_ANY)
_BINARY: Piece = _object("binary-type", "upload-time")
_BODY_MIMES = ("application/java-archive", "application/python-egg", "application/python-wheel")
_HOCON: Piece = {
    "description": "HOCON, of which JSON is a part; its Content-Type is not looked at",
    "content": _content(_STRING, "text/plain"),
}


def _answers(status: str, text: str, schema: Piece, **more: str) -> Piece:
    """The good answer, further ones, and the envelope that every refusal is."""
    refused = _content(_ENVELOPE)
    return {
        status: {"description": text, "content": _content(schema)},
        **{code.removeprefix("_"): {"description": words, "content": refused} for code, words in more.items()},
        "default": {"description": "A refusal", "content": refused},
    }


BINARIES: Piece = {"responses": _answers("200", "Kind and time of each, by name", _map(_BINARY))}
BINARY: Piece = {
    "responses": _answers("200", "A binary", _object("app-name", "binary-type", "upload-time"), _404="There is none")
}
UPLOAD: Piece = {
    "requestBody": {"required": True, "content": {mime: {"schema": _BYTES} for mime in _BODY_MIMES}},
    "responses": {
        "201": {
            "description": "It is durable: OK, or an envelope where Accept names JSON",
            "content": {**_content(_STRING, "text/plain"), **_content(_ENVELOPE)},
        },
        **_answers("400", "It is no zip", _ENVELOPE, _415="It is said to be something else"),
    },
}
DONE: Piece = {
    "responses": _answers("200", "It is gone", _ENVELOPE, _403="Jobs that have not ended name it", _404="There is none")
}
JARS: Piece = {"responses": _answers("200", "Times by name", _map(_STRING))}
JAR: Piece = {
    "requestBody": {"required": True, "content": _content(_BYTES, "application/octet-stream")},
    "responses": _answers("200", "It is durable", _ENVELOPE, _400="It is no zip"),
}
CONTEXTS: Piece = {"responses": _answers("200", "Names", _list(_STRING))}
CONTEXT: Piece = {
    "responses": _answers(
        "200",
        "The context, as texts",
        _object("id", "name", "startTime", "endTime", "state", "applicationId"),
        _404="There is none",
    )
}
NEW_CONTEXT: Piece = {
    "parameters": [
        {
            "name": "settings",
            "in": "query",
            "required": False,
            "description": "Any setting by its dotted path, such as num-cpu-cores",
            "style": "form",
            "explode": True,
            "schema": _map(_STRING),
        }
    ],
    "requestBody": {**_HOCON, "description": "HOCON; spark.context-settings counts for more than the query"},
    "responses": _answers("200", "It is up", _ENVELOPE, _400="It exists, or cannot be called so", _500="It failed"),
}
STOPPED: Piece = {
    "parameters": [_query("force", "Do not wait for its jobs to end by themselves", _FLAG)],
    "responses": {
        "202": {"description": "It goes on stopping; Location says where that was asked for"},
        **_answers("200", "It has stopped", _ENVELOPE, _404="There is none"),
    },
}
RESET: Piece = {
    "parameters": [{**_query("reset", "Only this", {"enum": ["reboot"]}), "required": True}, _query("sync", "", _FLAG)],
    "responses": _answers("200", "All are gone", _ENVELOPE),
}
JOBS: Piece = {
    "parameters": [
        _query("limit", "Longest list, 1000 at most; 50 without it", _NUMBER),
        _query("status", "Only those: STARTED, RUNNING, FINISHED, ERROR or KILLED, in any case"),
    ],
    "responses": _answers("200", "Reports; of those that failed or were killed with why", _list(_REPORT)),
}
START: Piece = {
    "parameters": [
        _query("appName", "The name under which its package was uploaded; with classPath"),
        _query("classPath", "package.module.Class"),
        _query("cp", "Names of packages and http, ftp, file and local URIs, separated by commas; with mainClass"),
        _query("mainClass", "package.module.Class"),
        _query("context", "A context that lives; without it one is made for this job"),
        _query("sync", "Answer with the result", _FLAG),
        _query("timeout", "Seconds for that, 10 without it; the job runs on", _NUMBER),
        _query("callbackUrl", "Where the result is posted to once it has ended"),
        _query("spark.proxy.user", "Kept in the settings of a context that is made for this job"),
    ],
    "requestBody": _HOCON,
    "responses": {
        "202": {"description": "Started", "content": _content(_REPORT)},
        **_answers(
            "200",
            "Its result, or with a status what has ended it",
            _object("jobId", "status", result=_ANY),
            _400="The job refuses its configuration, cannot be loaded, or something is missing",
            _404="There is no such binary, context or class",
            _409="The context is being stopped",
            _500="The time is up; jobId says which job runs on",
            _503="The context has no free slot, and its jobs are not to wait",
        ),
    },
}
SHOW: Piece = {"responses": _answers("200", "A report, with the result if it has finished", _REPORT)}
KILL: Piece = {"responses": _answers("200", "It has ended", _object("status", ERROR=_EXCEPTION), _404="It had before")}
CONFIG: Piece = {"responses": _answers("200", "What was posted", _map(_ANY))}
DATA: Piece = {"responses": _answers("200", "Full paths", _list(_STRING))}
NEW_DATA: Piece = {
    "requestBody": {"required": True, "content": _content(_BYTES, "application/octet-stream")},
    "responses": _answers("200", "It is there", _object(result=_object("filename"))),
}
NO_DATA: Piece = {"responses": _answers("200", "OK: it is gone", _STRING, _400="There is none")}
