"""The settings of a context on Spark that people mean by single words, as lines of HOCON. Pure.

A setting is a line of its own (``spark.master = "local[2]"``) in a text that people may write on as they like; what
they put into braces is theirs alone and is not looked into.
"""

from __future__ import annotations

import json
import re

__all__ = [
    "FIELDS",
    "edited",
    "fields_of",
    "value_of",
    "with_value",
]

FIELDS = ("master", "cores", "memory", "jobs", "restart")
"""The words: where Spark computes, on how many cores, with how much memory; jobs at a time; what follows a death."""

_MASTER, _CORES = "spark.master", "num-cpu-cores"
_JOBS, _RESTART = "max-jobs-per-context", "context-restart"
_DRIVER_MEMORY = "launcher.spark.driver.memory"
_EXECUTOR_MEMORY = "memory-per-node"
_PLAIN = re.compile(r"[0-9A-Za-z_-]+")
_LOCAL = re.compile(r"local(\[(?P<cores>\*|[0-9]+)(,.*)?\])?")


# -- lines --


def _line(path: str, value: str) -> str:
    """What means something to HOCON is quoted."""
    return f"{path} = {value if _PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)}"


def value_of(text: str, path: str) -> str:
    """What the last line that is about a path says; empty if there is none."""
    found = [each.group(1).strip() for each in _about(path).finditer(text)]
    return _unquoted(found[-1]) if found else ""


def with_value(text: str, path: str, value: str) -> str:
    """The text with this setting, in the place of the line about it, or at its end; without it if it is empty."""
    if value_of(text, path) == value:
        return text
    lines = text.splitlines()
    places = [n for n, each in enumerate(lines) if _about(path).fullmatch(each)]
    if value and places:
        lines[places.pop()] = _line(path, value)
    elif value:
        lines.append(_line(path, value))
    kept = [each for n, each in enumerate(lines) if n not in places]
    return "\n".join(kept) + ("\n" if kept else "")


def _about(path: str) -> re.Pattern[str]:
    return re.compile(rf"^{re.escape(path)}[ \t]*[=:](.*)$", re.MULTILINE)


def _unquoted(said: str) -> str:
    if said.startswith('"'):
        try:
            found, _ = json.JSONDecoder().raw_decode(said)
        except ValueError:  # it is still being typed
            return said[1:]
        return str(found)
    return re.split(r"#|//|,$", said, maxsplit=1)[0].strip()


# -- what they mean --


def fields_of(text: str) -> dict[str, str]:
    """What settings say of each of ``FIELDS``; empty where they say nothing."""
    return {
        "master": value_of(text, _MASTER),
        "cores": _cores_of(text),
        "memory": next(filter(None, (value_of(text, path) for path in _memory_paths(text))), ""),
        "jobs": value_of(text, _JOBS),
        "restart": value_of(text, _RESTART),
    }


def edited(text: str, field: str, value: str) -> str:
    """The settings with another value of one of ``FIELDS``; an empty one takes it out.

    Which setting that is may depend on the master: a context that computes in its own process has the cores that its
    master tells, and its memory is that of the process; else these are the executors'.
    """
    match field:
        case "master":
            return _on_master(text, value)
        case "cores" if _LOCAL.fullmatch(value_of(text, _MASTER)):
            return with_value(text, _MASTER, f"local[{value or '*'}]")
        case "cores":
            return with_value(text, _CORES, value)
        case "memory":
            for path in _memory_paths(text):
                text = with_value(text, path, value)
            return text
        case "jobs":
            return with_value(text, _JOBS, value)
        case _:
            return with_value(text, _RESTART, value)


def _on_master(text: str, master: str) -> str:
    """The memory that was asked for goes where it means the same."""
    memory, former = fields_of(text)["memory"], _memory_paths(text)
    text = with_value(text, _MASTER, master)
    wanted = _memory_paths(text)
    for path in (_DRIVER_MEMORY, _EXECUTOR_MEMORY):
        if path in former and path not in wanted:
            text = with_value(text, path, "")
        elif path in wanted and not value_of(text, path):
            text = with_value(text, path, memory)
    return text


def _cores_of(text: str) -> str:
    found = _LOCAL.fullmatch(value_of(text, _MASTER))
    if found is None:
        return value_of(text, _CORES)
    cores = found["cores"] or "1"
    return "" if cores == "*" else cores


def _memory_paths(text: str) -> tuple[str, ...]:
    """The settings that give memory to what computes: the one process, or each executor; both if nobody knows."""
    master = value_of(text, _MASTER)
    if not master:
        return (_DRIVER_MEMORY, _EXECUTOR_MEMORY)
    return (_DRIVER_MEMORY,) if _LOCAL.fullmatch(master) else (_EXECUTOR_MEMORY,)
