"""The log: a record is one line whatever it holds."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

from jobdeck_server.commands.logs import TextFormatter


def record(message: str, fields: dict[str, object] | None = None) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": message, "levelname": "INFO"})
    if fields is not None:
        made.fields = fields
    return made


@pytest.mark.parametrize("evil", ["a\nb", "a\r\nb", "\x1b[2J", "\u202e", "\u2028", "\x9b2J", "a b", 'a"b', "a=b"])
def test_text_is_one_line_of_printable_characters(evil: str) -> None:
    line = TextFormatter().format(record(evil, {"path": evil, "status": 200}))
    assert line.isprintable()
    assert line.endswith(" status=200")


def test_a_traceback_follows_its_line() -> None:
    made = record("it broke")
    try:
        raise ValueError("why")
    except ValueError:
        made.exc_info = sys.exc_info()
    first, *rest = TextFormatter().format(made).splitlines()
    assert first.endswith("info it broke")
    assert rest[-1] == "ValueError: why"


@pytest.mark.parametrize("form", ["text", "json"])
def test_it_goes_to_standard_error(form: str) -> None:
    program = (
        "import logging; from jobdeck_server.commands.logs import set_up_log; "
        f"set_up_log({form!r}); logging.getLogger('x').info('hello', extra={{'fields': {{'n': 1}}}}); "
        "logging.getLogger('httpx').info('twice')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    if form == "json":
        assert (json.loads(line)["event"], json.loads(line)["n"]) == ("hello", 1)
    else:
        assert line.endswith("info hello n=1")
