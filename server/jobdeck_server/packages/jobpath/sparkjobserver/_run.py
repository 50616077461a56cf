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

# Whatever a job raises is its end; contextlib would be for this alone.
# ruff: noqa: BLE001, SIM105
from __future__ import annotations

import os
import sys
from _thread import allocate_lock, start_new_thread
from time import monotonic

from ._folder import DiskError, Folder
from ._jsontext import dumps, loads
from ._results import NONE, ResultError
from ._task import JobError, Task, Work
from ._telling import CLASS_CHARS, MESSAGE_CHARS, STACK_CHARS, class_of, stack_of, text_of
from .config import ConfigTree

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

__all__ = ["EXIT_CODES", "LANGUAGES", "main"]

# What may come of a job, and the exit code of each: the original's, as far as it told them apart.
EXIT_CODES = {
    "finished": 0,
    "validation": 1,  # validate has found problems
    "class_missing": 1,  # there is no such module or class
    "load_error": 1,  # importing the module or making the object raised
    "context_error": 2,  # the context is of a kind that is not known, or could not be made
    "context_lost": 2,  # the process of the context has ended under the job
    "validate_raised": 3,
    "run_raised": 4,
    "result_error": 4,  # the result cannot be told as JSON, or not be kept
    "package_error": 5,  # a package cannot be put on the path
}
_NO_PLAN = 70
_PROGRESS_S = 0.1
_DYING_S = 10.0  # a context that has died is seen to have died by all within this time
_TELLING_S = 1.0  # and then never mind a thread that is in the midst of it
_FLUSH_S = 1.0
_PROGRESS_CHARS = 1024


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
    sys.argv = [run.task.main_class]
    code = run.go()
    _flush_streams()
    if run.task.leaves_at_once:
        os._exit(code)
    return code


class _Run:
    """A job and its plan."""

    def __init__(self, plan: dict[str, Any], config: ConfigTree) -> None:
        self.task = Task(plan, config, ConfigTree(plan["context"]["settings"]))
        self.task.tell = self._tell_progress
        self._folder = Folder(plan["folder"])
        self._result_bytes: int = plan["result_bytes"]
        self._told_s = float("-inf")
        self._untold: bytes | None = None
        self._ending = allocate_lock()  # held by who says what came of the job
        self._telling = allocate_lock()  # held by who says how far it has come
        self._settled = False
        self._kept: dict[str, Any] | None = None  # the outcome, once there is a result
        self._was_gone = False  # the context could not be used any more when the job failed

    def go(self) -> int:
        """Do it, and tell what came of it."""
        outcome: dict[str, Any] = {}
        try:
            self._attach()
            outcome = {"kind": "finished", "result": self._run()}
        except JobError as error:
            outcome = self._failed(error)
        except BaseException as error:  # a signal, a full disk, or a text of the job's that is none
            outcome = self._failed(JobError("run_raised", text_of(error), error))
        if not self._folder.is_ours:  # a child that the job has forked and let run into this
            os._exit(_NO_PLAN)
        with self._ending:
            return self._settle(outcome)

    def _settle(self, outcome: dict[str, Any]) -> int:
        """Write down what came of it, for good.

        Returns:
            The exit code.
        """
        self._settled = True
        self._telling.acquire(True, _TELLING_S)  # takes no keywords
        try:
            if self._untold is not None:
                self._put("progress.json", [self._untold], durable=False)
            self._put("outcome.json", [dumps(outcome)])
        except OSError as error:
            sys.stderr.write(f"What came of the job cannot be told: {error}\n")
            return _NO_PLAN
        return EXIT_CODES[outcome["kind"]]

    def _failed(self, error: JobError) -> dict[str, Any]:
        """The outcome of a job that has come to this end; does not return if its context has died under it."""
        link = self.task.link
        if link is not None and error.kind != "validation" and self._was_gone:
            link.wait(_DYING_S)
        outcome: dict[str, Any] = {"kind": error.kind, "error": _told(error)}
        if error.problems:
            outcome["problems"] = error.problems
        return outcome

    def _attach(self) -> None:
        """Bind the job to the process of its context, where it has one."""
        link = self.task.plan["context"].get("link")
        if link is None:
            return
        from . import _link

        self.task.link = _link.attach(link["control"], self.task.job_id, self.task.context_name)
        self.task.leaves_at_once = True
        self.task.link.watch(self._lose)

    def _lose(self) -> None:
        """The context has died: so ends the job, whatever it is doing. A result that is kept stays.

        Runs in a thread of its own.
        """
        with self._ending:  # for good
            if self._settled:
                return
            if self._kept is not None:
                code = self._settle(self._kept)
                _in_time(_flush_streams)
            else:
                lost = JobError("context_lost", self.task.link.lost_text)
                code = self._settle({"kind": lost.kind, "error": _told(lost)})
                _in_time(lambda: _say_last(f"{lost}\n"))
            os._exit(code)

    def _run(self) -> dict[str, Any]:
        """All of it.

        Returns:
            What the result is.

        Raises:
            JobError: It came to another end.
        """
        language = self.task.plan.get("language", "python")
        if language not in LANGUAGES:
            raise JobError("load_error", f"Jobs in {language} are not known here.")
        work = LANGUAGES[language]()(self.task)
        try:
            work.make()
            self._tell_validated(work, work.validate())
            result = self._keep(work, *_result_of(work))
            self._kept = {"kind": "finished", "result": result}
            return result
        except BaseException:
            self._was_gone = self.task.is_gone()  # once the work has ended, nothing can be asked
            raise
        finally:
            work.end()

    def _tell_validated(self, work: Work, problems: list[str] | None) -> None:
        """What ``validate`` has found; with problems, the job ends here."""
        if problems is None:
            self._put("validated.json", [b'{"ok": true}'], durable=False)
            return
        self._put("validated.json", [dumps({"problems": problems})], durable=False)
        refused = work.refused(problems)
        refused.problems = problems
        raise refused

    def _keep(self, work: Work, kind: str, pieces: Iterator[bytes]) -> dict[str, Any]:
        """Write the result down."""
        size_bytes = 0
        try:
            if kind != NONE:
                size_bytes = self._put("result", self._limited(work, pieces))
        except ResultError as error:
            raise JobError("result_error", str(error), error) from None
        except DiskError as error:
            raise JobError("result_error", f"The result cannot be kept: {error}", error) from None
        if size_bytes == 0:  # a stream of nothing is no result
            kind = NONE
            self._folder.remove("result")
        return {"kind": kind, "bytes": size_bytes}

    def _limited(self, work: Work, pieces: Iterator[bytes]) -> Iterable[bytes]:
        """The same pieces, as far as there may be."""
        left = self._result_bytes
        while True:
            try:
                piece = next(pieces, None)
            except (JobError, ResultError):
                raise
            except BaseException as error:  # the job's own iterators and values may raise whatever they like
                raise work.raised(error) from None
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
        self._untold = said
        if now_s - self._told_s < _PROGRESS_S or not self._telling.acquire(False):  # takes no keywords
            return
        try:
            self._told_s = now_s
            self._put("progress.json", [said], durable=False)
            if self._untold is said:
                self._untold = None
        except OSError:
            pass
        finally:
            self._telling.release()

    def _put(self, name: str, pieces: Iterable[bytes], *, durable: bool = True) -> int:
        """See ``Folder.put``; a child that the job has forked ends here."""
        if not self._folder.is_ours:
            os._exit(_NO_PLAN)
        return self._folder.put(name, pieces, durable=durable)


