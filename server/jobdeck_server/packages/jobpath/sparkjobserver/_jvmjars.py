"""A job's jars in the JVM of its context, and on the path of its executors, for as long as the context lives.

All jobs of a context share one class loader, as they do in the original: objects of a job's classes come back from
executors through threads that are no job's, and those know this loader alone. So two versions of a class cannot be
there. A jar that would be a second version of one that is there, since they share a class and differ in another or in
a file beside, is refused: it would run the old code, or some of it. In a new context it is alone.

Jars lie in the folder of the context's process, under names that tell what is in them.
"""

# py4j's objects are whatever Java says they are.
# ruff: noqa: ANN401
from __future__ import annotations

import fcntl
import os
from hashlib import blake2b
from zipfile import BadZipFile, ZipFile

from ._task import JobError

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ._gateway import Place
    from ._jvmhandles import Handles

    Contents = dict[str, tuple[int, int]]

__all__ = ["Jars"]

_PIECE_BYTES = 1024 * 1024


class Jars:
    """The jars of a context.

    Args:
        place: The job's.
        handles: Of the same gateway.
        control: The socket of the context's process: they lie in its folder.
    """

    def __init__(self, place: Place, handles: Handles, control: str) -> None:
        self._place = place
        self._handles = handles
        self._folder = os.path.join(os.path.dirname(control), "jobjars")
        self._own: dict[str, str] = {}  # names here, and where the job has them
        self.loader = place.jvm.java.lang.Thread.currentThread().getContextClassLoader()

    def add(self, jars: Sequence[str]) -> None:
        """Put a job's jars there, the first first.

        Raises:
            JobError: One is no jar, or another version of it is there.
        """
        os.makedirs(self._folder, 0o700, exist_ok=True)
        lock = os.open(os.path.join(self._folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # is given up when this process ends, however
            known = self._known()
            for jar in jars:
                name = self._name_of(jar)
                self._own[name] = jar
                if name not in known:
                    self._add(jar, name, known)
        except (OSError, BadZipFile) as error:
            raise JobError("package_error", f"A jar cannot be loaded: {error}", error) from None
        finally:
            os.close(lock)

    def is_of_others(self, java_class: Any) -> bool:
        """Whether a class is in a jar that other jobs of the context have brought, and in none of this one's."""
        source = java_class.getProtectionDomain().getCodeSource()
        where = "" if source is None else str(source.getLocation())
        if f"{self._folder}/" not in where or any(where.endswith(f"/{name}") for name in self._own):
            return False
        entry = f"{java_class.getName().replace('.', '/')}.class"  # what two jars share is the same in both
        return not any(entry in contents(jar) for jar in self._own.values())

    def _known(self) -> list[str]:
        """The jars that the JVM has already, by their names here."""
        urls = self._handles.static("scala.runtime.ScalaRunTime").stringOf(self.loader.getURLs())
        return [name for name in sorted(os.listdir(self._folder)) if name.endswith(".jar") and f"/{name}" in urls]

    def _name_of(self, jar: str) -> str:
        """The name of a jar here. One that is the same file on the disk needs not be read for that."""
        found = os.stat(jar)
        for entry in os.scandir(self._folder):
            if entry.name.endswith(".jar") and os.path.samestat(entry.stat(), found):
                return entry.name
        return _named(jar)

    def _add(self, jar: str, name: str, known: list[str]) -> None:
        brought = contents(jar)
        for other in known:
            told = difference(brought, contents(os.path.join(self._folder, other)))
            if told is not None:
                text = f"{_shown(jar)} is another version of {other[33:-4]}, which this context has had already"
                raise JobError("package_error", f"{text}: {told} differs. A new context can run it.")
        path = os.path.join(self._folder, name)
        _link(jar, path)
        self.loader.addURL(self._handles.static("java.io.File")(path).toURI().toURL())
        self._place.jsc.addJar(path)
        known.append(name)


def contents(jar: str) -> Contents:
    """The files in a jar, with their checksums and sizes.

    Raises:
        BadZipFile, OSError: It is none.
    """
    with ZipFile(jar) as archive:
        return {each.filename: (each.CRC, each.file_size) for each in archive.infolist() if not each.is_dir()}


def difference(jar: Contents, other: Contents) -> str | None:
    """What makes a jar another version of another one; None if they can be together."""
    both = sorted(name for name in jar.keys() & other.keys() if not name.startswith("META-INF/"))
    if not any(name.endswith(".class") for name in both):
        return None
    return next((name for name in both if jar[name] != other[name]), None)


def _named(jar: str) -> str:
    digest = blake2b(digest_size=16)
    with open(jar, "rb") as file:
        for piece in iter(lambda: file.read(_PIECE_BYTES), b""):
            digest.update(piece)
    return f"{digest.hexdigest()}-{_shown(jar)}.jar"


def _shown(jar: str) -> str:
    """The name that the jar's owner gave it, as far as a file's name can tell it."""
    name = os.path.basename(jar)
    name = name.split("-", 1)[1] if name.split("-", 1)[0].isdigit() else name  # its number among the job's own
    name = name[:-4] if name.endswith(".jar") else name
    return "".join(char if char.isascii() and (char.isalnum() or char in "-_.") else "_" for char in name)[:80]


def _link(source: str, path: str) -> None:
    """The file by another name, or on another disk as a copy; one that was left half added is there already."""
    if os.path.exists(path):
        return
    try:
        os.link(source, path)
    except OSError:
        from shutil import copyfile

        copyfile(source, f"{path}.new")
        os.replace(f"{path}.new", path)
