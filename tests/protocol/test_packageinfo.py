"""What is told of a package comes back as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobdeck_protocol.packageinfo import EGG, JAR, KINDS, MIMES, TYPES, WHEEL, PackageInfo, from_wire, to_wire


@given(
    st.text(min_size=1), st.sampled_from(KINDS), st.integers(0, 2**62), st.integers(0, 4 * 10**15), st.integers(1, 99)
)
def test_there_and_back(name: str, kind: str, size_bytes: int, uploaded_us: int, versions_count: int) -> None:
    package = PackageInfo(
        name=name,
        kind=kind,
        size_bytes=size_bytes,
        hash="a" * 40,
        content="b" * 40,
        uploaded_us=uploaded_us,
        versions_count=versions_count,
    )
    assert from_wire(to_wire(package)) == package
    assert from_wire({**to_wire(package), "more": 1}) == package
    assert package.id == name


@pytest.mark.parametrize(
    "wire",
    [
        {},
        {"name": 5},
        {"name": "x", "size_bytes": "5"},
        {"name": "x", "size_bytes": True},
        {"name": "x", "uploaded": "?"},
    ],
)
def test_what_is_none(wire: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        from_wire(wire)


def test_what_is_missing_is_nothing() -> None:
    assert from_wire({"name": "x"}) == PackageInfo(name="x")


def test_types() -> None:
    assert {TYPES[mime] for mime in MIMES.values()} == set(KINDS) == {WHEEL, EGG, JAR}
    assert TYPES["application/python-archive"] == EGG
