"""The life of one job, from its first step to its final record; the same for a shim and for whoever takes over.

``Life`` holds no event loop. Its host (a shim, or a keeper that took a job over) tells it what happened, calls
``tick`` after each round of events, and waits no longer than that says.

    RUNNING    a step's main process runs; when it ends well the next step is started
    LINGERING  the last main process has ended; others still hold the job's output
    ENDING     what is left is asked to end, then killed
    OVER       the record is final

Rules, each of which cost a bug once:

- What was decided is on disk before it is acted on: the start record before the program, the stop slot before the
  signal, the exit record before the dead main process is reaped.
- A stop is read from the record, never handed over in memory: whoever takes the job over finds it there.
- The final record comes after the last byte of output.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from typing import TYPE_CHECKING

from jobdeck_keeper import cgroup, pipes, records
from jobdeck_keeper.child import fork_stub
from jobdeck_keeper.model import Phase, Status

if TYPE_CHECKING:
    from jobdeck_keeper.child import Stub, Surroundings
    from jobdeck_keeper.feeder import Feeder
    from jobdeck_keeper.model import Host, Tree
    from jobdeck_keeper.pump import Pump
    from jobdeck_keeper.records import Payload

_SLOW_START_S = 10.0
_KILL_AGAIN_S = 0.1
_UNKILLABLE_S = 10.0  # a process that a kill does not end (stuck in the kernel) does not hold up the record for ever


class Life:
    """One job. See the top of the file.

    Attributes:
        phase: How far it is.
        main: The main process of the current step; 0 before the first.
        channel: Descriptor that ends when the step's program runs; -1 afterwards.
        stop: The stop slot that is being acted on.
        cut: All supervisors were dead at once, and the job let go of its output meanwhile: what was on its way then,
            a packet for each stream, is gone.
    """

    def __init__(
        self,
        *,
        path: str,
        boot: str,
        record: int,
        plan: int,
        pump: Pump,
        feeder: Feeder | None,
        tree: Tree,
        host: Host,
        around: Surroundings,
    ) -> None:
        """Join the parts: ``path`` is the job's folder, ``record`` and ``plan`` are open files."""
        self.phase = Phase.RUNNING
        self.main = 0
        self.channel = -1
        self.stop: Payload | None = None
        self.cut = False
        self.claim: Payload = records.read_slot(record, "claim") or {}
        self._path, self._boot, self.record, self._plan = path, boot, record, plan
        self.pump, self.feeder, self._tree, self._host, self._around = pump, feeder, tree, host, around
        self._stub: Stub | None = None
        self._step = 0
        self._status: Status | None = None
        self._began_s = self._step_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._kill_s = self._linger_s = math.inf
        self._killed_s: float | None = None
        self._terminated = self._lingered = False
        self._note = ""
        self._order_told = False

    # Steps

    def begin_step(self, number: int, stub: Stub | None = None) -> None:
        """Let a child, forked now or before, make ready for a step; it waits until ``go`` is called."""
        self._step, self._status = number, None
        self._stub = stub or self._fork_stub()
        self._stub.brief(self._plan, number)
        self.main, self.channel = self._stub.pid, self._stub.channel.fileno()
        self._step_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        if number == 0:
            self._began_s = self._step_s

    def _fork_stub(self) -> Stub:
        sides = pipes.open_job_side(self._path)
        self.pump.settle()
        return fork_stub(sides, self.claim.get("cgroup"), self._around)

    def go(self, shim: int, shim_ticks: int, descriptors: list[int], numbers: list[int]) -> None:
        """Write the start record, then let the program run.

        Args:
            shim: Who supervises, and
            shim_ticks: since when.
            descriptors: Its numbers of what it shares with the keeper, for a later keeper to copy.
            numbers: How the ready list among them names the pipes.
        """
        assert self._stub is not None
        start = {
            "pid": self.main,
            "ticks": self._stub.ticks,
            "boot": self._boot,
            "shim": shim,
            "shim_ticks": shim_ticks,
            "t_us": records.wall_us(),
            "b_us": int(self._began_s * 1e6),
            "step": self._step,
            "fds": descriptors,
            "numbers": numbers,
            "order_unknown": self.pump.order_unknown,
        }
        records.write_slot(self.record, "start", start)
        self._stub.go()

    def resume(self, start: Payload) -> None:
        """Go on where a predecessor was."""
        self.main, self._step = int(start["pid"]), int(start["step"])
        self._order_told = self.pump.order_unknown = bool(start.get("order_unknown"))
        self._began_s = int(start["b_us"]) / 1e6

    def program_runs(self) -> None:
        """The channel has ended: the program was started, or its child has said why not."""
        if self._stub is None:
            return
        self._stub.channel.close()
        self._stub, self.channel = None, -1
        if self._failure() is None:
            self._host.tell("start" if self._step == 0 else "step")
        if self._note:
            self._say("")

    def main_ended(self, status: Status) -> None:
        """The main process is dead, and not reaped yet."""
        if self._status is None:
            self._status = status

    @property
    def ended(self) -> bool:
        """Tell whether the current main process is known to be dead."""
        return self._status is not None

    def _failure(self) -> Payload | None:
        """Read what the current step's child had to say."""
        failure = records.read_slot(self.record, "exec")
        return failure if failure is not None and failure["pid"] == self.main else None

    def _next_step(self) -> bool:
        """Start the next step, if there is one and all is well."""
        if (
            self._step + 1 >= int(self.claim["steps_count"])
            or self._plan < 0
            or self.stop is not None
            or self._status != Status(0, None)
        ):
            return False
        if self._failure() is not None:
            return False
        previous = self.main
        self.begin_step(self._step + 1)
        self._host.step_begun(self)
        _reap(previous)
        return True

    def rehearse(self) -> None:
        """Do what costs a fresh fork its faults, and changes nothing."""
        start = {"pid": 0, "ticks": 0, "boot": self._boot, "t_us": records.wall_us(), "b_us": records.boot_us()}
        records.pack_slot(start)
        records.read_slot(self.record, "stop")
        self._failure()
        self._wait_s(self._began_s)

    # Stopping

    def poke(self) -> None:
        """Something in the record or the input may have changed."""
        self._look_for_stop()
        self.feed()

    def feed(self) -> None:
        """Move input to the job."""
        feeder = self.feeder
        if feeder is None or feeder.sink < 0:
            return
        size_bytes = feeder.size()  # before the slot: see there
        if feeder.ends_at is None:
            eof = records.read_slot(self.record, "eof")
            feeder.ends_at = None if eof is None else int(eof["size"])
        if feeder.feed(size_bytes):
            self._host.tell("fed")

    def _look_for_stop(self) -> None:
        stop = records.read_slot(self.record, "stop")
        if stop is not None and stop != self.stop:
            self._act_on(stop)

    def _act_on(self, stop: Payload) -> None:
        """Send the signal, and set the hour of the kill; a second stop can only hasten it."""
        now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        passed_s = max(0.0, now_s - int(stop["b_us"]) / 1e6)
        grace_s = float(stop["grace_s"])
        repeated = self.stop is not None and self.stop["signal"] == stop["signal"]
        self.stop = stop
        self._terminated = True
        if stop["signal"] == signal.SIGKILL:
            grace_s = 0.0
        elif not repeated:
            self._tree.signal(int(stop["signal"]))
        self._kill_s = min(self._kill_s, now_s + max(0.0, grace_s - passed_s))

    def _stop_for(self, reason: str) -> None:
        """Stop the job on our own account."""
        grace_s = float(self.claim.get("grace_s", 5.0))
        stop = {"signal": int(signal.SIGTERM), "grace_s": grace_s, "reason": reason}
        stop |= {"t_us": records.wall_us(), "b_us": records.boot_us()}
        if records.read_slot(self.record, "stop") is None:
            records.write_slot(self.record, "stop", stop)
        self._look_for_stop()

    # Time

    def tick(self) -> float | None:
        """Do all that is due.

        Returns:
            Seconds until this must be called again at the latest; None if only events matter.
        """
        self.pump.tick(time.monotonic(), self._boot)
        if self.pump.has_work:
            self._keep_doubts()
            self.pump.run()
        now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._enforce(now_s)
        if now_s >= self._kill_s:
            self._tree.kill()
            self._killed_s = self._killed_s or now_s
            self._kill_s = now_s + _KILL_AGAIN_S
        if self._status is not None:
            self._advance(now_s)
        self._notice(now_s)
        return self._wait_s(now_s)

    def _keep_doubts(self) -> None:
        """Put on record that the order is not known, before it is lost: the next supervisor may be another one."""
        if self.pump.order_unknown and not self._order_told:
            self._order_told = True
            start = records.read_slot(self.record, "start")
            if start is not None:
                records.write_slot(self.record, "start", start | {"order_unknown": True})

    def _enforce(self, now_s: float) -> None:
        """See to the limits."""
        if self.stop is not None or self.phase not in (Phase.RUNNING, Phase.LINGERING):
            return
        if now_s >= self._limit_s():
            self._stop_for("time limit")
        elif self.pump.dropping and self.claim.get("on_limit") == "stop":
            self._stop_for("output limit")

    def _limit_s(self) -> float:
        limit_s = self.claim.get("time_limit_s")
        return math.inf if limit_s is None else self._began_s + float(limit_s)

    def _notice(self, now_s: float) -> None:
        """Keep the note true."""
        note = self.pump.trouble or ""
        if note == "not open":
            note = ""
        if not note and self.channel >= 0 and now_s >= self._step_s + _SLOW_START_S:
            note = "starting (slow)"
        if note != self._note:
            self._say(note)

    def _say(self, note: str) -> None:
        self._note = note
        self._host.tell("note", note)

    def _wait_s(self, now_s: float) -> float | None:
        """Tell how long nothing is due."""
        if self.phase is Phase.OVER:
            return None
        until_s = min(self._kill_s, self._linger_s if self.phase is Phase.LINGERING else math.inf)
        if self.stop is None:
            until_s = min(until_s, self._limit_s())
        if self.channel >= 0:
            until_s = min(until_s, self._step_s + _SLOW_START_S if not self._note else math.inf)
        wait_s = until_s - now_s
        due_s = self.pump.due_s()
        if due_s is not None:
            wait_s = min(wait_s, due_s - time.monotonic())
        return None if wait_s == math.inf else max(0.0, wait_s)

    # The end

    def _advance(self, now_s: float) -> None:
        """The main process is dead: go as far as things allow."""
        self.program_runs()
        if self.phase is Phase.RUNNING:
            if self._next_step():
                return
            self.phase = Phase.LINGERING
            if not self.pump.writers_gone():
                self.pump.note_lost_writers(self._path)
            self._linger_s = now_s + (float(self.claim.get("linger_s", 10.0)) or math.inf)
        if self.phase is Phase.LINGERING:
            gone = self.pump.writers_gone()
            if not gone and self.stop is None and now_s < self._linger_s:
                return
            self._lingered = not gone and self.stop is None
            self.phase = Phase.ENDING
        if self.phase is Phase.ENDING:
            self._end_rest(now_s)

    def _end_rest(self, now_s: float) -> None:
        """End what is left; when nothing is, finish."""
        unkillable = self._killed_s is not None and now_s > self._killed_s + _UNKILLABLE_S
        if self._tree.empty(self.main) or unkillable:
            self._finish()
        elif not self._terminated:
            self._terminated = True
            self._tree.signal(signal.SIGTERM)
            self._kill_s = now_s + float(self.claim.get("grace_s", 5.0))

    def _finish(self) -> None:
        if not self.pump.finish():
            return
        self._write_end()
        pipes.remove_pipes(self._path)
        self._host.tell("final")
        _reap(self.main)
        self.phase = Phase.OVER
        if self.feeder is not None:
            self.feeder.close()
        remove_group(self.claim)

    def _write_end(self) -> None:
        """Make the record final."""
        failure, status = self._failure(), self._status
        common = {"t_us": records.wall_us(), "bytes": self.pump.size}
        if failure is not None:
            error = {"text": failure["text"], "errno": failure["errno"], "step": self._step, "t_us": common["t_us"]}
            records.write_slot(self.record, "error", error)
        elif status is None or status == Status(None, None):
            why = "every supervisor was killed and the kernel cannot tell how the program ended"
            records.write_slot(self.record, "lost", {"why": why, **common})
        else:
            end = {"code": status.code, "signal": status.signal, "core": status.core, **common}
            end |= {"dropped": self.pump.dropped, "step": self._step}
            end |= {"order_unknown": self.pump.order_unknown, "lingered": self._lingered}
            if self.cut:
                end["cut"] = True
            records.write_slot(self.record, "exit", end)


def tidy(folder: str, claim: Payload) -> None:
    """Remove what a job needed only while it ran, and what whoever was killed had not finished."""
    pipes.remove_pipes(folder)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{folder}/runs.new")
    remove_group(claim)


def remove_group(claim: Payload) -> None:
    """Remove a job's cgroup."""
    group = claim.get("cgroup")
    if group is not None:
        cgroup.remove(group, patience_s=0.2)


def _reap(pid: int) -> None:
    """Reap a child whose end is on record; one that is not our child was reaped by its own parent."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return
