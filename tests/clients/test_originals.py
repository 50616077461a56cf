"""Records, types and names: what the originals answer, we answer, over many questions made by chance.

Each run asks others; a failure prints its question. The seed of a run is printed by pytest with -rA or on failure.
"""

from __future__ import annotations

import json
import random
import re

import pytest

from jobdeck_server.core.blobrecord import metadata_hash, record_of, serialize
from jobdeck_server.core.ecmascript import JsonError, parse, stringify
from jobdeck_server.core.errors import BadRequestError
from jobdeck_server.core.mime import UNKNOWN, mime_of, table
from jobdeck_server.dialects.webgme.disposition import attachment
from tests.clients.conftest import Oracle
from tests.e2e.wire import tell

RECORDS_COUNT = 3000
NAMES_COUNT = 3000

LETTERS = [
    *"abcxyz019 .-_/\\\"'%#&",
    "é",
    "μ",
    "Ω",
    "\U0001f600",
    "\ud83d",
    "\udc00",
    "\0",
    "\x1f",
    "\x7f",
    "\u2028",
    "ß",
]
KEYS = ["0", "9", "10", "01", "1.5", "-1", "4294967294", "4294967295", "__proto__", "a", "B", "z/b.txt", "content", ""]
NUMBERS = [
    "0",
    "-0",
    "12.0",
    "1e21",
    "1e-7",
    "1e400",
    "123456789012345678901",
    "0.1",
    "5e-324",
    "9007199254740993",
    "-5",
]


@pytest.fixture
def chance() -> random.Random:
    seed = random.SystemRandom().randrange(2**32)
    tell(f"seed {seed}")
    return random.Random(seed)


def a_text(chance: random.Random, longest: int = 8) -> str:
    return "".join(chance.choice(LETTERS) for _ in range(chance.randrange(longest)))


def a_json(chance: random.Random, depth: int = 3) -> str:
    """The text of a value, in ways that Python's own writer would not choose."""
    kind = chance.randrange(9 if depth else 6)
    if kind < 2:
        return a_string(a_text(chance), chance)
    if kind == 2:
        return chance.choice(["null", "true", "false", '""'])
    if kind == 3:
        return chance.choice(NUMBERS)
    if kind == 4:
        return repr(chance.uniform(-1, 1) * 10 ** chance.randrange(-12, 25))
    if kind == 5:
        return str(chance.randrange(-(10**18), 10**18))
    if kind == 6:
        return "[" + ",".join(a_json(chance, depth - 1) for _ in range(chance.randrange(4))) + "]"
    return an_object({a_key(chance): a_json(chance, depth - 1) for _ in range(chance.randrange(5))})


def a_string(text: str, chance: random.Random) -> str:
    """A string as JSON, escaped or not; half a pair can only be escaped."""
    return json.dumps(text, ensure_ascii=chance.random() < 0.5 or re.search("[\ud800-\udfff]", text) is not None)


def a_key(chance: random.Random) -> str:
    return chance.choice(KEYS) if chance.random() < 0.7 else a_text(chance)


def an_object(texts: dict[str, str]) -> str:
    return "{" + ", ".join(f"{json.dumps(key)} :{text}" for key, text in texts.items()) + "}"


def entries(chance: random.Random) -> str:
    """The content of an artifact, mostly a good one."""
    found = {}
    for _ in range(chance.randrange(8)):
        digits = "".join(chance.choice("0123456789abcdef") for _ in range(40 if chance.random() < 0.97 else 39))
        parts = {"content": json.dumps(digits), "contentType": chance.choice(['"object"', '"softLink"', "7"])}
        if chance.random() < 0.3:
            parts[a_key(chance)] = a_json(chance, 1)
        found[a_key(chance)] = an_object(dict(chance.sample(sorted(parts.items()), len(parts))))
    return an_object(found)


def a_record(chance: random.Random) -> str:
    texts = {name: a_json(chance) for name in ("name", "size", "mime", "isPublic", "content", "unknown")}
    texts["contentType"] = chance.choice(['"object"', '"softLink"', '"complex"', '"complex"', "null", '"odd"', "0"])
    texts["tags"] = "[" + ",".join(a_json(chance, 2) for _ in range(chance.randrange(6))) + "]"
    if chance.random() < 0.1:
        texts["tags"] = a_json(chance)
    if texts["contentType"] == '"complex"':
        texts["content"] = entries(chance)
    kept = [name for name in texts if chance.random() < 0.8]
    chance.shuffle(kept)
    return an_object({name: texts[name] for name in kept})


def ours(text: str) -> dict[str, str] | None:
    try:
        record = record_of(parse(text.encode()))
    except (JsonError, BadRequestError):
        return None
    return {"text": serialize(record).decode(), "hash": metadata_hash(record)}


def test_records_have_the_originals_text_and_hash(oracle: Oracle, chance: random.Random) -> None:
    """ECMAScript itself and the engine's own BlobMetadata, over records of every shape."""
    texts = [a_record(chance) for _ in range(RECORDS_COUNT)]
    refused = 0
    for text, answer in zip(texts, oracle.ask("record", *texts), strict=True):
        assert ours(text) == answer.get("value"), (text, answer)
        refused += "error" in answer
    tell(f"{RECORDS_COUNT} records, {refused} of them refused by both")
    assert refused < RECORDS_COUNT / 2


@pytest.mark.parametrize("indent_count", [0, 4])
def test_values_are_written_as_ecmascript_writes_them(oracle: Oracle, chance: random.Random, indent_count: int) -> None:
    texts = [a_json(chance, 4) for _ in range(RECORDS_COUNT)]
    for text, answer in zip(texts, oracle.ask("json4" if indent_count else "json", *texts), strict=True):
        assert stringify(parse(text.encode()), indent_count) == answer["value"], text


def test_the_table_of_types_is_the_originals(oracle: Oracle) -> None:
    (answer,) = oracle.ask("table", None)
    assert dict(table()) == answer["value"]
    assert len(table()) == 1240


def test_names_have_the_originals_types(oracle: Oracle, chance: random.Random) -> None:
    extensions = [*table(), "", " ", "TXT", "JSON", "none"]
    names = [
        chance.choice(["", "a", "a.b", "d/e", "d\\", "/", ".", "d/.", "é\U0001f600", "\n"])
        + chance.choice(["", ".", "/", "\\", "./"])
        + chance.choice(extensions)
        + chance.choice(["", "", "", " ", "."])
        for _ in range(NAMES_COUNT)
    ]
    for name, answer in zip(names, oracle.ask("mime", *names), strict=True):
        assert mime_of(name) == (answer["value"] or UNKNOWN), name


def test_downloads_have_the_originals_names(oracle: Oracle, chance: random.Random) -> None:
    """The npm package content-disposition. Half a surrogate pair, which is an error there, is left out."""
    names = [a_text(chance, 12).encode("utf-8", "ignore").decode() for _ in range(NAMES_COUNT)]
    names = [name for name in names if name.strip("/\\")]
    for name, answer in zip(names, oracle.ask("disposition", *names), strict=True):
        assert attachment(name) == answer["value"], name
