"""The files ``output`` and ``runs`` as the pump opens them; the format of ``runs`` is in ``records``."""

from __future__ import annotations

import errno
import os

from jobdeck_keeper import records


def cut_to_valid(fd: int, runs_bytes: int, output_bytes: int) -> tuple[records.RunRecord | None, int]:
    """Find the last record that holds and cut off what follows: a short append, or what a power cut left.

    Args:
        fd: The open ``runs``.
        runs_bytes: Its size.
        output_bytes: Size of ``output``.

    Returns:
        The record, None if there is none; and the size now.
    """
    end = runs_bytes - (runs_bytes - records.HEADER.size) % records.RUN.size
    found = None
    while end > records.HEADER.size:
        found = records.unpack_run(os.pread(fd, records.RUN.size, end - records.RUN.size))
        if found is not None and found.offset <= output_bytes:
            break
        found = None
        end -= records.RUN.size
    if end != runs_bytes:
        os.ftruncate(fd, end)
    return found, end


def open_runs(folder: str, boot_id: str) -> int:
    """Open ``runs``; a new one appears with its header or not at all."""
    path = f"{folder}/runs"
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        fresh = f"{folder}/runs.new"
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            if os.write(fd, records.pack_header(boot_id)) != records.HEADER.size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
            os.rename(fresh, path)
        except OSError:
            os.close(fd)
            os.unlink(fresh)
            raise
        return fd


def open_files(folder: str, boot_id: str) -> tuple[int, int]:
    """Make and open what a job's pump writes: ``output`` and ``runs``.

    Raises:
        OSError: They could not be made, for example ENOSPC.
    """
    output = open_output(folder)
    try:
        return output, open_runs(folder, boot_id)
    except OSError:
        os.close(output)
        raise


def open_output(folder: str) -> int:
    """Open ``output``, made if it is not there."""
    return os.open(f"{folder}/output", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
