"""What is done of some kinds of jobs before their program starts and after it has ended, as ``builtin`` asks for it.

``workshop`` does it for bundles, ``packageshop`` for classes out of packages. Each step may be cut at any moment, by
the end of the server too, and is done again then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    import trio

    from jobdeck_protocol.job import Step
    from jobdeck_server.engines.base import Ended, Launch, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A job that is ready.

    Attributes:
        spec: For the local engine.
        steps: For the job's record.
    """

    spec: dict[str, Any]
    steps: tuple[Step, ...]


class Shop(Protocol):
    """See the top of this file.

    Attributes:
        unready: What a job's error begins with that could not be made ready, for whatever reason.
        unkept: The same, if its results could not be kept.
        unfollowed: What is said of one that cannot be followed.
    """

    unready: str
    unkept: str
    unfollowed: str

    async def prepare(self, launch: Launch, *, cancelled: Callable[[], bool]) -> Made:
        """Lay out a job's files and find out what to run. Whatever an earlier try has left is gone then.

        Raises:
            StatusError: It cannot be run.
            StoppedError: ``cancelled`` said so.
            JobdeckError, StoreError, OSError: It cannot be made ready.
        """

    async def follow(self, job_id: str, over: trio.Event, tell: Callable[[Report], None]) -> None:
        """Tell more of a job that runs, until ``over`` and all is told.

        Raises:
            StatusError, JobdeckError, StoreError, OSError: That cannot be done (any more); the job runs on.
        """

    async def collect(self, job_id: str, ended: Ended, *, cancelled: Callable[[], bool]) -> Ended:
        """Keep a job's results; durable when this returns, and the same when it is done again.

        Returns:
            The end as it is to be told.

        Raises:
            StatusError: There is something wrong with them.
            StoppedError: ``cancelled`` said so.
            JobdeckError, StoreError, OSError: They cannot be kept now.
        """

    async def clear(self, job_id: str) -> None:
        """Remove a job's files, if there are any."""

    async def kept(self) -> list[str]:
        """The jobs that have files here."""
