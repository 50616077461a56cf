"""The contract of Python jobs.

A job is a class with a constructor without arguments and two methods; it need not inherit from ``SparkJob``::

    class WordCount:
        def validate(self, context, runtime, config):
            words = config.get("input.strings", None)
            return words if words else build_problems(["config input.strings not found"])

        def run_job(self, context, runtime, data):
            return {word: data.count(word) for word in data}

``validate`` returns what ``run_job`` gets as ``data``, or a list of problems, and then the job is refused. An empty
list is data. ``runtime`` is None in ``validate`` and a ``JobEnvironment`` in ``run_job``; ``config`` is a
``sparkjobserver.config.ConfigTree``.

Source: the Python job API of Spark JobServer. ``Stream`` and ``JobEnvironment.progress`` are ours.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .config import ConfigTree

__all__ = ["JobEnvironment", "PlainContext", "SparkJob", "Stream", "ValidationProblem", "build_problems"]


class ValidationProblem:
    """One reason why a job is refused; ``problem`` is its text."""

    def __init__(self, problem: str) -> None:
        self.problem = problem

    def __repr__(self) -> str:
        return f"ValidationProblem({self.problem!r})"


def build_problems(problems: Iterable[str]) -> list[ValidationProblem]:
    """What ``validate`` returns to refuse a job for these reasons."""
    return [ValidationProblem(problem) for problem in problems]


class SparkJob:
    """A job; inheriting from it is a matter of taste."""

    def validate(self, context: Any, runtime: None, config: ConfigTree) -> Any:  # noqa: ANN401  # the job's own
        """Look at the configuration: data for ``run_job``, or ``build_problems([...])``."""
        raise NotImplementedError("validate")

    def run_job(self, context: Any, runtime: JobEnvironment, data: Any) -> Any:  # noqa: ANN401  # the job's own
        """Do the work, and return the result."""
        raise NotImplementedError("run_job")

    def build_context(self, gateway: Any, jvm_context: Any, spark_conf: Any) -> Any:  # noqa: ANN401  # py4j's
        """Make a context of the job's own kind; only asked for in contexts of that kind."""
        raise NotImplementedError("build_context")


class Stream:
    """A result whose bytes are put into the answer as they are: the job's business that they are JSON.

    Args:
        pieces: Bytes, or texts that are taken for UTF-8. Read once, after ``run_job`` has returned.
    """

    def __init__(self, pieces: Iterable[Any]) -> None:
        self.pieces = pieces


class PlainContext:
    """The context of a job that needs nothing but Python.

    Attributes:
        name: The context's name.
        settings: How it was set up, a ``ConfigTree``.
    """

    def __init__(self, name: str, settings: ConfigTree) -> None:
        self.name = name
        self.settings = settings

    def __repr__(self) -> str:
        return f"PlainContext({self.name!r})"


class JobEnvironment:
    """What a running job may ask about itself. The names are those of the original.

    Attributes:
        jobId: The job's id.
        namedObjects: Always None.
        contextConfig: How the context was set up, a ``ConfigTree``.
    """

    def __init__(self, job_id: str, settings: ConfigTree, tell: Callable[[float | None, str], None]) -> None:
        self.jobId = job_id
        self.namedObjects = None
        self.contextConfig = settings
        self._tell = tell

    def progress(self, fraction: float | None, text: str = "") -> None:
        """Say how far the job has come.

        Args:
            fraction: From 0 to 1; None if it cannot be known.
            text: For people.
        """
        self._tell(fraction, text)
