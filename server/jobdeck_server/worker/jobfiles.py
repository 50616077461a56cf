"""The folders of a worker's jobs: what the keeper has written there, and three notes of the worker's own.

jobs/<id>/record     the claim, for ever; the keeper's (``jobdeck_keeper.records``)
jobs/<id>/output ... the keeper's too
jobs/<id>/refused    why the job does not run here; it holds with a record that says ``never``
jobs/<id>/results    what a bundle has left, all of which the server has: artifacts to hashes
jobs/<id>/released   the server has all of the job: since when, and the final sizes of its files

``work/<id>`` is a bundle's folder (``engines.workfiles``), there from before its claim until the server has all.

All of this blocks. Looks at a few files just written (sizes, notes) are short enough to be made without a thread.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobdeck_keeper import records
from jobdeck_protocol.workermirror import NOTHING, Sizes
from jobdeck_protocol.workerreports import Ended
from jobdeck_protocol.workerwords import RECORD_BYTES, How
from jobdeck_server.engines.workfiles import StatusError, read_plan
from jobdeck_server.worker.lives import write_durably

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jobdeck_protocol.workermirror import Range
    from jobdeck_server.engines.base import Ended as EngineEnded
    from jobdeck_server.engines.workfiles import Plan

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KEPT = frozenset({"record", "refused", "results", "released"})
_TEXT_LIMIT_COUNT = 4096
_S = 1_000_000  # microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What ``released`` says.

    Attributes:
        time_us: When the server said that it has all, microseconds UTC.
        sizes: Final sizes of the two files, which are told even when the files are gone.
    """

    time_us: int
    sizes: Sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Final:
    """How a job ended, as the server is told.

    Attributes:
        end: What is said.
        gone: Its files were removed, or the end of them is lost.
        input_bytes: How much of standard input was kept.
    """

    end: Ended
    gone: bool
    input_bytes: int


