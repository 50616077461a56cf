"""A worker's clock beside ours: measured when it comes, and again when a beat shows that it was set."""

from __future__ import annotations

import logging

import trio

from jobdeck_server.core.live import now_us

_log = logging.getLogger("jobdeck.workers")
_LEAST_US = 2_000_000
_SAY_AGAIN_S = 60.0


class WorkerClock:
    """See the top of this file.

    Attributes:
        skew_us: How much it is ahead of ours.
    """

    def __init__(self, beat_s: float) -> None:
        self.skew_us = 0
        self._patience_us = max(_LEAST_US, int(beat_s * 2e6))
        self._said_s = -_SAY_AGAIN_S

    @property
    def correction_us(self) -> int:
        """What the worker's times are corrected by: up to two seconds are left alone."""
        return self.skew_us if abs(self.skew_us) > _LEAST_US else 0

    def hello(self, clock_us: int, name: str) -> None:
        """It has come, and says this."""
        self._set(clock_us - now_us(), name)

    def beat(self, clock_us: int, name: str) -> None:
        """It says this; a beat may be some seconds old when it comes, so only a clock that was set is news."""
        skew_us = clock_us - now_us()
        if clock_us and abs(skew_us - self.skew_us) > self._patience_us:
            self._set(skew_us, name)

    def _set(self, skew_us: int, name: str) -> None:
        before_us, self.skew_us = self.correction_us, skew_us
        now_s = trio.current_time()
        if abs(self.correction_us - before_us) > _LEAST_US and now_s >= self._said_s + _SAY_AGAIN_S:
            self._said_s = now_s
            text = "worker %s: its clock is %+.1f s beside this one; times of its jobs are corrected"
            _log.warning(text, name, skew_us / 1e6)
