from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobdeck_protocol import LocalWireError, RemoteWireError, Step, codec, worker, workerorders, workerreports
from jobdeck_protocol.message import Message
from jobdeck_protocol.worker import (
    SERVER_KINDS,
    WORKER_KINDS,
    Beat,
    Bye,
    Credit,
    Drain,
    Have,
    Hello,
    Kept,
    Pulse,
    Welcome,
    decode,
    encode,
    hello_of,
    welcome_of,
)
from jobdeck_protocol.workerlives import accepted, born, check_life
from jobdeck_protocol.workerorders import (
    Ack,
    Eof,
    Forget,
    Input,
    Release,
    Signal,
    Start,
    Stop,
    Synced,
    Want,
    Withdraw,
)
from jobdeck_protocol.workerreports import Ended, Gone, InputAck, Piece, Signalled, State
from jobdeck_protocol.workerwords import How, Phase
from tests.protocol.workerdisks import WORKER, job_id, life

JOB = job_id(1)
HELLO = Hello(worker=WORKER, name="w", slots=2, labels=("gpu",), lives=(life(1), life(2)), number=1, clock_us=5)
STEPS = (Step(command_line="ls"), Step(argv=("a", "b"), env_names=("X",), cwd="/tmp"))
FROM_WORKER: list[Message] = [
    HELLO,
    Hello(worker=WORKER, name="", slots=0, lives=(life(1),), server_life=life(9), number=7, clock_us=0, draining=True),
    Have(jobs=(Kept(JOB, Phase.CLAIMED, 5, 64, 3), Kept(job_id(2), Phase.ENDED)), more=True),
    Have(jobs=()),
    State(job_id=JOB),
    State(job_id=JOB, started_us=7, step=1, note="waiting for disk space", plan=STEPS, segment_lines=2),
    Ended(job_id=JOB, how=How.EXIT, code=3, finished_us=9, output_bytes=5, runs_bytes=96, results={"all": "ab"}),
    Ended(job_id=JOB, how=How.NEVER, finished_us=0, stop_reason="requested"),
    Piece(job_id=JOB, runs_offset=64, runs=b"r" * 32, offset=3, data=b"\x00\xff"),
    Gone(job_id=JOB),
    Signalled(number=4, done=True),
    InputAck(job_id=JOB, upto=9),
    Drain(on=True),
    Beat(running=2, load=0.5, free_bytes=7, clock_us=3),
    Beat(),
    Bye(text="maintenance"),
    Bye(),
]
FROM_SERVER: list[Message] = [
    Welcome(life=life(1), server_life=life(2), upto=7, window_bytes=2048, all=True, beat_s=1.5, draining=True),
    Start(job_id=JOB, size=9, offset=2, data=b"abc"),
    Want(job_id=JOB, output=5, runs=64),
    Withdraw(job_id=JOB),
    Stop(job_id=JOB, signal=15, grace_s=5.0),
    Signal(job_id=JOB, number=1, signal=10),
    Input(job_id=JOB, offset=0, data=b"x"),
    Eof(job_id=JOB, offset=1),
    Ack(jobs=(Synced(JOB, 7, 96), Synced(job_id(2), 0, 0))),
    Release(job_id=JOB),
    Forget(job_id=JOB),
    Credit(upto=1 << 40),
    Drain(on=False),
    Pulse(),
]
EVERY = [(WORKER_KINDS, message) for message in FROM_WORKER] + [(SERVER_KINDS, message) for message in FROM_SERVER]


def test_every_kind_is_here() -> None:
    assert {type(message) for message in FROM_WORKER} == set(WORKER_KINDS.values())
    assert {type(message) for message in FROM_SERVER} == set(SERVER_KINDS.values())


@pytest.mark.parametrize(("kinds", "message"), EVERY, ids=lambda each: type(each).__name__)
def test_round_trip_and_unknown_fields(kinds: Any, message: Message) -> None:
    assert decode(kinds, encode(message)) == message
    wire = codec.encode({**message.to_map(), "later": {"x": [1]}, "zz": None})
    assert decode(kinds, wire) == message


def test_unknown_kinds_words_and_columns_are_passed_over() -> None:
    assert decode(WORKER_KINDS, codec.encode({"kind": "hologram", "x": 1})) is None
    have = decode(WORKER_KINDS, codec.encode({"kind": "have", "jobs": [[JOB, "dreaming", 1, 32, 0, "new"]]}))
    assert have == Have(jobs=(Kept(JOB, Phase.CLAIMED, 1, 32, 0),))
    ack = decode(SERVER_KINDS, codec.encode({"kind": "ack", "jobs": [[JOB, 1, 32, "new"]]}))
    assert ack == Ack(jobs=(Synced(JOB, 1, 32),))


LISTS: list[Any] = [[], {"a": 1}, {1: "a"}, {"x" * 1025: "a"}, {str(i): "" for i in range(1025)}]
ROWS: list[Any] = [{}, [[]], [[JOB, "asked", 1, 33, 0]], [["x", "asked", 1, 32, 0]]]
PLANS: list[Any] = ["x", [1], [{"argv": "x"}], [{"argv": [1]}], [{"cwd": 1}], [{}] * 65]


