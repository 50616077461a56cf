"""The child: from fork to exec.

A child is forked before it is known what it will run (a stub): it gives back what the keeper changed about itself,
makes the job's pipes its stdout and stderr, and waits on its channel for its plan; then, while its parent writes the
start record, for one byte. The byte means: the record is on disk, go. The end of the channel instead means that the
parent is dead: then it ends without having run anything. So no program runs without a start record. The channel
closes by itself when exec succeeds, which tells the parent that.

A program that cannot be started is told in the slot ``exec`` of the record, by the child itself: that works also when
nobody is left to tell it to.
"""

from __future__ import annotations

import contextlib
import errno
import json
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
class Plan:
    """What a job's children are to do; travels as an open file, so that no message is too long and none blocks.

    Attributes:
        path: The job's folder, absolute.
        exact: Exact order of the streams: pipes in packet mode.
        stdin: Standard input is the job's FIFO, else /dev/null.
    """

    path: str
    exact: bool
    stdin: bool
    steps: list[Step]

    def pack(self) -> bytes:
        """Make the content of the file."""
        return json.dumps([self.path, self.exact, self.stdin, self.steps]).encode()

    @classmethod
    def read(cls, fd: int) -> Plan:
        """Read the file."""
        path, exact, stdin, steps = json.loads(os.pread(fd, os.fstat(fd).st_size, 0))
        return cls(path=path, exact=exact, stdin=stdin, steps=steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stub:
    """A forked child that does not know yet what it will be.

    Attributes:
        pid: Its number.
        ticks: When it was forked.
        channel: Our end.
    """

    pid: int
    ticks: int
    channel: socket.socket

    def brief(self, plan: int, number: int) -> None:
        """Tell it which step of which plan it is; it makes ready and waits for ``go``."""
        with contextlib.suppress(OSError):  # dead already: its end will be seen
            socket.send_fds(self.channel, [b"%d" % number], [plan])

    def go(self) -> None:
        """The start is on record: let it run."""
        with contextlib.suppress(OSError):
            self.channel.send(b"g")


def fork_stub(sides: tuple[int, int], cgroup: str | None, around: Surroundings, *, calm: bool = False) -> Stub:
    """Fork a child, into its group if there is one.

    Args:
        sides: The job's ends of its pipes; closed here, open in the child.
        cgroup: The job's group.
        around: What to give back.
        calm: There is time to rehearse before the plan comes.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # What is ignored here must wait, not be lost, until the child no longer ignores it: a blocked signal does.
    signal.pthread_sigmask(signal.SIG_BLOCK, around.ignored)
    pid, moved = _fork(cgroup)
    if pid == 0:
        _become(theirs, sides, around, None if moved else cgroup, calm=calm)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, around.ignored)
    theirs.close()
    for fd in sides:
        os.close(fd)
    return Stub(pid=pid, ticks=procs.start_ticks(pid) or 0, channel=ours)


def _fork(cgroup: str | None) -> tuple[int, bool]:
    """Fork, straight into the group if there is one and the kernel can: (number, in the group)."""
    if cgroup is not None:
        try:
            fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return os.fork(), True
        try:
            pid = procs.fork_into(fd)
        finally:
            os.close(fd)
        if pid >= 0:
            return pid, True
    return os.fork(), False


def _become(
    channel: socket.socket, sides: tuple[int, int], around: Surroundings, cgroup: str | None, *, calm: bool
) -> NoReturn:
    """Be the child; never returns, whatever happens."""
    plan, number = None, 0
    try:
        _connect(sides, channel.fileno())
        _restore(around, cgroup)
        if calm:
            _rehearse()
        words, files, _, _ = socket.recv_fds(channel, 64, 1)
        if words:
            number = int(words)
            plan = Plan.read(files[0])
            os.close(files[0])
            _adapt(plan)
            if channel.recv(1) != b"g":
                raise StartError("not started: its supervisor was killed")
            _run(plan.steps[number])
    except StartError as error:
        _tell(plan, number, str(error), error.number)
    except OSError as error:
        _tell(plan, number, f"not started: {error}", error.errno)
    except BaseException as error:  # noqa: BLE001 - a forked child must end here, not in its parent's code
        _tell(plan, number, f"not started: {error!r}", None)
    finally:
        os._exit(_NOT_STARTED_STATUS)


def _restore(around: Surroundings, cgroup: str | None) -> None:
    """Undo what the keeper changed about itself, and be one's own session."""
    os.setsid()
    if cgroup is not None:
        with open(f"{cgroup}/cgroup.procs", "wb") as file:
            file.write(b"0")
    for number in around.ignored:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(0o022)
    if around.files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, around.files)
    if around.oom is not None:
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(fd, around.oom)
        os.close(fd)


def _connect(sides: tuple[int, int], channel: int) -> None:
    """Make the job's pipes descriptors 0 to 2, and be left with no others but the channel.

    They go now, not at exec: among them are locks, and our copy of the parent's end of the channel.
    """
    os.dup2(sides[0], 1)
    os.dup2(sides[1], 2)
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    procs.close_all_but((channel,))


def _adapt(plan: Plan) -> None:
    """Change what is not as most jobs want it."""
    if not plan.exact:
        pipes.leave_exact_order(1)
        pipes.leave_exact_order(2)
    if plan.stdin:
        # After the end of the input nobody holds a write end: an open that blocks would wait for ever.
        fd = os.open(f"{plan.path}/stdin", os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(fd, True)
        os.dup2(fd, 0)
        os.close(fd)


def _rehearse() -> None:
    """Do what will be done, as far as it does no harm, so that the faults of a fresh fork are behind us by then."""
    fd = os.memfd_create("rehearsal", os.MFD_CLOEXEC)
    step: Step = {"argv": ["/nowhere/x"], "executable": None, "env": {"PATH": "/"}, "cwd": "/"}
    os.write(fd, Plan(path="/", exact=True, stdin=False, steps=[step]).pack())
    with contextlib.suppress(StartError):
        _run(Plan.read(fd).steps[0])
    os.close(fd)


def _tell(plan: Plan | None, step: int, text: str, number: int | None) -> None:
    """Write why the program did not start."""
    if plan is None:
        return
    with contextlib.suppress(OSError):
        fd = os.open(f"{plan.path}/record", os.O_WRONLY | os.O_CLOEXEC)
        text = records.clip(text, records.PAYLOAD_LIMIT_BYTES - 100)
        payload = {"text": text, "errno": number, "step": step, "pid": os.getpid(), "t_us": records.wall_us()}
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
