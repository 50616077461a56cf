"""The forms of this API's answers: envelopes of success, of a refusal's text, of an exception; and plain text.

    {"status":"SUCCESS"}                    success, with "result" where there is something to say
    {"status":"ERROR","result":"..."}       a refusal in words
    {"status":"...","result":{"message":..., "errorClass":..., "stack":...}}    an exception, under a label

What its HTTP library refuses before a route has seen it is plain text in the original, and so it is here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jobdeck_server.http.message import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_server.http.message import Headers

ERROR, SUCCESS = "ERROR", "SUCCESS"
JSON: Headers = (("Content-Type", "application/json"),)
TEXT: Headers = (("Content-Type", "text/plain; charset=UTF-8"), ("X-Content-Type-Options", "nosniff"))


def text_of(value: object) -> bytes:
    """JSON as the original writes it: compact, in UTF-8. What UTF-8 cannot tell becomes a question mark."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")


def answer(value: object, *, status: int = 200, headers: Headers = ()) -> Response:
    """A value as it is."""
    return Response(status=status, headers=(*JSON, *headers), body=text_of(value))


def success(result: str | None = None, *, status: int = 200) -> Response:
    """All went well."""
    return answer({"status": SUCCESS} | ({} if result is None else {"result": result}), status=status)


def refusal(status: int, text: str, *, label: str = ERROR, headers: Headers = ()) -> Response:
    """A refusal in words."""
    return answer({"status": label, "result": text}, status=status, headers=headers)


def failed(status: int, exception: Mapping[str, Any], *, label: str = ERROR) -> Response:
    """An exception under a label."""
    return answer({"status": label, "result": exception}, status=status)


def exception(message: str | None, error_class: str, stack: str | None = None) -> dict[str, Any]:
    """An exception; its stack begins with what it says, if nobody knows more of it."""
    known = f"{error_class}: {message}" if message else error_class
    return {"message": message, "errorClass": error_class, "stack": known if stack is None else stack}


def plain(status: int, text: str, headers: Headers = ()) -> Response:
    """Plain text."""
    return Response(status=status, headers=(*TEXT, *headers), body=text.encode(errors="replace"))
