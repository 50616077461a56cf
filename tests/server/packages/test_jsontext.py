"""JSON without the json module means what it means with it, and is made by it where the compiled half is missing."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.packages.kit import jobs_own

jsontext: Any = jobs_own("sparkjobserver._jsontext")

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_there_and_back(value: Any) -> None:
    text = jsontext.dumps(value)
    assert text == json.dumps(value, separators=(",", ":")).encode()
    assert jsontext.loads(text.decode()) == json.loads(text)
    assert jsontext.loads(json.dumps(value, indent=1)) == value
    assert jsontext.encoder(str)(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("missing", [False, True])
def test_what_is_none_and_what_cannot_be_told(monkeypatch: pytest.MonkeyPatch, missing: bool) -> None:
    if missing:
        monkeypatch.setitem(sys.modules, "_json", None)
    assert jsontext.loads('{"a": [1, 2.5, "\\u00e4"]}', list) == [("a", [1, 2.5, "\u00e4"])]
    assert jsontext.loads(" [1] ") == [1]
    for text in ("", "{", "[1] 2", "nonsense", '"\n"'):
        with pytest.raises(ValueError, match=r"line|column|char"):
            jsontext.loads(text)
    encode = jsontext.encoder(lambda value: sorted(value))
    assert encode({"\u00e4": {2, 1}}) == '{"\u00e4":[1,2]}'
    assert jsontext.encoder(str, ascii_only=True)("\udc80\u00e4") == '"\\udc80\\u00e4"'
    with pytest.raises(ValueError, match="Out of range"):
        encode([float("nan")])
    with pytest.raises(TypeError):
        jsontext.dumps([object()])
    assert jsontext.dumps(["\udc80"]) == b'["\\udc80"]'
