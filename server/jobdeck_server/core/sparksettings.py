"""What a context on Spark is to be, worked out from its settings: configuration, master, and what its JVM starts with.

    spark.*                     as it is, but for what the JVM must be told when it starts
    passthrough { k = v }       as it is
    hadoop { k = v }            spark.hadoop.k
    num-cpu-cores               spark.cores.max, and the cores of a context on this machine
    memory-per-node             spark.executor.memory
    launcher { spark.driver.* } what the JVM starts with; it wins over the same of ``spark.*``
    launcher { fast-start }     false: the JVM does not save on its start
    spark.proxy.user            as whom Spark and Hadoop work: what the JVM starts with
    cp, dependent-jar-uris      jars of the context, beside wheels of its Python jobs

Whatever stands nearer to ``spark.*`` wins: that over ``passthrough`` and ``hadoop``, and they over the short words.
Keys may be nested, or quoted with dots in them. Pure.
"""

from __future__ import annotations

import math
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobdeck_server.core.errors import BadRequestError
from jobdeck_server.core.hoconvalues import pick, size_bytes, text_list
from jobdeck_server.spark.launch import Launch, heap_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobdeck_server.settings import Settings

    Json = Any

__all__ = ["SparkWish", "default_launch", "flat", "jars_of", "master_of", "says_master", "wish_of"]

