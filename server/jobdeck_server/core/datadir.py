"""The data directory: made private, held by one server at a time, and telling clients where that server is.

jobdeck.sqlite3   the database          server.lock   flock of the server that holds the directory
jobs/<id>/        a job's files         server.json   its URLs and pid, for clients of the same user
blobs/            see ``blobfiles``     keeper.*      the keeper's socket, lock and log
worker.id         see ``workers``             data/          see ``datafiles``
work/             see ``workfiles``           spark/         see ``jobdeck_server.spark.archive``
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# flock, FIFOs and inotify do not hold across machines, and one keeper per directory would not either
_NETWORK_TYPES = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "afs", "fuse.sshfs"})


class DataDirError(Exception):
    """The directory cannot be used; a sentence for the operator."""


class DataDir:
    """A held data directory. Making it blocks.

    Raises:
        DataDirError: Another server holds it, it is on a network file system, or it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
            (path / "jobs").mkdir(mode=0o700, exist_ok=True)
            self._lock = os.open(path / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DataDirError(f"cannot use {path} as data directory: {error.strerror}") from error
        try:
            self._hold()
        except BaseException:
            os.close(self._lock)
            raise

    def _hold(self) -> None:
        kind = _file_system(self.path)
        if kind in _NETWORK_TYPES:
            raise DataDirError(f"{self.path} is on a network file system ({kind}); choose a local folder")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise DataDirError(f"cannot lock {self.path}: {error.strerror}") from error
            owner = os.pread(self._lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise DataDirError(f"another server (process {owner}) holds {self.path}") from error
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, b"%d\n" % os.getpid(), 0)

    def tell(self, urls: Sequence[str], certificate: str | None = None) -> None:
        """Write ``server.json``. Blocks.

        Args:
            urls: Of the server.
            certificate: What it shows to clients over TLS, in PEM form: who finds it by this file believes no other.
        """
        told: dict[str, object] = {"urls": list(urls), "pid": os.getpid()}
        if certificate is not None:
            told["certificate"] = certificate
        fresh = self.path / "server.json.new"
        fresh.write_text(json.dumps(told))
        fresh.replace(self.path / "server.json")

    def close(self) -> None:
        """Let another server have it. Blocks."""
        (self.path / "server.json").unlink(missing_ok=True)
        os.close(self._lock)


def _file_system(path: Path) -> str:
    """Type of the file system on which a folder lies. Source: proc(5), mountinfo."""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with Path("/proc/self/mountinfo").open() as mounts:
        for line in mounts:
            fields = line.split()
            if fields[2] == wanted:
                return fields[fields.index("-") + 1]
    return "unknown"
