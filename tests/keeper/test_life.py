"""What a job is given and how it ends."""

from __future__ import annotations

import os
import resource
import signal
import time
from pathlib import Path

import pytest

from jobdeck_keeper.records import KIND_STDOUT
from tests.keeper.client import Client, KeeperProcess, alive, step, wait_until

WITH_AND_WITHOUT_CGROUPS = True
SIGNALS = [number for number in range(1, 65) if number not in (32, 33)]


@pytest.mark.slow
def test_all_exit_codes_at_once(client: Client) -> None:
    ids = [client.bash(f"exit {code}") for code in range(256)]
    ends = [client.exit(ident)["exit"] for ident in ids]
    assert [end["code"] for end in ends] == list(range(256))
    assert {end["signal"] for end in ends} == {None}


@pytest.mark.slow
def test_all_signals_at_once(client: Client) -> None:
    harmless = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH}
    stopping = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
    deadly = [number for number in SIGNALS if number not in harmless | stopping]
    ids: dict[int, str] = {}
    program = (
        "import os,sys,resource; resource.setrlimit(resource.RLIMIT_CORE,(0,0)); os.kill(os.getpid(),int(sys.argv[1]))"
    )
    for number in deadly:
        if number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
            line = f"kill -{number} $$"  # Python ignores or handles these
            ids[number] = client.bash(line)
        else:
            ids[number] = client.spawn("python3", "-I", "-S", "-c", program, str(number))
    for number, ident in ids.items():
        end = client.exit(ident)["exit"]
        assert (end["code"], end["signal"]) == (None, number)


def test_a_job_sees_nothing_of_us(client: Client, keeper: KeeperProcess) -> None:
    program = (
        "import os,signal,sys\n"
        "print(sorted(os.listdir('/proc/self/fd')))\n"
        "status=dict(l.split(':\\t') for l in open('/proc/self/status').read().splitlines() if ':\\t' in l)\n"
        "print(status['SigBlk'], oct(os.umask(0)), os.getsid(0)==os.getpid()==os.getpgid(0))\n"
        "print(dict(os.environ), os.getcwd(), open('/proc/self/oom_score_adj').read().strip())\n"
    )
    line = "grep -E SigIgn /proc/self/status; ulimit -n; readlink /proc/self/fd/0"
    env = {"A": "1", "B": "x y"}
    ident = client.spawn(
        "/bin/sh", "-c", f'exec {os.path.realpath("/usr/bin/python3")} -I -S -c "$0"', program, env=env, cwd="/tmp"
    )
    client.exit(ident)
    fds, state, surroundings = keeper.output(ident).decode().splitlines()
    assert fds == "['0', '1', '2', '3']"  # 3 is the listing itself
    assert state == "0000000000000000 0o22 True"
    oom = Path("/proc/self/oom_score_adj").read_text().strip()
    assert surroundings.endswith(f" /tmp {oom}")
    for name, value in env.items():
        assert f"'{name}': '{value}'" in surroundings
    assert "JOBDECK" not in surroundings
    other = client.bash(line)
    client.exit(other)
    ignored, files, stdin = keeper.output(other).decode().splitlines()
    # The C library keeps 32 and 33 for itself: whoever inherits them ignored cannot change that.
    assert int(ignored.split()[1], 16) & ~(0b11 << 31) == 0
    assert files == str(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    assert stdin == "/dev/null"


def test_environment_is_exact(client: Client, keeper: KeeperProcess) -> None:
    ident = client.spawn("/usr/bin/env", "-0", env={"ODD": "\udcff\udc80", "E": "", "Ü": "ü"})
    client.exit(ident)
    assert set(keeper.output(ident).split(b"\0")) == {b"ODD=\xff\x80", b"E=", "Ü=ü".encode(), b""}


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ({"argv": ["true"], "cwd": "/nope"}, "working directory /nope: No such file or directory"),
        ({"argv": ["foo-bar"]}, "command not found: foo-bar"),
        ({"argv": [""]}, "command not found: "),
        ({"argv": ["/nope/foo"]}, "/nope/foo: No such file or directory"),
        ({"argv": ["x"], "executable": "/nope/bar"}, "/nope/bar: No such file or directory"),
        ({"argv": ["/etc/passwd"]}, "/etc/passwd: Permission denied"),
        ({"argv": ["/tmp"]}, "/tmp: Permission denied"),
        ({"argv": ["true", "a\0b"]}, "argument 1 contains a NUL character"),
        ({"argv": ["true"], "env": {"A": "\0"}}, "environment variable A contains a NUL character"),
        ({"argv": ["true"], "env": {"A=B": "1"}}, "'A=B' is no name for an environment variable"),
        ({"argv": ["true"], "cwd": "/\0"}, "the working directory contains a NUL character"),
        ({"argv": ["true", "x" * (1 << 20)]}, "/usr/bin/true: Argument list too long"),
        ({"argv": ["é\udcff"]}, "command not found: é�"),
    ],
)
def test_start_errors(client: Client, request_: dict[str, object], text: str) -> None:
    one = {**step("true", env={"PATH": "/usr/bin"}), **request_}
    facts = client.exit(client.spawn(steps=[one]))
    assert facts["error"]["text"] == text
    assert facts["error"]["step"] == 0
    assert "exit" not in facts


