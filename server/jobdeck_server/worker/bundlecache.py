"""Bundles that a worker has fetched, in the folder ``bundles``: as many as there is room for, those used last.

    <SHA-1>            content, checked when it came, synced before it got its name
    of-<blob hash>     a link to the content of a bundle, which is the same for ever
    new-...            one that is coming

What is in use stays, whatever the limit says. All methods block: for threads.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from jobdeck_server.core.blobs import BlobFile
from jobdeck_server.core.errors import MissingContentError

if TYPE_CHECKING:
    from pathlib import Path

_LINK, _NEW = "of-", "new-"


class BundleCache:
    """See the top of this file.

    Args:
        folder: Made here; what an earlier life has left half done is removed.
        limit_bytes: Of all content together.

    Raises:
        OSError: It cannot be made or read.
    """

    def __init__(self, folder: Path, *, limit_bytes: int) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._used: Counter[str] = Counter()
        self._lock = threading.Lock()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in folder.glob(_NEW + "*"):
            left.unlink()

    def take(self, blob_hash: str) -> str | None:
        """The content hash of a bundle that is here, in use from now on; None if it is not."""
        with self._lock, suppress(OSError):
            content_hash = os.readlink(self._folder / (_LINK + blob_hash))
            os.utime(self._folder / content_hash)  # used last
            self._used[content_hash] += 1
            return content_hash
        return None

    def name(self, blob_hash: str, content_hash: str) -> bool:
        """A bundle has this content: note that, if it is here; whether it is.

        Raises:
            OSError: There is no room for a note.
        """
        if not (self._folder / content_hash).exists():
            return False
        link = self._folder / f"{_NEW}{threading.get_ident()}"
        link.unlink(missing_ok=True)
        link.symlink_to(content_hash)
        link.replace(self._folder / (_LINK + blob_hash))
        return True

    def begin(self) -> tuple[int, str]:
        """A file for content that is about to come: its descriptor, and its path for ``keep`` or ``drop``.

        Raises:
            OSError: There is no room.
        """
        return tempfile.mkstemp(prefix=_NEW, dir=self._folder)

    def keep(self, fd: int, path: str, content_hash: str) -> None:
        """All has come, and is what it was to be.

        Raises:
            OSError: There is no room.
        """
        os.fsync(fd)
        with self._lock:
            os.replace(path, self._folder / content_hash)

    def drop(self, path: str) -> None:
        """It is not to be kept; nothing happens if it was."""
        with suppress(OSError):
            os.unlink(path)

    def give_back(self, content_hash: str) -> None:
        """It is in use no more: what is too much goes."""
        with self._lock:
            self._used[content_hash] -= 1
            if self._used[content_hash] <= 0:
                del self._used[content_hash]
            with suppress(OSError):
                self._trim()

    def read(self, content_hash: str) -> BlobFile:
        """Open content.

        Raises:
            MissingContentError: It is not here.
        """
        try:
            fd = os.open(self._folder / content_hash, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise MissingContentError(content_hash) from None
        return BlobFile(fd, content_hash, os.fstat(fd).st_size)

    def _trim(self) -> None:
        found = [(entry, entry.stat(follow_symlinks=False)) for entry in os.scandir(self._folder)]
        files = [(entry, about) for entry, about in found if not entry.name.startswith((_LINK, _NEW))]
        over_bytes = sum(about.st_size for _, about in files) - self._limit_bytes
        for entry, about in sorted(files, key=lambda each: each[1].st_mtime_ns):
            if over_bytes <= 0:
                break
            if entry.name not in self._used:
                os.unlink(entry.path)
                over_bytes -= about.st_size
        for entry, _ in found:
            if entry.name.startswith(_LINK) and not os.path.exists(entry.path):
                os.unlink(entry.path)
