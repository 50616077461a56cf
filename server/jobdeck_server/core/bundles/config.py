"""``executor_config.json``: what a bundle runs and which results it wants.

    cmd                  a text, required: the program, or a shell line (who runs it decides)
    args                 a list of texts; none if missing or null
    resultArtifacts      required: a list of artifacts, which may be empty; an object counts as an empty list. Limits of
                         patterns hold for all of them together
        name             a text, required; no two may have the same, since one of them would be lost
        resultPatterns   a list of texts (see ``globs``); missing, or no list: every file
    outputInterval       milliseconds; below or at 0, null or missing: off
    outputSegmentSize    lines; the same

Anything else that is of another type is an error, told with the key that has it; unknown keys are not looked at. Names
and texts are data here: no path is made of them.

Source: the executor's reference, section 5; the keys are the walkthrough's.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from jobdeck_server.core.bundles.errors import ConfigError, PatternError, shown
from jobdeck_server.core.bundles.globs import Patterns
from jobdeck_server.core.bundles.limits import ConfigLimits

if TYPE_CHECKING:
    from jobdeck_server.core.bundles.limits import PatternLimits

CONFIG_NAME = "executor_config.json"
OFF = -1

_NAME_LIMIT_BYTES = 1024
_NUMBER_LIMIT = 2**53  # as far as the numbers of ECMAScript are exact
Json = object


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactRequest:
    """A wanted artifact. ``patterns`` as in ``globs``, and known to be good ones; none of them: every file."""

    name: str
    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleConfig:
    """What a bundle says of itself.

    Attributes:
        cmd: Not empty, without NUL.
        args: As many as the kernel takes, without NUL.
        artifacts: In the order of the file.
        output_interval_ms: At least 1, or ``OFF``.
        output_segment_lines: At least 1, or ``OFF``.
    """

    cmd: str
    args: tuple[str, ...]
    artifacts: tuple[ArtifactRequest, ...]
    output_interval_ms: int = OFF
    output_segment_lines: int = OFF


def parse_config(data: bytes, limits: ConfigLimits | None = None) -> BundleConfig:
    """Read the file; a byte order mark is not minded.

    Raises:
        ConfigError: It cannot be used; the text says why.
    """
    limits = limits or ConfigLimits()
    if len(data) > limits.size_bytes:
        raise ConfigError(f"{CONFIG_NAME} has {len(data)} bytes; {limits.size_bytes} are taken.")
    found = _loaded(data)
    if not isinstance(found, dict):
        raise ConfigError(f"{CONFIG_NAME} is no JSON object.")
    cmd = _text(found.get("cmd"), "cmd", limits.argument_bytes)
    if not cmd:
        raise ConfigError("cmd is empty.")
    return BundleConfig(
        cmd=cmd,
        args=_args(found.get("args"), limits),
        artifacts=_artifacts(found.get("resultArtifacts"), limits),
        output_interval_ms=_number(found.get("outputInterval"), "outputInterval"),
        output_segment_lines=_number(found.get("outputSegmentSize"), "outputSegmentSize"),
    )


def _loaded(data: bytes) -> Json:
    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise ConfigError(f"{CONFIG_NAME} is not UTF-8.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ConfigError(f"{CONFIG_NAME} is no JSON: {error.msg} ({where}).") from None
    except ConfigError:
        raise
    except RecursionError:
        raise ConfigError(f"{CONFIG_NAME} is nested too deep.") from None
    except ValueError:  # a number of thousands of digits
        raise ConfigError(f"{CONFIG_NAME} has a number in it that is too long.") from None


def _no_constant(word: str) -> NoReturn:
    raise ConfigError(f"{CONFIG_NAME} is no JSON: {word} is no number of it.")


def _text(value: Json, what: str, limit_bytes: int) -> str:
    if value is None:
        raise ConfigError(f"{what} is missing.")
    if not isinstance(value, str):
        raise ConfigError(f"{what} is no text.")
    if "\0" in value:
        raise ConfigError(f"{what} has a NUL in it.")
    try:
        size_bytes = len(value.encode())
    except UnicodeEncodeError:
        raise ConfigError(f"{what} has half a character in it (a lone surrogate).") from None
    if size_bytes > limit_bytes:
        raise ConfigError(f"{what} has {size_bytes} bytes; {limit_bytes} are taken.")
    return value


def _args(value: Json, limits: ConfigLimits) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ConfigError("args is no list.")
    if len(value) > limits.argument_count:
        raise ConfigError(f"args has {len(value)} texts; {limits.argument_count} are taken.")
    return tuple(_text(each, f"args[{number}]", limits.argument_bytes) for number, each in enumerate(value))


def _artifacts(value: Json, limits: ConfigLimits) -> tuple[ArtifactRequest, ...]:
    if value is None:
        raise ConfigError("resultArtifacts is missing.")
    if isinstance(value, dict):
        return ()
    if not isinstance(value, list):
        raise ConfigError("resultArtifacts is no list.")
    if len(value) > limits.artifact_count:
        raise ConfigError(f"resultArtifacts has {len(value)} artifacts; {limits.artifact_count} are taken.")
    artifacts: dict[str, ArtifactRequest] = {}
    left = limits.patterns  # they share it: all of them are compiled at the same time when the job has ended
    for number, each in enumerate(value):
        artifact, left = _artifact(each, f"resultArtifacts[{number}]", left)
        if artifact.name in artifacts:
            raise ConfigError(f"resultArtifacts has two artifacts with the name {shown(artifact.name)}.")
        artifacts[artifact.name] = artifact
    return tuple(artifacts.values())


def _artifact(value: Json, what: str, limits: PatternLimits) -> tuple[ArtifactRequest, PatternLimits]:
    """One of them, and what it leaves for the patterns of the next."""
    if not isinstance(value, dict):
        raise ConfigError(f"{what} is no object.")
    name = _text(value.get("name"), f"{what}.name", _NAME_LIMIT_BYTES)
    if not name:
        raise ConfigError(f"{what}.name is empty.")
    patterns, left = _patterns(value.get("resultPatterns"), f"{what}.resultPatterns", limits)
    return ArtifactRequest(name=name, patterns=patterns), left


def _patterns(value: Json, what: str, limits: PatternLimits) -> tuple[tuple[str, ...], PatternLimits]:
    if not isinstance(value, list):
        return (), limits
    patterns = []
    for number, each in enumerate(value):
        if not isinstance(each, str):
            raise ConfigError(f"{what}[{number}] is no text.")
        patterns.append(each)
    try:
        left = Patterns(patterns, limits).left
    except PatternError as error:
        raise ConfigError(f"{what}: {error}") from None
    return tuple(patterns), left


def _number(value: Json, what: str) -> int:
    """At least 1, or ``OFF``. Part of a millisecond counts as a whole one."""
    if value is None:
        return OFF
    if isinstance(value, bool) or not isinstance(value, int | float) or value in (math.inf, -math.inf):
        raise ConfigError(f"{what} is no number.")
    return min(math.ceil(value), _NUMBER_LIMIT) if value > 0 else OFF
