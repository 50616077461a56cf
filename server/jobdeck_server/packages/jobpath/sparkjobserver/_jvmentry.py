"""The class of a JVM job: found, made, and called as its traits have it.

A job gets the context that its methods take: a SparkContext, a JavaSparkContext, a SparkSession or an SQLContext. Its
data (what ``validate`` has made of the configuration) and its result stay in the JVM.
"""

# py4j's objects are whatever Java says they are.
# ruff: noqa: ANN401
from __future__ import annotations

import re

from py4j.protocol import Py4JJavaError

from ._jsontext import dumps
from ._jvmerrors import SUPPLY, class_name, told
from ._jvmhandles import Box
from ._task import JobError

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._gateway import Place
    from ._jvmhandles import Handles
    from ._jvmjars import Jars
    from ._task import Task

__all__ = ["Entry", "find"]

_PROBLEM_COUNT, _PROBLEM_CHARS = 100, 4 * 1024
_NEW, _OLD, _JAVA = (
    "spark.jobserver.api.SparkJobBase",
    "spark.jobserver.SparkJobBase",
    "spark.jobserver.japi.BaseJavaJob",
)
_ENVIRONMENT = "spark.jobserver.api.JobEnvironment"
_INVALID = "spark.jobserver.SparkJobInvalid"
_JAVA_PROBLEM = "spark.jobserver.japi.JavaValidationException"  # what the original wraps a Java job's exception in
_CONFIG = "com.typesafe.config.ConfigFactory"
_METHOD = re.compile(r"\.(\w+)\(([^()]*)\)")
_LOOKED_FOR = ("java.lang.ClassNotFoundException", "java.lang.NoSuchFieldException", "java.lang.NoSuchMethodException")


class Problems(list):  # type: ignore[type-arg]  # of texts; Python 3.8 cannot say so here
    """Why a job refuses its configuration; ``shown`` is how the original prints them all."""

    shown = ""


class Entry:
    """What is called: ``validate``, then ``run``."""

    result: Box

    def validate(self) -> Problems | None:
        """Have the job look at its configuration.

        Returns:
            Its problems, or None.

        Raises:
            py4j.protocol.Py4JJavaError: What it has thrown.
        """
        raise NotImplementedError("validate")

    def run(self) -> bool:
        """Have the job do its work.

        Returns:
            Whether there is a result, in ``result``.

        Raises:
            py4j.protocol.Py4JJavaError: What it has thrown.
        """
        raise NotImplementedError("run")


def find(task: Task, place: Place, handles: Handles, jars: Jars) -> Entry:
    """Find the job's class and make its object.

    Raises:
        JobError: There is none, or it cannot be made, or it is no job.
    """
    try:
        return _Finder(task, place, handles, jars).find(task.main_class)
    except Py4JJavaError as error:  # such as that a class is missing that a method of it takes
        raise told(handles, error, "load_error", f"{task.main_class} could not be loaded: ") from None


