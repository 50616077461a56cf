"""What a context is to be, worked out from what several people said of it. Pure.

A setting that stands in the body of a request wins over one of its query, that over the server's defaults. All are
kept and told to the jobs, also those that mean nothing to this server. ``num-cpu-cores``, ``memory-per-node`` and
``spark.*`` are for Spark (``sparksettings``). Read here are

    context-factory                 which kind of context (``kind_of``)
    max-jobs-per-context            jobs that it runs at the same time
    stop-context-on-job-error       it ends with the first of its jobs that fails
    context-restart                 it is made anew when its process has died: never or always
    python.executable               the interpreter of its jobs, one that the operator allows
    python.virtualenv               its jobs run in a virtual environment, made of the wheels in
    python.packages, cp             binaries by their names, and URIs
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from jobdeck_server.core.errors import BadContextNameError, BadRequestError, ContextInitError, TooLargeError
from jobdeck_server.core.hocon import JobConfig
from jobdeck_server.core.hoconvalues import pick, text_list
from jobdeck_server.core.sparksettings import says_master
from jobdeck_server.packages.plan import JVM, PYTHON

if TYPE_CHECKING:
    from jobdeck_protocol.contextinfo import ContextInfo

Tree = dict[str, Any]
Json: TypeAlias = Any

PLAIN, SPARK = "plain", "spark"
_BLOCK = "spark.context-settings"
_NAME_LIMIT_COUNT = 255
_PATH_LIMIT_COUNT = 32  # keys in one another that a query may name
_SLOTS_LIMIT_COUNT = 10_000
_SHOWN_COUNT = 200
_HIDDEN = "(hidden)"
_SECRET = re.compile(r"secret|passw|token|credential", re.IGNORECASE)
_KEY = re.compile(r"(access|account|api|private|secret)[-_.]?key", re.IGNORECASE)  # of a key and those above it
_USER, _QUERY = re.compile(r"(://)[^/\s?#]*@"), re.compile(r"(://[^\s,?]*)\?[^\s,]*")  # of URIs
_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_PYTHON = "spark.jobserver.python."
_PYTHON_FACTORIES = frozenset(
    _PYTHON + name + "ContextFactory" for name in ("PythonSession", "PythonSpark", "PythonSQL", "PythonHive")
)
_JVM = "spark.jobserver.context."


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonWish:
    """Which interpreter is asked for.

    Attributes:
        executable: As it was written; None for the server's choice.
        virtualenv: In a virtual environment.
        packages: Names and URIs of the wheels in it.
    """

    executable: str | None
    virtualenv: bool
    packages: tuple[str, ...]


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a context.

    Raises:
        BadContextNameError: It does not begin with a letter, is too long, or cannot stand in a path.
    """
    if not name[:1].isalpha():
        raise BadContextNameError
    if len(name) > _NAME_LIMIT_COUNT:
        raise BadContextNameError(f"context name must not be longer than {_NAME_LIMIT_COUNT} characters")
    if "/" in name or not name.isprintable():
        raise BadContextNameError("context name must not have slashes or control characters in it")


def merged(
    defaults: Mapping[str, Any], query: Mapping[str, str], config: JobConfig, *, limit_bytes: int = 256 * 1024
) -> Tree:
    """All settings of a context.

    Args:
        defaults: The server's.
        query: By dotted paths.
        config: Of the body, in which they are in ``spark.context-settings``.
        limit_bytes: Of all of them, as JSON.

    Raises:
        BadRequestError: A name in the query is no path, or what the body has there is no object.
        TooLargeError: They are over the limit.
    """
    found = joined({}, defaults)
    for path, value in query.items():
        found = joined(found, _nested(path, value))
    block = pick(config.head, _BLOCK)
    if block is not None:
        if not isinstance(block, dict):
            raise BadRequestError(f"Cannot parse config: {_BLOCK} is no object", field=_BLOCK)
        found = joined(found, block)
    if len(json.dumps(found)) > limit_bytes:
        raise TooLargeError("What a context is to be", limit_bytes)
    return found


def block_of(tree: Mapping[str, Any], path: str) -> Tree:
    """An object at a dotted path; an empty one if there is none.

    Raises:
        BadRequestError: It is something else.
    """
    found = pick(tree, path)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise BadRequestError(f"Cannot parse config: {path} is no object", field=path)
    return found


def as_config(settings: Mapping[str, Any]) -> JobConfig:
    """Settings in the form in which a body brings them."""
    return JobConfig(text=b"{}", head={"spark": {"context-settings": settings}})


def kind_of(settings: Mapping[str, Any], *, master: str | None = None, jar: bool = False) -> str:
    """The kind of a context with such settings.

    Args:
        settings: Of the context.
        master: Where the server's contexts compute that do not say it; with one all are Spark's.
        jar: It is of one job alone, and that is out of a jar.

    Raises:
        BadRequestError: Its settings for Spark cannot be read.
        ContextInitError: There is none of that kind.
    """
    factory = settings.get("context-factory")
    is_jvm = isinstance(factory, str) and factory.startswith(_JVM)
    if factory is not None and not is_jvm and str(factory) not in _PYTHON_FACTORIES:
        raise ContextInitError(f"There is no context-factory {str(factory)[:_SHOWN_COUNT]!r}.")
    return SPARK if is_jvm or jar or master or says_master(settings) else PLAIN


