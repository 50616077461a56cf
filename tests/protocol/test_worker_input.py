"""Standard input over connections that end."""

from __future__ import annotations

from jobdeck_protocol.workeragenda import INPUT_WINDOW_BYTES
from jobdeck_protocol.workermirror import NOTHING
from jobdeck_protocol.workerorders import Input
from jobdeck_protocol.workerreports import InputAck, State
from jobdeck_protocol.workertasks import Tasks
from jobdeck_protocol.workerwords import INPUT_LIMIT_BYTES

JOB = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"


def said(tasks: Tasks) -> list[object]:
    found: list[object] = []
    while (message := tasks.next()) is not None:
        found.append(message)
    return found


def test_input_that_was_kept_while_a_connection_began_is_acknowledged_when_it_comes_again() -> None:
    """It was on its way to the disk when the connection before ended, and was there after this one had begun."""
    tasks = Tasks()
    tasks.keep(JOB, state=State(job_id=JOB, started_us=1), end=None, output=0, runs=0)
    tasks.open(upto=1 << 20, window_bytes=1 << 20)
    said(tasks)
    tasks.want(JOB, NOTHING)
    said(tasks)
    pieces = [
        Input(job_id=JOB, offset=at, data=bytes(INPUT_LIMIT_BYTES))
        for at in range(0, INPUT_WINDOW_BYTES, INPUT_LIMIT_BYTES)
    ]
    assert all(tasks.input(piece) is not None for piece in pieces)
    tasks.begin()
    tasks.open(upto=1 << 20, window_bytes=1 << 20)
    said(tasks)  # that it keeps nothing
    tasks.input_kept(JOB, INPUT_WINDOW_BYTES)
    tasks.want(JOB, NOTHING)
    said(tasks)
    assert [tasks.input(piece) for piece in pieces] == [None] * len(pieces)
    assert said(tasks) == [InputAck(job_id=JOB, upto=INPUT_WINDOW_BYTES)]
