"""What names stand for and what is kept, after any sequence of uploads, removals and jobs: against a model."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobdeck_protocol.job import Job, JobState
from jobdeck_server.core import binaryrows, blobgc, blobrows, journal, packageuse, schema
from jobdeck_server.core.blobfiles import Found
from jobdeck_server.core.blobrecord import file_record
from jobdeck_server.core.errors import BinaryInUseError, CapacityError, ConflictError, UnknownBinaryError

NAMES = "abcd"
DATA = "12345"
NAMES_LIMIT = 3
VERSIONS_LIMIT = 1
YOUNG_US = 100  # older ones may go with a collection


def content_of(data: str) -> str:
    return hashlib.sha1(data.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Held:
    """A job that has not ended."""

    job: Job
    contents: frozenset[str]


class Rows:
    """The tables beside plain lists. ``versions`` are those that were sent and not deleted, oldest first."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        schema.migrate(self.connection)
        self.versions: dict[str, list[str]] = {}
        self.jobs: dict[str, Held] = {}
        self.own: set[str] = set()  # contents that a client has sent as blobs, too
        self.now_us = 0
        self.job_count = 0

    def check(self) -> None:
        """All that must hold at any time."""
        self.names_stand_for_what_was_sent_last()
        self.versions_are_few_and_in_order()
        self.nothing_that_is_needed_may_be_taken_away()
        self.users_are_those_that_have_not_ended()

    def later(self) -> int:
        self.now_us += 1
        return self.now_us

    def send(self, name: str, data: str) -> None:
        content = content_of(data)
        before = {each.content for each in binaryrows.versions(self.connection, name)}
        try:
            binary, events = binaryrows.add(
                self.connection,
                blobrows.prepare(replace(file_record(name, 1, "x", content), tags=("package",))),
                name=name,
                kind="wheel",
                now_us=self.later(),
                names_limit_count=NAMES_LIMIT,
                versions_limit_count=VERSIONS_LIMIT,
            )
        except CapacityError:
            assert name not in self.versions
            assert len(self.versions) == NAMES_LIMIT
            return
        assert name in self.versions or len(self.versions) < NAMES_LIMIT
        self.versions.setdefault(name, []).append(content)
        assert (binary.name, binary.content) == (name, content)
        assert [event.kind for event in events] == ["blob", "package"]
        kept = [each.content for each in binaryrows.versions(self.connection, name)]
        more = kept[VERSIONS_LIMIT:]  # one for each content that a job needs
        assert len(more) == len({*more} - {*kept[:VERSIONS_LIMIT]})
        needed = {each for held in self.jobs.values() for each in held.contents}
        assert {*more} <= needed
        assert needed & before <= {*kept}

    def delete(self, name: str) -> None:
        users = [job_id for job_id, held in self.jobs.items() if name in held.job.packages]
        if name not in self.versions:
            with pytest.raises(UnknownBinaryError):
                binaryrows.delete(self.connection, name, now_us=self.later())
        elif users:
            with pytest.raises(BinaryInUseError) as caught:
                binaryrows.delete(self.connection, name, now_us=self.later())
            assert list(caught.value.job_ids) == users
        else:
            events = binaryrows.delete(self.connection, name, now_us=self.later())
            assert [event.data for event in events] == [{"name": name}]
            del self.versions[name]

    def start(self, names: list[str]) -> None:
        """A job is accepted that names binaries and so runs what they stand for now."""
        contents = frozenset(self.versions[name][-1] for name in names if name in self.versions)
        self.job_count += 1
        job = Job(id=f"j{self.job_count}", dialect="spark", packages=tuple(names), state=JobState.QUEUED)
        spec = {"package": {"packages": [{"name": "n", "kind": "wheel", "content": each} for each in contents]}}
        journal.insert_job(self.connection, job, spec, boot_id=None, idempotency=None)
        self.jobs[job.id] = Held(job, contents)

    def end(self, number: int) -> None:
        if self.jobs:
            held = self.jobs.pop(list(self.jobs)[number % len(self.jobs)])
            ended = replace(held.job, state=JobState.FAILED, finished_us=self.later())
            journal.update_job(self.connection, ended)

    def send_blob(self, data: str) -> None:
        """Somebody keeps the same bytes as a blob, under a name that binaries have too."""
        record = blobrows.prepare(file_record("a", 1, "x", content_of(data)))
        blobrows.put(self.connection, record, job_id=None, own_tags=(), now_us=self.later())
        self.own.add(content_of(data))

    def collect(self, old: bool) -> None:
        """Records that nobody needs go; with ``old`` as if all had come long ago."""
        young_us = self.now_us + 1 if old else self.now_us - YOUNG_US
        values = {"young_us": young_us, "old_us": None}
        hashes = [row[0] for row in self.connection.execute(blobgc._UNNEEDED, values)]
        blobgc._remove_some(hashes, values, self.connection)
        blobgc._forget_jobs(self.connection)

    def remove_blobs(self) -> None:
        """Somebody removes every blob that can be removed."""
        for (blob,) in self.connection.execute("select hash from blob").fetchall():
            try:
                blobrows.delete(self.connection, blob, recursive=True, force=True)
            except ConflictError:
                continue
        self.own.clear()

    def names_stand_for_what_was_sent_last(self) -> None:
        newest = binaryrows.newest(self.connection)
        assert {each.name: each.content for each in newest} == {
            name: contents[-1] for name, contents in self.versions.items()
        }
        assert [each.name for each in newest] == sorted(self.versions)
        for each in newest:
            assert binaryrows.find(self.connection, each.name) == each

    def versions_are_few_and_in_order(self) -> None:
        for name, sent in self.versions.items():
            kept = [each.content for each in reversed(binaryrows.versions(self.connection, name))]
            assert all(each.versions_count == len(kept) for each in binaryrows.versions(self.connection, name))
            assert kept[-1] == sent[-1]
            assert kept[-VERSIONS_LIMIT:] == sent[-VERSIONS_LIMIT:]
            left = iter(sent)
            assert all(content in left for content in kept), "not in the order in which they were sent"

    def nothing_that_is_needed_may_be_taken_away(self) -> None:
        needed = {held: None for job in self.jobs.values() for held in job.contents}
        needed |= {each.content: None for name in self.versions for each in binaryrows.versions(self.connection, name)}
        needed |= dict.fromkeys(self.own)
        found = [Found(content, 1, 0.0) for content in map(content_of, "12345")]
        free = {each.hash for each in blobgc._unnamed(self.connection, found, set())}
        assert not free & needed.keys()

    def users_are_those_that_have_not_ended(self) -> None:
        for name in "abcd":
            users = [job_id for job_id, held in self.jobs.items() if name in held.job.packages]
            assert packageuse.users(self.connection, name) == users


STEPS = st.one_of(
    *[st.tuples(st.just("send"), st.sampled_from("aa" + NAMES), st.sampled_from(DATA))] * 3,
    *[st.tuples(st.just("start"), st.lists(st.sampled_from(NAMES), max_size=2, unique=True))] * 2,
    st.tuples(st.just("end"), st.integers(0, 7)),
    st.tuples(st.just("delete"), st.sampled_from(NAMES)),
    st.tuples(st.just("send_blob"), st.sampled_from(DATA)),
    st.tuples(st.just("collect"), st.booleans()),
    st.tuples(st.just("remove_blobs")),
)


@settings(max_examples=20, deadline=None)
@given(st.lists(STEPS, min_size=30, max_size=50))
def test_any_sequence(steps: list[tuple[str, *tuple[object, ...]]]) -> None:
    rows = Rows()
    with closing(rows.connection):
        for name, *values in steps:
            getattr(rows, name)(*values)
            rows.check()
