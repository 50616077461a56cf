"""The shim: supervisor of exactly one job, forked from the keeper without exec.

It is subreaper of what it starts, pumps the job's output, writes the record and ends. It says what happened by lines
on the keeper's FIFO (``word id text``), which a later keeper reads just as well; the record is the truth, the lines
only say when to look.

Signals: SIGCHLD, something below us died. SIGUSR1, look at the record and the input. Everything else that can be
ignored is: a shim dies by SIGKILL only.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from jobdeck_keeper import procs, records
from jobdeck_keeper.life import Life, Phase, Status
from jobdeck_keeper.pipes import Limits
from jobdeck_keeper.pump import Pump
from jobdeck_keeper.tree import ShimTree

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobdeck_keeper.child import Step, Surroundings
    from jobdeck_keeper.feeder import Feeder


@dataclass(frozen=True, slots=True, kw_only=True)
class Commission:
    """What a shim is given by the keeper; all descriptors are shared with it.

    Attributes:
        path: The job's folder, absolute.
        record: The open record, on whose open file the shim's life is locked.
        ends: Read ends of the job's pipes.
        ready: epoll set of these two.
        fifo: Where the keeper listens.
    """

    ident: str
    path: str
    boot: str
    record: int
    ends: tuple[int, int]
    ready: select.epoll
    feeder: Feeder | None
    steps: list[Step]
    fifo: int
    touch: bool
    around: Surroundings


class Shim:
    """The event loop of one job."""

    def __init__(self, given: Commission) -> None:
        """Become the job's subreaper and make ready; nothing is started yet."""
        self._given = given
        self._wake, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        procs.become_subreaper()
        self._loop = select.epoll()
        self._pumping = False
        self._actions: dict[int, Callable[[], None]] = {self._wake: self._woken}
        claim = records.read_slot(given.record, "claim") or {}
        self._pump = Pump(folder=".", ends=given.ends, ready=given.ready, limits=Limits.of(claim), touch=given.touch)
        self._tree = ShimTree(claim.get("cgroup"))
        self._life = Life(
            folder=".",
            path=given.path,
            boot=given.boot,
            record=given.record,
            steps=given.steps,
            pump=self._pump,
            feeder=given.feeder,
            tree=self._tree,
            host=self,
            around=given.around,
        )

    def run(self) -> None:
        """Run the job to its end."""
        self._life.begin_step(0)
        self.step_begun(self._life)
        self._loop.register(self._wake, select.EPOLLIN)
        self._pump.open(self._given.boot)
        self._actions[self._given.ready.fileno()] = self._pump.run
        if self._given.feeder is not None:
            sink = self._given.feeder.sink
            self._actions[sink] = self._life.feed
            self._loop.register(sink, select.EPOLLOUT | select.EPOLLET)
        self._life.poke()  # a stop may have come while the shim was not listening yet
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
                self._loop.register(self._given.ready.fileno(), select.EPOLLIN)
            else:
                self._loop.unregister(self._given.ready.fileno())

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
        pid = os.getpid()
        feeder = self._given.feeder
        descriptors = [*self._given.ends, self._given.ready.fileno(), *(feeder.descriptors if feeder else ())]
        life.go(pid, procs.start_ticks(pid) or 0, descriptors)
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
            os.write(self._given.fifo, f"{word} {self._given.ident} {text}\n".encode())
        except OSError:
            return


def run_shim(given: Commission) -> NoReturn:
    """Be the shim, in a freshly forked child of the keeper; never returns."""
    status = 1
    try:
        os.setsid()
        keep = [given.record, *given.ends, given.ready.fileno(), given.fifo]
        if given.feeder is not None:
            keep += given.feeder.descriptors
        procs.close_all_but(keep)
        os.chdir(given.path)
        procs.set_name("jd-shim")
        Shim(given).run()
        status = 0
    except BaseException:  # noqa: BLE001 - must end here; the keeper takes the job over
        traceback.print_exc(file=sys.stderr)
    finally:
        os._exit(status)
