"""Who is who on the worker channel, and who is listened to."""

from __future__ import annotations

import copy

import pytest

from jobdeck_protocol import LocalWireError, RemoteWireError
from jobdeck_protocol.worker import (
    Beat,
    Credit,
    Have,
    Hello,
    Pulse,
    Welcome,
    encode,
)
from jobdeck_protocol.workeragent import WorkerAgent
from jobdeck_protocol.workerevents import (
    Greeted,
    Replaced,
    Stranger,
)
from jobdeck_protocol.workerorders import (
    Want,
)
from tests.protocol.workerdisks import WORKER, job_id, life
from tests.protocol.workerends import JOB, SERVER, Agent, Host, close_code, hello
from tests.protocol.workerworld import World


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


@pytest.mark.parametrize("label", [f"\0{JOB}", "a\nb", "\x1b[2J", "\x7f"])
def test_a_worker_cannot_have_a_label_by_which_jobs_choose_another(label: str) -> None:
    """Whoever places jobs finds a worker by its id in a label that none can have: one that is not printable."""
    with pytest.raises(LocalWireError):
        Hello(worker=WORKER, name="w", slots=1, labels=("fine", label), lives=(life(1),), number=1, clock_us=0)
