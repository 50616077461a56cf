"""The queue of jobs by labels: who is given what, in which order, and at what cost."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from jobdeck_server.core.waiting import Queue


@dataclass(eq=False)
class Job:
    number: int
    labels: frozenset[str]


_LABELS = st.frozensets(st.sampled_from(["", "a", "b", "c"]))


@given(st.lists(_LABELS, max_size=20), _LABELS, st.integers(0, 6), st.sets(st.integers(0, 19)), st.randoms())
def test_the_queue_gives_the_first_that_fit(
    jobs: list[frozenset[str]], worker: frozenset[str], count: int, but: set[int], dice: random.Random
) -> None:
    queue: Queue[Job] = Queue()
    entries = [Job(number, labels) for number, labels in enumerate(jobs)]
    mixed = entries.copy()
    dice.shuffle(mixed)
    for entry in mixed:
        queue.add(entry)
    assert list(queue) == entries
    fitting = [entry for entry in entries if entry.labels <= worker]
    assert list(queue.fitting([*worker, *worker])) == fitting
    assert queue.count("a") == sum(min(entry.labels, default="") == "a" for entry in entries)
    taken = queue.take(worker, count, skip=lambda entry: entry.number in but)
    assert taken == [entry for entry in fitting if entry.number not in but][:count]
    assert list(queue) == [entry for entry in entries if entry not in taken]
    assert [entry in queue for entry in entries] == [entry not in taken for entry in entries]
    for entry in entries:
        queue.discard(entry)
    assert len(queue) == 0
    assert queue.count("a") == 0


def test_what_others_wait_for_costs_nothing() -> None:
    """A floor of time of the same run: taking among 100,000 others costs what it costs among a few."""

    def took_s(crowd: list[Job]) -> float:
        queue: Queue[Job] = Queue()
        for job in crowd:
            queue.add(job)
        for number in range(2000):
            queue.add(Job(1_000_000 + number, frozenset({"mine"})))
        start = time.process_time()
        for _ in range(2000):
            assert len(queue.take(["mine"], 1)) == 1
        return time.process_time() - start

    few = min(took_s([]) for _ in range(3))
    same = min(took_s([Job(n, frozenset({"other"})) for n in range(20_000)]) for _ in range(2))
    many = min(took_s([Job(n, frozenset({f"label{n}"})) for n in range(20_000)]) for _ in range(2))
    assert max(same, many) < few * 20 + 0.2  # looking at all of them takes seconds


def test_a_long_row_is_taken_from_its_front() -> None:
    queue: Queue[Job] = Queue()
    for number in range(5000):
        queue.add(Job(number, frozenset()))
    assert [queue.take((), 1)[0].number for _ in range(5000)] == list(range(5000))
