"""Signals, standard input, beats, leaving."""

from __future__ import annotations

import pytest

from jobdeck_protocol import LocalWireError, codec
from jobdeck_protocol.worker import (
    Beat,
    Bye,
    Drain,
    Have,
    Kept,
    Pulse,
    Welcome,
    encode,
)
from jobdeck_protocol.workeragent import WorkerAgent
from jobdeck_protocol.workerevents import (
    InputJob,
    InputKept,
    Reachable,
    ReadInput,
    SignalDone,
    Silent,
    StartJob,
    Stranger,
    Unreachable,
)
from jobdeck_protocol.workerorders import (
    Eof,
    Input,
    Signal,
    Start,
    Want,
)
from jobdeck_protocol.workerreports import Gone, InputAck, Signalled, State
from jobdeck_protocol.workerwords import Phase
from tests.protocol.workerdisks import WORKER, job_id, life
from tests.protocol.workerends import JOB, OTHER, SERVER, Agent, Host, close_code, ended, hello


def test_signals_are_sent_once_and_answered() -> None:
    host, agent = Host(), Agent()
    assert Host(open_it=False).host.jobs.signal(JOB, 10) is None
    agent.start()
    number = host.host.jobs.signal(JOB, 10)
    assert number is not None
    said = host.said()
    assert said == [Signal(job_id=JOB, number=number, signal=10)]
    assert agent.say(said[0]) == said
    agent.agent.signalled(number, done=True)
    agent.agent.signalled(number, done=True)
    assert agent.said() == [Signalled(number=number, done=True)]
    assert host.say(Signalled(number=number, done=True)) == [SignalDone(JOB, number, True)]
    assert host.say(Signalled(number=number, done=True)) == []
    agent.say(Signal(job_id=OTHER, number=5, signal=10))
    assert agent.said() == [Signalled(number=5, done=False)]
    second = host.host.jobs.signal(JOB, 12)
    assert second is not None
    assert host.host.disconnected(host.link) == [SignalDone(JOB, second, None)]
    host.open()
    assert host.said() == []  # never a second time


def test_signals_are_limited_at_both_ends() -> None:
    host, agent = Host(), Agent()
    agent.start()
    assert all(host.host.jobs.signal(JOB, 10) for _ in range(64))
    assert host.host.jobs.signal(JOB, 10) is None
    for message in host.said():
        agent.say(message)
    assert close_code(agent, Signal(job_id=JOB, number=99, signal=1)) == 1002


def test_input_goes_by_offset_and_is_sent_again_from_what_is_kept() -> None:
    host, agent = Host(), Agent()
    host.host.jobs.start(JOB, b"s")
    host.host.jobs.input(JOB, 100_000, eof_bytes=100_000)
    host.host.jobs.input(OTHER, 5)
    for message in host.said():
        agent.say(message)
    agent.agent.jobs.state(State(job_id=JOB))
    for message in agent.said():
        host.say(message)
    said = host.said()
    assert [message.kind for message in said] == ["input", "input", "eof"]
    given = agent.say(said[0])
    assert isinstance(given[0], InputJob)
    assert agent.say(said[0]) == []  # twice
    agent.agent.jobs.input_kept(JOB, 65_536)
    assert agent.said() == [InputAck(job_id=JOB, upto=65_536)]
    assert host.say(InputAck(job_id=JOB, upto=65_536)) == [InputKept(JOB, 65_536)]
    assert host.say(InputAck(job_id=JOB, upto=65_536)) == []
    assert host.say(InputAck(job_id=JOB, upto=1 << 40)) == []  # more than was sent: a lie
    assert close_code(agent, Input(job_id=JOB, offset=70_000, data=b"x")) == 1002
    assert close_code(agent, Eof(job_id=JOB, offset=70_000)) == 1002
    host.open(Kept(JOB, Phase.CLAIMED, input=65_536))
    said = host.said()
    assert [message.kind for message in said] == ["want", "input", "eof"]
    assert isinstance(said[1], Input)
    assert said[1].offset == 65_536
    assert agent.say(said[1])
    assert agent.say(said[2]) == [Eof(job_id=JOB, offset=100_000)]
    assert agent.say(Eof(job_id=OTHER, offset=0)) == []
    assert agent.say(Input(job_id=OTHER, offset=0, data=b"x")) == []


def test_input_under_way_is_bounded() -> None:
    host, agent = Host(), Agent()
    for name in (JOB, OTHER):
        host.host.jobs.follow(name, output=0, runs=0)
        host.host.jobs.input(name, 10_000_000)
        agent.start(name)
    said = [message for message in host.said() if isinstance(message, Input)]
    assert sum(len(message.data) for message in said) == 256 * 1024
    assert {message.job_id for message in said} == {JOB, OTHER}
    for message in said:
        assert agent.say(message)
    over = Input(job_id=JOB, offset=max(each.offset + len(each.data) for each in said), data=b"x")
    assert close_code(agent, over) == 1002
    host.say(InputAck(job_id=JOB, upto=65_536))
    assert sum(len(message.data) for message in host.said() if isinstance(message, Input)) == 65_536
    read = ReadInput(host.link, JOB, 0, 5)
    with pytest.raises(LocalWireError):
        host.host.fill(read, b"x")
    host.open()
    assert host.host.fill(read, b"x" * 5) is None


