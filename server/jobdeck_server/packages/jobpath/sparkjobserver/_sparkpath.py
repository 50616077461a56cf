"""Where a job finds pyspark and py4j: those of the Spark that its context runs, whichever interpreter it has.

As they come with Spark they are zips of sources, which Python compiles anew each time. An installation that has them
unpacked, with what Python has compiled of them beside, is taken where there is one: it loads in half the time.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["offer"]


class _Unpacked:
    """Finds packages by their names alone: nothing else that lies beside them gets on the path."""

    def __init__(self, folders: dict[str, str]) -> None:
        self._folders = folders

    def find_spec(self, name: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """As the import system asks."""
        del path, target
        folder = self._folders.get(name)
        if folder is None:
            return None
        from importlib.util import spec_from_file_location

        return spec_from_file_location(name, f"{folder}/__init__.py", submodule_search_locations=[folder])


def offer(spark_home: str, index: int) -> None:
    """Make both importable; what the interpreter itself has installed is not asked.

    Args:
        spark_home: Where Spark is.
        index: Where on the path, if they are zips: behind the job's own packages.

    Raises:
        ImportError: They are not there.
    """
    unpacked = {}
    zips = []
    for name, folders, begin in (
        ("py4j", (f"{os.path.dirname(spark_home)}/py4j",), "py4j-"),
        ("pyspark", (spark_home, f"{spark_home}/python/pyspark"), "pyspark.zip"),
    ):
        for folder in folders:
            if os.path.exists(f"{folder}/__init__.py") and _is(name, folder):
                unpacked[name] = folder
                break
        else:
            zips.append(_zip(f"{spark_home}/python/lib", begin))
    if unpacked:
        sys.meta_path.insert(0, _Unpacked(unpacked))
    sys.path[index:index] = zips


def _is(name: str, folder: str) -> bool:
    return os.path.exists(f"{folder}/{'context' if name == 'pyspark' else 'clientserver'}.py")


def _zip(folder: str, begin: str) -> str:
    names = os.listdir(folder) if os.path.isdir(folder) else []
    for name in sorted(names):
        if name.startswith(begin) and name.endswith(".zip"):
            return f"{folder}/{name}"
    raise ImportError(f"There is no {begin}*.zip in {folder}.")
