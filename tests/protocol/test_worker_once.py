"""That a job of a worker is started once, and stopped or withdrawn for sure."""

from __future__ import annotations

import random

import pytest

from jobdeck_protocol import LocalWireError
from jobdeck_protocol.worker import (
    ASK_LIMIT_COUNT,
    Drain,
    Have,
    Kept,
)
from jobdeck_protocol.workerevents import (
    Missing,
    Ready,
    StartJob,
    Stranger,
    Unreachable,
)
from jobdeck_protocol.workerorders import (
    Forget,
    Release,
    Start,
    Stop,
    Want,
    Withdraw,
)
from jobdeck_protocol.workerreports import State
from jobdeck_protocol.workerwords import How, Phase
from tests.protocol.workerdisks import job_id
from tests.protocol.workerends import JOB, OTHER, Agent, Host, close_code, ended


def test_a_start_waits_until_the_worker_has_told_what_it_has() -> None:
    host = Host(open_it=False)
    host.host.jobs.start(JOB, b"spec")
    host.greet()
    host.host.welcome(host.link)
    assert [message.kind for message in host.said()] == ["welcome"]
    assert host.say(Have(jobs=(Kept(OTHER, Phase.ENDED),), more=True)) == [Stranger(Kept(OTHER, Phase.ENDED))]
    assert host.said() == []
    assert host.say(Have(jobs=())) == [Ready()]
    assert host.said() == [Start(job_id=JOB, size=4, offset=0, data=b"spec"), Want(job_id=JOB, output=0, runs=0)]
    host.host.jobs.start(JOB, b"other")  # once is enough
    assert host.said() == []


def test_a_start_whose_outcome_is_known_is_not_repeated() -> None:
    host = Host()
    host.host.jobs.start(JOB, b"spec")
    host.said()
    assert host.open(Kept(JOB, Phase.CLAIMED, 10, 64)) == [Ready()]
    assert host.said() == [Want(job_id=JOB, output=0, runs=0)]
    assert host.open(Kept(JOB, Phase.CLAIMED, 10, 64)) == [Ready()]
    host = Host()
    host.host.jobs.start(JOB, b"spec")
    host.said()
    host.open(Kept(JOB, Phase.ASKED))  # it is being decided
    assert host.said() == [Want(job_id=JOB, output=0, runs=0)]
    host.open()  # the worker was killed before
    assert [message.kind for message in host.said()] == ["start", "want"]


def test_a_long_specification_goes_in_pieces_and_nothing_waits_for_it() -> None:
    host, agent = Host(), Agent()
    spec = random.Random(1).randbytes(700_000)
    host.host.jobs.start(JOB, spec)
    host.host.jobs.start(OTHER, b"short")
    first = host.host.send(host.link, 0.0)
    assert isinstance(first, bytes)
    host.host.drain(on=True)
    rest = host.said()
    assert [message.kind for message in rest] == ["drain", "start", "start", "want", "start", "want"]
    assert rest[0] == Drain(on=True)
    events = agent.agent.receive(agent.link, first, 0.0)
    for message in rest[1:]:
        events += agent.say(message)  # type: ignore[arg-type]  # events are of one kind
    assert events == [StartJob(JOB, spec), StartJob(OTHER, b"short")]
    for bad in (b"", b"x" * (16 * 1024 * 1024 + 1)):
        with pytest.raises(LocalWireError):
            host.host.jobs.start(job_id(3), bad)
    with pytest.raises(LocalWireError):
        host.host.jobs.start("../x", b"a")


def test_pieces_out_of_order_are_refused() -> None:
    for pieces in (
        [Start(job_id=JOB, size=3, offset=1, data=b"b")],
        [Start(job_id=JOB, size=3, offset=0, data=b"a"), Start(job_id=JOB, size=3, offset=2, data=b"c")],
        [Start(job_id=JOB, size=3, offset=0, data=b"a"), Start(job_id=OTHER, size=3, offset=1, data=b"c")],
        [Start(job_id=JOB, size=3, offset=0, data=b"a"), Start(job_id=JOB, size=4, offset=1, data=b"c")],
    ):
        agent = Agent()
        for piece in pieces[:-1]:
            assert agent.say(piece) == []
        assert close_code(agent, pieces[-1]) == 1002


def test_a_repeated_start_is_answered_from_what_is_known() -> None:
    agent = Agent()
    agent.start()
    assert agent.said() == []
    again = Start(job_id=JOB, size=1, offset=0, data=b"s")
    assert agent.say(again) == []  # it is being decided
    agent.agent.jobs.state(State(job_id=JOB))
    assert agent.said() == [State(job_id=JOB)]
    assert agent.say(again) == []
    assert agent.said() == [State(job_id=JOB)]
    agent.agent.jobs.ended(ended())
    agent.agent.jobs.ended(ended(how=How.LOST))  # the first end stands
    assert agent.said() == [ended()]
    assert agent.say(again) == []
    assert agent.said() == [State(job_id=JOB), ended()]
    assert agent.say(Release(job_id=JOB)) == [Release(job_id=JOB)]
    assert agent.say(Release(job_id=JOB)) == []
    assert agent.say(again) == [StartJob(JOB, b"s")]  # the owner looks at its record: for ever the same answer