LOCAL_MASTER = "local[*]"
_CORES_LIMIT_COUNT = 100_000
_KEY_LIMIT_COUNT = 4096
_DEPTH_LIMIT_COUNT = 32
_LOOPBACK = "127.0.0.1"
_MEMORY, _OPTIONS, _CLASS_PATH, _LIBRARY_PATH = (
    "spark.driver.memory",
    "spark.driver.extraJavaOptions",
    "spark.driver.extraClassPath",
    "spark.driver.extraLibraryPath",
)
_DEFAULT_OPTIONS = "spark.driver.defaultJavaOptions"
_USER = "spark.proxy.user"
_FAST = "spark.fast-start"  # Spark itself has no such key
_NAME = "spark.app.name"
_LAUNCH = frozenset({_MEMORY, _OPTIONS, _DEFAULT_OPTIONS, _CLASS_PATH, _LIBRARY_PATH, _USER, _FAST})
_NO_USER = re.compile(r"[\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkWish:
    """What a context is to be.

    Attributes:
        name: Of the application; None for that of the context.
        master: Where it computes.
        conf: Spark's configuration, ``spark.master`` in it.
        launch: What must be known before.
    """

    name: str | None
    master: str
    conf: Mapping[str, str]
    launch: Launch


def wish_of(settings: Mapping[str, Json], server: Settings) -> SparkWish:
    """Everything that settings say to Spark.

    Args:
        settings: Of the context.
        server: For what they do not say: those that begin with ``spark_``.

    Raises:
        BadRequestError: Something in them is no text, no size, or not a number of cores.
    """
    found = {
        **_short_words(settings),
        **{f"spark.hadoop.{key}": value for key, value in _block(settings, "hadoop").items()},
        **_block(settings, "passthrough"),
        **_spark(settings),
        **_launcher(settings),
    }
    early = {key: found.pop(key) for key in _LAUNCH & found.keys()}
    name = found.pop(_NAME, None)
    found["spark.master"] = master_of(settings, master=server.spark_master)
    return SparkWish(name=name, master=found["spark.master"], conf=found, launch=_launch(early, found, server))


def default_launch(server: Settings) -> Launch:
    """What a process starts with that waits for whoever comes first."""
    return _launch({}, {}, server)


def says_master(settings: Mapping[str, Json]) -> bool:
    """Whether settings say where Spark computes, and so that it is Spark."""
    return bool(_spark(settings).get("spark.master"))


def master_of(settings: Mapping[str, Json], *, master: str | None) -> str:
    """Where a context computes: what it says, else what the server says, else this machine with its cores.

    Raises:
        BadRequestError: It cannot be understood.
    """
    said = _spark(settings).get("spark.master") or _block(settings, "passthrough").get("spark.master") or master
    if said:
        return said
    cores = _cores(settings)
    return LOCAL_MASTER if cores is None else f"local[{cores}]"


def jars_of(settings: Mapping[str, Json]) -> tuple[str, ...]:
    """Names and URIs of what all of a context has, jars and others, each once, in their order.

    Raises:
        BadRequestError: They are no list of texts.
    """
    said = (text_list(pick(settings, path), path) for path in ("cp", "dependent-jar-uris"))
    return tuple(dict.fromkeys(name for names in said for name in names))


def flat(tree: Mapping[str, Json], above: str = "") -> dict[str, str]:
    """All values of a tree by their dotted paths, as texts; those that are null are left out.

    Raises:
        BadRequestError: One is no text, and cannot be written as one; or there are too many.
    """
    found: dict[str, str] = {}
    for path, value in _walk(tree, above, 0):
        if value is not None:
            found[path] = _text(path, value)
        if len(found) > _KEY_LIMIT_COUNT:
            raise BadRequestError(f"Settings for Spark are more than {_KEY_LIMIT_COUNT}.", field=above)
    return found


def _walk(tree: Mapping[str, Json], above: str, depth: int) -> Iterator[tuple[str, Json]]:
    if depth > _DEPTH_LIMIT_COUNT:
        raise BadRequestError(f"{above[:200]} has too many objects in one another.", field=above[:200])
    for key, value in tree.items():
        path = f"{above}.{key}" if above else key
        if isinstance(value, dict):
            yield from _walk(value, path, depth + 1)
        else:
            yield path, value


def _text(path: str, value: Json) -> str:
    """A value as Spark reads it; a list is what Spark has commas for."""
    if isinstance(value, list) and not any(isinstance(each, list | dict) or each is None for each in value):
        return ",".join(_text(path, each) for each in value)
    if isinstance(value, bool):
        found = "true" if value else "false"
    elif isinstance(value, str):
        found = value
    elif isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        found = str(value)
    else:
        raise BadRequestError(f"{path[:200]} must be a text, a number, true or false.", field=path[:200])
    if not _is_plain(path) or not _is_plain(found):
        raise BadRequestError(f"{path[:200]!r} has characters in it that no setting can have.", field=path[:200])
    return found


def _is_plain(text: str) -> bool:
    """Whether Java can be told it: no NUL, and nothing that is half a character."""
    return "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text)


def _spark(settings: Mapping[str, Json]) -> dict[str, str]:
    """What stands in ``spark.*``."""
    tree = {key: value for key, value in settings.items() if key == "spark" or key.startswith("spark.")}
    if "spark" in tree and not isinstance(tree["spark"], dict):
        raise BadRequestError("spark must be an object.", field="spark")
    return flat(tree)


def _block(settings: Mapping[str, Json], name: str) -> dict[str, str]:
    found = settings.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise BadRequestError(f"{name} must be an object.", field=name)
    return flat(found)


def _short_words(settings: Mapping[str, Json]) -> dict[str, str]:
    found = {}
    cores, memory = _cores(settings), settings.get("memory-per-node")
    if cores is not None:
        found["spark.cores.max"] = str(cores)
    if memory is not None:
        size_bytes(memory, "memory-per-node")  # refused here, where somebody can be told
        found["spark.executor.memory"] = str(memory) if isinstance(memory, str) else f"{memory}b"
    return found


def _cores(settings: Mapping[str, Json]) -> int | None:
    said = settings.get("num-cpu-cores")
    if said is None:
        return None
    found = int(said) if isinstance(said, str) and re.fullmatch("[0-9]{1,6}", said) else said
    if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= _CORES_LIMIT_COUNT:
        raise BadRequestError(f"num-cpu-cores must be from 1 to {_CORES_LIMIT_COUNT}.", field="num-cpu-cores")
    return found


def _launcher(settings: Mapping[str, Json]) -> dict[str, str]:
    """What ``launcher`` says, with or without ``spark.`` before it."""
    found = _block(settings, "launcher")
    return {key if key.startswith("spark.") else f"spark.{key}": value for key, value in found.items()}


def _launch(early: Mapping[str, str], conf: Mapping[str, str], server: Settings) -> Launch:
    """What Java starts with.

    Args:
        early: Settings that are for that alone.
        conf: All others.
        server: For what they do not say.
    """
    memory, user = early.get(_MEMORY), early.get(_USER) or None
    if user is not None and _NO_USER.search(user):
        raise BadRequestError(f"{_USER} is no name of a user.", field=_USER)
    libraries = early.get(_LIBRARY_PATH)
    return Launch(
        heap_bytes=server.spark_driver_memory_bytes if memory is None else _heap(memory),
        java_options=(
            *([f"-Djava.library.path={libraries}"] if libraries else []),
            *_words(early.get(_DEFAULT_OPTIONS, "")),
            *_words(early.get(_OPTIONS, "")),
        ),
        class_path=tuple(each for each in early.get(_CLASS_PATH, "").split(":") if each),
        api_jars=server.spark_api_jars,
        proxy_user=user,
        bind_address=conf.get("spark.driver.bindAddress") or conf.get("spark.driver.host") or _LOOPBACK,
        fast_start=_is_fast(early.get(_FAST, "true")),
    )


def _is_fast(said: str) -> bool:
    if said not in ("true", "false"):
        raise BadRequestError("launcher.fast-start must be true or false.", field="launcher.fast-start")
    return said == "true"


def _heap(said: str) -> int:
    try:
        return heap_bytes(said)
    except ValueError as error:
        raise BadRequestError(f"{_MEMORY}: {error}", field=_MEMORY) from error


def _words(said: str) -> tuple[str, ...]:
    try:
        found = tuple(shlex.split(said))
    except ValueError as error:
        raise BadRequestError(f"{_OPTIONS} cannot be read: {error}.", field=_OPTIONS) from error
    if any(re.match("-Xm[xs]", word) for word in found):
        raise BadRequestError(f"{_OPTIONS} must not set the heap: {_MEMORY} does.", field=_OPTIONS)
    return found
