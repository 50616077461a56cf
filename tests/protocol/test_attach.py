from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from jobdeck_protocol import JobState, LocalWireError, RemoteWireError, Run, Stream, attach, codec
from jobdeck_protocol.message import Message, parse
from tests.protocol.helpers import job

RUNS = (Run(2, Stream.STDOUT, 5), Run(4, Stream.SKIPPED, 6), Run(1, Stream.STDERR, 7))
EVERY: list[Message] = [
    attach.Hello(job=job(labels=("a",)), first=0, size=3, offset=1, upto=9),
    attach.Output(offset=10, runs=RUNS, data=b"abc"),
    attach.Gap(start=3, to=9, why=attach.Why.REMOVED),
    attach.State(job=job(state=JobState.FAILED, exit_code=3)),
    attach.Note(note="waiting for disk space"),
    attach.Note(note=None),
    attach.Exit(code=None, signal=9, state=JobState.STOPPED, output_bytes=7, dropped_bytes=2, offset=7),
    attach.StdinAck(upto=5, window=100),
    attach.Error(error=attach.Refusal.BUSY, about="stdin", text="Somebody else writes."),
    attach.Attach(offset=-10, streams=frozenset({Stream.STDERR, Stream.STDOUT}), upto=None, follow=False),
    attach.Attach(),
    attach.Credit(upto=1 << 40),
    attach.Stdin(offset=0, data=b"\x00\xff"),
    attach.Eof(offset=2),
    attach.Signal(signal=15),
    attach.Resize(rows=24, columns=80),
]
KINDS: dict[str, type[Message]] = {**attach.SERVER_KINDS, **attach.CLIENT_KINDS}


def test_every_kind_is_here() -> None:
    assert {message.kind for message in EVERY} == set(KINDS)


@pytest.mark.parametrize("message", EVERY, ids=lambda message: type(message).__name__)
def test_round_trip(message: Message) -> None:
    wire = codec.decode(codec.encode(message.to_map()))
    assert wire["kind"] == message.kind
    assert parse(KINDS, wire) == message


@pytest.mark.parametrize("message", EVERY, ids=lambda message: type(message).__name__)
def test_unknown_fields_are_ignored(message: Message) -> None:
    wire = codec.decode(codec.encode({**message.to_map(), "later": {"x": [1]}, "zz": None}))
    assert parse(KINDS, wire) == message


def test_unknown_kinds_and_words_are_ignored() -> None:
    assert parse(KINDS, {"kind": "hologram", "x": 1}) is None
    told = parse(KINDS, {"kind": "error", "error": "tired", "about": "stdin", "text": "no"})
    assert isinstance(told, attach.Error)
    assert told.error is attach.Refusal.FAILED
    output = parse(KINDS, {"kind": "output", "offset": 0, "runs": [[1, "stdlog", 2, "new"]], "data": b"x"})
    assert isinstance(output, attach.Output)
    assert output.runs == (Run(1, Stream.UNKNOWN, 2),)
    asked = parse(KINDS, {"kind": "attach", "streams": ["stdlog", "stderr", "skipped"]})
    assert asked == attach.Attach(streams=frozenset({Stream.STDERR}))


def test_old_messages_still_parse() -> None:
    """Kept for good: what the first version sent, byte for byte."""
    old: list[tuple[str, Message]] = [
        ("a2646b696e6466617474616368666f666673657405", attach.Attach(offset=5)),
        (
            "a4646b696e64666f7574707574666f6666736574076472756e7381830266"
            + b"stdout".hex()
            + "09646461746142"
            + "6869",
            attach.Output(offset=7, runs=(Run(2, Stream.STDOUT, 9),), data=b"hi"),
        ),
        ("a3646b696e6469737464696e5f61636b647570746f056677696e646f7700", attach.StdinAck(upto=5, window=0)),
    ]
    for data, message in old:
        assert parse(KINDS, codec.decode(bytes.fromhex(data))) == message


