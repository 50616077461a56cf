"""One job, from its plan to its end: what the program ``jobdeck_package_runner`` does.

The plan is a JSON file (``jobdeck_server.packages.plan`` writes it). Standard output and error are the job's own. What
the server must know goes into files of the job's private folder, each complete once it has its name:

    validated.json   {"ok": true} or {"problems": [...]}, as soon as ``validate`` has returned
    progress.json    {"fraction": 0.5, "text": "..."}, whenever the job says so, some times a second at most
    result           the result's bytes
    outcome.json     the last; {"kind": ..., "error": {...}, "problems": [...], "result": {"kind": ..., "bytes": ...}}

``kind`` is one of ``EXIT_CODES``; the process ends with that code, which is the original's. An ``error`` is the
exception: its message, its class, and where it came from.

The job is code of its owner in this very process and may do what it likes: change the folder, close files, fork. So
nothing is kept open, paths are absolute, and a child that a job has forked and let run into this writes nothing.
"""

# Values of any kind go through here; whatever a job's code raises is its end; contextlib would be for this alone.
# ruff: noqa: ANN401, BLE001, SIM105
from __future__ import annotations

import os
import sys
from time import monotonic

from . import api
from ._folder import DiskError, Folder
from ._jsontext import dumps, loads
from ._results import NONE, ResultError, result_pieces
from ._telling import MESSAGE_CHARS, class_of, repr_of, stack_of, text_of
from .config import ConfigTree

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = ["EXIT_CODES", "main"]

# What may come of a job, and the exit code of each: the original's, as far as it told them apart.
EXIT_CODES = {
    "finished": 0,
    "validation": 1,  # validate has found problems
    "class_missing": 1,  # there is no such module or class
    "load_error": 1,  # importing the module or making the object raised
    "context_error": 2,  # the context is of a kind that is not known, or could not be made
    "validate_raised": 3,
    "run_raised": 4,
    "result_error": 4,  # the result cannot be told as JSON, or not be kept
    "package_error": 5,  # a package cannot be put on the path
}
_NO_PLAN = 70
_PROBLEM_COUNT, _PROBLEM_CHARS = 100, 4 * 1024
_PROGRESS_S = 0.1
_PROGRESS_CHARS = 1024