class _Finder:
    def __init__(self, task: Task, place: Place, handles: Handles, jars: Jars) -> None:
        self._task = task
        self._place = place
        self._handles = handles
        self._jars = jars
        self._bases = {name: self._loaded(name) for name in (_NEW, _OLD, _JAVA)}

    def find(self, name: str) -> Entry:
        """See ``find``."""
        object_class, plain_class = self._own(f"{name}$"), self._own(name)
        if object_class is None and plain_class is None:
            raise JobError("class_missing", f"There is no class {name} in the job's jars.", error_class=_LOOKED_FOR[0])
        if object_class is not None and self._base_of(object_class) is not None:
            made = self._made(name, lambda: object_class.getField("MODULE$").get(None))
            return self._job(made, object_class)
        if plain_class is not None and self._base_of(plain_class) is not None:
            made = self._made(name, lambda: self._new(plain_class))
            return self._job(made, plain_class)
        main = None if plain_class is None else self._main_of(plain_class)
        if main is None:
            lacks = "" if any(self._bases.values()) else f" {SUPPLY}."
            text = f"{name} is no job: it has neither the traits of Spark JobServer nor a main method.{lacks}"
            raise JobError("load_error", text, error_class="java.lang.ClassCastException")
        return _Main(self._task, self._handles, main)

    def _own(self, name: str) -> Any:
        """A class of the job's jars, or of Spark; None if there is none of this name."""
        found = self._loaded(name)
        return None if found is None or self._jars.is_of_others(found) else found

    def _loaded(self, name: str) -> Any:
        """A class, not yet initialized; None if there is none of this name."""
        try:
            return self._jars.loader.loadClass(name)
        except Py4JJavaError as error:
            if class_name(error.java_exception) in _LOOKED_FOR:
                return None
            raise

    def _made(self, name: str, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except Py4JJavaError as error:
            raise told(self._handles, error, "load_error", f"{name} could not be made: ") from None

    def _new(self, java_class: Any) -> Any:
        maker = java_class.getDeclaredConstructor(self._handles.classes())
        maker.setAccessible(True)
        return maker.newInstance(self._handles.array(()))

    def _base_of(self, java_class: Any) -> str | None:
        """Which of the traits a class has."""
        for name, base in self._bases.items():
            if base is not None and base.isAssignableFrom(java_class):
                return name
        return None

    def _job(self, made: Any, java_class: Any) -> Entry:
        if self._base_of(java_class) == _JAVA:
            return _JavaJob(self, made, java_class)
        return _ScalaJob(self, made, java_class)

    def _main_of(self, java_class: Any) -> Any:
        """Its public static ``main``, or None."""
        try:
            main = java_class.getMethod("main", self._handles.classes(self._handles.named("[Ljava.lang.String;")))
        except Py4JJavaError as error:
            if class_name(error.java_exception) in _LOOKED_FOR:
                return None
            raise
        return main if self._handles.static("java.lang.reflect.Modifier").isStatic(main.getModifiers()) else None

    # -- what jobs are given --

    @property
    def handles(self) -> Handles:
        """Of the gateway."""
        return self._handles

    def config(self, value: Any) -> Any:
        """A ``Config`` of a value of JSON, by the library that the operator supplies, or the jar."""
        factory = self._loaded(_CONFIG)
        if factory is None:
            raise JobError("load_error", f"There is no {_CONFIG}. {SUPPLY}.", error_class=_LOOKED_FOR[0])
        parse = factory.getMethod("parseString", self._handles.classes(self._handles.named("java.lang.String")))
        return parse.invoke(None, self._handles.array([dumps(value).decode()]))

    def job_config(self) -> Any:
        """The job's configuration."""
        return self.config(self._task.config)

    def environment(self) -> Any:
        """A ``JobEnvironment``; None where the traits know of none."""
        interface = self._loaded(_ENVIRONMENT)
        if interface is None:
            return None
        told_of = {
            "jobId": self._task.job_id,
            "contextConfig": self.config(self._task.plan["context"]["settings"]),
            "toString": f"JobEnvironment({self._task.job_id})",
            "equals": False,
            "hashCode": hash(self._task.job_id) & 0x7FFFFFFF,
        }
        return self._handles.answering(self._jars.loader, interface, told_of)

    def method(self, java_class: Any, name: str) -> tuple[Any, Any]:
        """The method of this name that takes a context, and that context.

        Raises:
            JobError: It takes one that is not to be had here.
        """
        methods = java_class.getMethods()
        text = self._handles.static("scala.runtime.ScalaRunTime").stringOf(methods)
        asked = []
        found = []
        for index, each in enumerate(text[text.index("(") + 1 :].split(", ")):  # methods are written without blanks
            match = _METHOD.search(each)
            if match is not None and match[1] == name:
                takes = match[2].split(",")
                asked.append(takes[0])
                found.append((len(takes), takes[0], index))
        for count, first, index in sorted(found, reverse=True):
            context = self._context(first)
            if context is not None and count >= 2:  # of the oldest API: a context and the configuration
                return methods[index], context
        wanted = ", ".join(sorted(set(asked) - {"java.lang.Object"}))
        text = f"{java_class.getName()} is no job for this context: its {name} takes {wanted or 'no context'}."
        raise JobError("load_error", text, error_class="java.lang.ClassCastException")

    def _context(self, name: str) -> Any:
        jsc = self._place.jsc
        if name == "org.apache.spark.SparkContext":
            return jsc.sc()
        if name == "org.apache.spark.api.java.JavaSparkContext":
            return jsc
        sessions = self._handles.static("org.apache.spark.sql.SparkSession")
        if name == "org.apache.spark.sql.SparkSession":
            return sessions.builder().getOrCreate()
        if name == "org.apache.spark.sql.SQLContext":
            return sessions.builder().getOrCreate().sqlContext()
        return None


class _Job(Entry):
    """A job with traits."""

    verb, look = "runJob", "validate"

    def __init__(self, finder: _Finder, made: Any, java_class: Any) -> None:
        self._finder = finder
        self._made = made
        self._handles = finder.handles
        self._looked = Box(self._handles)
        self.result = Box(self._handles)
        self._run, self._context = finder.method(java_class, self.verb)
        self._look, _ = finder.method(java_class, self.look)
        self._environment = finder.environment() if self._look.getParameterCount() > 2 else None
        self._config: Any = None

    def validate(self) -> Problems | None:
        """See ``Entry``."""
        self._config = self._finder.job_config()
        arguments = [self._context, self._environment, self._config]
        if self._look.getParameterCount() == 2:  # the oldest API
            del arguments[1]
        self._looked.fill(self._made, self._look, self._handles.array(arguments))
        return self._problems()

    def run(self) -> bool:
        """See ``Entry``."""
        if self._run.getParameterCount() == 2:  # the oldest API
            arguments = self._handles.array([self._context, self._config])
        else:
            arguments = self._handles.array([self._context, self._environment, None])
            self._put_data(arguments)
        self.result.fill(self._made, self._run, arguments)
        return True

    def _problems(self) -> Problems | None:
        raise NotImplementedError("_problems")

    def _put_data(self, arguments: Any) -> None:
        raise NotImplementedError("_put_data")


class _ScalaJob(_Job):
    def _problems(self) -> Problems | None:
        looked = self._looked.get()
        if self._look.getParameterCount() == 2:  # the oldest API: valid or not
            return _refusal([looked], f"One({looked.toString()})") if class_name(looked) == _INVALID else None
        if looked.isGood():
            return None
        several = looked.productElement(0)
        items = several.toVector().iterator() if hasattr(several, "toVector") else None
        problems: list[Any] = []
        while items is not None and items.hasNext() and len(problems) < _PROBLEM_COUNT:
            problems.append(items.next())
        return _refusal(problems or [several], str(several.toString()))

    def _put_data(self, arguments: Any) -> None:
        looked = self._looked.get()
        self._handles.put(arguments, 2, self._handles.method(looked.getClass(), "get").bindTo(looked))


class _JavaJob(_Job):
    verb, look = "run", "verify"

    def _problems(self) -> Problems | None:
        if not self._looked.is_a(self._handles.named("java.lang.Throwable")):
            return None
        thrown = self._looked.get()
        text = thrown.getMessage() or class_name(thrown)
        found = Problems([str(text)[:_PROBLEM_CHARS]])
        found.shown = f"One({_JAVA_PROBLEM}: {text})"
        return found

    def _put_data(self, arguments: Any) -> None:
        self._looked.put(arguments, 2)


class _Main(Entry):
    """A class with ``main``; its result is what it prints."""

    def __init__(self, task: Task, handles: Handles, main: Any) -> None:
        self._words = task.config.get("args", [])
        self._handles = handles
        self._main = main
        self.result = Box(handles)

    def validate(self) -> Problems | None:
        """See ``Entry``."""
        if isinstance(self._words, list) and all(isinstance(each, str) for each in self._words):
            return None
        found = Problems(["args is no list of texts"])
        found.shown = "One(SparkJobInvalid(args is no list of texts))"
        return found

    def run(self) -> bool:
        """See ``Entry``."""
        words = self._handles.array(self._words, "java.lang.String")
        self.result.fill(None, self._main, self._handles.array([words]))
        return False


def _refusal(problems: list[Any], shown: str) -> Problems:
    """What jobs in Scala refuse a configuration with: the text that a problem is made of, else how it is printed."""
    found = Problems()
    for each in problems:
        single = hasattr(each, "productArity") and each.productArity() == 1
        text = each.productElement(0) if single else each.toString()
        found.append(str(text)[:_PROBLEM_CHARS])
    found.shown = shown
    return found