def _wrong() -> list[dict[str, Any]]:
    wrong: list[Any] = [None, -1, 1.5, "x", True, [], {}, b"\x00", 1 << 70]
    cases = []
    for message in EVERY:
        wire = message.to_map()
        for each in fields(message):
            name = each.metadata.get("name", each.name)
            cases += [{**wire, name: value} for value in wrong]
            cases.append({key: value for key, value in wire.items() if key != name})
    return cases


def test_wrong_fields_are_remote_errors_or_other_messages() -> None:
    codes: list[int] = []
    for wire in _wrong():
        try:
            message = parse(KINDS, wire)
        except RemoteWireError as error:
            codes.append(error.close_code)
        else:
            assert message is not None
            codec.encode(message.to_map())
    assert len(codes) > 200
    assert set(codes) == {1007}


@pytest.mark.parametrize(
    "wire",
    [
        {},
        {"kind": 3},
        {"kind": "output", "offset": 0, "runs": [], "data": b""},
        {"kind": "output", "offset": 0, "runs": [[2, "stdout", 0]], "data": b"x"},
        {"kind": "output", "offset": 0, "runs": [[1, "skipped", 0]], "data": b"x"},
        {"kind": "output", "offset": 0, "runs": [[0, "stdout", 0]], "data": b""},
        {"kind": "output", "offset": 0, "runs": [[-1, "stdout", 0], [2, "stdout", 0]], "data": b"x"},
        {"kind": "output", "offset": 0, "runs": [[1, "stdout"]], "data": b"x"},
        {"kind": "output", "offset": 0, "runs": [[1, "stdout", 0]] * 513, "data": b"x" * 513},
        {"kind": "output", "offset": 1 << 62, "runs": [[1, "stdout", 0]], "data": b"x"},
        {"kind": "gap", "from": 5, "to": 5, "why": "limit"},
        {"kind": "exit", "state": "running", "output_bytes": 0, "dropped_bytes": 0, "offset": 0},
        {"kind": "stdin", "offset": 0, "data": bytes(65537)},
        {"kind": "stdin", "offset": 0, "data": b""},
        {"kind": "signal", "signal": 65},
        {"kind": "hello", "job": {"id": "x"}, "first": 0, "size": 0, "offset": 0, "upto": 0},
        {"kind": "state", "job": {"id": "x", "dialect": "v1", "state": "happy"}},
        {"kind": "state", "job": {"id": "x", "dialect": "v1", "state": "running", "created": "yesterday"}},
        {"kind": "state", "job": {"id": "x", "dialect": "v1", "state": "running", "exit_code": "0"}},
        {"kind": "state", "job": {"id": "x", "dialect": "v1", "state": "running", "labels": [1]}},
        {"kind": "state", "job": {"id": "x", "dialect": "v1", "state": "running", "steps": [3]}},
        {"kind": "state", "job": {"id": "x", "dialect": "v1", "state": "running", "results": 7}},
        {"kind": "state", "job": {"id": "x", "dialect": "v1", "state": []}},
    ],
    ids=repr,
)
def test_what_makes_no_message(wire: dict[str, Any]) -> None:
    with pytest.raises(RemoteWireError):
        parse(KINDS, wire)


def test_a_message_that_exists_is_legal() -> None:
    with pytest.raises(LocalWireError):
        attach.Credit(upto=-1)
    with pytest.raises(LocalWireError):
        Run(0, Stream.STDOUT, 0)
    with pytest.raises(LocalWireError):
        attach.Attach(streams=frozenset({Stream.SKIPPED}))


def test_pieces_skip_what_is_skipped() -> None:
    output = attach.Output(offset=10, runs=RUNS, data=b"abc")
    assert output.end == 17
    assert [(offset, run.stream, data) for offset, run, data in output.pieces()] == [
        (10, Stream.STDOUT, b"ab"),
        (16, Stream.STDERR, b"c"),
    ]
