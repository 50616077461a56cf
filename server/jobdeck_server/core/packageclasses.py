"""Which classes of a package can be run as jobs: asked of ``packagescan``, and remembered, for bytes never change."""

from __future__ import annotations

import json
import logging
import signal
import sys
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from jobdeck_server.core import packagescan

if TYPE_CHECKING:
    from jobdeck_server.core.binaryrows import Binary
    from jobdeck_server.core.blobs import Blobs
    from jobdeck_server.settings import Settings

_log = logging.getLogger("jobdeck.packages")
_PROCESS_COUNT = 2
_REMEMBERED_COUNT = 256
_KILLED = (-signal.SIGXCPU, -signal.SIGKILL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """What was found in a package.

    Attributes:
        names: ``package.module.Class``, or ``package.Class`` of a jar, in the order of its files.
        complete: All of it was looked at. A file that this Python cannot read counts as looked at.
    """

    names: tuple[str, ...] = ()
    complete: bool = True


class ClassFinder:
    """See the top of this file."""

    def __init__(self, settings: Settings, *, blobs: Blobs) -> None:
        self._settings = settings
        self._blobs = blobs
        self._processes = trio.CapacityLimiter(_PROCESS_COUNT)
        self._found: OrderedDict[tuple[str, str], Classes] = OrderedDict()

    async def find(self, binary: Binary) -> Classes:
        """The classes of one.

        Raises:
            MissingContentError: Its bytes are not here.
        """
        found = self._found.get((binary.kind, binary.content))
        if found is None:
            async with self._processes:
                found = await self._ask(binary.content, binary.kind)
            if found is None:  # the machine may be busy: the next one who asks may hear more
                return Classes(complete=False)
            self._found[binary.kind, binary.content] = found
            while len(self._found) > _REMEMBERED_COUNT:
                self._found.popitem(last=False)
        return found

    async def _ask(self, content_hash: str, kind: str) -> Classes | None:
        """None if there was no answer in time."""
        settings = self._settings
        numbers = (
            *(settings.package_scan_memory_bytes, settings.package_scan_cpu_s),
            *(settings.package_scan_source_bytes, settings.package_class_limit_count),
        )
        command = [sys.executable, "-I", "-S", "-B", packagescan.__file__, kind, *map(str, numbers)]
        with await self._blobs.content(content_hash) as file, trio.move_on_after(settings.package_scan_deadline_s):
            done = await trio.run_process(
                command,
                stdin=file.fd,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                deliver_cancel=_kill,
                env={},
                cwd="/",
                start_new_session=True,
            )
            if done.returncode not in (0, *_KILLED):
                _log.warning("looking for classes: %d, %r", done.returncode, done.stderr[-1000:])
            return _answered(done.stdout)
        return None


def _answered(answer: bytes) -> Classes:
    """What the program has said, which may have been cut short at any byte."""
    lines = answer.split(b"\n")[:-1]
    complete = lines[-1:] == [b"true"]
    return Classes(names=tuple(json.loads(line) for line in (lines[:-1] if complete else lines)), complete=complete)


async def _kill(process: trio.Process) -> None:
    process.kill()
