"""The list of packages and the request that starts a class, as values: filter, orders, columns, facts, faults."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from jobdeck_client import PackageDetails
from jobdeck_protocol.packageinfo import KINDS, PackageInfo, to_wire
from jobdeck_tui.console.classrequest import ClassFields, ClassMemory, ClassRequest, read
from jobdeck_tui.console.few import Few, FewCame, FewGone, FewTold, Kind, after
from jobdeck_tui.console.fewevents import few_message
from jobdeck_tui.console.packagecolumns import age_text, cells_of, columns_for, head_of
from jobdeck_tui.console.packagefacts import facts, meant_by
from jobdeck_tui.console.packagelist import PackageQuery, listed, parse
from tests.tui.console.packages import package, some
from tests.tui.test_sanitise import PAYLOADS

SORTS = ("name", "size", "uploaded", "versions")


def few(*packages: PackageInfo) -> Few[Any]:
    nothing: Few[Any] = Few()
    return after(nothing, FewCame(kind=Kind.PACKAGES, items=packages))


def names(query: PackageQuery, *packages: PackageInfo) -> list[str]:
    return [each.name for each in listed(few(*packages), query).rows]


def test_each_order_and_the_other_way_round() -> None:
    a, b, c = (
        package("b", size_bytes=1, uploaded_us=3, versions_count=2),
        package("A", size_bytes=2, uploaded_us=2, versions_count=2),
        package("c", size_bytes=3, uploaded_us=1),
    )
    assert names(PackageQuery(), a, b, c) == ["A", "b", "c"]
    assert names(PackageQuery(sort="-size"), a, b, c) == ["c", "A", "b"]
    assert names(PackageQuery(sort="uploaded"), a, b, c) == ["c", "A", "b"]
    assert names(PackageQuery(sort="-versions"), a, b, c) == ["b", "A", "c"]


def test_the_words_of_the_filter_line() -> None:
    everyone = some()

    def found(line: str) -> list[str]:
        words = parse(line, "name")
        assert words.error is None
        return names(words.query, *everyone)

    assert found("kind:wh,egg words") == ["words"]
    assert found('name:"long-running"') == ["long-running"]
    assert found("kind:jar") == ["spark-tests"]
    assert found(everyone[0].hash[:12]) == ["words"]
    assert len(found("kind:")) == len(everyone)
    assert parse("kind:zip", "name").error == f"no kind begins with 'zip': {', '.join(KINDS)}"
    assert not parse("", "name").query.narrow
    assert parse("name:x", "name").query.narrow


@given(
    width=st.integers(1, 300),
    sort=st.sampled_from(SORTS),
    name=st.text(max_size=50),
    kind=st.text(max_size=9),
    size=st.integers(0, 1 << 60),
)
def test_a_row_is_as_wide_as_its_columns_whatever_stands_in_it(
    width: int, sort: str, name: str, kind: str, size: int
) -> None:
    row = package(name, kind=kind, size_bytes=size, versions_count=size % 10_000)
    columns = columns_for(width)
    for cells in (
        cells_of(row, columns, age_text(row, row.uploaded_us + size % 10**15), marked=True),
        head_of(columns, PackageQuery(sort=f"-{sort}")),
    ):
        assert [cell_len(cell.text) for cell in cells] == [column.width for column in columns]


@pytest.mark.parametrize("raw", [raw for raw, _ in PAYLOADS])
def test_foreign_text_is_tame_in_rows(raw: bytes) -> None:
    text = raw.decode("utf-8", "replace")
    row = package(text, kind=text, hash=text)
    assert all(cell.text.isprintable() for cell in cells_of(row, columns_for(200), "", marked=False))


def test_what_events_tell() -> None:
    one = package("words")
    told = few_message("package", to_wire(one))
    assert isinstance(told, FewTold)
    known = after(few(), told)
    assert listed(known, PackageQuery()).rows == (one,)
    gone = few_message("package_removed", {"name": "words"})
    assert gone == FewGone(kind=Kind.PACKAGES, id="words")
    assert listed(after(known, gone), PackageQuery()).rows == ()
    assert few_message("package", {**to_wire(one), "size_bytes": "many"}) is None


@pytest.mark.parametrize(
    ("file", "meant"),
    [
        ("word_count-1.0-py3-none-any.whl", ("word_count", "wheel")),
        ("long-running-2.1-py3.11.egg", ("long-running", "egg")),
        ("job-server-tests_2.12-0.11.2.jar", ("job-server-tests_2.12", "jar")),
        ("spark-tests.JAR", ("spark-tests", "jar")),
        ("-1.0.jar", ("-1.0", "jar")),
        (".jar", (".jar", "jar")),
        ("data.zip", None),
        ("", None),
    ],
)
def test_what_a_file_is_by_its_name(file: str, meant: tuple[str, str] | None) -> None:
    assert meant_by(file) == meant


def test_all_that_is_known_of_one() -> None:
    one = replace(some()[0], versions_count=60)
    before = tuple(replace(one, uploaded_us=one.uploaded_us - n) for n in range(60))
    details = PackageDetails(package=one, versions=before, classes=("jobs.A", "jobs.B"), classes_complete=False)
    told = list(facts(one, details, one.uploaded_us + 5_000_000))
    values = [value for name, value in told if name == "classes"]
    assert values == ["jobs.A", "jobs.B", "perhaps others: the server did not look at all of it"]
    assert told[-1] == ("before", "and 9 more")
    assert ("size", "12.1 KiB") in told
    nothing = replace(details, classes=(), classes_complete=True)
    assert ("classes", "none was found that jobs can run") in list(facts(one, nothing, 0))
    assert "classes" not in dict(facts(one, None, 0))


# -- the request --


def test_what_is_typed_becomes_a_request() -> None:
    fields = ClassFields(main_class=" jobs.A ", context="py1", callback_url="HTTP://h/x ", config="a = 1\n")
    assert read(fields, "words") == ClassRequest(
        {
            "main_class": "jobs.A",
            "packages": ["words"],
            "config": "a = 1\n",
            "context": "py1",
            "callback_url": "HTTP://h/x",
        }
    )
    least = read(ClassFields(main_class="jobs.A", config=" \n"), "words")
    assert least == ClassRequest({"main_class": "jobs.A", "packages": ["words"]})


def test_faults_are_told_by_field() -> None:
    assert read(ClassFields(callback_url="ftp://h"), "w") == {
        "main_class": "which class?",
        "callback_url": "begins with http:// or https://",
    }
    assert read(ClassFields(main_class="a b"), "w") == {"main_class": "has no blanks in its name"}
    assert "main_class" in read(ClassFields(main_class="a" * 1001), "w")  # type: ignore[operator]  # a map, then


def test_what_was_typed_is_remembered_by_class_and_by_package() -> None:
    memory = ClassMemory()
    assert memory.first("words") == ClassFields()
    started = ClassFields(main_class="jobs.B", config="x = 1", context="py1")
    draft = ClassFields(config="y = 2")
    memory.leave("words", draft)
    assert memory.first("words") == draft
    memory.keep("words", started)
    assert memory.first("words") == started
    assert memory.first("other") == ClassFields()
    assert memory.config_of("jobs.B") == "x = 1"
    assert memory.config_of("jobs.A") == ""
    memory.leave("words", draft)
    memory.leave("words", ClassFields())
    assert memory.first("words") == started
