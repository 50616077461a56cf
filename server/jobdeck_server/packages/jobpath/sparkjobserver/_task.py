"""What is one job's, whatever its language; and what a language does with it.

``_run`` keeps the files, the outcome, the progress and the limits. A ``Work`` is what a language adds: it makes the job
and its context, has it validate and run, and makes bytes of its result. ``_run.LANGUAGES`` is the table of them.
"""

from __future__ import annotations

from ._telling import MESSAGE_CHARS

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .config import ConfigTree

__all__ = ["JobError", "Task", "Work"]


class JobError(Exception):
    """The job ends here.

    Attributes:
        kind: One of ``_run.EXIT_CODES``.
        cause: What was raised, if something was: its class and traceback are told.
        error_class: Told in place of the cause's, such as the class of a Java exception.
        stack: The same of where it came from.
        problems: Of a refusal.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        cause: BaseException | None = None,
        *,
        error_class: str | None = None,
        stack: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.cause = cause
        self.error_class = error_class
        self.stack = stack
        self.problems: list[str] = []


class Task:
    """A job's plan, read.

    Attributes:
        plan: As ``jobdeck_server.packages.plan`` has written it.
        config: The job's configuration.
        settings: How its context was set up.
        tell: Says how far the job has come: a fraction or None, and a text.
        link: What binds it to the process of its context, attached: a ``_link.Link``; None in a context without one.
        is_gone: Whether its context can no longer be used, as far as can be seen from here.
        leaves_at_once: The interpreter ends with the job, whatever else may still run in it.
    """

    def __init__(self, plan: dict[str, Any], config: ConfigTree, settings: ConfigTree) -> None:
        self.plan = plan
        self.config = config
        self.settings = settings
        self.tell: Callable[[float | None, str], None] = _tell_nobody
        self.link: Any = None
        self.is_gone: Callable[[], bool] = _no
        self.leaves_at_once = False

    @property
    def job_id(self) -> str:
        """The job's id."""
        return str(self.plan["job_id"])

    @property
    def main_class(self) -> str:
        """The full name of the job's class."""
        return str(self.plan["main_class"])

    @property
    def context_kind(self) -> str:
        """What makes its context."""
        return str(self.plan["context"]["kind"])

    @property
    def context_name(self) -> str:
        """The name of its context."""
        return str(self.plan["context"]["name"])


class Work:
    """A job in its language; the methods are called in the order that they stand here, each once.

    Any of them may raise JobError.
    """

    def __init__(self, task: Task) -> None:
        self.task = task

    def make(self) -> None:
        """Make the job and its context."""
        raise NotImplementedError("make")

    def validate(self) -> list[str] | None:
        """Have the job look at its configuration: the texts of its problems (one at least), None to go on."""
        raise NotImplementedError("validate")

    def refused(self, problems: list[str]) -> JobError:
        """What is told of a job with these problems."""
        return JobError("validation", "; ".join(problems)[:MESSAGE_CHARS])

    def run(self) -> tuple[str, Iterator[bytes]]:
        """Have the job do its work.

        Returns:
            What kind of result it has, and its bytes: see ``_results.result_pieces``. Getting a piece may raise
            ResultError, or anything else, which is given to ``raised`` then.
        """
        raise NotImplementedError("run")

    def raised(self, error: BaseException) -> JobError:
        """What is told of an exception out of ``run`` or its pieces that is no JobError."""
        raise NotImplementedError("raised")

    def end(self) -> None:
        """Give up what ``make`` has made; called whatever has happened, when the result is kept. Must not raise."""


def _tell_nobody(fraction: float | None, text: str) -> None:
    del fraction, text


def _no() -> bool:
    return False