class JobFiles:
    """See the top of this file.

    Args:
        jobs_dir: Of the data directory.
        work_dir: Of the data directory, for bundles.
    """

    def __init__(self, jobs_dir: Path, work_dir: Path) -> None:
        self._jobs_dir = jobs_dir
        self._work_dir = work_dir

    def folder(self, job_id: str) -> Path:
        """A job's folder, which may not exist."""
        return self._jobs_dir / job_id

    def ids(self, *, released: bool) -> list[str]:
        """Jobs with a folder; those of which the server has all only if asked for."""
        names = [entry.name for entry in os.scandir(self._jobs_dir) if _ID.fullmatch(entry.name)]
        return [name for name in names if released or self.released(name) is None]

    def claimed(self, job_id: str) -> bool:
        """Whether it was decided if the job runs."""
        return (self.folder(job_id) / "record").exists()

    def over(self, job_id: str) -> bool:
        """Whether the job has ended, or never runs."""
        return records.is_final(records.read_record(self.folder(job_id) / "record"))

    def sizes(self, job_id: str) -> Sizes:
        """Sizes of the two files, that of ``output`` looked at first; whole records of ``runs``."""
        output = _size(self.folder(job_id) / "output")
        runs = _size(self.folder(job_id) / "runs")
        return Sizes(output, runs - runs % RECORD_BYTES)

    def grown(self, job_id: str) -> Sizes:
        """What of a running job's files may be told: nothing before the first record of the index.

        Its header is written ahead of need and once more when the job starts, so before that it may still change.
        """
        found = self.sizes(job_id)
        return found if found.runs > records.HEADER.size else NOTHING

    def input_bytes(self, job_id: str) -> int:
        """How much of standard input is kept."""
        return _size(self.folder(job_id) / "input")

    def read(self, job_id: str, part: Range, *, wait: bool = True) -> tuple[bytes, bytes] | None:
        """What of ``runs`` and ``output`` is to go into a piece; None if it cannot be read any more.

        Args:
            job_id: Whose files.
            part: What of them.
            wait: Also from the disk; otherwise only what is in memory, as that is which was just written: a thread
                for each piece would cost more than all else that is done for it.
        """
        folder, flags = self.folder(job_id), 0 if wait else os.RWF_NOWAIT
        try:
            runs = _read(folder / "runs", part.at.runs, part.runs_bytes, flags)
            output = _read(folder / "output", part.at.output, part.output_bytes, flags)
        except OSError:
            return None
        return (runs, output) if (len(runs), len(output)) == (part.runs_bytes, part.output_bytes) else None

    def final(self, job_id: str, ended: EngineEnded) -> Final:
        """How a job ended: what the engine says, and what stands beside its record."""
        how, text = How(ended.how), ended.text
        started_us = ended.started_us
        if how is How.NEVER and (refusal := self.refusal(job_id)) is not None:
            how, text, started_us = refusal
        found = self.sizes(job_id)
        note = self.released(job_id)
        sizes = found if note is None else note.sizes
        # of a job that was lost sight of nobody has counted the bytes, and nobody writes any more
        output_bytes = sizes.output if how is How.LOST else ended.output_bytes
        results, super_set = self.results(job_id) or (ended.results, None)
        end = Ended(
            job_id=job_id,
            how=how,
            code=ended.code,
            signal=ended.signal,
            core=ended.core,
            text=None if text is None else text[:_TEXT_LIMIT_COUNT],
            stop_reason=ended.stop_reason,
            started_us=started_us,
            finished_us=ended.finished_us,
            output_bytes=output_bytes,
            runs_bytes=sizes.runs,
            dropped_bytes=ended.dropped_bytes,
            step=ended.step,
            cut=ended.cut,
            results=results,
            super_set=super_set,
        )
        gone = not found.covers(Sizes(output_bytes, sizes.runs))
        return Final(end=end, gone=gone, input_bytes=self.input_bytes(job_id))

    # -- notes --

    def refuse(self, job_id: str, how: How, text: str, started_us: int | None = None) -> None:
        """Write down why a job does not run here, before it is claimed as one that never does.

        Args:
            job_id: Its id.
            how: What is told of it: ERROR or LOST.
            text: The reason.
            started_us: When it counts as started, None if it does not.

        Raises:
            OSError: There is no room for it.
        """
        folder = self.folder(job_id)
        folder.mkdir(mode=0o700, exist_ok=True)
        note = {"how": how.value, "text": text[:_TEXT_LIMIT_COUNT], "started_us": started_us}
        write_durably(folder / "refused", json.dumps(note).encode())

    def refusal(self, job_id: str) -> tuple[How, str, int | None] | None:
        """Why a job does not run here, and when it counts as started; None if nothing was written down."""
        try:
            found = json.loads((self.folder(job_id) / "refused").read_bytes())
        except FileNotFoundError:
            return None
        return How(found["how"]), str(found["text"]), found.get("started_us")

    def accept(self, job_id: str) -> None:
        """A job is decided about anew: what was written down for a claim that never came holds no more."""
        (self.folder(job_id) / "refused").unlink(missing_ok=True)

    def release(self, job_id: str, now_us: int) -> None:
        """The server has all of a job: note since when. Nothing happens for one that is released, or not claimed."""
        if self.released(job_id) is None and self.claimed(job_id):
            note = {"t_us": now_us, "sizes": self.sizes(job_id)}
            fresh = self.folder(job_id) / "released.new"
            fresh.write_text(json.dumps(note))
            fresh.replace(self.folder(job_id) / "released")

    def released(self, job_id: str) -> Note | None:
        """Since when the server has all of a job; None if it does not, or nothing readable says so."""
        try:
            found = json.loads((self.folder(job_id) / "released").read_bytes())
            output, runs = found["sizes"]
            return Note(time_us=int(found["t_us"]), sizes=Sizes(int(output), int(runs)))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    # -- bundles --

    def is_bundle(self, job_id: str) -> bool:
        """Whether a job has a bundle of which something is here."""
        return (self._work_dir / job_id).exists()

    def plan(self, job_id: str) -> Plan | None:
        """What a bundle runs; None if it is not known, or not any more."""
        try:
            return read_plan(self._work_dir / job_id / "plan.json")
        except StatusError:
            return None

    def keep_results(self, job_id: str, results: Mapping[str, str], super_set: str | None) -> None:
        """The server has all results of a bundle.

        Raises:
            OSError: There is no room for the note.
        """
        note = {"results": dict(results), "super_set": super_set}
        write_durably(self.folder(job_id) / "results", json.dumps(note).encode())

    def results(self, job_id: str) -> tuple[dict[str, str], str | None] | None:
        """The results that the server has, and the artifact of all of them; None if it does not have them (yet)."""
        try:
            found = json.loads((self.folder(job_id) / "results").read_bytes())
            return found["results"], found["super_set"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    # -- removal --

    def remove_files(self, job_id: str) -> None:
        """Remove all but the record and the notes."""
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self.folder(job_id)):
                if entry.name in _KEPT:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    os.unlink(entry.path)

    def sweep(self, now_us: int, *, output_keep_s: float, output_keep_bytes: int, record_keep_s: float) -> None:
        """Remove what has been kept long enough of jobs of which the server has all, and what is more than may be kept.

        Args:
            now_us: The time, microseconds UTC.
            output_keep_s: How long files are kept.
            output_keep_bytes: How much of them, the oldest going first.
            record_keep_s: How long records are kept.
        """
        kept: list[tuple[int, str]] = []
        for job_id in self.ids(released=True):
            note = self.released(job_id)
            if note is None:
                continue
            age_s = (now_us - note.time_us) / _S
            if age_s >= record_keep_s:
                shutil.rmtree(self.folder(job_id), ignore_errors=True)
            elif age_s >= output_keep_s:
                self.remove_files(job_id)
            else:
                kept.append((note.time_us, job_id))
        for _, job_id in sorted(kept, reverse=True):
            output_keep_bytes -= sum(self.sizes(job_id)) + self.input_bytes(job_id)
            if output_keep_bytes < 0:
                self.remove_files(job_id)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _read(path: Path, offset: int, length: int, flags: int) -> bytes:
    if not length:
        return b""
    buffer = bytearray(length)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return bytes(memoryview(buffer)[: os.preadv(fd, [buffer], offset, flags)])
    finally:
        os.close(fd)
