"""The encoder of results against a model, in small and large steps; and what it refuses."""

from __future__ import annotations

import collections
import datetime
import decimal
import json
import math
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.packages.kit import jobs_own

results = jobs_own("sparkjobserver._results")
api = jobs_own("sparkjobserver.api")
Point = collections.namedtuple("Point", "x y")  # noqa: PYI024  # as jobs write it


def told(value: Any) -> tuple[str, bytes]:
    kind, pieces = results.result_pieces(value)
    return kind, b"".join(pieces)


def read(value: Any) -> Any:
    kind, data = told(value)
    assert kind == results.JSON
    return json.loads(data)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**30, max_value=10**60)
    | st.floats()
    | st.text(st.characters())
    | st.text('\ud800\udfff"\\\0\x7f\u2028a')
    | st.binary(max_size=8)
    | st.dates()
    | st.datetimes()
    | st.uuids()
    | st.decimals()
    | st.frozensets(st.integers(), max_size=3)
)
KEYS = (
    st.text(max_size=5) | st.integers() | st.booleans() | st.none() | st.floats() | st.binary(max_size=3) | st.dates()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.lists(inner, max_size=6).map(tuple)
        | st.lists(inner, max_size=6).map(collections.deque)
        | st.tuples(inner, inner).map(lambda pair: Point(*pair))
        | st.dictionaries(KEYS, inner, max_size=6)
        | st.dictionaries(KEYS, inner, max_size=6).map(collections.OrderedDict)
        | st.dictionaries(KEYS, inner, max_size=6).map(lambda found: collections.defaultdict(list, found))
        | st.dictionaries(KEYS, inner, max_size=6).map(collections.UserDict)
    ),
    max_leaves=30,
)


def model(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    if isinstance(value, frozenset):
        return str(value)
    if isinstance(value, dict | collections.UserDict):
        return {key_model(key): model(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | collections.deque):
        return [model(inner) for inner in value]
    return str(value)


def key_model(key: Any) -> str:
    if key is None or isinstance(key, bool):
        return str({None: "null", True: "true", False: "false"}[key])
    return str(model(key)) if isinstance(key, bytes | str) else str(key)


def paired(value: Any) -> Any:
    """What the bytes say, with halves of characters that stand side by side taken for one, as readers of JSON do."""
    if isinstance(value, str):
        return model(value)
    if isinstance(value, dict):
        return {model(key): paired(inner) for key, inner in value.items()}
    return [paired(inner) for inner in value] if isinstance(value, list) else value


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(value=VALUES, small=st.sampled_from([1, 2, 7, 4096]))
def test_tells_every_value_as_the_model_does(value: Any, small: int) -> None:
    if value is None:
        assert told(value) == (results.NONE, b"")
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "_SMALL", small)
        patch.setattr(results, "_WEIGHT", 2 * small)
        assert paired(read(value)) == model(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (Point(1, None), [1, None]),
        (2**70, 2**70),
        (float("inf"), None),
        ([float("nan")], [None]),
        (datetime.date(2024, 5, 1), "2024-05-01"),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({1, 2}, "{1, 2}"),
        (set(), "set()"),
        (b"\xff", "\\xff"),
        (range(3), [0, 1, 2]),
        ({"a": 1}.items(), [["a", 1]]),
        (map(str, [1, 2]), ["1", "2"]),
        ({}, {}),
        ([], []),
        (iter(()), []),
        ({(1, 2): []}, {"(1, 2)": []}),
        (True, True),
        ("", ""),
        (0, 0),
    ],
)
def test_tells_the_kinds_of_the_table(value: Any, expected: Any) -> None:
    assert read(value) == expected


def test_a_number_with_more_digits_than_python_makes_is_told_in_hexadecimal() -> None:
    assert read(10**5000) == hex(10**5000)
    assert read([10**5000, "x"]) == [hex(10**5000), "x"]


def test_streams_are_told_as_they_are() -> None:
    assert told(iter([b"\xff\0", b""])) == (results.STREAM, b"\xff\0")
    assert told(api.Stream(["a", b"b", bytearray(b"c")])) == (results.STREAM, b"abc")
    assert told(b for b in (b"x",)) == (results.STREAM, b"x")
    with pytest.raises(results.ResultError):
        told(api.Stream([1]))


def nested(depth: int, kind: Any) -> Any:
    value: Any = kind()
    for _ in range(depth - 1):
        value = {"a": value} if kind is dict else kind([value])
    return value


