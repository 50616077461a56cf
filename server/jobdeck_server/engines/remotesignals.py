"""Signals to the jobs of one worker: each is sent at most once, and whoever asked waits for what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from jobdeck_server.core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobdeck_protocol.workerhost import WorkerHost


class _Answer:
    """What became of a signal, once ``come`` is set."""

    def __init__(self) -> None:
        self.come = trio.Event()
        self.done: bool | None = None


class RemoteSignals:
    """See the top of this file.

    Args:
        host: Of the worker.
        name: What it is called now.
        ring: Has what there is to say to it said.
    """

    def __init__(self, host: WorkerHost, *, name: Callable[[], str], ring: Callable[[], None]) -> None:
        self._host = host
        self._name = name
        self._ring = ring
        self._answers: dict[int, _Answer] = {}

    async def send(self, job_id: str, signum: int) -> bool:
        """Have a job sent a signal.

        Returns:
            False if it has ended.

        Raises:
            UnavailableError: The worker cannot be reached, or went away before it said what became of it.
        """
        number = self._host.jobs.signal(job_id, signum) if self._host.reachable else None
        if number is None:
            raise UnavailableError(f"Worker {self._name()} is unreachable.")
        answer = self._answers[number] = _Answer()
        self._ring()
        try:
            await answer.come.wait()
        finally:
            self._answers.pop(number, None)
        if answer.done is None:
            raise UnavailableError(f"Worker {self._name()} is unreachable: the signal may have been sent.")
        return answer.done

    def answered(self, number: int, *, done: bool | None) -> None:
        """What became of a signal; None if that will not be known."""
        answer = self._answers.get(number)
        if answer is not None:
            answer.done = done
            answer.come.set()

    def give_up(self) -> None:
        """Nobody answers."""
        for number in list(self._answers):
            self.answered(number, done=None)
