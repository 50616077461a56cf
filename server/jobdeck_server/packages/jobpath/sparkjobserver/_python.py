"""A job that is a Python class out of a wheel or an egg: found, made, asked and run in this very interpreter."""

# Values of any kind go through here; whatever a job's code raises is its end.
# ruff: noqa: ANN401, BLE001, SIM105
from __future__ import annotations

import os
import sys

from . import api
from ._results import result_pieces
from ._task import JobError, Task, Work
from ._telling import repr_of, stack_of, text_of

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

__all__ = ["CONTEXTS", "PythonWork"]

_PROBLEM_COUNT, _PROBLEM_CHARS = 100, 4 * 1024


class PythonWork(Work):
    """See ``Work``."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._job: Any = None
        self._context: Any = None
        self._data: Any = None
        self._finish: Callable[[], None] = _nothing

    def make(self) -> None:
        """See ``Work``."""
        self._add_packages()
        self._context, self._finish = self._make_context()  # before the job's modules, which may ask for it
        self._job = _make_job(self.task.main_class)

    def validate(self) -> list[str] | None:
        """See ``Work``."""
        self._data = _call("validate", self._job, self._context, None, self.task.config)
        return _problems(self._data)

    def run(self) -> tuple[str, Iterator[bytes]]:
        """See ``Work``."""
        runtime = api.JobEnvironment(self.task.job_id, self.task.settings, self.task.tell)
        return result_pieces(_call("run_job", self._job, self._context, runtime, self._data))

    def raised(self, error: BaseException) -> JobError:
        """See ``Work``."""
        return _raised("run_job", error)

    def end(self) -> None:
        """See ``Work``."""
        self._finish()

    def _add_packages(self) -> None:
        """Put the packages on the path, the job's own first."""
        from zipimport import ZipImportError, zipimporter

        packages = [self.task.plan["package"], *self.task.plan["wheels"]]
        for package in packages:
            try:
                if not os.path.isdir(package):
                    zipimporter(package)
            except (ZipImportError, OSError) as error:
                name = os.path.basename(package)
                raise JobError("package_error", f"{name} is no package that can be loaded: {error}", error) from None
        sys.path[0:0] = packages
        # The contract is loaded and stays what it is; but a package may have its own modules in a folder of that name.
        places = sys.modules[api.__package__].__path__
        places.extend(os.path.join(package, "sparkjobserver") for package in packages)

    def _make_context(self) -> tuple[Any, Callable[[], None]]:
        maker = CONTEXTS.get(self.task.context_kind)
        if maker is None:
            raise JobError("context_error", f"Contexts of the kind {self.task.context_kind} are not known here.")
        try:
            return maker(self.task)
        except JobError:
            raise
        except Exception as error:
            raise JobError("context_error", f"The context could not be made: {error}", error) from None


# -- the context: a table of makers, so that other kinds come in here --


def _plain_context(task: Task) -> tuple[Any, Callable[[], None]]:
    return api.PlainContext(task.context_name, task.settings), _nothing


def _spark_context(task: Task) -> tuple[Any, Callable[[], None]]:
    from ._spark import make

    return make(task)


def _nothing() -> None:
    pass


# The kind of a context, and what makes it: the context for the job, and what is to be done once the result is kept.
CONTEXTS: dict[str, Callable[[Task], tuple[Any, Callable[[], None]]]] = {
    "plain": _plain_context,
    "spark": _spark_context,
}


# -- the job's class --


def _make_job(main_class: str) -> Any:
    """Import the class and make the object."""
    found = _find_class(main_class)
    if not callable(found):
        raise JobError("class_missing", f"{main_class} is no class.")
    try:
        return found()
    except BaseException as error:
        raise JobError("load_error", f"{main_class} could not be made: {text_of(error)}", error) from None


def _find_class(main_class: str) -> Any:
    """What the dotted name stands for; the part before its last dot is a module, or a class in a module."""
    parts = main_class.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise JobError("class_missing", f"{main_class} is no name of a class: package.module.Class is wanted.")
    for count in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:count])
        try:
            __import__(name)
        except ModuleNotFoundError as error:
            if error.name is not None and f"{name}.".startswith(f"{error.name}."):
                continue
            raise JobError("load_error", f"{name} could not be imported: {error}", error) from None
        except BaseException as error:
            raise JobError("load_error", f"{name} could not be imported: {text_of(error)}", error) from None
        found = sys.modules[name]
        for part in parts[count:]:
            if not hasattr(found, part):
                raise JobError("class_missing", f"There is no class {main_class}: {name} has no {part}.")
            found = getattr(found, part)
        return found
    raise JobError("class_missing", f"There is no class {main_class}: there is no module {parts[0]}.")


def _call(method: str, job: Any, *arguments: Any) -> Any:
    try:
        return getattr(job, method)(*arguments)
    except BaseException as error:  # sys.exit, too, is no result
        raise _raised(method, error) from None


def _raised(method: str, error: BaseException) -> JobError:
    kind = "validate_raised" if method == "validate" else "run_raised"
    _say(f"Error while calling '{method}': {repr_of(error)}\n{stack_of(error)}")
    return JobError(kind, text_of(error), error)


def _problems(data: Any) -> list[str] | None:
    """The texts of the problems, if that is what ``validate`` has returned; else it is data."""
    if not isinstance(data, list) or not data or not all(map(_is_problem, data)):
        return None
    return [str(each.problem)[:_PROBLEM_CHARS] for each in data[:_PROBLEM_COUNT]]


def _is_problem(value: Any) -> bool:
    """A package may bring its own copy of the contract."""
    named = type(value).__name__ == "ValidationProblem" and hasattr(value, "problem")
    return isinstance(value, api.ValidationProblem) or named


def _say(text: str) -> None:
    try:
        sys.stderr.write(text)
    except Exception:  # it is the job's to close or to replace
        pass
