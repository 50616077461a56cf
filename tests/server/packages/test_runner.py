"""Jobs that do what they should, and jobs that do not, each by a real interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from jobdeck_server.packages import outcome, plan
from jobdeck_server.packages.outcome import NONE, STREAM, JobError, Outcome, Progress
from tests.server.packages.kit import DEADLINE_S, egg, ended, prepared, run, wheel

WORD_COUNT = """
    from sparkjobserver.api import SparkJob, build_problems

    class Job(SparkJob):
        def validate(self, context, runtime, config):
            assert runtime is None
            words = config.get('input.strings', None)
            return words if words else build_problems(['config input.strings not found', 'zwei \u00e4'])

        def run_job(self, context, runtime, data):
            print('counting', context.name, context.settings['num-cpu-cores'], runtime.jobId[:4], runtime.namedObjects)
            return {word: data.count(word) for word in data}
"""


def plain(body: str, *, validate: str = "return 1") -> str:
    """A job that owes nothing to anybody's base class."""
    inner = textwrap.dedent(body).strip().replace("\n", "\n        ")
    return (
        "import os, sys, signal\n\nclass Job:\n"
        f"    def validate(self, context, runtime, config):\n        {validate}\n\n"
        f"    def run_job(self, context, runtime, data):\n        {inner}\n"
    )


def test_counts_words_out_of_a_wheel_and_out_of_an_egg(tmp_path: Path) -> None:
    for number, package in enumerate(
        (
            wheel(tmp_path / "a.whl", {"jobs/__init__.py": "", "jobs/job.py": WORD_COUNT}),
            egg(tmp_path / "a.egg", {"jobs/__init__.py": "", "jobs/job.py": WORD_COUNT}),
        )
    ):
        ran = run(tmp_path / str(number), "", package=package, config={"input": {"strings": ["a", "b", "a"]}})
        assert (ran.code, ran.err) == (0, b"")
        assert ran.out == b"counting here 2 1111 None\n"
        assert ran.outcome == Outcome(kind="finished", result_kind="json")
        assert ran.value == {"a": 2, "b": 1}
        assert outcome.read_validated(ran.folder) == ()
        assert not list(ran.folder.glob("*.new"))


def test_tells_every_problem_of_a_refused_job(tmp_path: Path) -> None:
    ran = run(tmp_path, WORD_COUNT)
    assert (ran.code, ran.outcome.kind) == (1, "validation")
    assert ran.outcome.problems == ("config input.strings not found", "zwei \u00e4")
    assert ran.outcome.error == JobError(
        message="config input.strings not found; zwei \u00e4", error_class="sparkjobserver.api.ValidationProblem"
    )
    assert outcome.read_validated(ran.folder) == ran.outcome.problems
    assert not (ran.folder / "result").exists()


def test_a_package_may_bring_its_own_problems_and_an_empty_list_is_data(tmp_path: Path) -> None:
    ran = run(
        tmp_path / "1",
        plain(
            "return 1",
            validate="return [type('ValidationProblem', (), {'problem': text})() for text in ('x', 'y')]",
        ),
    )
    assert ran.outcome.problems == ("x", "y")
    ran = run(tmp_path / "2", plain("return data", validate="return []"))
    assert (ran.code, ran.result) == (0, b"[]")


