"""Jobs with a bundle that workers elsewhere run: what only the executor's API tells of them, seen to at the server.

Their standard output is told in segments (``segments``) from its copy here, at the pace that the worker reads in the
bundle; the last one before the end is told. The artifact of all results comes with the end.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

import trio

from jobdeck_server.core.errors import JobdeckError
from jobdeck_server.core.store import StoreError
from jobdeck_server.engines.segments import Pace, SegmentLedger, tell_segments

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jobdeck_protocol.job import Job
    from jobdeck_protocol.workerreports import State
    from jobdeck_server.core.live import Live
    from jobdeck_server.core.output import OutputReader

_log = logging.getLogger("jobdeck.executor")
_RETRY_S = 1.0


class Ledger(SegmentLedger, Protocol):
    """Where the executor service keeps what only its API tells."""

    async def note_super_set(self, job_id: str, blob_hash: str) -> None:
        """The artifact of all results of a job."""


class NoBundles:
    """For a server without an executor: nothing is done. See ``remotecommon.Bundles``."""

    def told(self, job: Job, state: State) -> None:
        """Nothing."""

    async def ended(self, job_id: str, super_set: str | None) -> None:
        """Nothing."""


class RemoteBundles:
    """See ``remotecommon.Bundles``. ``run`` must be running.

    Args:
        ledger: Where it is kept.
        output: Opens a job's output.
    """

    def __init__(self, ledger: Ledger, output: Callable[[str], Awaitable[OutputReader]]) -> None:
        self._ledger = ledger
        self._output = output
        self._following: dict[str, _Following] = {}
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the tasks that tell segments, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    def told(self, job: Job, state: State) -> None:
        """Begin to tell segments, if they are asked for."""
        pace = Pace(lines_count=state.segment_lines, interval_s=state.segment_interval_ms / 1000)
        asked = job.bundle is not None and (pace.lines_count or pace.interval_s)
        if asked and job.id not in self._following and self._nursery is not None:
            following = self._following[job.id] = _Following()
            self._nursery.start_soon(self._follow, job.id, pace, following)

    def changed(self, live: Live) -> None:
        """A job's record has changed (an observer of the core): one that was lost is followed no more."""
        following = self._following.get(live.job.id)
        if following is not None and live.job.ended:
            following.whole.set()

    async def ended(self, job_id: str, super_set: str | None) -> None:
        """Returns once all is told."""
        following = self._following.get(job_id)
        if following is not None:
            following.whole.set()
            await following.over.wait()
        while super_set is not None:
            try:
                await self._ledger.note_super_set(job_id, super_set)
            except StoreError as error:
                _log.error("job %s: its results could not be noted: %s", job_id, error)
                await trio.sleep(_RETRY_S)
            else:
                return

    async def _follow(self, job_id: str, pace: Pace, following: _Following) -> None:
        try:
            with await self._output(job_id) as reader:
                await tell_segments(reader, self._ledger, job_id, pace, following.whole)
        except (JobdeckError, StoreError, OSError) as error:
            _log.warning("job %s: its output is told in segments no longer: %s", job_id, error)
        except Exception:  # noqa: BLE001  # what one job says must not end the server
            _log.exception("job %s: its output is told in segments no longer", job_id)
        finally:
            del self._following[job_id]
            following.over.set()


class _Following:
    """The output of a job that is being told; ``whole``: all of it is here."""

    def __init__(self) -> None:
        self.whole = trio.Event()
        self.over = trio.Event()