def test_a_missing_interpreter(client: Client, tmp_path: os.PathLike[str]) -> None:
    path = f"{tmp_path}/script"
    with open(path, "w") as file:
        file.write("#!/nope/python\n")
    os.chmod(path, 0o755)
    assert client.exit(client.spawn(path))["error"]["text"] == f"{path}: its interpreter was not found"


def test_steps_run_in_order(client: Client, keeper: KeeperProcess) -> None:
    steps = [step("bash", "-c", f"echo {word}; pwd", cwd=cwd) for word, cwd in (("a", "/"), ("b", "/tmp"), ("c", "/"))]
    ident = client.spawn(steps=steps)
    facts = client.exit(ident)
    assert keeper.output(ident) == b"a\n/\nb\n/tmp\nc\n/\n"
    assert (facts["exit"]["code"], facts["exit"]["step"]) == (0, 2)
    assert not (keeper.folder(ident) / "spec").exists()


@pytest.mark.parametrize(("second", "code", "number"), [("exit 7", 7, None), ("kill -9 $$", None, 9)])
def test_the_first_failing_step_ends_the_job(
    client: Client, keeper: KeeperProcess, second: str, code: int | None, number: int | None
) -> None:
    steps = [step("bash", "-c", line) for line in ("echo a", second, "echo c")]
    ident = client.spawn(steps=steps)
    end = client.exit(ident)["exit"]
    assert (end["code"], end["signal"], end["step"]) == (code, number, 1)
    assert keeper.output(ident) == b"a\n"


def test_a_step_that_cannot_start(client: Client, keeper: KeeperProcess) -> None:
    ident = client.spawn(steps=[step("echo", "a"), step("nope"), step("echo", "c")])
    facts = client.exit(ident)
    assert (facts["error"]["text"], facts["error"]["step"]) == ("command not found: nope", 1)
    assert keeper.output(ident) == b"a\n"


def test_start_and_step_events(client: Client) -> None:
    ident = client.spawn(steps=[step("sleep", "0.05"), step("sleep", "0.05")])
    first = client.event("start", ident)["facts"]["start"]
    second = client.event("step", ident)["facts"]["start"]
    end = client.exit(ident)
    assert (first["step"], second["step"]) == (0, 1)
    assert first["pid"] != second["pid"]
    assert end["start"] == second


# Stopping


def test_stop_by_term(client: Client) -> None:
    ident = client.bash("exec sleep 30")
    client.event("start", ident)
    assert client.call("stop", id=ident, signal=15, grace_s=5, reason="requested")["status"] == "stopping"
    facts = client.exit(ident)
    assert facts["exit"]["signal"] == 15
    assert (facts["stop"]["signal"], facts["stop"]["reason"]) == (15, "requested")