@pytest.mark.parametrize(
    ("source", "main", "code", "kind", "error_class", "message"),
    [
        (plain("return 1", validate="raise ValueError('no good')"), "", 3, "validate_raised", "ValueError", "no good"),
        (plain("return {}[data]"), "", 4, "run_raised", "KeyError", "1"),
        (plain("sys.exit(0)"), "", 4, "run_raised", "SystemExit", "0"),
        (plain("from jobs.job import gone"), "", 4, "run_raised", "ImportError", "cannot import name"),
        ("class Job:\n    def __init__(self): raise OSError('broken')", "", 1, "load_error", "OSError", "could not be"),
        ("class Job:\n    def __init__(self, one): pass", "", 1, "load_error", "TypeError", "missing 1 required"),
        ("import gone_for_good", "", 1, "load_error", "ModuleNotFoundError", "gone_for_good"),
        ("x = (", "", 1, "load_error", "SyntaxError", "could not be imported"),
        ("raise SystemExit(0)", "", 1, "load_error", "SystemExit", "could not be imported"),
        ("Job = 1", "", 1, "class_missing", "ModuleNotFoundError", "is no class"),
        ("", "jobs.job.Job", 1, "class_missing", "ModuleNotFoundError", "has no Job"),
        ("", "jobs.other.Job", 1, "class_missing", "ModuleNotFoundError", "jobs has no other"),
        ("", "nobody.Job", 1, "class_missing", "ModuleNotFoundError", "no module nobody"),
        ("", "Job", 1, "class_missing", "ModuleNotFoundError", "package.module.Class"),
        ("", "jobs..Job", 1, "class_missing", "ModuleNotFoundError", "package.module.Class"),
        (plain("a = []; a.append(a); return a"), "", 4, "result_error", "_results.ResultError", "contains itself"),
        (
            plain("a = []\nfor _ in range(10**5): a = [a]\nreturn a"),
            "",
            4,
            "result_error",
            "_results.ResultError",
            "more than 500",
        ),
        (plain("return (1/0 for _ in 'x')"), "", 4, "run_raised", "ZeroDivisionError", "division by zero"),
        (plain("return iter([b'x', 1])"), "", 4, "result_error", "_results.ResultError", "has int in it"),
        (
            plain("class Odd:\n    def __str__(self): raise OSError(5, 'odd')\nreturn [Odd()]"),
            "",
            4,
            "run_raised",
            "OSError",
            "odd",
        ),
    ],
)
def test_tells_what_went_wrong(
    tmp_path: Path, source: str, main: str, code: int, kind: str, error_class: str, message: str
) -> None:
    ran = run(tmp_path, source, main=main or "jobs.job.Job")
    assert (ran.code, ran.outcome.kind) == (code, kind), ran.err
    error = ran.outcome.error
    assert error is not None
    assert error.error_class.endswith(error_class)
    assert message in error.message
    if kind in ("validate_raised", "run_raised"):
        assert f"Error while calling '{'validate' if code == 3 else 'run_job'}'".encode() in ran.err
        assert "jobs/job.py" in error.stack
    assert "sparkjobserver/_run.py" not in error.stack.split("\n")[1:2]


def test_tells_packages_that_are_none_and_contexts_that_are_not_known(tmp_path: Path) -> None:
    broken = tmp_path / "broken.whl"
    broken.write_bytes(b"PK\3\4 and nothing else")
    ran = run(tmp_path / "1", "", package=broken)
    assert (ran.code, ran.outcome.kind) == (5, "package_error")
    assert "broken.whl" in ran.message
    ran = run(tmp_path / "2", WORD_COUNT, wheels=[tmp_path / "none.whl"])
    assert (ran.code, ran.outcome.kind) == (5, "package_error")
    ran = run(tmp_path / "3", WORD_COUNT, kind="spark")
    assert (ran.code, ran.outcome.kind) == (2, "context_error")
    assert "no process" in ran.message
    ran = run(tmp_path / "4", WORD_COUNT, kind="other")
    assert (ran.code, ran.outcome.kind) == (2, "context_error")
    assert "other are not known" in ran.message


def test_finds_dependencies_and_nested_classes(tmp_path: Path) -> None:
    depends = wheel(tmp_path / "dep.whl", {"helper.py": "value = 42\n"}, name="dep")
    source = """
        class Outer:
            class Job:
                def validate(self, context, runtime, config):
                    return config
                def run_job(self, context, runtime, data):
                    import helper
                    return [helper.value, data['a.b'], data['a']['b'], data.get('a.c', 7), runtime.contextConfig]
    """
    ran = run(tmp_path, source, wheels=[depends], main="jobs.job.Outer.Job", config={"a": {"b": "x"}})
    assert ran.value == [42, "x", "x", 7, {"num-cpu-cores": 2, "python": {"paths": ["a"]}}]


def test_what_a_user_has_installed_for_himself_does_not_get_in(tmp_path: Path) -> None:
    ran = run(tmp_path, plain("import site; return [site.ENABLE_USER_SITE, sys.flags.isolated, sys.argv, sys.path[0]]"))
    assert ran.value[:3] == [False, 1, ["jobs.job.Job"]]
    assert ran.value[3].endswith(".whl")


