from __future__ import annotations

import contextlib
import random

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobdeck_protocol import JobState, LocalWireError, RemoteWireError, Run, Step, Stream, attach, codec, output_prefix
from jobdeck_protocol.message import JOB_LIMIT_BYTES, parse
from tests.protocol.helpers import job


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\x80",
        b"\xa1aa\x01\x00",  # bytes after the item
        b"\xa2aa\x01aa\x02",  # a key twice
        b"\xa1aa\xa2ab\x01ab\x02",  # also further in
        b"\xbfaa\x01\xff",  # indefinite length
        b"\xa1aa\x5f\x41a\xff",
        b"\xa1\x01\x01",  # a key that is no text
        b"\xa1Aa\x01",
        b"\xa1aa" + b"\x81" * 100 + b"\x00",  # depth
        b"\xa1aa\x9b\xff\xff\xff\xff\xff\xff\xff\xff",  # a length that is not there
        b"\xa1aa\x5b\x00\x00\xff\xff\xff\xff\xff\xff",
        b"\xa1aa\xba\xff\xff\xff\xff",
        b"\xa1aa\x61\xff",  # not UTF-8
        b"\xa1aa\xc1\x1a\x51\x4b\x67\xb0",  # tags: a time
        b"\xa1aa\xc2\x41\x01",  # a number of any size, also where it is small
        b"\xa1aa\xd8\x1c\x81\xd8\x1d\x00",  # a cycle
        b"\xa1aa\xd8\x23\x61(",  # a regular expression
        b"\xa1aa\xd9\x17\x70\x01",  # one that nobody knows
        b"\xff",
        b"\xa1aa\x1c",
    ],
)
def test_what_is_not_taken(data: bytes) -> None:
    with pytest.raises(RemoteWireError) as caught:
        codec.decode(data)
    assert caught.value.close_code == 1007


def test_the_size_limit_has_its_own_close_code() -> None:
    whole = codec.encode({"a": bytes(codec.MESSAGE_LIMIT_BYTES - 8)})
    assert len(whole) == codec.MESSAGE_LIMIT_BYTES
    assert codec.decode(whole)["a"] == bytes(codec.MESSAGE_LIMIT_BYTES - 8)
    with pytest.raises(RemoteWireError) as caught:
        codec.decode(whole + b"\x00")
    assert caught.value.close_code == 1009
    with pytest.raises(LocalWireError):
        codec.encode({"a": bytes(codec.MESSAGE_LIMIT_BYTES)})


def test_2000_mutated_messages_give_a_message_or_a_remote_error() -> None:
    rng = random.Random(23)
    runs = (Run(3, Stream.STDOUT, 1), Run(2, Stream.SKIPPED, 2), Run(1, Stream.STDERR, 3))
    seeds = [
        codec.encode(message.to_map())
        for message in (
            attach.Hello(job=job(steps=(Step(argv=("a", "b")),)), first=0, size=5, offset=0, upto=9),
            attach.Exit(code=1, state=JobState.FAILED, output_bytes=5, dropped_bytes=0, offset=5),
            attach.Output(offset=7, runs=runs, data=b"abcd"),
            attach.Gap(start=1, to=2, why=attach.Why.LIMIT),
            attach.Attach(offset=-5, streams=frozenset({Stream.STDERR}), upto=7),
            attach.Stdin(offset=0, data=b"x"),
            attach.Signal(signal=2),
        )
    ]
    kept, codes = 0, []
    for _ in range(2000):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((1, 1, 2, 5))):
            _mutate(rng, data)
        try:
            wire = codec.decode(bytes(data))
            parse(attach.SERVER_KINDS, wire)
            parse(attach.CLIENT_KINDS, wire)
            kept += 1
        except RemoteWireError as error:
            codes.append(error.close_code)
    assert kept + len(codes) == 2000
    assert min(kept, len(codes)) > 100
    assert set(codes) <= {1007, 1009}