def _wrong() -> list[tuple[Any, Message, dict[str, Any]]]:
    """One field at a time."""
    start, ended, state = FROM_SERVER[1], FROM_WORKER[6], FROM_WORKER[5]
    welcome, piece, have = FROM_SERVER[0], FROM_WORKER[8], FROM_WORKER[2]
    from_worker: list[tuple[Message, dict[str, Any]]] = [
        *((HELLO, {"worker": bad}) for bad in (None, 7, "", "../../etc", "A" + WORKER[1:], WORKER + "\n")),
        *((HELLO, {"lives": bad}) for bad in ([], "x", [1], ["x"], [life(1)] * 1001)),
        *((HELLO, {"labels": bad}) for bad in ("x", [1], ["x" * 257], ["x"] * 65)),
        *((HELLO, {"slots": bad}) for bad in (-1, True, 1.0, 100_001)),
        *((HELLO, {name: bad}) for name in ("name", "software") for bad in (1, "x" * 257)),
        (HELLO, {"server_life": "x"}), (HELLO, {"draining": 1}), (HELLO, {"number": -1}), (HELLO, {"clock_us": 1.5}),
        *((have, {"jobs": bad}) for bad in ROWS),
        (have, {"jobs": [[JOB, "asked", 0, 0, 0]] * 1001}), (have, {"more": 1}), (have, {"jobs": [[JOB, 1, 1, 32, 0]]}),
        *((state, {"plan": bad}) for bad in PLANS),
        (state, {"plan": [{"env_names": None}]}), (state, {"plan": [{"command_line": 5}]}),
        *((state, {name: bad}) for name in ("started_us", "step") for bad in (-1, True, "1")),
        (state, {"note": "x" * 4097}), (state, {"job_id": JOB[:-1]}),
        (HELLO, {"bundles": 1}), (state, {"segment_lines": -1}),
        (state, {"segment_interval_ms": None}), (ended, {"super_set": 5}),
        *((ended, {"how": bad}) for bad in ("vanished", None, 3)),
        *((ended, {name: bad}) for name in ("finished_us", "output_bytes") for bad in (-1, None, 1 << 63)),
        *((ended, {"results": bad}) for bad in LISTS), (ended, {"dropped_bytes": 1.0}),
        (ended, {"runs_bytes": 95}), (ended, {"cut": 1}), (ended, {"text": "x" * 16_385}), (ended, {"code": "0"}),
        (ended, {"stop_reason": 5}), (ended, {"signal": -1}),
        *((piece, {"runs": bad}) for bad in ("r", b"r" * 31, b"r" * (256 * 1024 + 32))),
        *((piece, {"data": bad}) for bad in (None, b"r" * (256 * 1024 + 1))),
        (piece, {"runs": b"", "data": b""}), (piece, {"runs_offset": 33}), (piece, {"offset": -1}),
        (FROM_WORKER[10], {"done": 1}), (FROM_WORKER[11], {"upto": -1}), (FROM_WORKER[12], {"on": None}),
        *((FROM_WORKER[13], {"load": bad}) for bad in (-1, float("nan"), True, "1")),
        (FROM_WORKER[13], {"running": None}), (FROM_WORKER[13], {"free_bytes": -1}),
        (FROM_WORKER[15], {"text": "x" * 257}),
    ]  # fmt: skip
    from_server: list[tuple[Message, dict[str, Any]]] = [
        *((start, {"size": bad}) for bad in (0, 4, 16 * 1024 * 1024 + 1)),
        *((start, {"data": bad}) for bad in (b"", "abc", b"x" * 8)), (start, {"offset": 10}),
        *((welcome, {"beat_s": bad}) for bad in (0, True, float("inf"), "5")),
        (welcome, {"window_bytes": 1023}), (welcome, {"all": None}), (welcome, {"life": "x"}), (welcome, {"upto": -1}),
        (FROM_SERVER[2], {"runs": 1}), (FROM_SERVER[2], {"output": -1}), (FROM_SERVER[3], {"job_id": "a/b"}),
        *((FROM_SERVER[4], {"signal": bad}) for bad in (0, 65)),
        *((FROM_SERVER[4], {"grace_s": bad}) for bad in (-1, float("nan"), 1e9, True)),
        *((FROM_SERVER[6], {"data": bad}) for bad in (b"", b"x" * 65_537)),
        *((FROM_SERVER[8], {"jobs": bad}) for bad in ([], [[JOB, 1]], [[JOB, 1, 1]], "x", [[JOB, 0, 0]] * 1001)),
    ]  # fmt: skip
    return [(WORKER_KINDS, *each) for each in from_worker] + [(SERVER_KINDS, *each) for each in from_server]


@pytest.mark.parametrize(("kinds", "message", "changes"), _wrong())
def test_wrong_fields_are_refused(kinds: Any, message: Message, changes: dict[str, Any]) -> None:
    with pytest.raises(RemoteWireError) as caught:
        decode(kinds, codec.encode({**message.to_map(), **changes}))
    assert caught.value.close_code == 1007


