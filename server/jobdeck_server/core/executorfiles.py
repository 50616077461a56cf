"""Files that an operator gives the executor: the secret that its callers must know, and the jobs that earn labels.

Both are small, and looked at on the trio thread; the one that may change is read again only when it has.
"""

from __future__ import annotations

import hmac
import json
import logging
from typing import TYPE_CHECKING

from jobdeck_server.core.secretfile import read_secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_log = logging.getLogger("jobdeck.executor")


class Nonce:
    """The secret of ``Settings.executor_nonce_file``; without such a file everybody knows it.

    Raises:
        OSError: The file cannot be read, is empty, or may be read by others than its owner.
    """

    def __init__(self, path: Path | None) -> None:
        self._secret = read_secret(path, "the executor's nonce")

    def is_known(self, presented: str | None) -> bool:
        """Whether a caller may go on; takes as long for a wrong one as for the right one."""
        if self._secret is None:
            return True
        return hmac.compare_digest(self._secret, (presented or "").encode("latin-1", "replace"))  # a header's bytes


class LabelJobs:
    """The map of labels to hashes in ``Settings.executor_label_jobs_file``: what it says now, or last said."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._jobs: Mapping[str, str] = {}

    def get(self) -> Mapping[str, str]:
        """The map; a file that is gone or broken changes nothing, and is told in the log once."""
        if self._path is not None:
            try:
                status = self._path.stat()
                seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            except OSError:
                seen = (0, 0, 0)
            if seen != self._seen:
                self._seen = seen
                self._read(self._path)
        return self._jobs

    def _read(self, path: Path) -> None:
        try:
            found = json.loads(path.read_text("utf-8"))
            if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
                raise ValueError("it must be an object of label: hash")
        except (OSError, ValueError, RecursionError) as error:
            _log.error("label jobs: %s: %s; the last good ones stay", path, error)
            return
        self._jobs = found
