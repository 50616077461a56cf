from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobdeck_protocol import LocalWireError, RemoteWireError, StdinQueue
from jobdeck_protocol.attach import Eof, Stdin, StdinAck


class Input:
    """The other end: an input that takes any offset up to its size, as often as it is sent."""

    def __init__(self, base: bytes) -> None:
        self.data = base
        self.end: int | None = None

    def take(self, message: Stdin | Eof) -> None:
        if isinstance(message, Eof):
            assert message.offset == len(self.data)
            self.end = message.offset
            return
        assert message.offset <= len(self.data), "a hole"
        assert self.data[message.offset :] == message.data[: len(self.data) - message.offset], "other bytes"
        self.data = self.data[: message.offset] + message.data + self.data[message.offset + len(message.data) :]


@settings(max_examples=200, deadline=None)
@given(st.data(), st.binary(max_size=5), st.integers(1, 40))
def test_every_byte_arrives_once_through_any_breaks(data: st.DataObject, base: bytes, window: int) -> None:
    queue, there = StdinQueue(), Input(base)
    wanted = base
    wire: list[Stdin | Eof] = []
    acks: list[StdinAck] = []
    queue.begin()
    acks.append(StdinAck(upto=len(base), window=window))
    for step in data.draw(st.lists(st.sampled_from(["put", "send", "arrive", "ack", "break"]), max_size=60)):
        if step == "put":
            more = bytes((len(wanted) + i) % 256 for i in range(data.draw(st.integers(1, 30))))
            queue.put(more)
            wanted += more
        elif step == "send" and (message := queue.next()) is not None:
            wire.append(message)
        elif step == "arrive" and wire:
            there.take(wire.pop(0))
            acks.append(StdinAck(upto=len(there.data), window=window))
        elif step == "ack" and acks:
            queue.acked(acks.pop(0))
        elif step == "break":
            for message in wire[: data.draw(st.integers(0, len(wire)))]:
                there.take(message)  # some of what was under way still arrives
            wire.clear()
            queue.begin()
            acks = [StdinAck(upto=len(there.data), window=window)]
    queue.end()
    for _ in range(10_000):
        if there.end is not None:
            break
        while acks:
            queue.acked(acks.pop(0))
        while (message := queue.next()) is not None:
            wire.append(message)
        while wire:
            there.take(wire.pop(0))
            acks.append(StdinAck(upto=len(there.data), window=window))
    for ack in acks:
        queue.acked(ack)
    assert there.data == wanted
    assert there.end == len(wanted)
    assert queue.idle


def test_nothing_goes_out_before_the_server_told_where_the_input_stands() -> None:
    queue = StdinQueue()
    queue.put(b"abc")
    queue.begin()
    assert queue.next() is None
    queue.acked(StdinAck(upto=10, window=2))
    assert queue.next() == Stdin(offset=10, data=b"ab")
    assert queue.next() is None
    queue.acked(StdinAck(upto=12, window=2))
    assert queue.next() == Stdin(offset=12, data=b"c")
    queue.end()
    assert queue.next() == Eof(offset=13)
    assert queue.next() is None
    queue.begin()
    queue.acked(StdinAck(upto=13, window=2))
    assert queue.next() == Eof(offset=13)


def test_somebody_else_writing_is_seen() -> None:
    queue = StdinQueue()
    queue.acked(StdinAck(upto=0, window=9))
    queue.put(b"abc")
    with pytest.raises(RemoteWireError):
        queue.acked(StdinAck(upto=4, window=9))
    queue.end()
    with pytest.raises(LocalWireError):
        queue.put(b"x")


def test_room_is_bounded() -> None:
    queue = StdinQueue()
    queue.put(bytes(queue.room))
    assert queue.room == 0
    assert not queue.idle