def language_of(settings: Mapping[str, Any]) -> str | None:
    """What the jobs of a context must be written in, ``python`` or ``jvm``; None if it takes both."""
    factory = settings.get("context-factory")
    if not isinstance(factory, str):
        return None
    return JVM if factory.startswith(_JVM) else PYTHON


def takes(kind: str, settings: Mapping[str, Any], *, language: str) -> bool:
    """Whether jobs in a language run in a context of a kind with such settings."""
    return language_of(settings) in (None, language) and (kind == SPARK or language == PYTHON)


def restarts(settings: Mapping[str, Any], default: str) -> bool:
    """Whether a context whose process has died is made anew.

    Raises:
        BadRequestError: It says neither ``never`` nor ``always``.
    """
    said = settings.get("context-restart", default)
    if said not in ("never", "always"):
        raise BadRequestError("context-restart must be never or always.", field="context-restart")
    return bool(said == "always")


def slots_of(settings: Mapping[str, Any], default_count: int) -> int:
    """How many jobs a context runs at the same time.

    Raises:
        BadRequestError: It does not say a number from 1 to 10,000.
    """
    said = settings.get("max-jobs-per-context", default_count)
    found = int(said) if isinstance(said, str) and re.fullmatch("[0-9]{1,5}", said) else said
    if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= _SLOTS_LIMIT_COUNT:
        raise BadRequestError(
            f"max-jobs-per-context must be from 1 to {_SLOTS_LIMIT_COUNT}.", field="max-jobs-per-context"
        )
    return found


def ends_with_failure(settings: Mapping[str, Any]) -> bool:
    """Whether a context ends with the first of its jobs that fails."""
    return _flag(settings, "stop-context-on-job-error")


def python_wish(settings: Mapping[str, Any]) -> PythonWish:
    """Which interpreter the jobs of a context are to have.

    Raises:
        BadRequestError: What is said of that cannot be understood.
    """
    executable = pick(settings, "python.executable")
    if executable is not None and (not isinstance(executable, str) or not executable or "\0" in executable):
        raise BadRequestError("python.executable must be a text.", field="python.executable")
    return PythonWish(
        executable=executable, virtualenv=_flag(settings, "python.virtualenv"), packages=packages_of(settings)
    )


def packages_of(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Names and URIs of what all jobs of a context stand on, each once, in their order.

    Raises:
        BadRequestError: They are no list of texts.
    """
    said = (text_list(pick(settings, path), path) for path in ("python.packages", "cp"))
    return tuple(dict.fromkeys(name for names in said for name in names))


def job_spec(context: ContextInfo) -> Tree:
    """What the specification of a job keeps of its context."""
    return {
        "id": context.id,
        "name": context.name,
        "kind": context.kind,
        "adhoc": context.adhoc,
        "settings": dict(context.settings),
    }


def shown(settings: Mapping[str, Any]) -> Tree:
    """Settings as they are told to people: what is called like a secret is left out, and what of a URI may be one."""
    return _shown_tree(settings, "")


def _shown_tree(tree: Mapping[str, Any], above: str) -> Tree:
    return {
        key: _shown(value, f"{above}.{key}") if isinstance(value, Mapping) or not _is_secret(above, key) else _HIDDEN
        for key, value in tree.items()
    }


def _is_secret(above: str, key: str) -> bool:
    return _SECRET.search(key) is not None or _KEY.search(f"{above}.{key}") is not None


def _shown(value: Json, path: str) -> Json:
    if isinstance(value, Mapping):
        return _shown_tree(value, path)
    if isinstance(value, list):
        return [_shown(each, path) for each in value]
    if not isinstance(value, str):
        return value
    return _shown_options(_QUERY.sub(r"\1", _USER.sub(r"\1", value)))


def _shown_options(text: str) -> str:
    """Options of Java's, where a text has some: what is called like a secret goes, up to the next one."""
    if "-D" not in text:
        return text
    found: list[str] = []
    hiding = False
    for word in re.split(r"(\s)", text):
        bare = word.lstrip("'\"")
        if bare.startswith("-"):
            name, equals, _ = word.partition("=")
            found.extend(" " * hiding)
            hiding = bool(equals) and bare.startswith("-D") and _SECRET.search(name) is not None
            found.append(f"{name}={_HIDDEN}" if hiding else word)
        elif not hiding:
            found.append(word)
    return "".join(found)


def _flag(settings: Mapping[str, Any], path: str) -> bool:
    said = pick(settings, path)
    if said is None or isinstance(said, bool):
        return bool(said)
    word = said.lower() if isinstance(said, str) else said
    if word not in (*_YES, *_NO):
        raise BadRequestError(f"{path} must be true or false.", field=path)
    return word in _YES


def _nested(path: str, value: str) -> Tree:
    keys = path.split(".")
    if not all(keys) or len(keys) > _PATH_LIMIT_COUNT:
        raise BadRequestError(f"{path[:_NAME_LIMIT_COUNT]!r} is no path of a setting.", field=path[:_NAME_LIMIT_COUNT])
    found: Any = value
    for key in reversed(keys):
        found = {key: found}
    return dict(found)


def joined(below: Mapping[str, Any], above: Mapping[str, Any]) -> Tree:
    """Two trees as one; where both say something, the second holds, but objects are joined."""
    found = dict(below)
    for key, value in above.items():
        known = found.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            found[key] = joined(known, value)
        else:
            found[key] = value
    return found
