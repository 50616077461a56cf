"""Jobs out of jars in the process of a context: Scala and Java, by the API's traits or with ``main``."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from jobdeck_server.packages import plan
from tests.server.packages.kit import Ran
from tests.spark import pyjobs
from tests.spark.jvm import build
from tests.spark.jvm.build import Jars
from tests.spark.places import java_home
from tests.spark.pyjobs import Context, Job, until

WORDS = "a b c a b see"
THROWABLE = "java.lang.Throwable"


@pytest.fixture(scope="module")
def jars() -> Jars:
    return build.jars()


class Jvm:
    """A context, and jobs in it."""

    def __init__(self, context: Context, jars: Jars, folder: Path) -> None:
        self.context = context
        self.jars = jars
        self.folder = folder

    def start(
        self,
        main_class: str,
        config: Mapping[str, Any] | None = None,
        *,
        jars: Sequence[Path] | None = None,
        settings: Mapping[str, Any] | None = None,
        result_limit_bytes: int = 1 << 30,
        alone: bool = False,
    ) -> Job:
        """Start a job; of ``jobs.jar``, unless told otherwise."""
        job_id = str(uuid.uuid4())
        planned = plan.RunnerPlan(
            job_id=job_id,
            main_class=main_class,
            language=plan.JVM,
            jars=[self.jars.path("jobs")] if jars is None else jars,
            config=json.dumps(config or {}).encode(),
            context_kind="spark",
            context_name="here",
            link=self.context.folder / "control.sock",
            settings=settings or {},
            alone=alone,
            result_limit_bytes=result_limit_bytes,
        )
        return self.context.begin(self.folder / job_id, planned)

    def run(self, main_class: str, config: Mapping[str, Any] | None = None, **more: Any) -> Ran:
        """Run a job to its end."""
        return self.start(main_class, config, **more).ended()

    def value(self, main_class: str, config: Mapping[str, Any] | None = None, **more: Any) -> Any:
        """What a job returns, all being well."""
        ran = self.run(main_class, config, **more)
        assert (ran.code, ran.outcome.kind) == (0, "finished"), ran.err.decode() + str(ran.outcome)
        return ran.value

    def values(self, what: str, **more: Any) -> Any:
        """A result of some kind."""
        return self.value("jobs.Values", {"what": what, **more})


@pytest.fixture(scope="module")
def jvm(tmp_path_factory: pytest.TempPathFactory, jars: Jars) -> Iterator[Jvm]:
    """One context for all tests that leave it as they found it."""
    with pyjobs.context(tmp_path_factory.mktemp("context"), jars.api) as made:
        yield Jvm(made, jars, tmp_path_factory.mktemp("jobs"))


def error_of(ran: Ran) -> tuple[str, str]:
    """Class and message."""
    assert ran.outcome.error is not None
    return ran.outcome.error.error_class, ran.outcome.error.message


# -- jobs with traits --


def test_the_documents_example(jvm: Jvm) -> None:
    assert jvm.value("spark.jobserver.WordCountExample", {"input": {"string": WORDS}}) == {
        "a": 2,
        "b": 2,
        "c": 1,
        "see": 1,
    }


def test_the_documents_example_refused(jvm: Jvm) -> None:
    ran = jvm.run("spark.jobserver.WordCountExample", {"input": {}})
    assert (ran.code, ran.outcome.kind) == (1, "validation")
    assert ran.outcome.problems == ("No input.string config param",)
    assert error_of(ran) == (THROWABLE, "One(SparkJobInvalid(No input.string config param))")


def test_a_class_rather_than_an_object(jvm: Jvm) -> None:
    assert jvm.value("spark.jobserver.WordCountClass", {"input": {"string": WORDS}})["b"] == 2


def test_newer_traits_with_data_of_their_own(jvm: Jvm) -> None:
    assert jvm.value("jobs.NewCount", {"words": ["x", "y", "x"], "sure": True}) == {"x": 2, "y": 1}


def test_newer_traits_with_one_problem_and_with_two(jvm: Jvm) -> None:
    one, two = jvm.run("jobs.NewCount", {"words": []}), jvm.run("jobs.NewCount")
    assert one.outcome.problems == ("no sure",)
    assert error_of(one) == (THROWABLE, "One(SingleProblem(no sure))")
    assert two.outcome.problems == ("no words", "no sure")
    assert error_of(two) == (THROWABLE, "Many(SingleProblem(no words), SingleProblem(no sure))")


def test_data_that_is_a_number_and_values_of_the_jobs_own_from_executors(jvm: Jvm) -> None:
    assert jvm.value("jobs.Session", {"count": 3}) == [["w0", 0], ["w1", 2], ["w2", 4]]


def test_java_jobs(jvm: Jvm) -> None:
    assert jvm.value("jobs.JavaJobs$Count", {"words": ["a", "b", "a"]}) == {"A": 2, "B": 1}
    assert jvm.value("jobs.JavaJobs$Session", {"n": 4}) == 4


def test_java_jobs_refuse(jvm: Jvm) -> None:
    raised, returned = jvm.run("jobs.JavaJobs$Count"), jvm.run("jobs.JavaJobs$Session")
    assert raised.outcome.kind == "validate_raised"
    assert error_of(raised) == ("java.lang.IllegalArgumentException", "no words")
    assert returned.outcome.problems == ("no n",)
    assert error_of(returned) == (THROWABLE, "One(spark.jobserver.japi.JavaValidationException: no n)")


def test_what_the_environment_tells(jvm: Jvm) -> None:
    job = jvm.start("jobs.Environment", settings={"num-cpu-cores": 3})
    ran = job.ended()
    assert ran.outcome.kind == "finished", (ran.outcome, ran.err)
    assert ran.value == {
        "id": job.id,
        "named": None,
        "cores": 3,
        "thread": f"job-{job.id}",
        "group": job.id,
        "equal": False,
        "text": True,
        "hash": True,
    }


# -- what goes wrong --


def test_an_exception_with_its_cause(jvm: Jvm) -> None:
    ran = jvm.run("jobs.Failing", {"where": "driver"})
    assert (ran.code, ran.outcome.kind) == (4, "run_raised")
    assert error_of(ran) == ("java.lang.IllegalStateException", "it broke")
    assert ran.outcome.error is not None
    stack = ran.outcome.error.stack.splitlines()
    assert stack[0] == "java.lang.IllegalStateException: it broke"
    assert stack[1].startswith("\tat jobs.Failing$.runJob(Jobs.scala:")
    assert "Caused by: java.lang.RuntimeException: as the cause said" in stack
    assert b"Error while calling 'runJob': java.lang.IllegalStateException: it broke\n\tat jobs.Failing" in ran.err


def test_an_exception_in_a_task_and_one_without_a_message(jvm: Jvm) -> None:
    task = jvm.run("jobs.Failing", {"where": "task"})
    assert error_of(task)[0] == "org.apache.spark.SparkException"
    assert "java.lang.ArithmeticException: / by zero" in error_of(task)[1]
    silent = jvm.run("jobs.Failing", {"where": "silent"})
    assert error_of(silent) == ("java.lang.IllegalStateException", "java.lang.IllegalStateException")


def test_validate_that_throws_and_an_object_that_cannot_be_made(jvm: Jvm) -> None:
    validation = jvm.run("jobs.FailingValidation")
    assert (validation.code, validation.outcome.kind) == (3, "validate_raised")
    assert error_of(validation) == ("java.lang.IllegalArgumentException", "cannot look")
    start = jvm.run("jobs.FailingStart")
    assert (start.code, start.outcome.kind) == (1, "load_error")
    assert start.outcome.error is not None
    assert "never made" in start.outcome.error.stack


def test_what_is_no_class_and_what_is_no_job(jvm: Jvm) -> None:
    missing, none = jvm.run("jobs.Nowhere"), jvm.run("jobs.Word")
    assert (missing.code, missing.outcome.kind) == (1, "class_missing")
    assert (none.code, none.outcome.kind) == (1, "load_error")
    assert "neither the traits of Spark JobServer nor a main method" in error_of(none)[1]


def test_what_is_no_jar(jvm: Jvm, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jar"
    broken.write_bytes(b"PK\3\4 and no more")
    ran = jvm.run("jobs.Sum", jars=[broken])
    assert (ran.code, ran.outcome.kind) == (5, "package_error")


# -- results --


@pytest.mark.parametrize(
    ("what", "result"),
    [
        ("scalars", [1, 2, 1.5, 0.1, True, 'text \u00e4 \U0001f600 "\\\x01', None, None, None]),
        (
            "texts",
            [
                *("5", "6", "c", "7", "1.50", "8", "2.50", "Set(1)", "()", "'sym", "[9]", "2024-05-01"),
                *("Optional[3]", "DAYS", "class java.lang.String"),
            ],
        ),
        ("products", [[3], [], [1, "a"], ["n", [["m", [], []]], [1, 2]], [4]]),
        (
            "arrays",
            [
                *([1, 2], [1.5, None], [1], [0.5, None], [True], ["a", None], ["1"], ["2"], ["c"], [1, [2]]),
                *([["x", [], []]], []),
            ],
        ),
        ("maps", {"1": "int", "k": {"x": [1]}, "2.5": [], "true": {}, "c": 1, "(1,2)": 2}),
        ("java", {"list": [1, "b", [2.5]], "3": [{"a": [1]}], "day": "DAYS", "DAYS": None}),
        ("seqs", [[1], [2], [], [1, 2, 3], [4, 5], [6], [7], [8], ["a", "b"]]),
        ("unit", "()"),
        ("null", None),
        ("none", []),
        ("number", 42),
        ("text", "text"),
        ("half", "half of ? alone"),
        ("no-bytes", []),
    ],
)
def test_results(jvm: Jvm, what: str, result: Any) -> None:
    assert jvm.values(what) == result


def test_large_results_take_no_question_for_each_item(jvm: Jvm) -> None:
    begin_s = time.monotonic()
    large = jvm.values("large", count=100_000)
    assert (len(large), large[-1]) == (100_000, {"n": 100_000, "half": 50_000.0, "text": "t100000"})
    assert jvm.values("products-large", count=100_000)[-1] == [100_000, [100_000]]
    assert jvm.values("ints", count=1_000_000)[-1] == 999_999
    assert time.monotonic() - begin_s < 60  # a question takes 0.1 ms at best, and there would be millions


def test_bytes_are_a_stream(jvm: Jvm) -> None:
    ran = jvm.run("jobs.Values", {"what": "bytes", "count": 100_000})
    assert ran.outcome.result_kind == "stream"
    assert len(ran.value) == 100_001


def test_results_that_cannot_be_told(jvm: Jvm) -> None:
    endless = jvm.run("jobs.Values", {"what": "endless"}, result_limit_bytes=1 << 20)
    assert (endless.outcome.kind, error_of(endless)[1]) == ("result_error", "The result has more than 1048576 bytes.")
    for what, count in (("round", 0), ("deep", 100_000)):
        ran = jvm.run("jobs.Values", {"what": what, "count": count})
        assert ran.outcome.kind == "result_error", what
        assert "contains itself, or has too many values in one another" in error_of(ran)[1]
    ran = jvm.run("jobs.Values", {"what": "deep", "count": 600})
    assert (ran.outcome.kind, error_of(ran)[1]) == (
        "result_error",
        "the result has more than 500 values in one another",
    )
    assert jvm.run("jobs.Values", {"what": "deep", "count": 500}).outcome.kind == "finished"


def test_results_that_are_made_late_and_fail(jvm: Jvm) -> None:
    late = jvm.run("jobs.Values", {"what": "late"})
    assert (late.outcome.kind, *error_of(late)) == ("run_raised", "java.lang.ArithmeticException", "/ by zero")
    bytes_ = jvm.run("jobs.Values", {"what": "late-bytes"})
    assert (bytes_.outcome.kind, *error_of(bytes_)) == ("run_raised", "java.lang.RuntimeException", "no more")


# -- output --

PRINTED = b"Scala says gr\xc3\xbc\xc3\x9f \xe2\x9c\x93\nhalf a line\x00\xff\n"


def test_what_scala_prints_is_the_jobs_output(jvm: Jvm) -> None:
    ran = jvm.run("jobs.Printing", {"lines": 5000})
    lines = b"".join(b"line %d\n" % number for number in range(1, 5001))
    assert ran.out == PRINTED + lines + b"from another thread\n"
    assert ran.err == b"Scala complains\n"
    assert "Java says so" in jvm.context.log
    assert "Java complains" in jvm.context.log


def test_what_java_prints_is_the_output_of_a_job_that_is_alone(tmp_path: Path, jars: Jars) -> None:
    with pyjobs.context(tmp_path / "context", jars.api) as made:
        alone = Jvm(made, jars, tmp_path)
        ran = alone.run("jobs.Printing", {"lines": 1}, alone=True)
        assert ran.out == PRINTED + b"Java says so\nline 1\nfrom another thread\n"
        assert ran.err == b"Scala complains\nJava complains\n"
        assert "Java says so" not in made.log
        # And it may end the JVM, which is told
        left = alone.run("plain.Mains$Exiting", jars=[jars.path("plain")], alone=True)
        assert (left.code, left.outcome.kind) == (2, "context_lost")
        assert error_of(left)[1] == f"Unexpected termination of context {made.id}"
        assert left.out == b"leaving\n"


# -- main --


def test_a_class_with_main(jvm: Jvm) -> None:
    plain = [jvm.jars.path("plain")]
    ran = jvm.run("plain.Mains", {"args": ["one", "tw o", "\u00fc"]}, jars=plain)
    assert (ran.code, ran.outcome.kind, ran.outcome.result_kind) == (0, "finished", "none"), ran.err
    until(lambda: "3 arguments: [one, tw o, \u00fc]" in jvm.context.log)
    assert jvm.run("jobs.ScalaMain", {"args": ["a", "b"]}).out == b"[a|b]2\n"


def test_a_main_that_fails(jvm: Jvm) -> None:
    plain = [jvm.jars.path("plain")]
    ran = jvm.run("plain.Mains$Failing", jars=plain)
    assert (ran.outcome.kind, *error_of(ran)) == ("run_raised", "java.lang.IllegalStateException", "main broke")
    lacks = jvm.run("plain.Mains$NeedsMissing", jars=plain)
    assert (lacks.outcome.kind, *error_of(lacks)) == (
        "run_raised",
        "java.lang.NoClassDefFoundError",
        "plain/Mains$Missing",
    )
    assert jvm.run("plain.Mains$Nothing", jars=plain).outcome.kind == "load_error"
    assert jvm.run("plain.Mains", {"args": [1]}, jars=plain).outcome.problems == ("args is no list of texts",)


# -- several, and ends --


def test_ten_at_once(jvm: Jvm) -> None:
    with ThreadPoolExecutor(10) as threads:
        found = list(threads.map(lambda to: jvm.value("jobs.Sum", {"to": to}), range(10, 20)))
    assert found == [to * (to + 1) / 2 for to in range(10, 20)]


def test_a_job_that_is_killed_in_an_action(jvm: Jvm) -> None:
    job = jvm.start("jobs.Waiting", {"where": "action"})
    until(lambda: jvm.context.active(job) == 2)
    begin_s = time.monotonic()
    job.kill()
    until(lambda: job.id not in jvm.context.ask("status")["jobs"] and not threads_of(jvm, job))
    assert time.monotonic() - begin_s < 2
    assert jvm.value("jobs.Sum", {"to": 4}) == 10


def test_a_job_that_is_killed_in_code_of_its_own(jvm: Jvm) -> None:
    sleeping = jvm.start("jobs.Waiting", {"where": "sleep"})
    until(lambda: "sleep" in stack_of(jvm, sleeping))
    sleeping.kill()
    until(lambda: not threads_of(jvm, sleeping), 5)
    # What does not hear of an interruption goes on to its end, as there is no way to end it; its context lives
    spinning = jvm.start("jobs.Waiting", {"where": "spin", "s": 6})
    until(lambda: "Waiting" in stack_of(jvm, spinning))
    spinning.kill()
    assert jvm.value("jobs.Sum", {"to": 4}) == 10
    until(lambda: not threads_of(jvm, spinning), 20)


def threads_of(jvm: Jvm, job: Job) -> list[str]:
    """The names of a job's threads in the JVM."""
    found = []
    for task in Path(f"/proc/{java_pid(jvm)}/task").iterdir():
        name = (task / "comm").read_text().strip() if task.exists() else ""
        if name == f"job-{job.id}"[:15]:
            found.append(name)
    return found