def test_missing_fields_are_refused() -> None:
    for kinds, kind in ((WORKER_KINDS, "hello"), (WORKER_KINDS, "piece"), (SERVER_KINDS, "start")):
        with pytest.raises(RemoteWireError, match="needs"):
            decode(kinds, codec.encode({"kind": kind}))


def test_old_messages_still_parse() -> None:
    """Kept for good: what the first version sent, byte for byte."""
    piece = Piece(job_id=JOB, runs_offset=64, runs=b"", offset=3, data=b"hi")
    data = (
        "a6646b696e6465706965636566" + b"job_id".hex() + "7824" + JOB.encode().hex() + "6b" + b"runs_offset".hex()
        + "184064" + b"runs".hex() + "4066" + b"offset".hex() + "0364" + b"data".hex() + "426869"
    )  # fmt: skip
    assert encode(piece).hex() == data
    assert decode(WORKER_KINDS, bytes.fromhex(data)) == piece
    assert encode(Credit(upto=5)).hex() == "a2646b696e646663726564697464" + b"upto".hex() + "05"


def test_another_version_is_told_and_nothing_else_is_read() -> None:
    for read, kind, name in ((hello_of, "hello", "other end version 2"), (welcome_of, "welcome", "version 2")):
        with pytest.raises(RemoteWireError, match=name) as caught:
            read(codec.encode({"kind": kind, "version": 2, "something": "else"}))
        assert caught.value.close_code == 4426
        assert len(str(caught.value).encode()) <= 123
    with pytest.raises(RemoteWireError) as caught:
        hello_of(codec.encode({**HELLO.to_map(), "version": 1 << 63}))
    assert caught.value.close_code == 4426
    assert len(str(caught.value).encode()) <= 123


def test_the_first_message_is_the_first() -> None:
    with pytest.raises(RemoteWireError) as caught:
        hello_of(encode(Beat()))
    assert caught.value.close_code == 1002
    with pytest.raises(RemoteWireError) as caught:
        welcome_of(encode(Credit(upto=1)))
    assert caught.value.close_code == 1002
    with pytest.raises(RemoteWireError) as caught:
        hello_of("hello")
    assert caught.value.close_code == 1003
    for version in (None, "1", 1.0, True):
        with pytest.raises(RemoteWireError) as caught:
            hello_of(codec.encode({**HELLO.to_map(), "version": version}))
        assert caught.value.close_code == 1007
    assert hello_of(encode(HELLO)) == HELLO


@settings(deadline=None)
@given(data=st.binary(max_size=200))
def test_garbage_is_refused_by_a_close_code(data: bytes) -> None:
    for read in (hello_of, welcome_of, lambda each: decode(WORKER_KINDS, each)):
        with pytest.raises(RemoteWireError) as caught:
            read(data)
        assert caught.value.close_code in (1002, 1007, 1009)


def test_what_is_said_too_long_is_refused_here() -> None:
    with pytest.raises(LocalWireError):
        Start(job_id=JOB, size=1, offset=0, data=b"ab")
    with pytest.raises(LocalWireError):
        Kept("x", Phase.ASKED)


def test_orders_and_reports_are_all_in_the_tables() -> None:
    for module, kinds in ((workerorders, SERVER_KINDS), (workerreports, WORKER_KINDS)):
        classes = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, Message)]
        assert {each for each in classes if each is not Message} <= set(kinds.values())
    assert worker.SUBPROTOCOL == "jobdeck.worker.v1"


# -- lives --


def test_lives_are_kept_since_the_last_accepted_one() -> None:
    lives: tuple[str, ...] = ()
    for number in range(3):
        lives = born(lives, life(number))
    assert lives == (life(0), life(1), life(2))
    assert accepted(lives, life(1)) == (life(1), life(2))
    assert accepted(lives, life(7)) == lives
    for number in range(3, 1500):
        lives = born(lives, life(number))
    assert len(lives) == 1000
    assert (lives[0], lives[-1], lives[1]) == (life(0), life(1499), life(501))


def test_a_copy_is_told_from_the_worker() -> None:
    hello = Hello(
        worker=WORKER, name="w", slots=1, lives=(life(1), life(2)), server_life=life(50), number=1, clock_us=0
    )
    known = [life(50), life(51)]
    for last in (None, life(1), life(2)):
        assert not check_life(hello, last_life=last, server_lives=known)
    with pytest.raises(RemoteWireError) as caught:
        check_life(hello, last_life=life(3), server_lives=known)
    assert caught.value.close_code == 4423
    assert len(str(caught.value).encode()) <= 123


def test_a_restored_server_is_found_out_and_takes_the_worker() -> None:
    hello = Hello(worker=WORKER, name="w", slots=1, lives=(life(4),), server_life=life(60), number=1, clock_us=0)
    assert check_life(hello, last_life=life(3), server_lives=[life(50)])
