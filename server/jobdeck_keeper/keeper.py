"""The keeper: one small process per data directory that owns its jobs and outlives the server.

It claims jobs, forks a shim for each, holds what must survive a shim (the read ends of its pipes, their ready list,
the position in its input), tells the server what happened, and takes a job over when its shim dies. It never waits
for a shim: whatever happens comes back as an event.

Standard library only, one thread, no imports after the start: everything that a forked shim needs is there already.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from jobdeck_keeper import adopt, cgroup, records, setup, spawning
from jobdeck_keeper.hub import Connection, Hub
from jobdeck_keeper.pool import EMPTY_QUIET_S, QUIET_S, Pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobdeck_keeper.hosted import Hosted
    from jobdeck_keeper.pool import Spare
    from jobdeck_keeper.spawning import Job
    from jobdeck_keeper.wire import Message

PROTOCOL_VERSION = 1
_SWEEP_EVERY_COUNT = 500


class Keeper:
    """State and event loop of the keeper."""

    def __init__(self, place: setup.Place, *, idle_exit_s: float) -> None:
        """Start without jobs; ``recover`` finds those of a predecessor."""
        self.place = place
        self.loop = select.epoll()
        self.jobs: dict[str, Job] = {}
        self.touch = False
        self._hub = Hub(self.loop, self._answer)
        self._by_shim: dict[int, Job] = {}
        self.pool = Pool(place)
        self._adopter = adopt.Adopter(self)
        self._lines = b""
        self._retired = False
        self._idle_exit_s = idle_exit_s
        self._idle_since_s: float | None = None
        self._ended_count = 0
        self._good_moment = True  # a good moment to make a spare

    # The loop

    def run(self) -> None:
        """Serve until there is nothing to do for long enough."""
        self.loop.register(self.place.fifo, select.EPOLLIN)
        self._adopter.recover()
        self.pool.clean()
        self._hub.listen(self.place.data)
        setup.announce("ready")
        gc.collect()
        gc.freeze()
        gc.disable()
        while not self._is_done():
            found = self.loop.poll(self._wait_s())
            for fd, events in found:
                self._dispatch(fd, events)
            if not found:
                self._be_quiet()
            self._adopter.tick()
        self._hub.shut()
        for spare in self.pool.all():
            self._bury(spare)
        if self.place.cgroup is not None:
            cgroup.remove(self.place.cgroup)

    def _dispatch(self, fd: int, events: int) -> None:
        if self._hub.owns(fd):
            self._hub.handle(fd, events)
        elif fd == self.place.fifo:
            self._read_lines()
        elif job := self._by_shim.get(fd):
            self._shim_died(job)
        elif self.pool.owns(fd):
            self._bury(self.pool.spare(fd))
        else:
            self._adopter.handle(fd)

    def _be_quiet(self) -> None:
        """Nothing has happened for a moment: prepare for what may come."""
        if not self.pool.is_full and not self._retired:
            self._good_moment = False
            with contextlib.suppress(OSError):
                self.loop.register(self.pool.refill().pidfd, select.EPOLLIN)

    def _bury(self, spare: Spare) -> None:
        self.loop.unregister(spare.pidfd)
        self.pool.discard(spare)
        self._adopter.expect_strays()

    def _wait_s(self) -> float | None:
        wait_s = self._adopter.wait_s()
        if not self.pool.is_full and not self._retired:
            quiet_s = 0.0 if self._good_moment else EMPTY_QUIET_S if self.pool.is_empty else QUIET_S
            wait_s = quiet_s if wait_s is None else min(wait_s, quiet_s)
        if self._idle_since_s is not None:
            left_s = max(0.0, self._idle_since_s + self._idle_exit_s - time.monotonic())
            wait_s = left_s if wait_s is None else min(wait_s, left_s)
        return wait_s

    def _is_done(self) -> bool:
        if self.jobs or (not self._hub.is_idle and not self._retired):
            self._idle_since_s = None
            return False
        if self._retired:
            return True
        now_s = time.monotonic()
        if self._idle_since_s is None:
            self._idle_since_s = now_s
        return now_s >= self._idle_since_s + self._idle_exit_s

    # What shims say

    def _read_lines(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.place.fifo, 1 << 16):
                self._lines += data
        *lines, self._lines = self._lines.split(b"\n")
        for line in lines:
            word, _, rest = line.decode("utf-8", "replace").partition(" ")
            ident, _, text = rest.partition(" ")
            if job := self.jobs.get(ident):
                self.heard(job, word, text)

    def heard(self, job: Job, word: str, text: str) -> None:
        """Act on what a job's supervisor says."""
        if word == "note":
            self._hub.tell({"ev": "note", "id": job.ident, "note": text or None})
        elif word == "fed":
            job.end_input()
        elif word in ("start", "step"):
            if job.main_fd >= 0:
                self._adopter.pin_main(job)
            self._hub.tell({"ev": word, "id": job.ident, "facts": job.facts()})
            self._good_moment = True
        elif word == "final":
            self._tell_exit(job)

    def _tell_exit(self, job: Job) -> None:
        if not job.told:
            job.told = True
            self._hub.tell({"ev": "exit", "id": job.ident, "facts": job.facts()})

    def _shim_died(self, job: Job) -> None:
        """A shim has ended, or was killed with its job still running."""
        self._forget_shim(job)
        self._read_lines()
        if self.jobs.get(job.ident) is not job:
            return
        facts = job.facts()
        if records.is_final(facts):
            self.over(job)
        else:
            self._adopter.take_over(job, facts)

    def _forget_shim(self, job: Job) -> None:
        if job.shim_fd >= 0:
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PIDFD, job.shim_fd, os.WEXITED | os.WNOHANG)
            del self._by_shim[job.shim_fd]
            self.loop.unregister(job.shim_fd)
            os.close(job.shim_fd)
            job.shim_fd = -1

    def over(self, job: Job) -> None:
        """The job's record is final and nobody works on it any more."""
        self._tell_exit(job)
        self._forget_shim(job)
        job.close()
        del self.jobs[job.ident]
        self._ended_count += 1
        if self._ended_count % _SWEEP_EVERY_COUNT == 0:
            gc.collect()

    def watch_shim(self, job: Job) -> None:
        """Hear of a shim's end."""
        self._by_shim[job.shim_fd] = job
        self.loop.register(job.shim_fd, select.EPOLLIN)

    # Requests

    def _answer(self, connection: Connection, message: Message) -> Message:
        operation = getattr(self, f"_op_{message.get('op')}", None)
        if operation is None:
            return {"error": f"unknown operation: {message.get('op')!r}"}
        try:
            answer: Message = operation(connection, message)
        except (OSError, ValueError, KeyError, TypeError) as error:
            return {"error": f"{type(error).__name__}: {error}"}
        return answer

    def _op_hello(self, connection: Connection, message: Message) -> Message:
        self._hub.adopt_server(connection)
        self.touch = bool(message.get("touch"))
        self._adopter.set_touch(touch=self.touch)
        return {
            "version": PROTOCOL_VERSION,
            "pid": self.place.pid,
            "ticks": self.place.ticks,
            "boot_id": self.place.boot,
            "jobs": self._live(),
            "cgroup": self.place.cgroup is not None,
        }

    def _live(self) -> list[str]:
        """Name the jobs whose end was not told yet."""
        return [job.ident for job in self.jobs.values() if not job.told]

    def _op_ping(self, _connection: Connection, _message: Message) -> Message:
        return {}

    def _op_list(self, _connection: Connection, _message: Message) -> Message:
        return {"jobs": self._live()}

    def _op_retire(self, _connection: Connection, _message: Message) -> Message:
        self._retired = True
        return {}

    def _op_facts(self, _connection: Connection, message: Message) -> Message:
        folder = self.place.folder(message["id"])
        return {"facts": records.read_record(f"{folder}/record") or None}

    def _op_spawn(self, _connection: Connection, message: Message) -> Message:
        spec: dict[str, Any] = message["spec"]
        folder = self.place.folder(spec["id"])
        if self._retired:
            return {"error": "this keeper is about to leave and takes no new jobs"}
        if os.path.lexists(f"{folder}/record"):
            return {"status": "known", "facts": records.read_record(f"{folder}/record")}
        spare = self._take_spare()
        try:
            job = spawning.claim(self.place, spec, spare)
        except BaseException:
            self.pool.put(spare)
            raise
        if job is None:
            self.pool.put(spare)
            return {"status": "known", "facts": records.read_record(f"{folder}/record")}
        self.jobs[job.ident] = job
        self._by_shim[spare.pidfd] = job
        try:
            spawning.commission(job, spec["steps"], spare, touch=self.touch)
        except OSError as error:
            # The spare sees the end of its commission and goes; its death ends the job.
            spare.commission.close()
            job.fail(f"not started: {error.strerror}", error.errno)
        return {"status": "accepted"}

    def _take_spare(self) -> Spare:
        """Take a spare, or make one.

        Raises:
            OSError: It could not be made.
        """
        made = self.pool.is_empty
        spare = self.pool.take()
        if made:
            self.loop.register(spare.pidfd, select.EPOLLIN)
        return spare

    def _op_stop(self, _connection: Connection, message: Message) -> Message:
        ident = message["id"]
        job = self.jobs.get(ident)
        if job is not None and not job.told:
            job.write_stop(int(message.get("signal", 15)), float(message.get("grace_s", 5.0)), message.get("reason"))
            self._poke(job)
            return {"status": "stopping"}
        folder = self.place.folder(ident)
        if job is None and spawning.claim_never(self.place, folder):
            facts = records.read_record(f"{folder}/record")
            self._hub.tell({"ev": "exit", "id": ident, "facts": facts})
            return {"status": "never", "facts": facts}
        facts = records.read_record(f"{folder}/record")
        return {"status": "never" if facts.get("claim", {}).get("never") else "ended", "facts": facts}

    def _op_signal(self, _connection: Connection, message: Message) -> Message:
        number = signal.Signals(int(message["signal"]))
        return self._with_job(message, lambda job: self._adopter.signal(job, number), "sent")

    def _op_input(self, _connection: Connection, message: Message) -> Message:
        return self._with_job(message, self._poke, "ok")

    def _op_eof(self, _connection: Connection, message: Message) -> Message:
        size = int(message["size"])

        def note_and_poke(job: Job) -> None:
            job.write_eof(size)
            self._poke(job)

        return self._with_job(message, note_and_poke, "ok")

    def _with_job(self, message: Message, action: Callable[[Job], None], done: str) -> Message:
        """Do something to a live job, or say that it is none."""
        job = self.jobs.get(message["id"])
        if job is not None and not job.told:
            action(job)
            return {"status": done}
        facts = records.read_record(f"{self.place.folder(message['id'])}/record")
        return {"status": "ended" if records.is_final(facts) else "unknown"}

    def _poke(self, job: Job) -> None:
        """Make the job's supervisor look at the record and the input."""
        hosted: Hosted | None = self._adopter.hosted(job)
        if hosted is not None:
            hosted.life.poke()
        elif job.shim_fd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(job.shim_fd, signal.SIGUSR1)


def main(arguments: list[str]) -> int:
    """Run a keeper until it leaves; 3 if the data directory has one already, 2 for wrong arguments."""
    try:
        options = setup.parse(arguments)
    except ValueError as error:
        sys.stderr.write(f"{error}\nusage: jobdeck_keeper DATA [--no-cgroup] [--idle-exit-s N]\n")
        return 2
    place = setup.settle(options)
    if place is None:
        setup.announce("busy")
        return 3
    Keeper(place, idle_exit_s=options.idle_exit_s).run()
    return 0
