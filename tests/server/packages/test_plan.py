"""What of a package goes on the path, and in which Pythons the job's own side runs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from jobdeck_server.core.bundles.errors import UnpackError
from jobdeck_server.core.bundles.limits import UnpackLimits
from jobdeck_server.packages.plan import lay_out
from tests.server.packages.kit import JOBPATH, run, wheel

ADD = (
    "class Job:\n    def validate(self, c, r, d): return 1\n    def run_job(self, c, r, d):\n        return __file__\n"
)


def laid_out(package: Path, folder: Path) -> Path:
    with package.open("rb") as source:
        return lay_out(source, package, "own", folder, UnpackLimits())


def test_a_pure_package_stays_as_it_is(tmp_path: Path) -> None:
    package = wheel(tmp_path / "a.whl", {"jobs/__init__.py": "", "jobs/data.txt": "x"})
    assert laid_out(package, tmp_path / "work") == package
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    "binary", ["jobs/fast.cpython-311-x86_64-linux-gnu.so", "jobs.libs/libx.so.6", "EGG-INFO/not-zip-safe"]
)
def test_a_package_with_binary_parts_is_unpacked_and_runs(tmp_path: Path, binary: str) -> None:
    files: dict[str, str | bytes] = {"jobs/__init__.py": "", "jobs/job.py": ADD, binary: b"\x7fELF"}
    package = wheel(tmp_path / "a.whl", files, pure=False)
    place = laid_out(package, tmp_path / "work")
    assert place == tmp_path / "work/packages/own"
    assert (place / binary).read_bytes() == b"\x7fELF"
    assert run(tmp_path, "", package=place).value == str(place / "jobs/job.py")


def test_a_package_that_would_leave_its_folder_is_refused(tmp_path: Path) -> None:
    package = wheel(tmp_path / "a.whl", {"../evil.so": b""})
    with pytest.raises(UnpackError):
        laid_out(package, tmp_path / "work")
    (tmp_path / "b.whl").write_bytes(b"PK\3\4 no zip")
    with pytest.raises(UnpackError):
        laid_out(tmp_path / "b.whl", tmp_path / "work")


def test_the_jobs_side_is_of_every_python_since_3_8() -> None:
    for path in Path(JOBPATH).rglob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 8))


def test_the_jobs_side_loads_next_to_nothing() -> None:
    code = f"import sys; sys.path.insert(0, {JOBPATH!r}); import sparkjobserver._run; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, check=True, timeout=50)
    loaded = set(done.stdout.decode().split())
    assert not loaded & {"typing", "dataclasses", "inspect", "traceback", "contextlib", "tempfile", "jobdeck_server"}
    assert not loaded & {"json", "re", "enum", "collections", "functools"}, "the compiled half of json is enough"