class _JobError(Exception):
    """The job ends here, as one of ``EXIT_CODES``; ``cause`` is what was raised, if something was."""

    def __init__(self, kind: str, message: str, cause: BaseException | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.cause = cause
        self.problems: list[str] = []  # of a refusal


def main(plan_path: str) -> int:
    """Run the job of a plan.

    Returns:
        The exit code.
    """
    try:
        with open(plan_path, "rb") as file:
            plan = loads(file.read().decode())
        with open(plan["config"], "rb") as file:
            config = loads(file.read().decode(), ConfigTree.of_pairs)
        run = _Run(plan, config)
    except Exception as error:  # there is no one else to tell it
        sys.stderr.write(f"The job's plan cannot be read: {error!r}\n")
        return _NO_PLAN
    _set_streams()
    sys.argv = [run.main_class]
    code = run.go()
    _flush_streams()
    return code


class _Run:
    """A job and its plan."""

    def __init__(self, plan: dict[str, Any], config: ConfigTree) -> None:
        self.main_class: str = plan["main_class"]
        self._job_id: str = plan["job_id"]
        self._folder = Folder(plan["folder"])
        self._package: str = plan["package"]
        self._wheels: list[str] = plan["wheels"]
        self._context_kind: str = plan["context"]["kind"]
        self._context_name: str = plan["context"]["name"]
        self._settings = ConfigTree(plan["context"]["settings"])
        self._result_bytes: int = plan["result_bytes"]
        self._config = config
        self._told_s = float("-inf")
        self._untold: bytes | None = None

    def go(self) -> int:
        """Do it, and tell what came of it."""
        outcome: dict[str, Any] = {}
        try:
            outcome = {"kind": "finished", "result": self._run()}
        except _JobError as error:
            outcome = {"kind": error.kind, "error": _told(error)}
            if error.problems:
                outcome["problems"] = error.problems
        except BaseException as error:  # a signal, a full disk, or a text of the job's that is none
            outcome = {"kind": "run_raised", "error": _told(_raised("run_job", error))}
        if not self._folder.is_ours:  # a child that the job has forked and let run into this
            os._exit(_NO_PLAN)
        try:
            if self._untold is not None:
                self._put("progress.json", [self._untold], durable=False)
            self._put("outcome.json", [dumps(outcome)])
        except OSError as error:
            sys.stderr.write(f"What came of the job cannot be told: {error}\n")
            return _NO_PLAN
        return EXIT_CODES[outcome["kind"]]

    def _run(self) -> dict[str, Any]:
        """All of it.

        Returns:
            What the result is.

        Raises:
            _JobError: It came to another end.
        """
        self._add_packages()
        job = _make_job(self.main_class)
        context, finish = self._make_context()
        try:
            data = self._validated(job, context)
            runtime = api.JobEnvironment(self._job_id, self._settings, self._tell_progress)
            return self._keep(_call("run_job", job, context, runtime, data))
        finally:
            finish()

    def _validated(self, job: Any, context: Any) -> Any:
        """What ``validate`` has made of the configuration, if it has found no problems."""
        data = _call("validate", job, context, None, self._config)
        problems = _problems(data)
        if problems is None:
            self._put("validated.json", [b'{"ok": true}'], durable=False)
            return data
        self._put("validated.json", [dumps({"problems": problems})], durable=False)
        refused = _JobError("validation", "; ".join(problems)[:MESSAGE_CHARS])
        refused.problems = problems
        raise refused

    def _add_packages(self) -> None:
        """Put the packages on the path, the job's own first."""
        from zipimport import ZipImportError, zipimporter

        packages = [self._package, *self._wheels]
        for package in packages:
            try:
                if not os.path.isdir(package):
                    zipimporter(package)
            except (ZipImportError, OSError) as error:
                name = os.path.basename(package)
                raise _JobError("package_error", f"{name} is no package that can be loaded: {error}", error) from None
        sys.path[0:0] = packages
        # The contract is loaded and stays what it is; but a package may have its own modules in a folder of that name.
        places = sys.modules[api.__package__].__path__
        places.extend(os.path.join(package, "sparkjobserver") for package in packages)

    def _make_context(self) -> tuple[Any, Callable[[], None]]:
        maker = CONTEXTS.get(self._context_kind)
        if maker is None:
            raise _JobError("context_error", f"Contexts of the kind {self._context_kind} are not known here.")
        try:
            return maker(self._context_name, self._settings, self._job_id)
        except Exception as error:
            raise _JobError("context_error", f"The context could not be made: {error}", error) from None

    def _keep(self, result: Any) -> dict[str, Any]:
        """Write the result down."""
        size_bytes = 0
        try:
            kind, pieces = result_pieces(result)
            if kind != NONE:
                size_bytes = self._put("result", self._limited(pieces))
        except _JobError:
            raise
        except ResultError as error:
            raise _JobError("result_error", str(error), error) from None
        except DiskError as error:
            raise _JobError("result_error", f"The result cannot be kept: {error}", error) from None
        except BaseException as error:  # the first item of the job's own iterator
            raise _raised("run_job", error) from None
        if size_bytes == 0:  # a stream of nothing is no result
            kind = NONE
            self._folder.remove("result")
        return {"kind": kind, "bytes": size_bytes}

    def _limited(self, pieces: Iterable[bytes]) -> Iterable[bytes]:
        """The same pieces, as far as there may be."""
        left = self._result_bytes
        several = iter(pieces)
        while True:
            try:
                piece = next(several, None)
            except ResultError:
                raise
            except BaseException as error:  # the job's own iterators and values may raise whatever they like
                raise _raised("run_job", error) from None
            if piece is None:
                return
            left -= len(piece)
            if left < 0:
                raise ResultError(f"The result has more than {self._result_bytes} bytes.")
            yield piece

    def _tell_progress(self, fraction: float | None, text: str) -> None:
        """What ``JobEnvironment.progress`` does. What comes too soon is told with the next, or at the end."""
        if not self._folder.is_ours:  # a worker of the job's own, which may well live on
            return
        known = fraction is not None and fraction == fraction
        share = min(1.0, max(0.0, float(fraction))) if known else None  # type: ignore[arg-type]  # is known then
        said = dumps({"fraction": share, "text": str(text)[:_PROGRESS_CHARS]})
        now_s = monotonic()
        if now_s - self._told_s < _PROGRESS_S:
            self._untold = said
            return
        self._told_s, self._untold = now_s, None
        try:
            self._put("progress.json", [said], durable=False)
        except OSError:
            self._untold = said

    def _put(self, name: str, pieces: Iterable[bytes], *, durable: bool = True) -> int:
        """See ``Folder.put``; a child that the job has forked ends here."""
        if not self._folder.is_ours:
            os._exit(_NO_PLAN)
        return self._folder.put(name, pieces, durable=durable)


# -- the context: a table of makers, so that other kinds come in here --


def _plain_context(name: str, settings: ConfigTree, job_id: str) -> tuple[Any, Callable[[], None]]:
    del job_id
    return api.PlainContext(name, settings), _nothing


def _nothing() -> None:
    pass


# The kind of a context, and what makes it: from its name, its settings and the job's id the context for the job, and
# what is to be done once the result is kept.
CONTEXTS: dict[str, Callable[[str, ConfigTree, str], tuple[Any, Callable[[], None]]]] = {"plain": _plain_context}


# -- the job's class --


def _make_job(main_class: str) -> Any:
    """Import the class and make the object."""
    found = _find_class(main_class)
    if not callable(found):
        raise _JobError("class_missing", f"{main_class} is no class.")
    try:
        return found()
    except BaseException as error:
        raise _JobError("load_error", f"{main_class} could not be made: {text_of(error)}", error) from None


def _find_class(main_class: str) -> Any:
    """What the dotted name stands for; the part before its last dot is a module, or a class in a module."""
    parts = main_class.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise _JobError("class_missing", f"{main_class} is no name of a class: package.module.Class is wanted.")
    for count in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:count])
        try:
            __import__(name)
        except ModuleNotFoundError as error:
            if error.name is not None and f"{name}.".startswith(f"{error.name}."):
                continue
            raise _JobError("load_error", f"{name} could not be imported: {error}", error) from None
        except BaseException as error:
            raise _JobError("load_error", f"{name} could not be imported: {text_of(error)}", error) from None
        found = sys.modules[name]
        for part in parts[count:]:
            if not hasattr(found, part):
                raise _JobError("class_missing", f"There is no class {main_class}: {name} has no {part}.")
            found = getattr(found, part)
        return found
    raise _JobError("class_missing", f"There is no class {main_class}: there is no module {parts[0]}.")


