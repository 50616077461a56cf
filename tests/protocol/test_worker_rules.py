"""Each rule of the worker channel by itself."""

from __future__ import annotations

import copy
import random

import pytest

from jobdeck_protocol import LocalWireError, RemoteWireError, codec
from jobdeck_protocol.message import Message
from jobdeck_protocol.worker import (
    ASK_LIMIT_COUNT,
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
)
from jobdeck_protocol.workeragent import WorkerAgent
from jobdeck_protocol.workerevents import (
    Append,
    Gap,
    Greeted,
    InputJob,
    InputKept,
    Missing,
    Reachable,
    Read,
    ReadInput,
    Ready,
    Replaced,
    SignalDone,
    Silent,
    StartJob,
    Stranger,
    Unreachable,
    Welcomed,
)
from jobdeck_protocol.workerhost import WorkerHost
from jobdeck_protocol.workermirror import Sizes
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
from tests.protocol.workerworld import WORKER, World, job_id, life

JOB, OTHER = job_id(1), job_id(2)
SERVER = life(1, "5")


def hello(*lives: int, number: int = 1, draining: bool = False) -> Hello:
    given = tuple(life(each) for each in lives or (1,))
    return Hello(worker=WORKER, name="w", slots=2, lives=given, number=number, clock_us=0, draining=draining)


class Host:
    """A server's end, and what a worker says to it by hand."""

    def __init__(
        self, *have: Kept, open_it: bool = True, window_bytes: int = 4096, last_life: str | None = None
    ) -> None:
        self.host = WorkerHost(
            WORKER,
            server_life=SERVER,
            server_lives=[SERVER],
            last_life=last_life,
            now_s=0.0,
            window_bytes=window_bytes,
            beat_s=5.0,
        )
        self.link = 0
        self.now_s = 0.0
        self.number = 0
        if open_it:
            self.open(*have)

    def greet(self, hello_: Hello | None = None) -> list[object]:
        self.number += 1
        self.link, events = self.host.connect(hello_ or hello(number=self.number), self.now_s)
        return list(events)

    def open(self, *have: Kept) -> list[object]:
        self.greet()
        self.host.welcome(self.link)
        assert isinstance(self.said()[0], Welcome)
        return self.say(Have(jobs=have))

    def say(self, message: Message) -> list[object]:
        return list(self.host.receive(self.link, encode(message), self.now_s))

    def said(self) -> list[Message]:
        """All that it says now."""
        found: list[Message] = []
        while (item := self.host.send(self.link, self.now_s)) is not None:
            if isinstance(item, ReadInput):
                filled = self.host.fill(item, b"i" * item.length)
                assert filled is not None
                item = filled
            message = decode(SERVER_KINDS, item)
            assert message is not None
            found.append(message)
        return found


class Agent:
    """A worker's end, and what a server says to it by hand."""

    def __init__(self, *, upto: int = 4096, open_it: bool = True, draining: bool = False) -> None:
        self.agent = WorkerAgent(WORKER, name="w", slots=2, lives=(life(1),))
        self.now_s = 0.0
        self.upto = upto
        self.draining = draining
        self.link = 0
        if open_it:
            self.open()

    def greet(self) -> None:
        self.link = self.agent.connected(self.now_s, 0)
        assert self.agent.send(self.link, self.now_s) is not None
        assert self.agent.send(self.link, self.now_s) is None

    def open(self) -> list[Message]:
        self.greet()
        welcome = Welcome(life=life(1), server_life=SERVER, upto=self.upto, window_bytes=4096, draining=self.draining)
        assert self.say(welcome) == [Welcomed(welcome)]
        assert self.agent.send(self.link, self.now_s) is None  # before the lives are written down
        self.agent.settled(self.link)
        return self.said()

    def say(self, message: Message) -> list[object]:
        return list(self.agent.receive(self.link, encode(message), self.now_s))

    def said(self) -> list[Message]:
        found: list[Message] = []
        while (item := self.agent.send(self.link, self.now_s)) is not None:
            if isinstance(item, Read):
                filled = self.agent.fill(item, b"r" * item.part.runs_bytes, b"d" * item.part.output_bytes)
                assert filled is not None
                item = filled
            message = decode(WORKER_KINDS, item)
            assert message is not None
            found.append(message)
        return found

    def start(self, name: str = JOB) -> None:
        assert self.say(Start(job_id=name, size=1, offset=0, data=b"s")) == [StartJob(name, b"s")]
        self.say(Want(job_id=name, output=0, runs=0))


def ended(name: str = JOB, how: How = How.EXIT, output: int = 0, runs: int = 0) -> Ended:
    return Ended(job_id=name, how=how, finished_us=9, output_bytes=output, runs_bytes=runs)


def close_code(end: Host | Agent, message: Message) -> int:
    with pytest.raises(RemoteWireError) as caught:
        end.say(message)
    return caught.value.close_code


# -- who is who --


def test_nothing_comes_between_hello_and_welcome() -> None:
    host = Host(open_it=False)
    assert [type(event) for event in host.greet()] == [Greeted]
    assert host.said() == []  # the life is not written down yet
    assert close_code(host, Beat()) == 1002
    host.host.welcome(host.link)
    assert close_code(host, hello(number=9)) == 1002
    assert host.said() == [Welcome(life=life(1), server_life=SERVER, upto=4096, window_bytes=4096, beat_s=5.0)]
    assert close_code(Host(), Have(jobs=())) == 1002


def test_a_host_is_of_one_worker() -> None:
    other = Hello(worker=JOB, name="w", slots=1, lives=(life(1),), number=1, clock_us=0)
    with pytest.raises(LocalWireError):
        Host(open_it=False).greet(other)


