"""Whose turn it is; pure."""

from __future__ import annotations

from collections import Counter
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from jobdeck_server.core.callbackturns import Turns


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=40),
    st.integers(1, 5),
    st.integers(1, 3),
    st.randoms(use_true_random=False),
)
def test_each_has_its_turn_once_in_time_and_never_too_many(
    items: list[tuple[str, int]], limit: int, per_host: int, dice: object
) -> None:
    turns = Turns(limit, per_host)
    for number, (host, at) in enumerate(items):
        turns.add(str(number), host, at)
    busy: list[str] = []
    taken: list[str] = []
    now = 0.0
    while len(taken) < len(items) or busy:
        key = turns.take(now)
        if key is not None:
            host, at = items[int(key)]
            assert at <= now
            busy.append(host)
            taken.append(key)
            assert len(busy) <= limit
            assert max(Counter(busy).values()) <= per_host
            continue
        if len(busy) < limit:  # then each host has as many as it may, or nothing that is due
            waiting = {host for number, (host, at) in enumerate(items) if at <= now and str(number) not in taken}
            assert all(busy.count(host) == per_host for host in waiting)
        if busy and dice.random() < 0.7:  # type: ignore[attr-defined]  # a Random
            turns.done(busy.pop())
        else:
            now += 1
    assert len(set(taken)) == len(items)
    assert turns.next_at() == inf


def test_hosts_take_turns() -> None:
    turns = Turns(1, 1)
    for number in range(100):
        turns.add(f"a{number}", "a", 0)
    turns.add("b0", "b", 0)
    assert turns.take(0) == "a0"
    assert turns.take(0) is None
    turns.done("a")
    assert turns.take(0) == "b0"