def stack_of(jvm: Jvm, job: Job) -> str:
    """What a job's thread in the JVM is doing."""
    told = subprocess.run(
        [f"{java_home()}/bin/jstack", str(java_pid(jvm))], capture_output=True, text=True, timeout=60, check=False
    ).stdout
    return told.partition(f'"job-{job.id}"')[2].partition("\n\n")[0]


def java_pid(jvm: Jvm) -> int:
    """Of the context's JVM."""
    pid = jvm.context.process.pid
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


# -- versions --

VERSION = """
package small;
public class Told {
    public static void main(String[] args) throws Exception {
        System.setProperty("told." + args[0], "%s" + new String(
            Told.class.getResourceAsStream("/told.txt").readAllBytes()));
        scala.Predef$.MODULE$.println(System.getProperty("told." + args[0]));
    }
}
"""


def test_two_versions_of_one_jar_are_not_mixed(jvm: Jvm) -> None:
    first = build.small("told", VERSION % "one ", "Told", resources={"told.txt": "text"})
    code = build.small("told", VERSION % "two ", "Told", resources={"told.txt": "text"})
    text = build.small("told", VERSION % "one ", "Told", resources={"told.txt": "other"})
    assert jvm.run("small.Told", {"args": ["x"]}, jars=[first]).out == b"one text\n"
    for other, differs in ((code, "small/Told.class"), (text, "told.txt")):
        ran = jvm.run("small.Told", {"args": ["x"]}, jars=[other])
        assert (ran.code, ran.outcome.kind) == (5, "package_error")
        assert f"which this context has had already: {differs} differs. A new context" in error_of(ran)[1]
    assert jvm.run("small.Told", {"args": ["x"]}, jars=[first]).out == b"one text\n"


