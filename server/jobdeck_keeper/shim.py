"""The shim: supervisor of exactly one job, forked from the keeper without exec.

It is forked ahead of need, as a spare, and has forked the job's first child already: what costs time in a fork is done
when a job comes. Its commission comes as one message with the open files that it shares with the keeper. It is
subreaper of what it starts, pumps the job's output, writes the record and ends. It says what happened by lines on the
keeper's FIFO (``word id text``), which a later keeper reads just as well; the record is the truth, the lines only say
when to look.

Signals: SIGCHLD, something below us died. SIGUSR1, look at the record and the input. Everything else that can be
ignored is: a shim dies by SIGKILL only.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import traceback
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from jobdeck_keeper import cgroup, procs
from jobdeck_keeper.child import fork_stub
from jobdeck_keeper.feeder import Feeder
from jobdeck_keeper.life import Life
from jobdeck_keeper.model import Phase, Status
from jobdeck_keeper.pipes import Limits, ReadyList
from jobdeck_keeper.pump import Pump
from jobdeck_keeper.tree import ShimTree

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobdeck_keeper.child import Surroundings


class Birth(NamedTuple):
    """What a spare is given when it is forked; all descriptors are shared with the keeper.

    Attributes:
        folder: What will be the job's folder, open: it may be renamed at any moment.
        commission: Where its job will come from; its end means that none will.
        record: The open record, on whose open file the shim's life is locked.
        ends: Read ends of the job's pipes.
        ready: The order in which these become ready.
        sides: The job's ends of them.
        files: The job's open ``output`` and ``runs``.
        fifo: Where the keeper listens.
        cgroup: The group for the job, None without.
        calm: There is time to rehearse.
    """

    folder: int
    commission: socket.socket
    record: int
    ends: tuple[int, int]
    ready: ReadyList
    sides: tuple[int, int]
    files: tuple[int, int]
    fifo: int
    boot: str
    cgroup: str | None
    around: Surroundings
    calm: bool


class Commission(NamedTuple):
    """One job; its claim is on record.

    Attributes:
        path: The job's folder, absolute.
        plan: The open ``child.Plan``.
        stdin: Descriptors for the feeder, or none.
    """

    ident: str
    path: str
    touch: bool
    plan: int
    stdin: tuple[int, ...]

    def send(self, spare: socket.socket) -> None:
        """Hand the job over.

        Raises:
            OSError: The spare is dead; it has not got it.
        """
        words = json.dumps([self.ident, self.path, self.touch]).encode()
        socket.send_fds(spare, [words], [self.plan, *self.stdin])

    @classmethod
    def receive(cls, keeper: socket.socket) -> Commission | None:
        """Wait for a job; None if there will be none."""
        words, files, _, _ = socket.recv_fds(keeper, _COMMISSION_BYTES, 8)
        if not words:
            return None
        ident, path, touch = json.loads(words)
        plan, *stdin = files
        return cls(ident, path, touch, plan, tuple(stdin))


_COMMISSION_BYTES = 16 << 10  # an id and a path, both bounded


class Shim:
    """The event loop of one job."""

    def __init__(self, birth: Birth) -> None:
        """Become a subreaper and make ready."""
        self._birth = birth
        self._pid = os.getpid()
        self._ticks = procs.start_ticks(self._pid) or 0
        self._wake, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        procs.become_subreaper()
        self._loop = select.epoll()
        self._loop.register(self._wake, select.EPOLLIN)
        self._pumping = False
        self._actions: dict[int, Callable[[], None]] = {self._wake: self._woken}
        self._tree = ShimTree(birth.cgroup)
        self._stub = fork_stub(birth.sides, birth.cgroup, birth.around, calm=birth.calm)
        self._pump = Pump(folder=".", ends=birth.ends, ready=birth.ready, files=birth.files)
        self._pump.open(birth.boot)
        self._life: Life
        self._given: Commission

    def dismiss(self) -> None:
        """There will be no job."""
        self._stub.channel.close()
        os.waitid(os.P_PID, self._stub.pid, os.WEXITED)
        if self._birth.cgroup is not None:
            cgroup.remove(self._birth.cgroup, patience_s=0.2)

    def run(self, given: Commission) -> None:
        """Run the job to its end."""
        self._given = given
        birth = self._birth
        self._life = self._make_life(given)
        self._life.begin_step(0, self._stub)
        self.step_begun(self._life)
        self._pump.begin(given.path, Limits.of(self._life.claim), birth.boot)
        self._pump.touch = given.touch
        self._actions[birth.ready.epoll.fileno()] = self._pump.run
        if self._life.feeder is not None:
            sink = self._life.feeder.sink
            self._actions[sink] = self._life.feed
            self._loop.register(sink, select.EPOLLOUT | select.EPOLLET)
        self._life.poke()  # a stop may have come while the shim was not listening yet
        self._serve()

    def _make_life(self, given: Commission) -> Life:
        return Life(
            path=given.path,
            boot=self._birth.boot,
            record=self._birth.record,
            plan=given.plan,
            pump=self._pump,
            feeder=Feeder(*given.stdin) if given.stdin else None,
            tree=self._tree,
            host=self,
            around=self._birth.around,
        )

    def rehearse(self) -> None:
        """Do what a job will need, so that the faults of a fresh fork are behind us when one comes."""
        life = self._make_life(Commission("", ".", touch=False, plan=-1, stdin=()))
        life.rehearse()
        self._pump.due_s()
        self._pump.writers_gone()
        self._tree.empty(self._stub.pid)
        os.waitid(os.P_PID, self._stub.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        self._loop.poll(0)

    def _serve(self) -> None:
        while True:
            wait_s = self._life.tick()
            if self._life.phase is Phase.OVER:
                return
            self._watch_pump()
            for fd, _ in self._loop.poll(wait_s):
                if action := self._actions.get(fd):
                    action()

    def _watch_pump(self) -> None:
        """Wait for output, but not while it could not be written anyway."""
        wanted = self._pump.trouble is None
        if wanted != self._pumping:
            self._pumping = wanted
            if wanted:
                self._loop.register(self._birth.ready.epoll.fileno(), select.EPOLLIN)
            else:
                self._loop.unregister(self._birth.ready.epoll.fileno())

    def _woken(self) -> None:
        """A signal came."""
        numbers = os.read(self._wake, 512)
        if signal.SIGUSR1 in numbers:
            self._life.poke()
        if signal.SIGCHLD in numbers and not self._life.ended:
            self._look_at_main()

    def _look_at_main(self) -> None:
        """See whether the main process is dead; it stays a zombie until its end is on record."""
        main = self._life.main
        info = os.waitid(os.P_PID, main, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if info is not None:
            self._life.main_ended(Status.from_info(info))
        else:
            self._tree.empty(main)

    def step_begun(self, life: Life) -> None:
        """Let a forked step run, and listen for its start."""
        ends, ready = self._birth.ends, self._birth.ready
        life.go(self._pid, self._ticks, [*ends, ready.epoll.fileno(), *self._given.stdin], list(ends))
        channel = life.channel
        self._loop.register(channel, select.EPOLLIN)
        self._actions[channel] = self._started

    def _started(self) -> None:
        if (channel := self._life.channel) >= 0:
            self._loop.unregister(channel)
            del self._actions[channel]
        self._life.program_runs()

    def tell(self, word: str, text: str = "") -> None:
        """Tell the keeper; if nobody reads, the record still says it."""
        try:
            os.write(self._birth.fifo, f"{word} {self._given.ident} {text}\n".encode())
        except OSError:
            return


def run_spare(birth: Birth) -> NoReturn:
    """Be a spare, then perhaps a shim, in a freshly forked child of the keeper; never returns."""
    status = 1
    try:
        os.setsid()
        keep = (birth.commission.fileno(), birth.fifo, birth.record, *birth.ends, birth.ready.epoll.fileno())
        os.fchdir(birth.folder)
        procs.close_all_but((*keep, *birth.sides, *birth.files))
        procs.set_name("jd-spare")
        shim = Shim(birth)
        if birth.calm:
            shim.rehearse()
        given = Commission.receive(birth.commission)
        if given is None:
            shim.dismiss()
        else:
            procs.set_name("jd-shim")
            birth.commission.close()
            shim.run(given)
        status = 0
    except BaseException:  # noqa: BLE001 - must end here; the keeper takes the job over
        traceback.print_exc(file=sys.stderr)
    finally:
        os._exit(status)