def test_three_beats_of_silence() -> None:
    host, agent = Host(), Agent()
    assert host.host.due_s() == agent.agent.due_s() == 5.0
    host.now_s = agent.now_s = 5.0
    assert host.said() == [Pulse()]
    agent.agent.beat = Beat(running=1, load=2.5)
    assert agent.said() == [Beat(running=1, load=2.5)]
    assert host.host.tick(14.9) == agent.agent.tick(14.9) == []
    assert host.host.due_s() == agent.agent.due_s() == 10.0
    assert host.host.tick(15.0) == [Unreachable(0.0)]
    assert agent.agent.tick(15.0) == [Silent(0.0)]
    assert host.host.tick(99.0) == agent.agent.tick(99.0) == []
    host.now_s = 100.0
    assert host.say(Beat(running=1)) == [Reachable(), Beat(running=1)]  # it was frozen
    host.host.disconnected(host.link)
    assert host.host.due_s() == 115.0
    assert host.host.tick(115.0) == [Unreachable(100.0)]
    assert host.host.due_s() is None
    host.now_s = 200.0
    assert host.greet()[0] == Reachable()
    agent.agent.disconnected(agent.link)
    assert agent.agent.due_s() is None
    assert agent.agent.tick(1e9) == []


def test_draining_by_either_end() -> None:
    host, agent = Host(), Agent()
    agent.agent.drain(on=True)
    said = agent.said()
    assert said == [Drain(on=True)]
    assert host.say(said[0]) == said
    host.host.jobs.start(JOB, b"s")  # it was given to this worker before
    assert [message.kind for message in host.said()] == ["start", "want"]
    assert agent.say(Start(job_id=JOB, size=1, offset=0, data=b"s")) == [StartJob(JOB, b"s")]
    host.greet(hello(number=9, draining=True))
    assert host.host.leaving
    agent = Agent(draining=True)
    drained = agent.agent.draining
    assert agent.say(Drain(on=False)) == [Drain(on=False)]
    assert drained and not agent.agent.draining  # noqa: PT018  # one by one, mypy thinks that it stays as it was
    host = Host()
    host.host.drain(on=True)
    host.open()
    assert host.said() == []  # welcome has said it


def test_bye_is_the_last_word() -> None:
    host, agent = Host(), Agent()
    agent.start()
    agent.agent.jobs.state(State(job_id=JOB))
    agent.agent.bye("maintenance")
    said = agent.said()
    assert said == [State(job_id=JOB), Bye(text="maintenance")]
    assert host.say(said[1]) == [said[1]]


def test_unknown_jobs_and_kinds_change_nothing() -> None:
    host, agent = Host(), Agent()
    for message in (State(job_id=JOB), ended(), Gone(job_id=JOB), InputAck(job_id=JOB, upto=1)):
        assert host.say(message) == []
    assert agent.say(Want(job_id=JOB, output=0, runs=0)) == []
    jobs = host.host.jobs
    jobs.synced(JOB, output=0, runs=0)
    jobs.recorded(JOB)
    jobs.rewind(JOB, output=0, runs=0)
    assert host.said() == agent.said() == []
    assert host.host.receive(host.link, codec.encode({"kind": "dance"}), 0.0) == []
    assert agent.agent.receive(agent.link, codec.encode({"kind": "dance"}), 0.0) == []
    assert "jobs=0" in repr(host.host)
    assert "open" in repr(agent.agent)


def test_a_list_longer_than_a_message() -> None:
    agent = Agent(open_it=False)
    for number in range(2500):
        agent.agent.jobs.keep(job_id(number), state=None, end=ended(job_id(number)), output=0, runs=0)
    said = agent.open()
    assert all(isinstance(message, Have) for message in said)
    assert [len(message.jobs) for message in said if isinstance(message, Have)] == [1000, 1000, 500]
    host = Host(open_it=False)
    host.greet()
    host.host.welcome(host.link)
    host.said()
    strangers = [event for message in said for event in host.say(message)]
    assert len(strangers) == 2501
    for event in strangers[:-1]:
        assert isinstance(event, Stranger)
        host.host.jobs.release(event.kept.job_id)
    for message in host.said():
        agent.say(message)
    assert len(agent.agent.jobs) == 0


def test_while_a_worker_looks_at_all_its_jobs_nobody_is_silent() -> None:
    """A restored server asks for all of them: of very many that takes longer than three beats."""
    agent = WorkerAgent(WORKER, name="w", slots=1, lives=(life(1),))
    link = agent.connected(0.0, 0)
    agent.send(link, 0.0)
    agent.receive(link, encode(Welcome(life=life(1), server_life=SERVER, all=True, upto=4096, beat_s=1.0)), 0.0)
    for now_s in (2.5, 5.0, 7.5, 10.0):
        assert agent.tick(now_s) == []
    agent.settled(link)
    assert agent.tick(12.5) == []
    assert agent.tick(13.5) == [Silent(10.0)]
