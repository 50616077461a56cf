"""The keeper's socket."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobdeck_keeper import cgroup, procs, records
from jobdeck_keeper.pool import SPARES_COUNT
from tests.keeper.client import HEAD, PACKAGE, Client, Gone, KeeperProcess, busy_children, spec_of, wait_until


def test_hello(client: Client, keeper: KeeperProcess) -> None:
    greeting = client.greeting
    assert greeting["version"] == 1
    assert greeting["pid"] == keeper.pid
    assert greeting["ticks"] == procs.start_ticks(keeper.pid)
    assert greeting["boot_id"] == procs.boot_id()
    assert greeting["jobs"] == []


def test_a_newer_server_closes_the_older(client: Client, keeper: KeeperProcess) -> None:
    bystander = Client(keeper.data, hello=False)
    newer = Client(keeper.data)
    with pytest.raises(Gone):
        client.receive(5)
    assert "re" in newer.call("ping")
    assert "re" in bystander.call("ping")
    newer.close()
    bystander.close()


def test_unread_requests_of_a_dead_server_are_void(keeper: KeeperProcess) -> None:
    older = Client(keeper.data)
    os.kill(keeper.pid, 19)
    spec = spec_of("true")
    newer = Client(keeper.data, hello=False)
    number = newer.post("hello", version=1)
    older.post("spawn", spec=spec)
    os.kill(keeper.pid, 18)
    while newer.receive().get("re") != number:
        pass
    # Both were readable at once, in either order; what is certain is that a claim was made before hello, or never.
    claimed = bool(keeper.facts(spec["id"]))
    time.sleep(0.1)
    assert bool(keeper.facts(spec["id"])) == claimed
    older.close()
    newer.close()


def test_a_repeated_spawn_is_known(client: Client, keeper: KeeperProcess) -> None:
    ident = client.bash("echo once")
    facts = client.exit(ident)
    for _ in range(3):
        answer = client.call("spawn", spec=spec_of("bash", "-c", "echo once", ident=ident))
        assert answer["status"] == "known"
        assert answer["facts"] == facts
    assert keeper.output(ident) == b"once\n"


def test_a_folder_with_something_in_it(client: Client, keeper: KeeperProcess) -> None:
    for number in range(60):  # many more than there are spares: some are being made at this moment
        spec = spec_of("cat", stdin=True)
        folder = keeper.folder(spec["id"])
        folder.mkdir()
        if number % 2:
            (folder / "input").write_bytes(b"hello")
        client.post("spawn", spec=spec)
        client.post("eof", id=spec["id"], size=5 if number % 2 else 0)
        assert client.exit(spec["id"])["exit"]["code"] == 0
        assert keeper.output(spec["id"]) == (b"hello" if number % 2 else b"")
        assert client.call("spawn", spec=spec)["status"] == "known"
        assert set(os.listdir(folder)) == {"record", "output", "runs", "input"}
    wait_until(lambda: len(os.listdir(keeper.data / "spares")) == SPARES_COUNT)


def test_folders_with_something_in_them_all_at_once(client: Client, keeper: KeeperProcess) -> None:
    # None of these finds a spare that has had time to settle: its folder is moved while it is being born.
    specs = [spec_of("cat", stdin=True) for _ in range(60)]
    for spec in specs:
        keeper.folder(spec["id"]).mkdir()
        (keeper.folder(spec["id"]) / "input").write_bytes(spec["id"].encode())
    for spec in specs:
        client.post("spawn", spec=spec)
        client.post("eof", id=spec["id"], size=len(spec["id"]))
    for spec in specs:
        assert client.exit(spec["id"])["exit"]["code"] == 0
        assert keeper.output(spec["id"]) == spec["id"].encode()
        assert set(os.listdir(keeper.folder(spec["id"]))) == {"record", "output", "runs", "input"}


def test_two_spawns_at_once(client: Client, keeper: KeeperProcess) -> None:
    other = Client(keeper.data, hello=False)
    for number in range(20):
        spec = spec_of("bash", "-c", "echo once", ident=f"twice-{number}-{os.getpid()}")
        first, second = client.post("spawn", spec=spec), other.post("spawn", spec=spec)
        client.exit(spec["id"])
        answers = [message for message in client.events if message.get("re") == first]
        answer = other.receive()
        assert answer["re"] == second
        assert {answer["status"], answers[0]["status"]} == {"accepted", "known"}
        assert keeper.output(spec["id"]) == b"once\n"
    other.close()


def test_never(client: Client, keeper: KeeperProcess) -> None:
    spec = spec_of("true")
    answer = client.call("stop", id=spec["id"], signal=15, grace_s=5)
    assert answer["status"] == "never"
    assert answer["facts"]["claim"]["never"] is True
    assert client.event("exit", spec["id"])["facts"] == answer["facts"]
    assert client.call("stop", id=spec["id"], signal=15, grace_s=5)["status"] == "never"
    again = client.call("spawn", spec=spec)
    assert (again["status"], again["facts"]["claim"]["never"]) == ("known", True)
    assert os.listdir(keeper.folder(spec["id"])) == ["record"]


def test_stop_of_an_ended_job(client: Client) -> None:
    ident = client.bash("exit 2")
    client.exit(ident)
    answer = client.call("stop", id=ident, signal=15, grace_s=5)
    assert (answer["status"], answer["facts"]["exit"]["code"]) == ("ended", 2)


def test_facts_and_list(client: Client) -> None:
    ident = client.bash("sleep 60")
    client.event("start", ident)
    assert client.call("list")["jobs"] == [ident]
    assert set(client.call("facts", id=ident)["facts"]) == {"claim", "start"}
    assert client.call("facts", id="nobody")["facts"] is None
    client.call("stop", id=ident, signal=9, grace_s=0)
    client.exit(ident)
    assert client.call("list")["jobs"] == []


@pytest.mark.parametrize("ident", ["", "..", "a/b", ".hidden", "x" * 200, "a\nb", None, 5, "\0"])
def test_odd_ids_are_refused(client: Client, ident: object) -> None:
    spec = spec_of("true") | {"id": ident}
    assert "error" in client.call("spawn", spec=spec)
    assert "error" in client.call("stop", id=ident)
    assert "error" in client.call("facts", id=ident)


@pytest.mark.parametrize(
    "change",
    [{"steps": []}, {"steps": [{}]}, {"steps": None}, {"linger_s": "x"}, {"output_limit_bytes": None}, {"grace_s": []}],
)
def test_odd_specs_are_refused_before_the_claim(
    client: Client, keeper: KeeperProcess, change: dict[str, object]
) -> None:
    spec = spec_of("true") | change
    assert "error" in client.call("spawn", spec=spec)
    assert not keeper.folder(spec["id"]).exists()


def test_odd_argv_ends_as_an_error(client: Client) -> None:
    odd: list[dict[str, Any]] = [{"argv": [1]}, {"env": {"A": 1}}, {"cwd": 5}, {"argv": "ls"}, {"env": []}]
    for change in odd:
        one = {"argv": ["true"], "env": {}, "cwd": "/"} | change
        assert client.exit(client.spawn(steps=[one]))["error"]["text"].startswith(("not started", "command not found"))


def test_nonsense_closes_that_connection_only(client: Client, keeper: KeeperProcess) -> None:
    rnd = random.Random(4)
    nonsense = [
        HEAD.pack((16 << 20) + 1),
        b"\xff" * 64,
        HEAD.pack(5) + b"hello",
        HEAD.pack(2) + b"[]",
        HEAD.pack(4) + b"null",
        HEAD.pack(3) + b"\xff\xfe\x00",
        HEAD.pack(200_000) + b"[" * 200_000,
        *(HEAD.pack(40) + rnd.randbytes(40) for _ in range(20)),
    ]
    for data in nonsense:
        bad = Client(keeper.data, hello=False)
        bad.socket.sendall(data)
        with pytest.raises(Gone):
            bad.receive(5)
        bad.close()
    assert "re" in client.call("ping")
    odd: list[Any] = ["", "nope", "__init__", None, 5, {}, "answer"]
    for op in odd:
        assert "error" in client.call(op)
    assert "error" in client.call("stop")
    assert "error" in client.call("signal", id="x", signal="KILL")


def test_frames_byte_by_byte(keeper: KeeperProcess) -> None:
    slow = Client(keeper.data, hello=False)
    body = b'{"op":"ping","n":7}'
    for byte in HEAD.pack(len(body)) + body:
        slow.socket.sendall(bytes([byte]))
    assert slow.receive()["re"] == 7
    slow.close()


def test_a_big_frame(client: Client, keeper: KeeperProcess) -> None:
    env = {f"V{number}": "x" * 100_000 for number in range(15)}
    ident = client.bash("echo ${#V14}", env=env | {"PATH": "/usr/bin:/bin"})
    client.exit(ident)
    assert keeper.output(ident) == b"100000\n"


def test_a_deaf_client_is_dropped(client: Client, keeper: KeeperProcess) -> None:
    deaf = Client(keeper.data, hello=False)
    deaf.socket.settimeout(10)
    ident = client.bash("true")
    client.exit(ident)
    body = b'{"op":"facts","n":1,"id":"%s"}' % ident.encode()
    flood = (HEAD.pack(len(body)) + body) * 2000

    def talk() -> None:
        for _ in range(1000):
            deaf.socket.sendall(flood)

    with pytest.raises(OSError, match=r"Broken pipe|reset"):
        talk()
    deaf.close()
    assert "re" in client.call("ping")


def test_many_connections(client: Client, keeper: KeeperProcess) -> None:
    crowd = []
    for _ in range(100):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(keeper.data / "keeper.sock"))
        crowd.append(sock)
    assert "re" in client.call("ping")
    for sock in crowd:
        sock.close()
    assert "re" in client.call("ping")


def test_no_descriptor_and_no_child_is_left(client: Client, keeper: KeeperProcess) -> None:
    def count() -> int:
        return len(os.listdir(f"/proc/{keeper.pid}/fd"))

    client.run("true")
    wait_until(lambda: not busy_children(keeper.pid) and len(procs.children(keeper.pid)) == SPARES_COUNT)
    before = count()
    ids = [client.bash("echo hi; exit 1", stdin=number % 2 == 0) for number in range(40)]
    ids += [client.spawn("nope") for _ in range(10)]
    for ident in ids:
        client.exit(ident)
    wait_until(lambda: not busy_children(keeper.pid) and len(procs.children(keeper.pid)) == SPARES_COUNT)
    wait_until(lambda: count() <= before)
    for ident in ids:
        assert set(os.listdir(keeper.folder(ident))) <= {"record", "output", "runs", "input"}


def test_file_modes(client: Client, keeper: KeeperProcess) -> None:
    ident = client.bash("echo hi; umask")
    client.exit(ident)
    assert keeper.output(ident).endswith(b"0022\n")
    assert (keeper.data / "keeper.sock").stat().st_mode & 0o777 == 0o600
    assert keeper.folder(ident).stat().st_mode & 0o777 == 0o700
    for path in keeper.folder(ident).iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_busy(keeper: KeeperProcess) -> None:
    result = subprocess.run(
        [sys.executable, "-I", "-S", str(PACKAGE), str(keeper.data)], capture_output=True, check=False, timeout=20
    )
    assert (result.stdout, result.returncode) == (b"busy\n", 3)


def test_wrong_arguments() -> None:
    for arguments in ([], ["--no-cgroup"], ["/tmp/x", "--what"], ["/tmp/x", "--idle-exit-s"]):
        command = [sys.executable, "-I", "-S", str(PACKAGE), *arguments]
        result = subprocess.run(command, capture_output=True, check=False, timeout=20)
        assert result.returncode == 2
        assert b"usage" in result.stderr


def test_a_long_data_directory(make_keeper: Callable[..., KeeperProcess], tmp_path: Path) -> None:
    keeper = make_keeper(data=tmp_path / ("d" * 120) / ("e" * 120) / "data")
    assert keeper.word == "ready"
    client = Client(keeper.data)
    ident = client.bash("echo hi")
    assert client.exit(ident)["exit"]["code"] == 0
    assert keeper.output(ident) == b"hi\n"
    client.close()


def test_it_leaves_when_idle(make_keeper: Callable[..., KeeperProcess]) -> None:
    keeper = make_keeper("--idle-exit-s", "0.3")
    client = Client(keeper.data)
    time.sleep(0.5)
    ident = client.bash("sleep 0.6")
    client.close()
    assert keeper.process is not None
    time.sleep(0.45)
    assert keeper.process.poll() is None
    assert keeper.process.wait(5) == 0
    assert keeper.facts(ident)["exit"]["code"] == 0
    assert not (keeper.data / "keeper.sock").exists()


def test_retire(make_keeper: Callable[..., KeeperProcess]) -> None:
    keeper = make_keeper()
    client = Client(keeper.data)
    ident = client.bash("sleep 0.3; exit 4")
    client.event("start", ident)
    assert "error" not in client.call("retire")
    assert "error" in client.call("spawn", spec=spec_of("true"))
    assert client.exit(ident)["exit"]["code"] == 4
    assert keeper.process is not None
    assert keeper.process.wait(5) == 0
    client.close()
    assert os.listdir(keeper.data / "spares") == []
    base = cgroup.base_path(str(keeper.data))
    assert base is None or not os.path.exists(base)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_another_user_is_refused(keeper: KeeperProcess) -> None:
    keeper.data.parent.chmod(0o755)
    keeper.data.chmod(0o755)
    path = keeper.data / "keeper.sock"
    path.chmod(0o666)
    try:
        program = (
            "import os,socket,sys\n"
            "os.setgid(65534); os.setuid(65534)\n"
            "s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.settimeout(5)\n"
            'try:\n s.sendall(b\'\\x13\\0\\0\\0{"op":"ping","n":7}\'); print(s.recv(10))\n'
            "except ConnectionError as e: print(b'')\n"
        )
        command = [sys.executable, "-I", "-S", "-c", program, str(path)]
        result = subprocess.run(command, capture_output=True, check=False, timeout=20)
        assert result.stdout == b"b''\n", result.stderr
    finally:
        path.chmod(0o600)
        keeper.data.chmod(0o700)
        keeper.data.parent.chmod(0o700)


def test_it_imports_nothing_but_the_standard_library(keeper: KeeperProcess) -> None:
    maps = Path(f"/proc/{keeper.pid}/maps").read_text()
    assert "site-packages" not in maps
    assert records.RECORD_BYTES == 4096


@pytest.mark.slow
def test_a_keeper_whose_folder_was_taken_away_leaves_the_new_one_alone(
    make_keeper: Callable[..., KeeperProcess], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    older = make_keeper("--idle-exit-s", "1", data=data)
    data.rename(tmp_path / "away")
    newer = make_keeper(data=data)
    assert newer.pid != older.pid
    assert older.process is not None
    assert older.process.wait(20) == 0
    Client(data).close()