@pytest.mark.parametrize(
    ("kind", "small"), [(dict, 4096), (list, 1), (list, 4096), (tuple, 1), (collections.deque, 4096)]
)
def test_depth_is_the_same_whatever_the_way(kind: Any, small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "_SMALL", small)
    monkeypatch.setattr(results, "_WEIGHT", 2 * small)
    assert told(nested(results.DEPTH, kind))[1].count(b"{" if kind is dict else b"[") == results.DEPTH
    for depth in (results.DEPTH + 1, 1000):
        with pytest.raises(results.ResultError, match="more than 500"):
            told(nested(depth, kind))


def test_cycles_are_found() -> None:
    here: list[Any] = [1]
    here.append({"a": (here,)})
    loop: dict[str, Any] = {}
    loop["self"] = [loop] * 3
    for value in (here, loop):
        with pytest.raises(results.ResultError, match="contains itself"):
            told(value)
    twice = ["x"]
    assert read([twice, twice, {"a": twice}]) == [["x"], ["x"], {"a": ["x"]}]


def test_pieces_are_bounded_and_iterators_are_read_as_they_are_told() -> None:
    read_count = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal read_count
        for number in range(30_000):
            read_count += 1
            yield {"n": number, "x": float("nan") if number % 1000 == 0 else 1.5}

    kind, pieces = results.result_pieces(rows())
    first = next(pieces)
    assert read_count < 20_000
    data = first + b"".join(pieces)
    assert kind == results.JSON
    assert len(first) < 1_000_000
    assert json.loads(data)[1000] == {"n": 1000, "x": None}
    assert len(json.loads(data)) == 30_000


def test_wide_values_with_what_the_json_module_refuses_take_no_more_than_their_size() -> None:
    """Each row is opened on its own here; the rest of the batch must not be carried along."""
    rows = [{1: {"x": {i, -i}}, "b": [float("nan")]} for i in range(2000)]
    assert len(read(rows)) == 2000


class Row(tuple):  # type: ignore[type-arg]  # as pyspark has it
    """pyspark's, as far as it matters here."""

    __fields__: list[str]

    @classmethod
    def of(cls, **fields: Any) -> Row:
        row = cls(fields.values())
        row.__fields__ = list(fields)
        return row

    def asDict(self) -> dict[str, Any]:
        return dict(zip(self.__fields__, self, strict=True))


def test_rows_of_spark_are_objects_also_when_they_are_many() -> None:
    row = Row.of(a=1, b=Row.of(c=[Row.of(d=float("nan"))]))
    wanted = {"a": 1, "b": {"c": [{"d": None}]}}
    assert read(row) == wanted
    assert read([row] * 5000) == [wanted] * 5000
    assert read({"rows": (row, 1)}) == {"rows": [wanted, 1]}
    assert read([Row((1, 2))]) == [[1, 2]]  # one without names


@pytest.mark.parametrize(
    ("module", "name", "bases"),
    [("pyspark.sql.dataframe", "DataFrame", ()), ("pyspark.rdd", "PipelinedRDD", ("RDD",))],
)
def test_what_only_leads_to_values_is_refused(module: str, name: str, bases: tuple[str, ...]) -> None:
    kind = type(name, tuple(type(base, (), {}) for base in bases), {"__module__": module})
    for result in (kind(), [1, kind()], {"a": {"b": kind()}}):
        with pytest.raises(results.ResultError, match=f"{name} in it.*collect"):
            told(result)


def test_objects_of_java_are_refused_unless_they_are_lists() -> None:
    java = type("JavaObject", (), {"__module__": "py4j.java_gateway"})
    listed = type("JavaList", (java,), {"__module__": "py4j.java_collections", "__iter__": lambda _: iter([1, 2])})
    assert read([listed()]) == [[1, 2]]
    with pytest.raises(results.ResultError, match="Java"):
        told([java()])


def test_values_of_numpy_are_those_they_stand_for() -> None:
    def made(value: Any, shape: tuple[int, ...] = ()) -> Any:
        kind = type("of_numpy", (), {"__module__": "numpy", "shape": shape, "tolist": lambda _: value})
        if shape:
            kind.__iter__ = lambda _: iter(value)  # type: ignore[attr-defined]  # an array
        return kind()

    day = datetime.datetime(2024, 5, 1)  # numpy has no zones
    assert read({"a": made(0.5), "b": [made(True), made(day)], "c": made([made(1)], (1,))}) == {
        "a": 0.5,
        "b": [True, "2024-05-01 00:00:00"],
        "c": [1],
    }
