from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from jobdeck_protocol.workermirror import Copy, Range, Sizes, Source, Turns, Window
from jobdeck_protocol.workerreports import Piece
from tests.protocol.workerdisks import job_id

A, B, C = job_id(1), job_id(2), job_id(3)


def piece(runs_offset: int, runs: bytes, offset: int, data: bytes) -> Piece:
    return Piece(job_id=A, runs_offset=runs_offset, runs=runs, offset=offset, data=data)


# -- at the worker --


def test_records_go_before_the_bytes_of_their_snapshot() -> None:
    source = Source(Sizes(100, 96))
    assert source.next(1000) is None  # nothing is wanted
    source.want(Sizes(0, 0))
    assert source.next(40) == Range(Sizes(0, 0), 32, 0)
    source.told = Sizes(200, 960)  # grows meanwhile: the snapshot that was begun goes first
    assert source.next(70) == Range(Sizes(0, 32), 64, 6)  # of 70 bytes of room, 64 are whole records
    assert source.next(1000) == Range(Sizes(6, 96), 0, 94)
    assert source.next(1000) == Range(Sizes(100, 96), 864, 100)
    assert source.next(1000) is None


def test_a_job_that_writes_many_records_does_not_keep_its_bytes_back() -> None:
    source = Source(Sizes(1, 96))
    source.want(Sizes(0, 0))
    bytes_sent = 0
    for number in range(100):
        part = source.next(96)
        assert part is not None
        bytes_sent += part.output_bytes
        source.told = Sizes(number + 2, 96 + 1000 * 32 * number)
    assert bytes_sent > 0


def test_nothing_is_sent_of_what_the_server_has() -> None:
    source = Source(Sizes(10, 64))
    source.want(Sizes(12, 96))
    assert source.next(1000) is None
    assert source.pending_bytes == 0
    source.told = Sizes(15, 96)
    assert source.next(1000) == Range(Sizes(12, 96), 0, 3)


def turns_of(**sizes: Sizes) -> Turns:
    turns = Turns(quantum_bytes=1000, small_bytes=100)
    turns.reset(upto=1 << 40, window_bytes=10_000)
    for name, size in sizes.items():
        turns.sources[name] = Source(size)
        turns.want(name, Sizes(0, 0))
    return turns


def test_small_amounts_go_first_and_large_ones_in_turns() -> None:
    turns = turns_of(a=Sizes(5000, 0), b=Sizes(5000, 0))
    order = []
    for _ in range(6):
        turn = turns.next()
        assert turn is not None
        order.append((turn[0], turn[1].cost_bytes))
    assert order == [("a", 100), ("b", 100), ("a", 1000), ("b", 1000), ("a", 1000), ("b", 1000)]
    turns.sources["c"] = Source(Sizes(7, 32))
    turns.want("c", Sizes(0, 0))
    turn = turns.next()
    assert turn == ("c", Range(Sizes(0, 0), 32, 7))


def test_many_small_ones_do_not_starve_a_large_one() -> None:
    turns = turns_of(large=Sizes(1 << 30, 0), **{f"s{i}": Sizes(0, 0) for i in range(20)})
    large = 0
    for number in range(900):
        name = f"s{number % 20}"
        turns.sources[name].told = Sizes(turns.sources[name].told.output + 10, 0)
        turns.wake(name)
        turn = turns.next()
        assert turn is not None
        large += turn[0] == "large"
    assert 900 // 9 - 2 <= large <= 900 // 9 + 2


def test_a_flood_leaves_credit_to_a_line() -> None:
    """However much one job writes, a line of another goes out as the next message, without new credit."""
    turns = turns_of(flood=Sizes(1 << 30, 0))
    turns.reset(upto=10_000, window_bytes=10_000)
    turns.want("flood", Sizes(0, 0))
    while turns.next() is not None:
        pass
    turns.sources["line"] = Source(Sizes(20, 32))
    turns.want("line", Sizes(0, 0))
    assert turns.next() == ("line", Range(Sizes(0, 0), 32, 20))
    assert turns.next() is None
    turns.credit(9_000)  # less than before: harmless
    assert turns.next() is None
    turns.credit(20_000)
    assert turns.next() is not None


