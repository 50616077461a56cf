"""Which packages make a job, and in which language it is then. Pure.

A job in Python is one wheel or egg, a job on the JVM one jar or several. What it stands on is of its own kind, too; but
a context that takes both (one on Spark with no factory named) may name packages of both kinds, and a job takes those
that are its.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobdeck_server.core import contextsettings
from jobdeck_server.core.errors import PackageError, WrongKindError
from jobdeck_server.core.hoconvalues import pick, text_list
from jobdeck_server.core.packagefinder import JAR
from jobdeck_server.core.sparksettings import jars_of
from jobdeck_server.packages.plan import JVM, PYTHON

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobdeck_protocol.contextinfo import ContextInfo
    from jobdeck_server.core.hocon import JobConfig
    from jobdeck_server.core.packagefinder import JobPackage


def language_of(packages: Sequence[JobPackage], context: ContextInfo) -> str:
    """The language of a job that was asked for with these packages.

    Raises:
        PackageError: They make no job.
        WrongKindError: The context does not take such a job.
    """
    jars_count = sum(each.kind == JAR for each in packages)
    language = JVM if jars_count and jars_count == len(packages) else PYTHON
    if not contextsettings.takes(context.kind, context.settings, language=language):
        raise WrongKindError
    if jars_count and language == PYTHON:
        raise PackageError("A job is made of jars or of Python packages, not of both.")
    if language == PYTHON and len(packages) != 1:
        raise PackageError(f"Python should have exactly one package file! Found: {len(packages)}")
    return language


def dependencies_of_context(settings: Mapping[str, Any], language: str) -> list[str]:
    """Names of what a context has its jobs stand on.

    In a virtual environment the packages of the context are installed already.

    Raises:
        BadRequestError: They are no list of texts.
    """
    if language == JVM:
        return list(jars_of(settings))
    wish = contextsettings.python_wish(settings)
    names = [] if wish.virtualenv else list(wish.packages)
    for path in ("python.paths", "dependent-jar-uris"):
        names += text_list(pick(settings, path), path)
    return list(dict.fromkeys(names))


def dependencies_of_job(config: JobConfig) -> list[str]:
    """Names of what a job itself says that it stands on.

    Raises:
        BadRequestError: They are no list of texts.
    """
    return list(dict.fromkeys(text_list(config.head.get("dependent-jar-uris"), "dependent-jar-uris")))


def taken(packages: Sequence[JobPackage], context: ContextInfo, language: str) -> list[JobPackage]:
    """Those of a context's packages that a job in a language takes.

    Raises:
        PackageError: There is one that nobody here has a use for.
    """
    if context.kind == contextsettings.SPARK:
        return [each for each in packages if (each.kind == JAR) == (language == JVM)]
    check(packages, language)
    return list(packages)


def check(packages: Sequence[JobPackage], language: str) -> None:
    """Refuse what a job in a language has no use for.

    Raises:
        PackageError: See above.
    """
    for each in packages:
        if each.kind == JAR and language == PYTHON:
            raise PackageError(f"{each.name} is a jar, which a Python class has no use for.")
        if each.kind != JAR and language == JVM:
            raise PackageError(f"{each.name} is no jar, and a class out of jars has no use for it.")


def spec(packages: Sequence[JobPackage], context: ContextInfo, language: str) -> dict[str, Any]:
    """What a job's specification keeps: its packages, the first first and each once, and its context."""
    once = {each.content: each for each in reversed(packages)}  # a context may name what its jobs bring themselves
    found = [each.spec() for each in packages if once[each.content] is each]
    return {"packages": found, "language": language, "context": contextsettings.job_spec(context)}