def test_a_class_of_anothers_jar_is_not_the_jobs(jvm: Jvm) -> None:
    assert jvm.value("jobs.Sum", {"to": 4}) == 10
    ran = jvm.run("jobs.Sum", {"to": 4}, jars=[jvm.jars.path("plain")])
    assert (ran.code, ran.outcome.kind) == (1, "class_missing")


# -- without the API's jars --


def test_without_the_apis_jars(tmp_path: Path, jars: Jars) -> None:
    with pyjobs.context(tmp_path / "context") as made:
        bare = Jvm(made, jars, tmp_path)
        lacks = bare.run("spark.jobserver.WordCountExample", {"input": {"string": WORDS}})
        assert (lacks.code, lacks.outcome.kind) == (1, "load_error")
        assert "start the server with --spark-api-jars" in error_of(lacks)[1]
        assert error_of(lacks)[0] == "java.lang.NoClassDefFoundError"
        assert bare.run("plain.Mains", jars=[jars.path("plain")]).outcome.kind == "finished"
        half = bare.run("spark.jobserver.WordCountExample", jars=[jars.path("fat")])
        assert half.outcome.kind == "load_error"
        assert "com/typesafe/config" in error_of(half)[1]
        assert "--spark-api-jars" in error_of(half)[1]
        whole = [jars.path("fat"), jars.api[1]]
    with pyjobs.context(tmp_path / "other") as made:
        own = Jvm(made, jars, tmp_path / "own")
        assert own.value("spark.jobserver.WordCountExample", {"input": {"string": "a"}}, jars=whole) == {"a": 1}
        # What one jar has brought others find, as in the original
        assert own.value("jobs.Sum", {"to": 4}) == 10
