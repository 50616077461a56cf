"""How much a bundle and its results may be. The figures stand in ``settings``; each part takes those that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from jobdeck_server.settings import Settings

_DEFAULTS = Settings(data_dir=Path())


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternLimits:
    """Of the patterns of a job.

    Attributes:
        count: After their braces are expanded.
        length_bytes: Of each as it was sent.
        total_chars: Of all of them, expanded. What they are compiled to takes some 300 bytes for each.
    """

    count: int = _DEFAULTS.executor_pattern_limit_count
    length_bytes: int = _DEFAULTS.executor_pattern_limit_bytes
    total_chars: int = 128 * 1024

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the server is set."""
        return cls(count=settings.executor_pattern_limit_count, length_bytes=settings.executor_pattern_limit_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigLimits:
    """Of ``executor_config.json``.

    Attributes:
        size_bytes: Of the file.
        artifact_count: That it asks for.
        argument_count: Of the command.
        argument_bytes: Of each of them, as the kernel limits it.
        patterns: Of all artifacts together.
    """

    size_bytes: int = _DEFAULTS.executor_config_limit_bytes
    artifact_count: int = _DEFAULTS.executor_artifact_limit_count
    argument_count: int = _DEFAULTS.argument_limit_count
    argument_bytes: int = _DEFAULTS.command_limit_bytes
    patterns: PatternLimits = PatternLimits()

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the server is set."""
        return cls(
            size_bytes=settings.executor_config_limit_bytes,
            artifact_count=settings.executor_artifact_limit_count,
            argument_count=settings.argument_limit_count,
            argument_bytes=settings.command_limit_bytes,
            patterns=PatternLimits.of(settings),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpackLimits:
    """Of a zip or an artifact.

    A compressed zip is measured by its ratio too: one that makes more than ``ratio`` bytes of each of its own is taken
    for a bomb, once it makes more than ``ratio_floor_bytes``. Deflate reaches 1032 at most, with nothing but the same
    byte; source text comes to 10, logs to 50, tables of numbers to 20.

    Attributes:
        entry_count: Files and folders.
        directory_bytes: Of the zip's list of them.
        total_bytes: Unpacked.
        ratio: See above.
        ratio_floor_bytes: See above.
        name_bytes: Of a whole path.
        depth_count: Of folders in one another.
    """

    entry_count: int = _DEFAULTS.bundle_entry_limit_count
    directory_bytes: int = _DEFAULTS.bundle_directory_limit_bytes
    total_bytes: int = _DEFAULTS.bundle_total_limit_bytes
    ratio: int = _DEFAULTS.bundle_ratio_limit
    ratio_floor_bytes: int = _DEFAULTS.bundle_ratio_floor_bytes
    name_bytes: int = _DEFAULTS.bundle_name_limit_bytes
    depth_count: int = _DEFAULTS.bundle_depth_limit_count

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the server is set."""
        return cls(
            entry_count=settings.bundle_entry_limit_count,
            directory_bytes=settings.bundle_directory_limit_bytes,
            total_bytes=settings.bundle_total_limit_bytes,
            ratio=settings.bundle_ratio_limit,
            ratio_floor_bytes=settings.bundle_ratio_floor_bytes,
            name_bytes=settings.bundle_name_limit_bytes,
            depth_count=settings.bundle_depth_limit_count,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkLimits:
    """Of the folder of a job that has ended.

    Attributes:
        entry_count: Files, folders and whatever else lies there.
        total_bytes: Of all files together.
        depth_count: Of folders in one another.
    """

    entry_count: int = _DEFAULTS.executor_result_limit_count
    total_bytes: int = _DEFAULTS.executor_result_limit_bytes
    depth_count: int = _DEFAULTS.bundle_depth_limit_count

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the server is set."""
        return cls(
            entry_count=settings.executor_result_limit_count,
            total_bytes=settings.executor_result_limit_bytes,
            depth_count=settings.bundle_depth_limit_count,
        )
