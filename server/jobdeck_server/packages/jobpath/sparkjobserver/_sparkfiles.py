"""A job's packages for the executors: under names that tell what is in them, for as long as the context lives.

Executors fetch every file that any job has added, also those of jobs that have ended, and keep what has a name that
they know. So a file lies in the folder of the context's process, not in that of the job, and its name has a digest of
what it holds: a package that has been replaced is another file. What is a folder on the job's path, because Python
cannot load it from a zip, is unpacked there, too.
"""

# py4j's objects are whatever Java says they are.
# ruff: noqa: ANN401
from __future__ import annotations

import os
from hashlib import blake2b

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

__all__ = ["digest_of", "ship"]

_CONTRACT = ("__init__.py", "api.py", "config.py")  # what a job's own modules import
_PIECE_BYTES = 1024 * 1024
_NAME_CHARS = 80
_SUFFIXES = (".whl", ".egg", ".zip")


def ship(context: Any, control: str, packages: Iterable[str]) -> list[str]:
    """Have the executors find packages, and what a job's modules import of ours.

    Args:
        context: Spark's own ``SparkContext``, in Java.
        control: The socket of the context's process: it lies in its folder.
        packages: Files and folders as they stand on the job's path, the first first.

    Returns:
        Names for pyspark's workers, which put the last first on their path.

    Raises:
        OSError: The disk failed.
    """
    folder = os.path.join(os.path.dirname(control), "executors")
    os.makedirs(folder, 0o700, exist_ok=True)
    last_first = reversed(list(packages))
    return [
        _ship_contract(context, folder),
        *((_ship_folder if os.path.isdir(each) else _ship_file)(context, folder, each) for each in last_first),
    ]


def digest_of(names: Iterable[str]) -> str:
    """What tells one list of names from another."""
    return _named(name.encode() for name in names)


def _ship_file(context: Any, folder: str, package: str) -> str:
    with open(package, "rb") as file:
        name = f"{_named(iter(lambda: file.read(_PIECE_BYTES), b''))}-{_base(package)}.zip"
    path = os.path.join(folder, name)
    if not _has(path):
        _link(package, path)
        context.addFile(path)
        _note(path)
    return name


def _ship_folder(context: Any, folder: str, package: str) -> str:
    files = sorted(_files(package))
    name = f"{_named(_told(package, files))}-{_base(package)}"
    path = os.path.join(folder, f"{name}.zip")
    if not _has(path):
        from urllib.parse import quote

        _zip(path, package, files)
        context.addArchive(f"file://{quote(path)}#{name}")
        _note(path)
    return name


def _ship_contract(context: Any, folder: str) -> str:
    here = os.path.dirname(__file__)
    name = f"{_named(_told(here, _CONTRACT))}-sparkjobserver.zip"
    path = os.path.join(folder, name)
    if not _has(path):
        _zip(path, here, _CONTRACT, within="sparkjobserver")
        context.addFile(path)
        _note(path)
    return name


def _has(path: str) -> bool:
    """Whether the context knows it already."""
    return os.path.exists(f"{path}.added")


def _note(path: str) -> None:
    with open(f"{path}.added", "wb"):
        pass


def _named(pieces: Iterable[bytes]) -> str:
    digest = blake2b(digest_size=16)
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _base(package: str) -> str:
    name = os.path.basename(package.rstrip("/"))
    for suffix in _SUFFIXES:
        if name.endswith(suffix):
            name = name[: -len(suffix)]
    return "".join(char if char.isascii() and (char.isalnum() or char in "-_.") else "_" for char in name)[:_NAME_CHARS]


def _files(folder: str) -> Iterator[str]:
    """All files below a folder, by their paths in it."""
    for place, _, names in os.walk(folder):
        for name in names:
            yield os.path.relpath(os.path.join(place, name), folder)


def _told(folder: str, files: Iterable[str]) -> Iterator[bytes]:
    """Names, sizes and contents."""
    for name in files:
        path = os.path.join(folder, name)
        yield f"{len(name.encode('utf-8', 'surrogateescape'))} {os.path.getsize(path)} ".encode()
        yield name.encode("utf-8", "surrogateescape")
        with open(path, "rb") as file:
            yield from iter(lambda: file.read(_PIECE_BYTES), b"")  # is read to its end here


def _link(source: str, path: str) -> None:
    """The file by another name, or on another disk as a copy; nothing if somebody has done so meanwhile."""
    try:
        os.link(source, path)
    except FileExistsError:
        return
    except OSError:
        from shutil import copyfile

        new = f"{path}.{os.getpid()}"
        copyfile(source, new)
        os.replace(new, path)


def _zip(path: str, folder: str, files: Iterable[str], within: str = "") -> None:
    from zipfile import ZipFile

    new = f"{path}.{os.getpid()}"
    with ZipFile(new, "w") as file:
        for name in files:
            file.write(os.path.join(folder, name), os.path.join(within, name))
    os.replace(new, path)