def _call(method: str, job: Any, *arguments: Any) -> Any:
    try:
        return getattr(job, method)(*arguments)
    except BaseException as error:  # sys.exit, too, is no result
        raise _raised(method, error) from None


def _raised(method: str, error: BaseException) -> _JobError:
    kind = "validate_raised" if method == "validate" else "run_raised"
    _say(f"Error while calling '{method}': {repr_of(error)}\n{stack_of(error)}")
    return _JobError(kind, text_of(error), error)


def _problems(data: Any) -> list[str] | None:
    """The texts of the problems, if that is what ``validate`` has returned; else it is data."""
    if not isinstance(data, list) or not data or not all(map(_is_problem, data)):
        return None
    return [str(each.problem)[:_PROBLEM_CHARS] for each in data[:_PROBLEM_COUNT]]


def _is_problem(value: Any) -> bool:
    """A package may bring its own copy of the contract."""
    named = type(value).__name__ == "ValidationProblem" and hasattr(value, "problem")
    return isinstance(value, api.ValidationProblem) or named


def _told(error: _JobError) -> dict[str, str]:
    """The exception object."""
    cause = error.cause
    error_class, stack = (_ERRORS[error.kind], "") if cause is None else (class_of(cause), stack_of(cause))
    return {"message": str(error.args[0])[:MESSAGE_CHARS], "errorClass": error_class, "stack": stack}


_ERRORS = {"validation": "sparkjobserver.api.ValidationProblem", "class_missing": "ModuleNotFoundError"}
_ERRORS.update(dict.fromkeys(("context_error", "load_error", "package_error"), "ImportError"))


# -- standard output and error --


def _set_streams() -> None:
    """Lines are seen as soon as they are said, and no character ends a job."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]  # is no other at a start


def _say(text: str) -> None:
    try:
        sys.stderr.write(text)
    except Exception:  # it is the job's to close or to replace
        pass


def _flush_streams() -> None:
    """What cannot be written any more must not change the exit code, as it would when Python tries it at the end."""
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except Exception:  # closed, or replaced by something else
            setattr(sys, name, None)