def test_of_two_connections_the_newer_wins_whichever_comes_first() -> None:
    host = Host()
    first = host.link
    events = host.greet()
    assert events[0] == Replaced(first)
    assert host.host.send(first, 0.0) is None
    with pytest.raises(RemoteWireError) as caught:
        host.host.receive(first, encode(Beat()), 0.0)
    assert caught.value.close_code == 4409
    assert host.host.disconnected(first) == []
    with pytest.raises(RemoteWireError) as caught:
        host.host.connect(hello(number=1), 0.0)  # the first hello once more, late
    assert caught.value.close_code == 4409
    host.host.welcome(first)  # of no effect
    assert host.said() == []
    host.host.welcome(host.link)
    assert len(host.said()) == 1


def test_a_copy_is_refused_and_the_worker_goes_on() -> None:
    host = Host(open_it=False)
    host.greet(hello(1, 2))
    host.host.welcome(host.link)
    with pytest.raises(RemoteWireError) as caught:
        host.host.connect(hello(1, 3), 0.0)
    assert caught.value.close_code == 4423
    assert host.said()
    assert host.host.last_life == life(2)
    link, _ = host.host.connect(hello(1, 2, 4), 0.0)
    host.host.welcome(link)
    assert host.host.last_life == life(4)


def test_a_life_that_is_not_written_down_counts_as_soon_as_it_has_come() -> None:
    host = Host(open_it=False, last_life=life(1))
    host.greet(hello(1, 2))
    with pytest.raises(RemoteWireError) as caught:
        host.host.connect(hello(1, number=7), 0.0)  # of the life before, late
    assert caught.value.close_code == 4423


def test_the_server_takes_the_worker_for_another() -> None:
    agent = Agent(open_it=False)
    agent.greet()
    assert close_code(agent, Welcome(life=life(2), server_life=SERVER, upto=0)) == 4423


def test_the_agent_keeps_the_order_too() -> None:
    agent = Agent(open_it=False)
    agent.link = agent.agent.connected(0.0, 0)
    assert close_code(agent, Welcome(life=life(1), server_life=SERVER, upto=0)) == 1002
    agent.greet()
    assert close_code(agent, Credit(upto=1)) == 1002
    assert agent.say(Welcome(life=life(1), server_life=SERVER, upto=0))
    assert agent.say(Pulse()) == []
    assert close_code(agent, Want(job_id=JOB, output=0, runs=0)) == 1002
    agent.agent.settled(agent.link)
    assert close_code(agent, Welcome(life=life(1), server_life=SERVER, upto=0)) == 1002
    assert agent.agent.receive(agent.link - 1, b"garbage", 0.0) == []  # an older connection
    with pytest.raises(LocalWireError):
        WorkerAgent(WORKER, name="x" * 300, slots=1, lives=(life(1),))


def test_lives_are_shortened_when_the_server_has_answered() -> None:
    agent = WorkerAgent(WORKER, name="w", slots=1, lives=(life(1), life(2), life(3)))
    link = agent.connected(0.0, 0)
    agent.send(link, 0.0)
    agent.receive(link, encode(Welcome(life=life(3), server_life=SERVER, upto=0)), 0.0)
    assert agent.lives == (life(1), life(2), life(3))
    agent.settled(link)
    assert list(agent.lives) == [life(3)]
    assert agent.server_life == SERVER


# -- once --


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
    assert [message.kind for message in rest] == ["drain", "start", "start", "want"]  # the other waits for the drain
    assert rest[0] == Drain(on=True)
    events = agent.agent.receive(agent.link, first, 0.0)
    for message in rest[1:]:
        events += agent.say(message)  # type: ignore[arg-type]  # events are of one kind
    assert events == [StartJob(JOB, spec)]
    host.host.drain(on=False)
    assert [message.kind for message in host.said()] == ["drain", "start", "want"]
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


# -- restored --


def test_a_restored_server_asks_for_all_and_starts_nothing() -> None:
    world = World()
    name = world.submit()
    world.flow()
    backup = copy.deepcopy(world.server_disk)
    world.write(name, 100)
    world.end(name)
    later = world.submit()
    world.flow()
    world.end(later)
    world.flow()
    world.kill_server()
    world.flow()  # the worker hears of a life that the backup does not know
    world.server_disk = backup
    world.boot_server()
    waiting = world.submit()  # the id that the lost job had: as the test counts, not as servers do
    assert waiting == later
    del backup.rows[later]
    world.boot_server()
    unknown: list[Stranger] = []
    world._stranger = unknown.append  # type: ignore[method-assign,assignment]  # what is asked of the owner
    world.flow()
    assert world.host.restored
    assert {event.kept.job_id for event in unknown} == {later}
    new = job_id(77)
    world.host.jobs.start(new, b"s")
    world.flow()
    assert new not in world.worker_disk.jobs
    row, files = world.server_disk.rows[name], world.server_disk.files[name]
    assert row.end == world.worker_disk.jobs[name].end  # what the backup did not know yet
    assert files.output == world.worker_disk.jobs[name].output
    world.server_disk.rows[new] = copy.copy(row)
    world.host.resume()
    world.flow()
    assert world.worker_disk.starts[new] == 1


# -- files --


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


# -- signals, input --


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


# -- beats, leaving --


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
    host.host.jobs.start(JOB, b"s")
    assert host.said() == []
    start = Start(job_id=JOB, size=1, offset=0, data=b"s")
    assert agent.say(start) == [Withdraw(job_id=JOB)]  # it was under way: the owner claims that it never runs
    host.host.jobs.withdraw(JOB)
    assert [message.kind for message in host.said()] == ["withdraw", "want"]
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
