"""File names in Content-Disposition, as RFC 6266 has them and browsers read them."""

import re
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobdeck_server.dialects.webgme.disposition import attachment


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hello.txt", 'attachment; filename="hello.txt"'),
        ("Case (1).zip", 'attachment; filename="Case (1).zip"'),
        ("d/e.txt", 'attachment; filename="e.txt"'),
        ("d/", 'attachment; filename="d"'),
        ("100%41.txt", "attachment; filename=\"100%41.txt\"; filename*=UTF-8''100%2541.txt"),
        ("100%.txt", 'attachment; filename="100%.txt"'),
        ('a"b.txt', r'attachment; filename="a\"b.txt"'),
        ("..\\c.txt", 'attachment; filename="c.txt"'),
        ("\U0001f600", "attachment; filename=\"??\"; filename*=UTF-8''%F0%9F%98%80"),
        ("é.txt", 'attachment; filename="é.txt"'),
        ("μ.txt", "attachment; filename=\"?.txt\"; filename*=UTF-8''%CE%BC.txt"),
        ("a\r\nX: y", "attachment; filename=\"a??X: y\"; filename*=UTF-8''a%0D%0AX%3A%20y"),
        ("\ud800", "attachment; filename=\"?\"; filename*=UTF-8''%3F"),
        ("", "attachment"),
        ("/", "attachment"),
    ],
)
def test_names(name: str, value: str) -> None:
    assert attachment(name) == value


@given(st.text(min_size=1))
def test_a_name_comes_back_and_is_never_more_than_a_name(name: str) -> None:
    value = attachment(name)
    encoded = value.encode("latin-1")
    assert not any(byte < 0x20 or byte == 0x7F for byte in encoded)
    base = re.split(r"[/\\]", name.rstrip("/\\"))[-1]
    message = Message()
    message["Content-Disposition"] = value
    read = message.get_filename()
    if base and base.isascii():
        assert read == base or not base.isprintable() or base != base.strip()