def test_not_more_is_asked_than_may_be() -> None:
    host, agent = Host(), Agent()
    for number in range(ASK_LIMIT_COUNT + 5):
        host.host.jobs.start(job_id(number), b"s")
    said = host.said()
    assert sum(isinstance(message, Start) for message in said) == ASK_LIMIT_COUNT
    for message in said:
        agent.say(message)
    assert close_code(agent, Start(job_id=job_id(99), size=1, offset=0, data=b"s")) == 1002
    host.say(State(job_id=job_id(3)))
    assert sum(isinstance(message, Start) for message in host.said()) == 1
    host.host.jobs.stop(job_id(ASK_LIMIT_COUNT + 3), 15, 5.0)
    host.host.jobs.forget(job_id(ASK_LIMIT_COUNT + 4))
    assert host.said() == [Forget(job_id=job_id(ASK_LIMIT_COUNT + 4))]
    host.say(ended(job_id(4), how=How.ERROR))
    stop = Stop(job_id=job_id(ASK_LIMIT_COUNT + 3), signal=15, grace_s=5.0)
    assert host.said() == [stop, Want(job_id=stop.job_id, output=0, runs=0)]


def test_withdraw_in_time_and_too_late() -> None:
    host, agent = Host(), Agent()
    host.host.jobs.withdraw(JOB)  # not known: of no effect
    host.host.jobs.start(JOB, b"s")
    host.host.jobs.withdraw(JOB)
    said = host.said()
    assert said == [Withdraw(job_id=JOB), Want(job_id=JOB, output=0, runs=0)]
    assert agent.say(said[0]) == [Withdraw(job_id=JOB)]
    agent.say(said[1])
    agent.agent.jobs.ended(ended(how=How.NEVER))
    assert [event for message in agent.said() for event in host.say(message)] == [ended(how=How.NEVER)]
    host, agent = Host(), Agent()
    host.host.jobs.start(JOB, b"s")
    for message in host.said():
        agent.say(message)
    host.host.jobs.withdraw(JOB)
    assert host.said() == [Withdraw(job_id=JOB)]
    assert agent.say(Withdraw(job_id=JOB)) == [Withdraw(job_id=JOB)]  # not decided: the owner's claim decides
    agent.agent.jobs.state(State(job_id=JOB))
    assert agent.say(Withdraw(job_id=JOB)) == []
    assert [event for message in agent.said() for event in host.say(message)] == [State(job_id=JOB)]
    host.host.jobs.withdraw(JOB)
    assert host.said() == []


def test_silence_is_no_answer() -> None:
    """A withdrawal that was not answered is said again with each connection, and nothing else comes of it."""
    host = Host()
    host.host.jobs.start(JOB, b"s")
    host.said()
    host.host.jobs.withdraw(JOB)
    host.said()
    host.now_s = 1e6
    assert host.host.tick(host.now_s) == [Unreachable(0.0)]
    assert host.open() == [Ready()]
    assert [message.kind for message in host.said()] == ["withdraw", "want"]
    host.open(Kept(JOB, Phase.ASKED))
    assert [message.kind for message in host.said()] == ["withdraw", "want"]


def test_a_job_that_was_decided_and_is_not_there_is_missing() -> None:
    host = Host()
    host.host.jobs.start(JOB, b"s")
    host.said()
    host.say(State(job_id=JOB))
    assert host.open() == [Missing(JOB), Ready()]
    assert host.said() == []
    host.host.jobs.forget(JOB)
    assert host.open() == [Ready()]


def test_a_stop_is_said_with_each_connection_until_the_end() -> None:
    host = Host()
    host.host.jobs.stop(JOB, 15, 5.0)  # not known
    host.host.jobs.follow(JOB, output=0, runs=0)
    assert host.said() == [Want(job_id=JOB, output=0, runs=0)]
    host.host.jobs.stop(JOB, 15, 5.0)
    host.host.jobs.stop(JOB, 9, 0.0)  # the last counts
    stop = Stop(job_id=JOB, signal=9, grace_s=0.0)
    assert host.said() == [stop]
    host.open(Kept(JOB, Phase.CLAIMED))
    assert stop in host.said()
    host.say(ended())
    host.open(Kept(JOB, Phase.ENDED))
    assert host.said() == []  # its end is not recorded yet
    agent = Agent()
    assert agent.say(stop) == [stop]  # never heard of: the owner claims that it never runs
    agent.agent.jobs.ended(ended(how=How.NEVER))
    assert agent.say(stop) == []
    assert agent.said() == []  # nobody wants to hear of it yet
    agent.say(Want(job_id=JOB, output=0, runs=0))
    assert agent.said() == [ended(how=How.NEVER)]