@pytest.mark.parametrize(
    ("body", "kind", "result"),
    [
        ("return iter([b'[1', bytearray(b',2'), memoryview(b']')])", STREAM, b"[1,2]"),
        ("from sparkjobserver.api import Stream\nreturn Stream(['\"\u00e4', b'\"'])", STREAM, '"\u00e4"'.encode()),
        ("from sparkjobserver.api import Stream\nreturn Stream([])", NONE, None),
        ("return None", NONE, None),
        ("return (n for n in range(3))", "json", b"[0,1,2]"),
        ("return {'a': float('nan'), 2: (1, None), None: {1}, 'b': b'x'}", "json", None),
    ],
)
def test_keeps_results_of_every_kind(tmp_path: Path, body: str, kind: str, result: bytes | None) -> None:
    ran = run(tmp_path, plain(body))
    assert (ran.code, ran.outcome.kind, ran.outcome.result_kind) == (0, "finished", kind), ran.err
    assert (ran.folder / "result").exists() == (kind != NONE)
    if result is not None:
        assert ran.result == result
    elif kind == "json":
        assert ran.value == {"a": None, "2": [1, None], "null": "{1}", "b": "x"}


def test_keeps_a_large_result_and_refuses_one_that_is_too_large(tmp_path: Path) -> None:
    body = "return {'rows': ['x' * 1000 for _ in range(50_000)]}"
    ran = run(tmp_path / "1", plain(body))
    assert ran.outcome.result_kind == "json"
    assert len(ran.result) == 50_000 * 1003 + len('{"rows":[]}') - 1
    ran = run(tmp_path / "2", plain(body), limit_bytes=1_000_000)
    assert (ran.code, ran.outcome.kind) == (4, "result_error")
    assert "more than 1000000 bytes" in ran.message
    assert not list(ran.folder.glob("result*"))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_memory_of_a_huge_result_is_that_of_a_piece(tmp_path: Path) -> None:
    body = """
        def rows():
            for number in range(1_500_000):
                yield {'number': number, 'text': 'x' * 80, 'list': [number, None, 1.5]}
            print([line for line in open('/proc/self/status') if line.startswith('VmHWM')][0].split()[1])
        return rows()
    """
    ran = run(tmp_path, plain(body), deadline_s=280)
    assert (ran.folder / "result").stat().st_size > 150_000_000
    assert int(ran.out) < 50_000  # KiB


def test_output_is_the_jobs_own(tmp_path: Path) -> None:
    ran = run(tmp_path, plain("sys.stdout.buffer.write(bytes(range(256)))\nprint('\\ud800\u00e4', file=sys.stderr)"))
    assert ran.code == 0
    assert ran.out == bytes(range(256))
    assert ran.err == b"\\ud800\xc3\xa4\n"


def test_lines_are_seen_while_the_job_runs_and_validate_is_told_at_once(tmp_path: Path) -> None:
    folder = prepared(tmp_path, plain("print('running')\nruntime.progress(0.25, 'a quarter')\nsys.stdin.read()"))
    command = plan.command(folder, sys.executable)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            assert process.stdout.readline() == b"running\n"
            assert outcome.read_validated(folder) == ()
            until_s = time.monotonic() + DEADLINE_S
            while outcome.read_progress(folder) is None and time.monotonic() < until_s:
                time.sleep(0.01)
            assert outcome.read_progress(folder) == Progress(fraction=0.25, text="a quarter")
            assert outcome.read_told(folder) is None
            process.stdin.close()
            assert process.wait(DEADLINE_S) == 0
        finally:
            process.kill()
    assert outcome.conclude(folder, ended(0)).result_kind == NONE


def test_the_last_progress_is_told_however_many_came(tmp_path: Path) -> None:
    body = "for n in range(1000): runtime.progress(n / 999, f'step {n}')\nruntime.progress(float('nan'), 'x' * 5000)"
    ran = run(tmp_path, plain(body))
    assert outcome.read_progress(ran.folder) == Progress(fraction=None, text="x" * 1024)


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ("os._exit(7)", "exited", "Python job failed with error code 7"),
        ("os._exit(0)", "exited", "Python job ran successfully but failed to write any jobOutput"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "signalled", "Python job was ended by SIGKILL"),
        ("import ctypes; ctypes.string_at(0)", "signalled", "Python job was ended by SIGSEGV"),
        ("os.abort()", "signalled", "Python job was ended by SIGABRT"),
        ("import atexit; atexit.register(os._exit, 9); return 1", "exited", "Python job failed with error code 9"),
    ],
)
def test_the_end_that_the_keeper_saw_counts(tmp_path: Path, body: str, kind: str, message: str) -> None:
    ran = run(tmp_path, plain(body))
    assert (ran.outcome.kind, ran.message) == (kind, message)