def test_stop_at_once_after_spawn(client: Client) -> None:
    ids = [client.bash("exec sleep 30") for _ in range(10)]
    for ident in ids:
        assert client.call("stop", id=ident, signal=15, grace_s=5)["status"] == "stopping"
    for ident in ids:
        assert client.exit(ident, 4)["exit"]["signal"] == 15


def test_stop_takes_term_and_its_handler_seriously(client: Client, keeper: KeeperProcess) -> None:
    ident = client.bash("trap 'echo bye; exit 9' TERM; echo on; while :; do sleep 0.02; done")
    wait_until(lambda: keeper.output(ident) == b"on\n" if (keeper.folder(ident) / "output").exists() else False)
    client.call("stop", id=ident, signal=15, grace_s=5)
    assert client.exit(ident)["exit"]["code"] == 9
    assert keeper.stream(ident, KIND_STDOUT) == b"on\nbye\n"  # bash itself tells of its sleep's end on stderr


def test_term_ignored_then_killed(client: Client) -> None:
    ident = client.bash("trap '' TERM; sleep 30 & sleep 30; sleep 30; sleep 30")
    client.event("start", ident)
    time.sleep(0.1)
    began = time.monotonic()
    client.call("stop", id=ident, signal=15, grace_s=0.3)
    assert client.exit(ident)["exit"]["signal"] == 9
    assert 0.25 < time.monotonic() - began < 2


def test_a_second_stop_hastens(client: Client) -> None:
    ident = client.bash("trap '' TERM; while :; do sleep 0.05; done")
    client.event("start", ident)
    time.sleep(0.1)
    client.call("stop", id=ident, signal=15, grace_s=60, reason="first")
    client.call("stop", id=ident, signal=9, grace_s=60, reason="second")
    facts = client.exit(ident, 3)
    assert facts["exit"]["signal"] == 9
    assert (facts["stop"]["signal"], facts["stop"]["reason"]) == (9, "first")


def test_a_second_stop_never_delays(client: Client) -> None:
    ident = client.bash("trap '' TERM; while :; do sleep 0.05; done")
    client.event("start", ident)
    time.sleep(0.1)
    client.call("stop", id=ident, signal=15, grace_s=0.2)
    client.call("stop", id=ident, signal=15, grace_s=60)
    assert client.exit(ident, 3)["exit"]["signal"] == 9


def test_stop_by_another_signal(client: Client) -> None:
    ident = client.bash("trap 'exit 4' INT; while :; do sleep 0.02; done")
    client.event("start", ident)
    time.sleep(0.1)
    client.call("stop", id=ident, signal=2, grace_s=5)
    assert client.exit(ident)["exit"]["code"] == 4


def test_a_stop_ends_the_steps(client: Client, keeper: KeeperProcess) -> None:
    line = "trap 'exit 0' TERM; while :; do sleep 0.02; done"
    ident = client.spawn(steps=[step("bash", "-c", line), step("echo", "second")])
    client.event("start", ident)
    time.sleep(0.1)
    client.call("stop", id=ident, signal=15, grace_s=5)
    end = client.exit(ident)["exit"]
    assert (end["code"], end["step"]) == (0, 0)
    assert keeper.stream(ident, KIND_STDOUT) == b""


def test_signal_is_no_stop(client: Client, keeper: KeeperProcess) -> None:
    ident = client.bash("trap 'echo usr1' USR1; echo on; for i in {1..200}; do sleep 0.01; done; exit 5")
    wait_until(lambda: (keeper.folder(ident) / "output").exists() and keeper.output(ident) == b"on\n")
    assert client.call("signal", id=ident, signal=10)["status"] == "sent"
    wait_until(lambda: b"usr1" in keeper.output(ident))
    client.call("stop", id=ident, signal=9, grace_s=0)
    facts = client.exit(ident)
    assert facts["exit"]["signal"] == 9
    assert client.call("signal", id=ident, signal=10)["status"] == "ended"
    assert client.call("signal", id="nobody", signal=10)["status"] == "unknown"