def test_without_room_for_a_record_nothing_is_sent() -> None:
    turns = turns_of(a=Sizes(5, 32))
    turns.reset(upto=31, window_bytes=0)
    turns.want("a", Sizes(0, 0))
    assert turns.next() is None
    turns.credit(40)
    assert turns.next() == ("a", Range(Sizes(0, 0), 32, 5))


def test_what_was_not_sent_is_given_back_and_what_is_gone_is_passed_over() -> None:
    turns = turns_of(a=Sizes(90, 0), b=Sizes(5, 0))
    turns.reset(upto=100, window_bytes=0)
    turns.want("a", Sizes(0, 0))
    turn = turns.next()
    assert turn is not None
    turns.refund(turn[1])
    turns.want("b", Sizes(0, 0))
    turns.want("a", Sizes(0, 0))
    turns.sources["b"].gone = True
    turn = turns.next()
    assert turn == ("a", Range(Sizes(0, 0), 0, 90))
    turns.wake("a")
    turns.drop("a")
    assert turns.next() is None


# -- at the server --


def test_what_is_there_is_trimmed() -> None:
    copy = Copy(Sizes(10, 64))
    taken = copy.take(piece(32, b"r" * 96, 8, b"abcdef"))
    assert taken is not None
    assert (taken.at, taken.runs, taken.data) == (Sizes(10, 64), b"r" * 64, b"cdef")
    assert copy.at == Sizes(14, 128)
    assert copy.take(piece(32, b"r" * 96, 8, b"abcdef")) is None  # all of it, twice
    assert copy.take(piece(0, b"r" * 32, 0, b"")) is None


def test_what_lies_beyond_is_asked_for_once() -> None:
    copy = Copy(Sizes(10, 64))
    beyond = piece(64, b"", 11, b"x")
    assert copy.take(beyond) is None
    assert copy.misses(beyond)
    assert not copy.misses(beyond)
    records = piece(96, b"r" * 32, 10, b"x")  # no bytes without the records before them
    assert copy.take(records) is None
    assert copy.at == Sizes(10, 64)
    partly = piece(64, b"r" * 32, 12, b"x")
    taken = copy.take(partly)
    assert taken is not None
    assert (taken.runs, taken.data) == (b"r" * 32, b"")
    assert not copy.misses(partly)
    fitting = piece(96, b"", 10, b"xyz")
    assert copy.take(fitting) is not None
    assert not copy.misses(fitting)
    assert copy.misses(beyond := piece(96, b"", 99, b"x"))
    copy.begin()
    assert copy.misses(beyond)


def test_after_a_rewind_all_is_taken_again() -> None:
    copy = Copy(Sizes(10, 64))
    copy.synced = Sizes(10, 64)
    copy.rewind(Sizes(4, 32))
    assert copy.at == copy.synced == Sizes(4, 32)
    assert not copy.misses(piece(64, b"", 10, b"x"))  # under way; it was asked for again already


@settings(deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from(["came", "taken", "due", "reset"]), st.integers(1, 400)), max_size=80))
def test_no_more_than_a_window_is_ever_held(steps: list[tuple[str, int]]) -> None:
    window = Window(1024)
    upto, came, held = window.reset(), 0, 0
    for name, number in steps:
        if name == "came" and came + number <= upto:
            assert window.came(number)
            came, held = came + number, held + number
        elif name == "taken" and held:
            window.taken(min(number, held))
            held -= min(number, held)
        elif name == "due":
            upto = max(upto, window.due() or 0)
        elif name == "reset":
            upto, came = window.reset(), 0
        assert held <= 1024
    window.taken(held)
    upto = max(upto, window.due() or 0)
    assert upto - came >= 512  # whatever happened, it goes on
    assert not window.came(upto - came + 1)
