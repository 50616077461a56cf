"""Which of two waiting packets came first: what a take-over knows, and that it never claims to know more."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobdeck_keeper import pipes, records
from jobdeck_keeper.child import Surroundings
from jobdeck_keeper.pool import Pool
from jobdeck_keeper.pump import Pump
from jobdeck_keeper.setup import Place

BOOT = "00000000-0000-0000-0000-000000000001"
LIMITS = pipes.Limits(output_bytes=1 << 20, index_bytes=1 << 20, exact=True)


@dataclass
class Job:
    """The pipes of a job, as a spare has them; ``sides`` are the writers, stdout and stderr."""

    folder: Path
    ends: tuple[int, int]
    sides: list[int]
    ready: pipes.ReadyList

    def write(self, kind: int, data: bytes) -> None:
        os.write(self.sides[kind - 1], data)

    def hand_out(self) -> int:
        """Take one pipe off the list and do nothing with it, as a pump does that is killed just then."""
        ((number, _events),) = self.ready.epoll.poll(0, 1)
        return self.ends.index(number) + 1

    def leave(self) -> None:
        while self.sides:
            os.close(self.sides.pop())

    def order(self) -> tuple[list[int], bool]:
        order, known = pipes.inherited_order(self.ends, self.ready)
        return [self.ends.index(fd) + 1 for fd in order], known

    def pump(self, *, heir: bool) -> Pump:
        pump = Pump(folder=str(self.folder), ends=self.ends, ready=self.ready, heir=heir)
        pump.begin(str(self.folder), LIMITS, BOOT)
        assert pump.open(BOOT)
        return pump

    def runs(self) -> list[tuple[int, int, int]]:
        raw = (self.folder / "runs").read_bytes()[records.HEADER.size :]
        found = [records.unpack_run(raw[at : at + 32]) for at in range(0, len(raw), 32)]
        return [(run.offset, run.kind, run.flags) for run in found if run is not None]


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    ends = pipes.open_pipes(str(tmp_path))
    sides = list(pipes.open_job_side(str(tmp_path)))
    made = Job(tmp_path, ends, sides, pipes.open_ready_list(ends))
    yield made
    made.leave()
    made.ready.epoll.close()
    for fd in ends:
        os.close(fd)


ORDERS = pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1)])


@ORDERS
def test_the_first_packets_of_a_job(job: Job, first: int, second: int) -> None:
    """The writers' coming leaves nothing on the list that would be taken for a packet's place."""
    job.write(first, b"a")
    job.write(second, b"b")
    assert job.order() == ([first, second], True)


@ORDERS
def test_a_spare_is_born_with_an_empty_list(tmp_path: Path, first: int, second: int) -> None:
    fifo = os.open(os.devnull, os.O_RDWR)
    around = Surroundings(ignored=(), files=None, oom=None)
    place = Place(
        data=str(tmp_path), pid=os.getpid(), ticks=0, boot=BOOT, fifo=fifo, lock=-1, cgroup=None, around=around
    )
    pool = Pool(place)
    pool.clean()
    spare = pool.refill()
    for kind in (first, second):
        Path(spare.folder, f"pipe{kind}").write_bytes(b"x")
    listed = [spare.ends.index(fd) + 1 for fd in spare.ready.take()]
    pool.discard(spare)
    os.close(fifo)
    assert listed == [first, second]


@ORDERS
def test_a_packet_that_was_handed_out_comes_first(job: Job, first: int, second: int) -> None:
    job.write(first, b"a")
    assert job.hand_out() == first
    job.write(second, b"b")
    assert job.order() == ([first, second], True)


@ORDERS
def test_a_lone_packet_is_older_than_any_that_comes_later(job: Job, first: int, second: int) -> None:
    job.write(first, b"a")
    job.hand_out()
    assert job.order() == ([first], True)
    job.write(second, b"b")
    assert job.hand_out() == second


@ORDERS
def test_the_writers_end_puts_back_what_was_handed_out(job: Job, first: int, second: int) -> None:
    """Then the list shows the older packet last, and that is no order to rely on."""
    job.write(first, b"a")
    job.hand_out()
    job.write(second, b"b")
    job.leave()
    assert job.order()[1] is False


@ORDERS
def test_a_pipe_that_still_has_a_writer_has_kept_its_place(job: Job, first: int, second: int) -> None:
    job.write(first, b"a")
    job.write(second, b"b")
    os.close(job.sides[first - 1])
    job.sides[first - 1] = os.dup(job.sides[second - 1])
    assert job.order() == ([first, second], True)


@ORDERS
def test_a_pump_killed_after_its_announcement(job: Job, first: int, second: int) -> None:
    """Its run record tells which packet it was about to move, whatever the list says."""
    pump = job.pump(heir=False)
    pump.close()
    job.write(first, b"a\n")
    job.hand_out()
    job.write(second, b"b\n")
    job.leave()
    with open(job.folder / "runs", "ab") as file:
        file.write(records.pack_run(0, 1, 0, first))
    pump = job.pump(heir=True)
    pump.run()
    assert not pump.order_unknown
    assert pump.finish()
    assert (job.folder / "output").read_bytes() == b"a\nb\n"


@ORDERS
def test_doubt_is_put_on_record(job: Job, first: int, second: int) -> None:
    job.write(first, b"a\n")
    job.hand_out()
    job.write(second, b"b\n")
    job.leave()
    pump = job.pump(heir=True)
    pump.run()
    assert pump.order_unknown
    assert pump.finish()
    assert job.runs()[0][2] == records.FLAG_TAKEN_OVER | records.FLAG_ORDER_UNKNOWN


def test_a_take_over_before_the_first_byte_shows(job: Job) -> None:
    pump = job.pump(heir=True)
    job.write(2, b"a\n")
    pump.run()
    assert pump.finish()
    assert job.runs() == [(0, 2, records.FLAG_TAKEN_OVER)]


@pytest.mark.parametrize("stuck", [False, True])
@ORDERS
def test_the_next_steps_first_packets(job: Job, first: int, second: int, stuck: bool) -> None:
    """When all writers of a step are gone, those of the next one put both empty pipes on the list."""
    pump = job.pump(heir=False)
    job.write(1, b"old\n")
    pump.run()
    job.leave()
    pump.run()
    if stuck:
        pump.trouble = "waiting for disk space"
    job.sides += pipes.open_job_side(str(job.folder))
    pump.settle()
    job.write(first, b"a\n")
    job.write(second, b"b\n")
    assert job.order() == ([first, second], True)
    pump.close()


def test_packets_of_a_former_step_keep_their_order_while_the_disk_is_full(job: Job) -> None:
    pump = job.pump(heir=False)
    pump.trouble = "waiting for disk space"
    job.write(2, b"a\n")
    job.write(1, b"b\n")
    job.leave()
    job.sides += pipes.open_job_side(str(job.folder))
    pump.settle()
    pump.trouble = None
    pump.run()
    assert pump.finish()
    assert (job.folder / "output").read_bytes() == b"a\nb\n"


def test_going_writers_are_no_packet(job: Job) -> None:
    job.leave()
    assert select.EPOLLHUP & job.ready.epoll.poll(0, 1)[0][1]
    assert job.order() == ([], True)