# -- the languages: a table of what makes each, loaded when it is asked for --


def _python() -> Callable[[Task], Work]:
    from ._python import PythonWork

    return PythonWork


def _jvm() -> Callable[[Task], Work]:
    from ._jvm import JvmWork

    return JvmWork


LANGUAGES: dict[str, Callable[[], Callable[[Task], Work]]] = {"python": _python, "jvm": _jvm}


def _result_of(work: Work) -> tuple[str, Iterator[bytes]]:
    try:
        return work.run()
    except JobError:
        raise
    except ResultError as error:
        raise JobError("result_error", str(error), error) from None
    except BaseException as error:  # the first item of the job's own iterator
        raise work.raised(error) from None


# -- what is told of an error --


def _told(error: JobError) -> dict[str, str]:
    """The exception object."""
    cause = error.cause
    error_class, stack = (_ERRORS[error.kind], "") if cause is None else (class_of(cause), stack_of(cause))
    return {
        "message": str(error.args[0])[:MESSAGE_CHARS],
        "errorClass": (error.error_class or error_class)[:CLASS_CHARS],
        "stack": (stack if error.stack is None else error.stack)[-STACK_CHARS:],
    }


_ERRORS = {"validation": "sparkjobserver.api.ValidationProblem", "class_missing": "ModuleNotFoundError"}
_ERRORS["context_lost"] = "java.lang.RuntimeException"
_ERRORS.update(dict.fromkeys(("context_error", "load_error", "package_error"), "ImportError"))


# -- standard output and error --


def _set_streams() -> None:
    """Lines are seen as soon as they are said, and no character ends a job."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]  # is no other at a start


def _flush_streams() -> None:
    """What cannot be written any more must not change the exit code, as it would when Python tries it at the end."""
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except Exception:  # closed, or replaced by something else
            setattr(sys, name, None)


def _say_last(text: str) -> None:
    _flush_streams()
    try:
        os.write(2, text.encode())
    except OSError:
        pass


def _in_time(do: Callable[[], None]) -> None:
    """Do it, unless somebody stands in the way: the job may be in the midst of writing, and nobody reading."""
    done = allocate_lock()
    done.acquire()

    def in_thread() -> None:
        do()
        done.release()

    start_new_thread(in_thread, ())
    done.acquire(True, _FLUSH_S)  # takes no keywords
