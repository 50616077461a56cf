"""That a job's files and its end come whole."""

from __future__ import annotations

import pytest

from jobdeck_protocol import LocalWireError
from jobdeck_protocol.worker import (
    Credit,
    Kept,
)
from jobdeck_protocol.workerevents import (
    Append,
    Gap,
    Read,
    Ready,
    Stranger,
)
from jobdeck_protocol.workermirror import Sizes
from jobdeck_protocol.workerorders import (
    Ack,
    Forget,
    Release,
    Synced,
    Want,
)
from jobdeck_protocol.workerreports import Ended, Gone, Piece, State
from jobdeck_protocol.workerwords import How, Phase
from tests.protocol.workerdisks import job_id
from tests.protocol.workerends import JOB, OTHER, Agent, Host, close_code, ended
from tests.protocol.workerworld import World


def test_the_end_counts_when_all_bytes_are_there() -> None:
    host = Host()
    host.host.jobs.follow(JOB, output=0, runs=0)
    host.said()
    assert host.say(ended(output=3, runs=64)) == []
    events = host.say(Piece(job_id=JOB, runs_offset=0, runs=b"r" * 64, offset=0, data=b"ab"))
    assert [type(event) for event in events] == [Append]
    events = host.say(Piece(job_id=JOB, runs_offset=64, runs=b"", offset=2, data=b"c"))
    assert events[1:] == [ended(output=3, runs=64)]
    assert host.say(ended(output=9, runs=64)) == []  # told once, the first one stands
    assert host.say(State(job_id=JOB)) == []
    assert host.say(Piece(job_id=JOB, runs_offset=64, runs=b"", offset=3, data=b"c")) == []


def test_release_comes_after_the_end_is_recorded_and_the_bytes_are_on_disk() -> None:
    for order in (("recorded", "synced"), ("synced", "recorded")):
        host = Host()
        host.host.jobs.follow(JOB, output=0, runs=0)
        host.said()
        host.say(Piece(job_id=JOB, runs_offset=0, runs=b"r" * 32, offset=0, data=b"ab"))
        host.say(ended(output=2, runs=32))
        host.host.jobs.synced(JOB, output=1, runs=32)
        assert host.said() == [Ack(jobs=(Synced(JOB, 1, 32),))]
        for name in order:
            assert host.said() in ([], [Ack(jobs=(Synced(JOB, 2, 32),))])
            if name == "recorded":
                host.host.jobs.recorded(JOB)
            else:
                host.host.jobs.synced(JOB, output=2, runs=32)
        assert Release(job_id=JOB) in host.said()
        assert JOB not in host.host.jobs
        # A worker that did not hear of it asks again
        assert host.open(Kept(JOB, Phase.ENDED, 2, 32)) == [Stranger(Kept(JOB, Phase.ENDED, 2, 32)), Ready()]
        host.host.jobs.release(JOB)
        assert host.said() == [Release(job_id=JOB)]


def test_a_hole_is_asked_for_again_once() -> None:
    host = Host()
    host.host.jobs.follow(JOB, output=5, runs=64)
    host.said()
    beyond = Piece(job_id=JOB, runs_offset=64, runs=b"", offset=7, data=b"x" * 500)
    for _ in range(5):
        assert host.say(beyond) == []  # thrown away, and its credit with it
    assert [message for message in host.said() if isinstance(message, Want)] == [Want(job_id=JOB, output=5, runs=64)]
    assert len(host.say(Piece(job_id=JOB, runs_offset=64, runs=b"", offset=5, data=b"ab"))) == 1


def test_what_the_server_has_lost_is_sent_again() -> None:
    world = World()
    name = world.submit()
    world.flow()
    world.write(name, 300)
    world.flow()
    files = world.server_disk.files[name]
    del files.output[100:]
    del files.runs[64:]
    world.host.jobs.rewind(name, output=100, runs=64)
    world.end(name)
    world.flow()
    assert files.output == world.worker_disk.jobs[name].output
    assert world.server_disk.rows[name].ends == 1
    assert world.worker_disk.jobs[name].released


def test_an_end_that_was_told_is_taken_back_by_a_rewind() -> None:
    host = Host()
    host.host.jobs.follow(JOB, output=0, runs=0)
    host.said()
    host.say(Piece(job_id=JOB, runs_offset=0, runs=b"r" * 32, offset=0, data=b"ab"))
    assert host.say(ended(output=2, runs=32)) == [ended(output=2, runs=32)]
    host.host.jobs.rewind(JOB, output=1, runs=32)
    assert host.said() == [Want(job_id=JOB, output=1, runs=32)]
    events = host.say(Piece(job_id=JOB, runs_offset=32, runs=b"", offset=1, data=b"b"))
    assert events[1:] == [ended(output=2, runs=32)]


def test_files_that_are_gone_are_a_gap() -> None:
    world = World()
    name = world.submit()
    world.flow()
    world.write(name, 300)
    world.flow()
    world.cut_worker()
    world.write(name, 50)
    world.worker_disk.jobs[name].removed = True
    world.end(name)
    world.flow()  # the bytes that are to be read do not exist: unreadable
    job, files = world.worker_disk.jobs[name], world.server_disk.files[name]
    assert world.server_disk.rows[name].end == job.end
    assert files.output == job.output[:300]  # as far as it had been told of
    assert job.released
    host = Host()
    host.host.jobs.follow(JOB, output=5, runs=64)
    host.said()
    assert host.say(Gone(job_id=JOB)) == []
    assert host.say(ended(output=9, runs=96)) == [Gap(JOB, 5, 9), ended(output=9, runs=96)]
    host.host.jobs.recorded(JOB)
    host.host.jobs.synced(JOB, output=5, runs=64)
    assert Release(job_id=JOB) in host.said()


