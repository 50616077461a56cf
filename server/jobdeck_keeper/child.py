"""The child: from fork to exec.

It prepares itself while its parent writes the start record, then waits for one byte. The byte means: the record is on
disk, go. The end of the channel instead means that the parent is dead: then it ends without having run anything. So
no program runs without a start record. The channel closes by itself when exec succeeds, which tells the parent that.

A program that cannot be started is told in the slot ``exec`` of the record, by the child itself: that works also when
nobody is left to tell it to.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from jobdeck_keeper import pipes, procs, records

if TYPE_CHECKING:
    from collections.abc import Iterator

Step = dict[str, Any]
"""``{argv: [str], executable: str | None, env: {str: str}, cwd: str}``; strings may hold surrogates for odd bytes."""

_NOT_STARTED_STATUS = 127


class StartError(Exception):
    """A program cannot be started; the text is told to the user."""

    def __init__(self, text: str, number: int | None = None) -> None:
        super().__init__(text)
        self.number = number


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a job's processes get back of what the keeper changed for itself.

    Attributes:
        ignored: Signals that are ignored in the keeper.
        files: Soft and hard limit of open files, None if unchanged.
        oom: Text for /proc/self/oom_score_adj, None if unchanged.
    """

    ignored: tuple[int, ...] = ()
    files: tuple[int, int] | None = None
    oom: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One step, ready to be started.

    Attributes:
        folder: The job's folder, relative to the current one or absolute.
        record: Absolute path of the job's record.
        number: Which step, from 0.
        exact: Exact order of the streams: pipes in packet mode.
        stdin: Standard input is the job's FIFO, else /dev/null.
        cgroup: Path of the job's group or None.
    """

    step: Step
    number: int
    folder: str
    record: str
    exact: bool
    stdin: bool
    cgroup: str | None
    around: Surroundings


def launch(plan: Launch) -> tuple[int, socket.socket]:
    """Fork a step's child.

    Returns:
        Its number and the channel: send ``b"g"`` for go; it reads as ended when the program runs (or could not be
        started: see slot ``exec``).
    """
    ours, theirs = socket.socketpair()
    out, err = pipes.open_job_side(plan.folder, exact=plan.exact)
    pid, moved = _fork(plan.cgroup)
    if pid == 0:
        _become(plan, theirs.fileno(), out, err, None if moved else plan.cgroup)
    for fd in (out, err):
        os.close(fd)
    theirs.close()
    return pid, ours


def _fork(cgroup: str | None) -> tuple[int, bool]:
    """Fork, straight into the group if there is one and the kernel can: (number, in the group)."""
    if cgroup is not None:
        fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            pid = procs.fork_into(fd)
        finally:
            os.close(fd)
        if pid >= 0:
            return pid, True
    return os.fork(), False


def _become(plan: Launch, channel: int, out: int, err: int, cgroup: str | None) -> NoReturn:
    """Be the child; never returns, whatever happens."""
    try:
        _prepare(plan, channel, out, err, cgroup)
        if os.read(channel, 1) != b"g":
            raise StartError("not started: its supervisor was killed")
        _run(plan.step)
    except StartError as error:
        _tell(plan, str(error), error.number)
    except OSError as error:
        _tell(plan, f"not started: {error}", error.errno)
    except BaseException as error:  # noqa: BLE001 - a forked child must end here, not in its parent's code
        _tell(plan, f"not started: {error!r}", None)
    finally:
        os._exit(_NOT_STARTED_STATUS)


def _prepare(plan: Launch, channel: int, out: int, err: int, cgroup: str | None) -> None:
    os.setsid()
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.dup2(_open_stdin(plan), 0)
    # All others go now, not at exec: among them are locks, and our copy of the parent's end of the channel.
    procs.close_all_but((channel,))
    if cgroup is not None:
        with open(f"{cgroup}/cgroup.procs", "wb") as file:
            file.write(b"0")
    for number in plan.around.ignored:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(0o022)
    if plan.around.files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, plan.around.files)
    if plan.around.oom is not None:
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(fd, plan.around.oom)
        os.close(fd)


def _open_stdin(plan: Launch) -> int:
    if not plan.stdin:
        return os.open("/dev/null", os.O_RDONLY)
    # After the end of the input nobody holds a write end: an open that blocks would wait for ever.
    fd = os.open(f"{plan.folder}/stdin", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(fd, True)
    return fd


def _tell(plan: Launch, text: str, number: int | None) -> None:
    """Write why the program did not start."""
    with contextlib.suppress(OSError):
        fd = os.open(plan.record, os.O_WRONLY | os.O_CLOEXEC)
        text = records.clip(text, records.PAYLOAD_LIMIT_BYTES - 100)
        payload = {"text": text, "errno": number, "step": plan.number, "pid": os.getpid(), "t_us": records.wall_us()}
        records.write_slot(fd, "exec", payload)
        os.close(fd)


def _run(step: Step) -> NoReturn:
    """Replace this process by the step's program.

    Raises:
        StartError: It cannot be done.
    """
    cwd, name, arguments, environment = _checked(step)
    try:
        os.chdir(cwd)
    except OSError as error:
        raise StartError(f"working directory {_shown(cwd)}: {error.strerror}", error.errno) from error
    found: OSError | None = None
    for path in _candidates(step, name, environment):
        try:
            os.execve(path, arguments, environment)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                raise StartError(f"{_shown(path)}: {error.strerror}", error.errno) from error
            if found is None or (error.errno == errno.EACCES and os.path.isfile(path)):
                found = error
                found.filename = path
    raise _not_found(step, name, found)


def _not_found(step: Step, name: bytes, error: OSError | None) -> StartError:
    """Say why no candidate could be run."""
    if error is None or (step.get("executable") is None and b"/" not in name and not os.path.exists(error.filename)):
        return StartError(f"command not found: {_shown(name)}", errno.ENOENT)
    if error.errno == errno.ENOENT and os.path.exists(error.filename):
        return StartError(f"{_shown(error.filename)}: its interpreter was not found", errno.ENOENT)
    return StartError(f"{_shown(error.filename)}: {error.strerror}", error.errno)


def _candidates(step: Step, name: bytes, environment: dict[bytes, bytes]) -> Iterator[bytes]:
    """Give the files to try, in order."""
    executable = step.get("executable")
    if executable is not None:
        yield _bytes(executable)
    elif b"/" in name:
        yield name
    elif name:
        for folder in environment.get(b"PATH", os.fsencode(os.defpath)).split(b":"):
            yield os.path.join(folder, name)


def _checked(step: Step) -> tuple[bytes, bytes, list[bytes], dict[bytes, bytes]]:
    """Turn a step into bytes: (folder, name, arguments, environment).

    Raises:
        StartError: It holds what no program can be given.
    """
    arguments = [_bytes(word) for word in step["argv"]]
    environment = {_bytes(name): _bytes(value) for name, value in step["env"].items()}
    cwd = _bytes(step["cwd"])
    if not arguments:
        raise StartError("no command")
    for number, word in enumerate(arguments):
        if b"\0" in word:
            raise StartError(f"argument {number} contains a NUL character", errno.EINVAL)
    for name, value in environment.items():
        if b"\0" in name or b"\0" in value:
            raise StartError(f"environment variable {_shown(name)} contains a NUL character", errno.EINVAL)
        if not name or b"=" in name:
            raise StartError(f"{_shown(name)!r} is no name for an environment variable", errno.EINVAL)
    if b"\0" in cwd:
        raise StartError("the working directory contains a NUL character", errno.EINVAL)
    return cwd, arguments[0], arguments, environment


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _shown(name: bytes) -> str:
    return name.decode("utf-8", "replace").replace("\0", "\\0")
