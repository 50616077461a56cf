"""The keeper's first moments: arguments, the lock, and what it changes about itself."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import resource
import signal
from dataclasses import dataclass

from jobdeck_keeper import cgroup, procs
from jobdeck_keeper.child import Surroundings

_IDENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_OOM = "/proc/self/oom_score_adj"
_OOM_OURS = b"-900"
_IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says."""

    data: str
    use_cgroup: bool = True
    idle_exit_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Who and where this keeper is.

    Attributes:
        data: Absolute path of the data directory.
        fifo: Descriptor of ``keeper.fifo``, on which shims speak.
        lock: Descriptor of ``keeper.lock``, held for life.
        cgroup: The group that holds the jobs' groups; None without.
        around: What jobs get back of what was changed here.
    """

    data: str
    pid: int
    ticks: int
    boot: str
    fifo: int
    lock: int
    cgroup: str | None
    around: Surroundings

    def folder(self, ident: str) -> str:
        """Give a job's folder.

        Raises:
            ValueError: This is no job's name.
        """
        if not isinstance(ident, str) or not _IDENT.fullmatch(ident):
            raise ValueError("not the id of a job")
        return f"{self.data}/jobs/{ident}"


def parse(arguments: list[str]) -> Options:
    """Read the command line.

    Raises:
        ValueError: It makes no sense.
    """
    if not arguments or arguments[0].startswith("-"):
        raise ValueError("no data directory")
    use_cgroup, idle_exit_s = True, 60.0
    rest = iter(arguments[1:])
    for word in rest:
        if word == "--no-cgroup":
            use_cgroup = False
        elif word == "--idle-exit-s":
            idle_exit_s = float(next(rest, "nothing"))
        else:
            raise ValueError(f"unknown argument {word}")
    return Options(data=os.path.abspath(arguments[0]), use_cgroup=use_cgroup, idle_exit_s=idle_exit_s)


def settle(options: Options) -> Place | None:
    """Take the data directory and make this process a keeper; None if another one is there."""
    os.umask(0o077)
    os.makedirs(f"{options.data}/jobs", mode=0o700, exist_ok=True)
    os.chdir(options.data)
    procs.close_all_but(())
    lock = os.open("keeper.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    around = _change_self()
    pid = os.getpid()
    return Place(
        data=options.data,
        pid=pid,
        ticks=procs.start_ticks(pid) or 0,
        boot=procs.boot_id(),
        fifo=_open_fifo(),
        lock=lock,
        cgroup=cgroup.find_base(options.data) if options.use_cgroup else None,
        around=around,
    )


def announce(word: str) -> None:
    """Say one word on stdout, then turn away from stdin and stdout; who started us may be dead already."""
    with contextlib.suppress(OSError):
        os.write(1, f"{word}\n".encode())
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)


def _change_self() -> Surroundings:
    """Become subreaper, deaf to polite signals, rich in descriptors and unattractive to the OOM killer."""
    procs.become_subreaper()
    procs.set_name("jd-keeper")
    ignored = set(_IGNORED)
    ignored.update(number for number in signal.valid_signals() if signal.getsignal(number) == signal.SIG_IGN)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    # Handlers, not dispositions: forked shims wait for these two, and one may come before a shim is listening.
    for number in (signal.SIGCHLD, signal.SIGUSR1):
        signal.signal(number, _do_nothing)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return Surroundings(ignored=tuple(sorted(ignored)), files=_raise_file_limit(), oom=_lower_oom_score())


def _do_nothing(_number: int, _frame: object) -> None:
    """Be a handler: what matters is that the call under way is interrupted."""


def _raise_file_limit() -> tuple[int, int] | None:
    """Raise the limit of open files as far as it goes; returns the former limits if they were changed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return None
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft, hard


def _lower_oom_score() -> bytes | None:
    """Make the kernel look elsewhere first when memory runs out; returns the former score if it was changed."""
    try:
        with open(_OOM, "rb") as file:
            former = file.read().strip()
        with open(_OOM, "wb", buffering=0) as file:
            file.write(_OOM_OURS)
    except OSError:
        return None
    return former


def _open_fifo() -> int:
    """Open the FIFO on which shims speak, ours and those of a dead predecessor."""
    with contextlib.suppress(FileExistsError):
        os.mkfifo("keeper.fifo", 0o600)
    fd = os.open("keeper.fifo", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    with contextlib.suppress(BlockingIOError):
        while os.read(fd, 1 << 16):  # said to the predecessor; the records say it too
            pass
    return fd
