"""Jars without a JVM: which packages make a job on it, its plan, and which jars cannot be together in a context."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobdeck_protocol.contextinfo import ContextInfo
from jobdeck_server.core import packagekinds
from jobdeck_server.core.errors import PackageError, WrongKindError
from jobdeck_server.core.hocon import JobConfig
from jobdeck_server.core.packagefinder import EGG, JAR, WHEEL, JobPackage
from jobdeck_server.packages.plan import JVM, PYTHON
from tests.server.packages import kit
from tests.server.packages.jobsbench import jobsbench
from tests.server.packages.test_shop import content, launch_of, never

PLAIN = ContextInfo(id="c", name="c")
BOTH = ContextInfo(id="c", name="c", kind="spark")
SCALA = ContextInfo(
    id="c", name="c", kind="spark", settings={"context-factory": "spark.jobserver.context.DefaultSparkContextFactory"}
)
PYTHONS = ContextInfo(
    id="c",
    name="c",
    kind="spark",
    settings={"context-factory": "spark.jobserver.python.PythonSessionContextFactory"},
)


def packages(*kinds: str) -> list[JobPackage]:
    return [JobPackage(name=f"{kind}{number}", kind=kind, content=str(number)) for number, kind in enumerate(kinds)]


# -- languages --


@pytest.mark.parametrize(
    ("kinds", "context", "language"),
    [
        ([JAR], BOTH, JVM),
        ([JAR, JAR], SCALA, JVM),
        ([WHEEL], BOTH, PYTHON),
        ([EGG], PYTHONS, PYTHON),
        ([WHEEL], PLAIN, PYTHON),
    ],
)
def test_languages(kinds: list[str], context: ContextInfo, language: str) -> None:
    assert packagekinds.language_of(packages(*kinds), context) == language


@pytest.mark.parametrize(
    ("kinds", "context"), [([JAR], PLAIN), ([JAR], PYTHONS), ([WHEEL], SCALA), ([JAR, WHEEL], SCALA)]
)
def test_contexts_that_do_not_take_it(kinds: list[str], context: ContextInfo) -> None:
    with pytest.raises(WrongKindError):
        packagekinds.language_of(packages(*kinds), context)


@pytest.mark.parametrize(
    ("kinds", "text"),
    [
        ([JAR, WHEEL], "not of both"),
        ([WHEEL, EGG], "exactly one package file! Found: 2"),
        ([], "exactly one package file! Found: 0"),
    ],
)
def test_what_makes_no_job(kinds: list[str], text: str) -> None:
    with pytest.raises(PackageError, match=text):
        packagekinds.language_of(packages(*kinds), BOTH)


def test_what_jobs_stand_on() -> None:
    settings = {"cp": "a, b", "dependent-jar-uris": ["b", "c"], "python": {"paths": ["d"]}}
    assert packagekinds.dependencies_of_context(settings, JVM) == ["a", "b", "c"]
    assert set(packagekinds.dependencies_of_context(settings, PYTHON)) == {"a", "b", "c", "d"}
    assert packagekinds.dependencies_of_job(JobConfig(text=b"{}", head={"dependent-jar-uris": "x,y,x"})) == ["x", "y"]


def test_what_is_of_the_other_language() -> None:
    several = packages(JAR, WHEEL)
    assert packagekinds.taken(several, BOTH, JVM) == several[:1]
    assert packagekinds.taken(several, BOTH, PYTHON) == several[1:]
    with pytest.raises(PackageError, match="jar0 is a jar"):
        packagekinds.taken(several, PLAIN, PYTHON)
    with pytest.raises(PackageError, match="wheel1 is no jar"):
        packagekinds.check(several, JVM)


def test_each_package_is_kept_once() -> None:
    one, two = packages(JAR, JAR)
    kept = packagekinds.spec([one, two, replace(one, name="again")], BOTH, JVM)
    assert kept["packages"] == [one.spec(), two.spec()]
    assert (kept["language"], kept["context"]["kind"]) == (JVM, "spark")


# -- the plan --


async def test_the_plan_of_a_job_out_of_jars(tmp_path: Path) -> None:
    async with jobsbench(tmp_path) as own:
        hashes = [await content(own, data) for data in (b"PK\3\4 one", b"PK\3\4 two")]
        launch = await launch_of(own, language=JVM)
        launch.spec["package"]["packages"] = [
            {"name": name, "kind": JAR, "content": each} for name, each in zip(("../a.jar", "b"), hashes, strict=True)
        ]
        await own.shop.prepare(launch, cancelled=never)
        folder = tmp_path / "work" / launch.job_id
        plan = json.loads((folder / "plan.json").read_bytes())
        assert (plan["language"], plan["package"], plan["wheels"]) == ("jvm", None, [])
        assert plan["context"]["alone"] is True, "of a context of its own"
        assert plan["jars"] == [str(folder / "brought" / name) for name in ("0-a.jar", "1-b.jar")]
        assert [Path(path).read_bytes() for path in plan["jars"]] == [b"PK\3\4 one", b"PK\3\4 two"]


def test_a_context_without_a_jvm(tmp_path: Path) -> None:
    folder = kit.prepared(tmp_path, "")
    plan: dict[str, Any] = json.loads((folder / "plan.json").read_bytes())
    (folder / "plan.json").write_text(json.dumps({**plan, "language": "jvm"}))
    ran = kit.run_prepared(folder)
    assert (ran.code, ran.outcome.kind) == (2, "context_error")
    assert "has no JVM" in ran.message


# -- versions --


def jar(path: Path, **files: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", path.name)
        archive.writestr("a/", "")
        for name, text in files.items():
            archive.writestr(name.replace("__", "/").replace("_class", ".class").replace("_txt", ".txt"), text)
    return path


def test_jars_that_cannot_be_together(tmp_path: Path) -> None:
    jars = kit.jobs_own("sparkjobserver._jvmjars")
    first = jars.contents(str(jar(tmp_path / "1", a__A_class="A", a__B_class="B", conf_txt="1")))

    def differs(**files: str) -> str | None:
        found: str | None = jars.difference(jars.contents(str(jar(tmp_path / "2", **files))), first)
        return found

    assert differs(a__A_class="A", a__B_class="B", conf_txt="1") is None, "the same under another name"
    assert differs(a__A_class="A2", a__C_class="C") == "a/A.class"
    assert differs(a__A_class="A", a__C_class="C", conf_txt="2") == "conf.txt"
    assert differs(a__A_class="A", a__C_class="C") is None, "what they share is the same"
    assert differs(b__A_class="A2", conf_txt="2") is None, "another application"


def test_names_of_jars(tmp_path: Path) -> None:
    jars = kit.jobs_own("sparkjobserver._jvmjars")
    one, two = jar(tmp_path / "0-my app.jar", a_class="A"), jar(tmp_path / "12-b.jar", a_class="B")
    (name, other) = (jars._named(str(path)) for path in (one, two))
    assert name[32:] == "-my_app.jar"
    assert other[32:] == "-b.jar"
    assert name[:32] != other[:32]
