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

__all__ = ["ZIPS", "offer", "prefer_unpacked"]


ZIPS = {"py4j": "py4j-", "pyspark": "pyspark.zip"}
_MODULES = {"py4j": "clientserver", "pyspark": "context"}  # that are there if the package is


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
    unpacked = prefer_unpacked(spark_home)
    lib = f"{spark_home}/python/lib"
    sys.path[index:index] = [_zip(lib, begin) for name, begin in ZIPS.items() if name not in unpacked]


def prefer_unpacked(spark_home: str) -> dict[str, str]:
    """Have them imported from where they lie unpacked.

    Returns:
        Those that do, and where.
    """
    unpacked = {}
    for name, folders in (
        ("py4j", (f"{os.path.dirname(spark_home)}/py4j",)),
        ("pyspark", (spark_home, f"{spark_home}/python/pyspark")),
    ):
        for folder in folders:
            if os.path.exists(f"{folder}/__init__.py") and os.path.exists(f"{folder}/{_MODULES[name]}.py"):
                unpacked[name] = folder
                break
    if unpacked:
        sys.meta_path.insert(0, _Unpacked(unpacked))
    return unpacked


def _zip(folder: str, begin: str) -> str:
    names = os.listdir(folder) if os.path.isdir(folder) else []
    for name in sorted(names):
        if name.startswith(begin) and name.endswith(".zip"):
            return f"{folder}/{name}"
    raise ImportError(f"There is no {begin}*.zip in {folder}.")
