"""The words in which a job's life is told: how far it is, how it ended, and what it needs of others."""

from __future__ import annotations

import os
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from jobdeck_keeper.life import Life


class Phase(Enum):
    """How far a job is."""

    RUNNING = 1
    LINGERING = 2
    ENDING = 3
    OVER = 4


class Status(NamedTuple):
    """How the main process ended: one of ``code`` and ``signal`` is a number; both None if nobody can know."""

    code: int | None
    signal: int | None
    core: bool = False

    @classmethod
    def from_wait(cls, status: int) -> Status:
        """Read a wait status as the kernel gives it."""
        if os.WIFSIGNALED(status):
            return cls(None, os.WTERMSIG(status), os.WCOREDUMP(status))
        return cls(os.WEXITSTATUS(status), None)

    @classmethod
    def from_info(cls, info: os.waitid_result) -> Status:
        """Read what ``os.waitid`` gave."""
        if info.si_code == os.CLD_EXITED:
            return cls(info.si_status, None)
        return cls(None, info.si_status, info.si_code == os.CLD_DUMPED)


class Tree(Protocol):
    """The job's processes."""

    def signal(self, number: int) -> None:
        """Send a signal to all."""

    def kill(self) -> None:
        """Kill all."""

    def empty(self, main: int) -> bool:
        """Reap the dead but for the main process; tell whether none is left beside it."""


class Host(Protocol):
    """Whoever runs the event loop."""

    def step_begun(self, life: Life) -> None:
        """A child was forked: watch ``life.channel`` and the end of ``life.main``."""

    def tell(self, word: str, text: str = "") -> None:
        """Tell the keeper: ``start``, ``step``, ``final`` are on record; ``note`` with a text."""
