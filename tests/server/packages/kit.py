"""Real wheels and eggs, and jobs out of them run by a real interpreter."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from jobdeck_server.engines.base import Ended
from jobdeck_server.packages import outcome, plan
from jobdeck_server.packages.outcome import Outcome

DEADLINE_S = 50
JOBPATH = str(Path(plan.__file__).parent / "jobpath")


def jobs_own(name: str) -> ModuleType:
    """A module as a job would import it."""
    if JOBPATH not in sys.path:
        sys.path.append(JOBPATH)
    return importlib.import_module(name)


def wheel(path: Path, files: Mapping[str, str | bytes], *, name: str = "jobs", pure: bool = True) -> Path:
    about = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for inner, text in files.items():
            file.writestr(inner, text if isinstance(text, bytes) else textwrap.dedent(text))
        file.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        tag = "py3-none-any" if pure else "cp311-cp311-linux_x86_64"
        pure_word = "true" if pure else "false"
        file.writestr(f"{about}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: {pure_word}\nTag: {tag}\n")
        file.writestr(f"{about}/RECORD", "".join(f"{inner},,\n" for inner in files))
    return path


def egg(path: Path, files: Mapping[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for inner, text in files.items():
            file.writestr(inner, textwrap.dedent(text))
        file.writestr("EGG-INFO/PKG-INFO", "Metadata-Version: 1.0\nName: jobs\nVersion: 1.0\n")
        file.writestr("EGG-INFO/zip-safe", "\n")
    return path


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A job that has ended."""

    code: int
    out: bytes
    err: bytes
    folder: Path
    outcome: Outcome

    @property
    def result(self) -> bytes:
        return (self.folder / "result").read_bytes()

    @property
    def value(self) -> Any:
        return json.loads(self.result)

    @property
    def message(self) -> str:
        assert self.outcome.error is not None
        return self.outcome.error.message


def prepared(
    tmp_path: Path,
    source: str,
    *,
    main: str = "jobs.job.Job",
    config: Mapping[str, Any] | None = None,
    package: Path | None = None,
    wheels: Sequence[Path] = (),
    kind: str = plan.PLAIN,
    limit_bytes: int = 1 << 30,
) -> Path:
    """A job's folder, ready to be run."""
    files = {"jobs/__init__.py": "", "jobs/job.py": source}
    tmp_path.mkdir(exist_ok=True)
    folder = tmp_path / "work"
    plan.write_plan(
        folder,
        plan.RunnerPlan(
            job_id="11111111-2222-4333-8444-555555555555",
            main_class=main,
            package=package or wheel(tmp_path / "jobs-1.0-py3-none-any.whl", files),
            wheels=wheels,
            config=json.dumps(config or {}).encode(),
            context_kind=kind,
            context_name="here",
            settings={"num-cpu-cores": 2, "python": {"paths": ["a"]}},
            result_limit_bytes=limit_bytes,
        ),
    )
    return folder


def ended(code: int) -> Ended:
    """What the keeper would tell of an exit status as subprocess has it."""
    if code < 0:
        return Ended(how="exit", signal=-code, finished_us=1)
    return Ended(how="exit", code=code, finished_us=1)


def run(
    tmp_path: Path, source: str, *, python: str = sys.executable, deadline_s: float = DEADLINE_S, **more: Any
) -> Ran:
    return run_prepared(prepared(tmp_path, source, **more), python=python, deadline_s=deadline_s)


def run_prepared(folder: Path, *, python: str = sys.executable, deadline_s: float = DEADLINE_S) -> Ran:
    done = subprocess.run(
        plan.command(folder, python),
        cwd=plan.working_folder(folder),
        capture_output=True,
        timeout=deadline_s,
        check=False,
        env={"PATH": "/usr/bin:/bin", "LANG": "C"},
    )
    return Ran(
        code=done.returncode,
        out=done.stdout,
        err=done.stderr,
        folder=folder,
        outcome=outcome.conclude(folder, ended(done.returncode)),
    )
