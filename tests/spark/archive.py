"""The class-data archive that all servers of these tests start from, made once: ``python -m tests.spark.archive``.

Without it each would make one of its own in the background, which takes longer than most of the tests.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import trio

from jobdeck_server.spark.archive import Archives
from jobdeck_server.spark.install import Finder
from jobdeck_server.spark.launch import Launch
from tests.spark.places import BUILD, SPARK_HOME, java_home

_FOLDER = BUILD / "archive"
_LIMIT_S = 240.0  # it works at the lowest priority


def use(data: Path) -> tuple[str, ...]:
    """Give the archive to a data directory; the flags with which a server is to be started."""
    found = list(_FOLDER.glob("*.jsa"))
    if not found:
        return ("--no-spark-archive",)
    folder = data / "spark"
    folder.mkdir(parents=True, exist_ok=True)
    for path in found:
        with contextlib.suppress(FileExistsError):
            (folder / path.name).symlink_to(path)
    return ()


async def main() -> None:
    """Make it, unless it is there."""
    install = await Finder(spark_home=SPARK_HOME, spark_java=java_home()).find()
    archives = Archives(_FOLDER, wanted=True)
    with trio.move_on_after(_LIMIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(archives.run)
            while await archives.find(install, Launch()) is None:  # noqa: ASYNC110  # nobody tells when it is there
                await trio.sleep(0.2)
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