def test_what_a_job_does_to_its_surroundings_does_not_matter(tmp_path: Path) -> None:
    body = """
        import shutil
        os.chdir('/')
        os.closerange(3, 100)
        print('lost', end='')
        os.close(1)
        shutil.rmtree(FOLDER)
        return 'still here'
    """
    ran = run(tmp_path, plain(body).replace("FOLDER", repr(str(tmp_path / "work"))))
    assert (ran.code, ran.outcome.kind, ran.value) == (0, "finished", "still here"), ran.err


def test_children_that_a_job_forks_say_nothing(tmp_path: Path) -> None:
    body = """
        if os.fork() == 0:
            return 'child'
        if os.fork() == 0:
            raise ValueError('child')
        if os.fork() == 0:
            runtime.progress(0.5, 'child')
            os._exit(3)
        return ['parent', *sorted(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(3))]
    """
    ran = run(tmp_path, plain(body))
    assert (ran.code, ran.value) == (0, ["parent", 3, 70, 70])
    assert outcome.read_progress(ran.folder) is None


def test_a_job_may_have_modules_of_any_name(tmp_path: Path) -> None:
    files = {
        "jobs/__init__.py": "",
        "jobs/job.py": "import traceback\n" + plain("raise ValueError('x')"),
        "traceback.py": "mine = True\n",
        "linecache.py": "raise ImportError('mine')\n",
        "sparkjobserver/__init__.py": "raise ImportError('never asked for')\n",
        "sparkjobserver/examples.py": plain("return 'mine'"),
    }
    package = wheel(tmp_path / "w.whl", files)
    ran = run(tmp_path / "1", "", package=package)
    assert (ran.code, ran.outcome.kind, ran.message) == (4, "run_raised", "x")
    ran = run(tmp_path / "2", "", package=package, main="sparkjobserver.examples.Job")
    assert (ran.code, ran.value) == (0, "mine")


def test_a_plan_that_is_gone_is_an_exit_code(tmp_path: Path) -> None:
    folder = prepared(tmp_path, "")
    (folder / "plan.json").unlink()
    done = subprocess.run(plan.command(folder, sys.executable), capture_output=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == 70
    assert b"plan" in done.stderr


def test_the_most_that_can_be_said_is_taken(tmp_path: Path) -> None:
    validate = "from sparkjobserver.api import build_problems as b; return b(['\\U0001f600' * 9999] * 200)"
    ran = run(tmp_path, plain("pass", validate=validate))
    assert (ran.code, ran.outcome.kind) == (1, "validation"), ran.err
    assert ran.outcome.problems == ("\U0001f600" * 4096,) * 100


def test_nothing_of_the_plan_is_for_others(tmp_path: Path) -> None:
    folder = prepared(tmp_path, "", config={"secret": 1})
    plan.write_plan(folder, _replanned(folder))  # again, as after a crash
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.glob("*.json"):
        assert path.stat().st_mode & 0o777 == 0o600


def _replanned(folder: Path) -> plan.RunnerPlan:
    told: dict[str, Any] = json.loads((folder / "plan.json").read_bytes())
    return plan.RunnerPlan(
        job_id=told["job_id"],
        main_class=told["main_class"],
        package=Path(told["package"]),
        context_name="c",
        settings={},
        result_limit_bytes=1,
    )


def test_a_language_that_is_not_known_is_told(tmp_path: Path) -> None:
    folder = prepared(tmp_path, "")
    told = json.loads((folder / "plan.json").read_bytes())
    (folder / "plan.json").write_text(json.dumps({**told, "language": "cobol"}))
    done = subprocess.run(plan.command(folder, sys.executable), capture_output=True, check=False, timeout=DEADLINE_S)
    found = outcome.conclude(folder, ended(done.returncode))
    assert (done.returncode, found.kind) == (1, "load_error")