def _mutate(rng: random.Random, data: bytearray) -> None:
    position = rng.randrange(len(data) or 1)
    what = rng.randrange(4)
    if what == 0 and data:
        data[position] = rng.randrange(256)
    elif what == 1:
        data[position:position] = rng.randbytes(rng.randrange(1, 5))
    elif what == 2:
        del data[position : position + rng.randrange(1, 5)]
    elif data:
        data[position] ^= 1 << rng.randrange(8)


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(RemoteWireError):
        assert isinstance(codec.decode(data), dict)


_STREAM = st.sampled_from(list(Stream))


@given(st.integers(0, 1 << 60), st.lists(st.tuples(st.integers(1, 300), _STREAM, st.integers(0, 1 << 55)), min_size=1))
def test_prefix_and_bytes_are_the_message(offset: int, shapes: list[tuple[int, Stream, int]]) -> None:
    runs = tuple(Run(*shape) for shape in shapes)
    data = b"x" * sum(run.length for run in runs if run.stream is not Stream.SKIPPED)
    message = attach.Output(offset=offset, runs=runs, data=data)
    assert output_prefix(offset, runs, len(data)) + data == codec.encode(message.to_map())
    assert parse(attach.SERVER_KINDS, codec.decode(output_prefix(offset, runs, len(data)) + data)) == message


@pytest.mark.parametrize("length", [0, 1, 23, 24, 255, 256, 65535, 65536, 256 * 1024, (1 << 32) - 1, 1 << 32])
def test_the_head_of_a_byte_string(length: int) -> None:
    if length <= 1 << 20:
        assert codec.bytes_head(length) + bytes(length) == cbor2.dumps(bytes(length))
    assert codec.bytes_head(length)[0] >> 5 == 2


def test_a_full_output_fits_the_limit() -> None:
    runs = tuple(Run(512, Stream.TERMINAL, (1 << 61) + i) for i in range(512))
    whole = output_prefix((1 << 61), runs, 256 * 1024) + bytes(256 * 1024)
    assert len(whole) < codec.MESSAGE_LIMIT_BYTES
    assert parse(attach.SERVER_KINDS, codec.decode(whole)) is not None
    with pytest.raises(LocalWireError):
        output_prefix(0, (*runs, runs[0]), 256 * 1024 + 512)


def test_records_that_cbor_cannot_tell_are_mended() -> None:
    odd = job(
        steps=(Step(command_line="echo \udcff"),), results={"big": 1 << 80, "deep": ["\ud800", {"x": -(1 << 70)}]}
    )
    hello = attach.Hello(job=odd, first=0, size=0, offset=0, upto=0)
    wire = codec.decode(codec.encode(hello.to_map()))
    assert wire["job"]["steps"][0]["command_line"] == "echo \ufffd"
    assert wire["job"]["results"] == {"big": float(1 << 80), "deep": ["\ufffd", {"x": float(-(1 << 70))}]}


@pytest.mark.parametrize(
    "huge",
    [
        {"steps": tuple(Step(command_line="\u20ac" * 130_000) for _ in range(64))},
        {"steps": (Step(argv=("'",) * 400_000),)},
        {"steps": (Step(argv=("x",), env_names=tuple(f"N{i}" * 50 for i in range(4096))),)},
        {"results": {"a": "x" * 2_000_000}},
        {"labels": tuple(f"{i}" + "\u20ac" * 250 for i in range(64)), "error": "e" * 900_000},
    ],
)
def test_a_record_too_long_for_a_message_is_cut(huge: dict[str, object]) -> None:
    data = codec.encode(attach.State(job=job(**huge)).to_map())
    assert len(data) <= JOB_LIMIT_BYTES
    wire = codec.decode(data)
    assert wire["job"]["trimmed"] is True
    assert isinstance(parse(attach.SERVER_KINDS, wire), attach.State)
