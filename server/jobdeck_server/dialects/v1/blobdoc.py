"""What the OpenAPI document says of ``/v1/blobs``; see ``openapi``."""

from __future__ import annotations

from jobdeck_server.dialects.v1.openapi import BYTES, INTEGER, STRING, STRINGS, Piece, answers, json_body, query

_TIME: Piece = {"type": "string", "format": "date-time"}
_FLAG: Piece = {"type": "boolean"}
_HASH: Piece = {"type": "string", "pattern": "^[0-9a-f]{40}$"}
_BLOB: Piece = {
    "type": "object",
    "properties": {
        "hash": _HASH,
        "name": STRING,
        "size_bytes": INTEGER,
        "mime": STRING,
        "type": {"type": "string", "description": "object, softLink, complex, or what a client wrote"},
        "content": {"type": ["string", "null"]},
        "entry_count": {"type": ["integer", "null"]},
        "public": _FLAG,
        "tags": STRINGS,
        "own_tags": STRINGS,
        "pinned": _FLAG,
        "uploaded": _FLAG,
        "created": _TIME,
        "modified": _TIME,
    },
}


def _page(item: Piece, **more: Piece) -> Piece:
    items: Piece = {"type": "array", "items": item}
    return {"type": "object", "properties": {"items": items, **more, "next": {"type": ["string", "null"]}}}


LIST: Piece = {
    "parameters": [
        query("name", "Only blobs that are called exactly so", STRING),
        query("tag", "Only blobs with this tag", STRING),
        query("text", "Only blobs whose hash, name, type or tags hold this", STRING),
        query("type", "Only these", {"enum": ["object", "softLink", "complex"]}),
        query("pinned", "Only pinned ones, or only others", _FLAG),
        query("sort", "Order; - for the greatest first", {"enum": ["created", "-created", "size", "-size"]}),
        query("limit", "Longest page", INTEGER),
        query("cursor", "Where the last page stopped", STRING),
        query("after", "Hash of a blob; the page is what follows it in this order", STRING),
    ],
    "responses": answers("200", "A page; it may be short or empty while next is not null", _page(_BLOB)),
}
UPLOAD: Piece = {
    "parameters": [
        {**query("name", "What the file is called; part of its hash, as its type is", STRING), "required": True},
        query("tag", "A tag that is kept beside the record; may be given several times", STRING),
    ],
    "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": BYTES}}},
    "responses": answers("201", "Durable; 200 if it was here already", _BLOB),
}
RECORD: Piece = {
    "requestBody": json_body({"type": "object"}, required=True),
    "responses": answers("201", "Durable; 200 if it was here already", _BLOB),
}
BLOB: Piece = {"responses": answers("200", "The blob", _BLOB)}
REMOVED: Piece = {
    "parameters": [
        query("recursive", "Also what it links to, if nothing else needs it", _FLAG),
        query("force", "Even if another one links to it", _FLAG),
    ],
    "responses": answers("204", "The record is gone; its bytes go with the next collection"),
}
ENTRIES: Piece = {
    "parameters": [
        query("limit", "Longest page", INTEGER),
        query("cursor", "Where the last page stopped", STRING),
    ],
    "responses": answers(
        "200",
        "Files of an artifact",
        _page(
            {
                "type": "object",
                "properties": {
                    "path": STRING,
                    "type": STRING,
                    "hash": _HASH,
                    "size_bytes": {"type": ["integer", "null"]},
                },
            },
            total=INTEGER,
        ),
    ),
}
TAGS: Piece = {
    "requestBody": json_body({"type": "object", "properties": {"tags": STRINGS}, "required": ["tags"]}, required=True),
    "responses": answers("200", "The blob", _BLOB),
}
CONTENT: Piece = {
    "parameters": [{"name": "Range", "in": "header", "required": False, "schema": STRING}],
    "responses": answers("200", "The bytes; of an artifact a zip", BYTES, mime="application/octet-stream"),
}
COLLECT: Piece = {
    "requestBody": json_body(
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "dry_run": {"type": "boolean", "default": False},
                "unused_s": {
                    "type": ["number", "null"],
                    "description": "Also what clients sent, if nobody has sent or linked to it for so long",
                },
            },
        },
        required=False,
    ),
    "responses": answers(
        "200",
        "What went, or would go",
        {
            "type": "object",
            "properties": {
                "dry_run": _FLAG,
                "records": {"type": "array", "items": _HASH, "description": "The first of them"},
                **dict.fromkeys(
                    (
                        *("record_count", "content_count", "content_bytes"),
                        *("kept_count", "kept_bytes", "young_count"),
                    ),
                    INTEGER,
                ),
            },
        },
    ),
}