DAEMON = (
    "import os,signal,time,sys\n"
    "if os.fork(): os._exit(0)\n"
    "os.setsid()\n"
    "if os.fork(): os._exit(0)\n"
    "signal.signal(15, signal.SIG_IGN)\n"
    "n=os.open('/dev/null',2); [os.dup2(n,k) for k in (0,1,2)]\n"
    "open(sys.argv[1],'w').write(str(os.getpid()))\n"
    "time.sleep(60)\n"
)


def test_a_daemon_that_let_go_of_the_output_is_ended(client: Client, tmp_path: os.PathLike[str]) -> None:
    path = f"{tmp_path}/pid"
    line = f'python3 -I -S -c "$0" {path}; while [ ! -s {path} ]; do sleep 0.01; done; exit 3'
    facts = client.exit(client.spawn("bash", "-c", line, DAEMON, grace_s=0.2))
    assert facts["exit"]["code"] == 3
    assert not alive(int(Path(path).read_text()))


HOPPER = (
    "import os,sys,time\n"
    "for n in range(10**9):\n"
    "    if os.fork(): os._exit(0)\n"
    "    if n % 7 == 0: os.setsid()\n"
    "    open(sys.argv[1],'w').write(str(os.getpid()))\n"
)


def test_a_hopping_job_is_caught(client: Client, tmp_path: os.PathLike[str]) -> None:
    path = f"{tmp_path}/pid"
    ident = client.spawn("python3", "-I", "-S", "-c", HOPPER, path, linger_s=0)
    wait_until(lambda: os.path.exists(path))
    time.sleep(0.1)
    client.call("stop", id=ident, signal=9, grace_s=0)
    assert client.exit(ident, 10)["exit"]["code"] == 0
    last = Path(path).read_text()
    time.sleep(0.1)
    assert Path(path).read_text() == last


def test_time_limit(client: Client) -> None:
    began = time.monotonic()
    facts = client.run("exec sleep 30", time_limit_s=0.3)
    assert facts["exit"]["signal"] == 15
    assert facts["stop"]["reason"] == "time limit"
    assert 0.28 < time.monotonic() - began < 3


# Lingering


def test_what_holds_the_output_may_finish(client: Client, keeper: KeeperProcess) -> None:
    ids = [client.bash("exec > >(sleep 0.2; cat); echo hi") for _ in range(30)]
    for ident in ids:
        facts = client.exit(ident)
        assert (facts["exit"]["code"], facts["exit"]["lingered"]) == (0, False)
        assert keeper.output(ident) == b"hi\n"


def test_linger_ends(client: Client, keeper: KeeperProcess) -> None:
    began = time.monotonic()
    ident = client.bash("(trap 'echo bye; exit' TERM; while :; do sleep 0.02; done) & echo hi; exit 6", linger_s=0.3)
    facts = client.exit(ident)
    assert (facts["exit"]["code"], facts["exit"]["lingered"]) == (6, True)
    assert "stop" not in facts
    assert keeper.stream(ident, KIND_STDOUT) == b"hi\nbye\n"
    assert 0.28 < time.monotonic() - began < 3


@pytest.mark.slow
def test_linger_without_limit(client: Client, keeper: KeeperProcess) -> None:
    ident = client.bash("(sleep 0.4; echo late) & echo hi", linger_s=0)
    assert client.exit(ident)["exit"]["lingered"] is False
    assert keeper.output(ident) == b"hi\nlate\n"


@pytest.mark.slow
def test_stop_while_lingering(client: Client) -> None:
    ident = client.bash("sleep 60 & exit 8", linger_s=0)
    client.event("start", ident)
    time.sleep(0.1)
    client.call("stop", id=ident, signal=15, grace_s=5)
    facts = client.exit(ident, 3)
    assert (facts["exit"]["code"], facts["stop"]["reason"]) == (8, "requested")
