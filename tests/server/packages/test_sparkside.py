"""What Python jobs on Spark do without Java: where pyspark is found, and what executors are sent."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.server.packages.kit import JOBPATH, jobs_own, wheel

_OURS = Path(JOBPATH) / "sparkjobserver"


def python(code: str, **env: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-s", "-c", code], capture_output=True, check=True, timeout=50, env={**env, "PATH": "/bin"}
    )
    assert done.stderr == b""
    return done.stdout.decode().split()


def spark(folder: Path, *, unpacked: bool) -> Path:
    """A folder of Spark as pip lays it out, or as Spark's own distribution with nothing but zips."""
    home = folder / "site" / "pyspark"
    lib = home / "python" / "lib"
    lib.mkdir(parents=True)
    for name, file, module in (("pyspark", "pyspark.zip", "context"), ("py4j", "py4j-1-src.zip", "clientserver")):
        with zipfile.ZipFile(lib / file, "w") as zipped:
            zipped.writestr(f"{name}/__init__.py", "")
            zipped.writestr(f"{name}/{module}.py", "")
        if unpacked:
            place = folder / "site" / name
            place.mkdir(exist_ok=True)
            (place / "__init__.py").touch()
            (place / f"{module}.py").touch()
    (folder / "site" / "stranger.py").touch()
    return home


@pytest.mark.parametrize("unpacked", [True, False])
def test_pyspark_is_that_of_spark_unpacked_where_it_lies_so_and_nothing_beside_it(
    tmp_path: Path, *, unpacked: bool
) -> None:
    home = spark(tmp_path, unpacked=unpacked)
    code = (
        f"import sys; sys.path.insert(0, {str(_OURS)!r}); import _sparkpath; _sparkpath.offer({str(home)!r}, 1)\n"
        "import pyspark.context, py4j.clientserver, importlib.util\n"
        "print(pyspark.context.__file__, py4j.clientserver.__file__, importlib.util.find_spec('stranger') is None)"
    )
    places = [tmp_path / "site", tmp_path / "site"]
    if not unpacked:
        places = [home / "python/lib/pyspark.zip", home / "python/lib/py4j-1-src.zip"]
    wanted = [str(places[0] / "pyspark/context.py"), str(places[1] / "py4j/clientserver.py"), "True"]
    assert python(code) == wanted


def test_spark_without_a_pyspark_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match="py4j"):
        jobs_own("sparkjobserver._sparkpath").offer(str(tmp_path), 0)


def test_workers_load_the_unpacked_pyspark_and_hear_who_else_customizes_them(tmp_path: Path) -> None:
    home = spark(tmp_path, unpacked=True)
    lib = home / "python/lib"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "sitecustomize.py").write_text("import sys\nsys.heard = True\n")
    path = f"{lib}/pyspark.zip:{lib}/py4j-1-src.zip:{_OURS / '_workers'}"
    code = (
        "import sys, pyspark.context; print(pyspark.__file__, getattr(sys, 'heard', None),"
        "sum('.zip' in each for each in sys.path), sum('sparkjobserver' in each for each in sys.path))"
    )
    zips = str(sum(each.endswith(".zip") for each in sys.path))  # of the interpreter's own
    unpacked = str(tmp_path / "site/pyspark/__init__.py")
    assert python(code, PYTHONPATH=path, SPARK_HOME=str(home)) == [unpacked, "None", zips, "0"]
    heard = python(code, PYTHONPATH=f"{path}:{tmp_path / 'other'}", SPARK_HOME=str(home))
    assert heard == [unpacked, "True", zips, "0"]
    assert python(code, PYTHONPATH=path)[0] == str(lib / "pyspark.zip/pyspark/__init__.py")


class Added:
    """Stands for Spark's SparkContext."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def addFile(self, path: str) -> None:
        assert os.path.exists(path)
        self.told.append(os.path.basename(path))

    def addArchive(self, uri: str) -> None:
        path, _, name = uri.removeprefix("file://").partition("#")
        assert os.path.basename(path) == f"{name}.zip"
        assert zipfile.ZipFile(path).namelist() == ["jobs/__init__.py", "jobs/fast.so"]
        self.told.append(name)


def test_executors_are_sent_each_content_once_whatever_its_name(tmp_path: Path) -> None:
    ship = jobs_own("sparkjobserver._sparkfiles").ship
    context, control = Added(), str(tmp_path / "process/control.sock")
    own = wheel(tmp_path / "jobs-1.0-py3-none-any.whl", {"jobs/__init__.py": ""})
    helper = wheel(tmp_path / "h\u00e4lp er.egg", {"helper.py": ""}, name="helper")
    folder = tmp_path / "0-unpacked.whl"
    (folder / "jobs").mkdir(parents=True)
    (folder / "jobs/__init__.py").touch()
    (folder / "jobs/fast.so").write_bytes(b"\x7fELF")

    names = ship(context, control, [str(own), str(helper), str(folder)])
    assert [name.partition("-")[2] for name in names] == [
        "sparkjobserver.zip",
        "0-unpacked",
        "h_lp_er.zip",
        "jobs-1.0-py3-none-any.zip",
    ]
    assert context.told == names
    with zipfile.ZipFile(tmp_path / "process/executors" / names[0]) as contract:
        assert "sparkjobserver/api.py" in contract.namelist()

    os.rename(own, tmp_path / "again.whl")
    again = ship(context, control, [str(tmp_path / "again.whl"), str(helper), str(folder)])
    assert again[:3] == names[:3]
    assert again[3].partition("-")[0] == names[3].partition("-")[0]
    (folder / "jobs/fast.so").write_bytes(b"\x7fELF2")
    assert ship(context, control, [str(folder)])[1] != names[1]
