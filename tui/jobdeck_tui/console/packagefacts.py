"""All that is known of a package, in names and values for people; and what a file's name says of it. Pure."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from jobdeck_protocol.job import time_text
from jobdeck_protocol.packageinfo import EGG, JAR, WHEEL
from jobdeck_tui.console.packagecolumns import age_text
from jobdeck_tui.words import bytes_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobdeck_client import PackageDetails
    from jobdeck_protocol.packageinfo import PackageInfo

__all__ = ["SUFFIXES", "facts", "meant_by"]

SUFFIXES: Mapping[str, str] = MappingProxyType({".whl": WHEEL, ".egg": EGG, ".jar": JAR})
"""How the names of files of each kind end."""
_VERSION = re.compile(r"-v?\d.*$", re.DOTALL)
_VERSIONS_LIMIT_COUNT = 50
_CLASSES_LIMIT_COUNT = 200


def meant_by(file_name: str) -> tuple[str, str] | None:
    """Name and kind of the package that a file is by its own name: without its version, and what else it tells.

    None if its name ends like that of none.
    """
    for suffix, kind in SUFFIXES.items():
        if file_name.lower().endswith(suffix):
            stem = file_name[: -len(suffix)]
            return _VERSION.sub("", stem) or stem or file_name, kind
    return None


def facts(package: PackageInfo, details: PackageDetails | None, now_us: int) -> Iterator[tuple[str, str]]:
    """Names and values, foreign text as it came; the name is left out. ``details`` is None before they came."""
    if details is not None:
        yield from _classes(details)
    yield "kind", package.kind
    yield "size", bytes_text(package.size_bytes)
    yield "uploaded", f"{time_text(package.uploaded_us)[:19]}Z  ({age_text(package, now_us)})"
    yield "blob", package.hash
    yield "sha1", package.content
    if details is not None:
        former = details.versions[1 : _VERSIONS_LIMIT_COUNT + 1]
        for version in former:
            when = f"{time_text(version.uploaded_us)[:19]}Z"
            yield "before", f"{when}  {bytes_text(version.size_bytes)}  {version.kind}  {version.hash[:8]}"
        if len(details.versions) - 1 > len(former):
            yield "before", f"and {len(details.versions) - 1 - len(former):,} more"


def _classes(details: PackageDetails) -> Iterator[tuple[str, str]]:
    for name in details.classes[:_CLASSES_LIMIT_COUNT]:
        yield "classes", name
    if len(details.classes) > _CLASSES_LIMIT_COUNT:
        yield "classes", f"and {len(details.classes) - _CLASSES_LIMIT_COUNT:,} more"
    if not details.classes_complete:
        yield "classes", "perhaps others: the server did not look at all of it"
    elif not details.classes:
        yield "classes", "none was found that jobs can run"
