"""What callers of the executor send: JSON, a form, or nothing; read as generously as the original reads it.

A body of another type is nothing, unless it is a JSON object for all that (curl calls whatever it sends a form).
Fields that are missing, null, or an empty list say nothing.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from jobdeck_server.core.ecmascript import JsonError, is_falsy, parse, text_of
from jobdeck_server.core.errors import BadRequestError
from jobdeck_server.core.executor import Given
from jobdeck_server.core.executorworkers import Call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_server.settings import Settings

Fields = dict[str, object]
_FORM = "application/x-www-form-urlencoded"
_FIELD_LIMIT_COUNT = 1000
_RUNNING_LIMIT_COUNT = 10_000  # jobs that a worker says it runs
_NUMBER_LIMIT = 2**53
_LEADING = re.compile(r"\s*([+-]?[0-9]{1,15})")
_BRACKETS = re.compile(r"([^\[\]]+)\[([^\[\]]*)\]")


def fields_of(body: bytes, content_type: str) -> Fields:
    """The fields of a body.

    Raises:
        BadRequestError: It says that it is JSON and is none, or a bare value, or a form of too many fields.
    """
    mime = content_type.partition(";")[0].strip().lower()
    if not body:
        return {}
    if mime == "application/json" or mime.endswith("+json"):
        return _json(body)
    if body[:1] == b"{":
        try:
            return _json(body)
        except BadRequestError:
            pass
    return _form(body) if mime == _FORM else {}


def given(fields: Mapping[str, object], settings: Settings) -> Given:
    """What is said of a job.

    Raises:
        BadRequestError: A word is too long, or a number none.
    """

    def word_or_none(name: str) -> str | None:
        return word(fields.get(name), settings) or None

    labels, results = fields.get("labels"), fields.get("resultHashes")
    number = fields.get("outputNumber")
    return Given(
        status=word_or_none("status"),
        labels=words(labels, settings) if isinstance(labels, list) and labels else None,
        results=results if isinstance(results, dict) else None,
        start=word_or_none("startTime"),
        finish=word_or_none("finishTime"),
        worker=word_or_none("worker"),
        # the original's worker uses the longer name, and so nobody there ever sees what it says
        super_set=word_or_none("resultSuperSet") or word_or_none("resultSuperSetHash"),
        output_number=None if number is None or number == [] else whole(number),
    )


def call(fields: Mapping[str, object], *, user: str, settings: Settings) -> Call:
    """What a worker says of itself.

    Raises:
        BadRequestError: A word is too long, or there are too many.
    """
    running, labels = fields.get("runningJobs"), fields.get("labels")
    return Call(
        client_id=word(fields.get("clientId"), settings),
        available_count=min(max(0, _count(fields.get("availableProcesses"))), settings.executor_page_count),
        labels=words(labels, settings) if isinstance(labels, list) else (),
        running=_keys(running, settings) if isinstance(running, list) else frozenset(),
        user=user,
    )


def word(value: object, settings: Settings) -> str:
    """A value as text that everything can keep; empty for what counts as nothing."""
    if is_falsy(value) or isinstance(value, dict | list):
        return ""
    # half a surrogate pair is no character, and no encoding has it
    text = text_of(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if len(text.encode()) > settings.executor_word_limit_bytes:
        raise BadRequestError("A word is too long.")
    return text


def words(values: list[object], settings: Settings) -> tuple[str, ...]:
    """Words, each once, in their order.

    Raises:
        BadRequestError: One is too long, or there are too many.
    """
    found = tuple(dict.fromkeys(text for value in values if (text := word(value, settings))))
    if len(found) > settings.label_limit_count:
        raise BadRequestError("There are too many labels.", field="labels")
    return found


def whole(value: object) -> int:
    """A whole number.

    Raises:
        BadRequestError: It is none.
    """
    if isinstance(value, str):
        value = leading_number(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _NUMBER_LIMIT:
        raise BadRequestError("outputNumber must be a number.", field="outputNumber")
    return int(value)


def leading_number(text: str) -> int | None:
    """The number at the beginning of a text, None if there is none: how the original reads its queries."""
    match = _LEADING.match(text)
    return None if match is None else int(match[1])


def _keys(values: list[object], settings: Settings) -> frozenset[str]:
    """Names of jobs; what is too long for one is left out."""
    if len(values) > _RUNNING_LIMIT_COUNT:
        raise BadRequestError("These are too many jobs.", field="runningJobs")
    return frozenset(text for value in values if len(text := text_of(value)) <= settings.executor_key_limit_bytes)


def _count(value: object) -> int:
    if isinstance(value, str):
        return leading_number(value) or 0
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return 0
    return int(value)


def _json(body: bytes) -> Fields:
    try:
        value = parse(body)
    except JsonError as error:
        raise BadRequestError(str(error)) from error
    if isinstance(value, list):
        return {}
    if not isinstance(value, dict):
        raise BadRequestError("A JSON object is needed.")
    return value


def _form(body: bytes) -> Fields:
    """Names with brackets are lists (``a[]``, ``a[0]``) or objects (``a[b]``), repeated ones are lists."""
    try:
        pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_FIELD_LIMIT_COUNT)
    except ValueError as error:
        raise BadRequestError("The form has too many fields.") from error
    fields: Fields = {}
    for name, value in pairs:
        match = _BRACKETS.fullmatch(name)
        if match is None:
            earlier = fields.get(name)
            fields[name] = value if earlier is None else [*(earlier if isinstance(earlier, list) else [earlier]), value]
            continue
        inner = match[2]
        known = fields.setdefault(match[1], [] if not inner or inner.isdigit() else {})
        if isinstance(known, list):
            known.append(value)
        elif isinstance(known, dict):
            known[inner] = value
    return fields