def test_a_copy_that_is_longer_than_the_worker_s_stands() -> None:
    host = Host()
    host.host.jobs.follow(JOB, output=50, runs=64)
    host.said()
    assert host.say(ended(output=20, runs=32)) == [ended(output=20, runs=32)]


def test_pieces_need_credit_and_what_nobody_asked_for_is_thrown_away() -> None:
    host = Host(window_bytes=1024)
    host.host.jobs.follow(JOB, output=0, runs=0)
    host.said()
    for name in (OTHER, job_id(9)):  # jobs of others, or of nobody
        assert host.say(Piece(job_id=name, runs_offset=0, runs=b"", offset=0, data=b"x" * 500)) == []
    assert host.said() == [Credit(upto=2024)]  # at 1000 of 1024
    events = host.say(Piece(job_id=JOB, runs_offset=0, runs=b"", offset=0, data=b"x" * 1024))
    assert host.said() == []
    assert close_code(host, Piece(job_id=JOB, runs_offset=0, runs=b"", offset=1024, data=b"x")) == 1002
    assert isinstance(events[0], Append)
    host.open(Kept(JOB, Phase.CLAIMED))  # nothing was written yet: no credit on the new connection either
    assert close_code(host, Piece(job_id=JOB, runs_offset=0, runs=b"", offset=1024, data=b"x")) == 1002
    host.host.jobs.taken(events[0])
    assert Credit(upto=1025) in host.said()


def test_acknowledgements_reach_the_worker() -> None:
    agent = Agent()
    agent.start()
    agent.say(Ack(jobs=(Synced(JOB, 5, 64), Synced(OTHER, 1, 32))))
    agent.say(Ack(jobs=(Synced(JOB, 3, 96),)))
    assert agent.agent.jobs.acked(JOB) == Sizes(5, 96)
    assert agent.agent.jobs.acked(OTHER) is None


def test_ended_follows_the_last_byte() -> None:
    agent = Agent()
    agent.start()
    agent.agent.jobs.state(State(job_id=JOB, started_us=1))
    agent.agent.jobs.ended(ended(output=9, runs=64))
    assert [message.kind for message in agent.said()] == ["state", "piece", "ended"]
    agent.say(Want(job_id=JOB, output=4, runs=32))  # asked for again
    said = agent.said()
    assert [message.kind for message in said] == ["state", "piece", "ended"]
    assert isinstance(said[1], Piece)
    assert (said[1].offset, said[1].runs_offset) == (4, 32)


def test_what_is_read_for_a_connection_that_has_ended_is_of_no_use() -> None:
    agent = Agent()
    agent.start()
    agent.agent.jobs.grew(JOB, 9, 64)
    read = agent.agent.send(agent.link, 0.0)
    assert isinstance(read, Read)
    with pytest.raises(LocalWireError):
        agent.agent.fill(read, b"", b"")
    agent.open()
    assert agent.agent.fill(read, b"r" * 64, b"d" * 9) is None
    agent.agent.unreadable(read)
    agent.say(Want(job_id=JOB, output=0, runs=0))
    agent.agent.jobs.ended(ended(output=9, runs=64))
    assert agent.said() == [Gone(job_id=JOB), ended(output=9, runs=64)]


def test_a_release_of_a_job_that_runs_is_refused() -> None:
    agent = Agent()
    agent.start()
    assert close_code(agent, Release(job_id=JOB)) == 1002
    assert agent.say(Forget(job_id=JOB)) == [Forget(job_id=JOB)]
    agent.agent.jobs.state(State(job_id=JOB))
    agent.agent.jobs.ended(ended())
    agent.agent.jobs.grew(JOB, 5, 32)
    agent.agent.jobs.lost(JOB)
    assert agent.said() == []


def test_reports_that_are_too_long_are_refused_where_they_are_made() -> None:
    agent = Agent()
    agent.start()
    results = {f"{'☃' * 250}{i}": "☃" * 256 for i in range(1024)}
    with pytest.raises(LocalWireError):
        agent.agent.jobs.ended(Ended(job_id=JOB, how=How.EXIT, finished_us=1, results=results))
    with pytest.raises(LocalWireError):
        agent.agent.jobs.keep(OTHER, state=None, end=None, output=0, runs=0)


def test_a_worker_that_contradicts_itself_is_refused() -> None:
    host = Host()
    host.host.jobs.start(JOB, b"s")
    host.said()
    host.say(State(job_id=JOB))
    assert close_code(host, ended(how=How.NEVER)) == 1002  # another may have been given the job on such a word
    host.open(Kept(JOB, Phase.CLAIMED))
    host.said()
    assert host.say(ended(output=5, runs=32)) == []
    for piece in (
        Piece(job_id=JOB, runs_offset=0, runs=b"r" * 64, offset=0, data=b""),
        Piece(job_id=JOB, runs_offset=0, runs=b"r" * 32, offset=0, data=b"x" * 6),
    ):
        assert close_code(host, piece) == 1002
    assert len(host.say(Piece(job_id=JOB, runs_offset=0, runs=b"r" * 32, offset=0, data=b"x" * 5))) == 2


def test_nothing_beyond_the_final_sizes_is_sent() -> None:
    agent = Agent()
    agent.start()
    agent.agent.jobs.grew(JOB, 500, 64)
    read = agent.agent.send(agent.link, 0.0)
    assert isinstance(read, Read)
    agent.agent.jobs.grew(JOB, 9000, 64)
    agent.agent.jobs.ended(ended(output=700, runs=64))
    agent.agent.jobs.grew(JOB, 9000, 64)
    said = agent.said()
    assert [message.kind for message in said] == ["piece", "ended"]
    assert isinstance(said[0], Piece)
    assert said[0].offset + len(said[0].data) == 700
