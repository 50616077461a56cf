"""Standard input out of a file that grows."""

from __future__ import annotations

import os
import random
import signal
import time

from tests.keeper.client import Client, KeeperProcess, digest, kill, step, wait_until


def put(keeper: KeeperProcess, client: Client, ident: str, data: bytes, offset: int = 0) -> None:
    fd = os.open(keeper.folder(ident) / "input", os.O_WRONLY | os.O_CREAT, 0o600)
    os.pwrite(fd, data, offset)
    os.close(fd)
    assert client.call("input", id=ident)["status"] == "ok"


def test_input_and_its_end(client: Client, keeper: KeeperProcess) -> None:
    ident = client.spawn("cat", stdin=True)
    put(keeper, client, ident, b"hello\n")
    wait_until(lambda: (keeper.folder(ident) / "output").exists() and keeper.output(ident) == b"hello\n")
    put(keeper, client, ident, b"world\n", 6)
    assert client.call("eof", id=ident, size=12)["status"] == "ok"
    assert client.call("eof", id=ident, size=12)["status"] in ("ok", "ended")
    assert client.exit(ident)["exit"]["code"] == 0
    assert keeper.output(ident) == b"hello\nworld\n"
    assert client.call("eof", id=ident, size=12)["status"] == "ended"
    assert client.call("input", id="nobody")["status"] == "unknown"


def test_an_end_before_the_input(client: Client, keeper: KeeperProcess) -> None:
    ident = client.spawn("cat", stdin=True)
    assert client.call("eof", id=ident, size=3)["status"] == "ok"
    put(keeper, client, ident, b"abcdef")
    client.exit(ident)
    assert keeper.output(ident) == b"abc"


def test_empty_input(client: Client, keeper: KeeperProcess) -> None:
    ident = client.spawn("cat", stdin=True)
    client.call("eof", id=ident, size=0)
    assert client.exit(ident)["exit"]["code"] == 0
    assert keeper.output(ident) == b""


def test_much_input(client: Client, keeper: KeeperProcess) -> None:
    data = random.Random(1).randbytes(8_000_000)
    ident = client.spawn("cat", stdin=True)
    for place in range(0, len(data), 1_000_000):
        put(keeper, client, ident, data[place : place + 1_000_000], place)
    client.call("eof", id=ident, size=len(data))
    client.exit(ident)
    assert digest(keeper.output(ident)) == digest(data)


def test_nobody_reads(client: Client, keeper: KeeperProcess) -> None:
    ident = client.bash("exec <&-; sleep 0.1; exit 4", stdin=True)
    put(keeper, client, ident, b"x" * 1_000_000)
    assert client.exit(ident)["exit"]["code"] == 4


def test_later_steps_read_on(client: Client, keeper: KeeperProcess) -> None:
    steps = [step("head", "-c", "3"), step("bash", "-c", "read line; echo [$line]"), step("cat")]
    # head -c reads more than it shows only from what is in the pipe; one byte at a time keeps the rest for others.
    steps[0] = step("dd", "bs=1", "count=3", "status=none")
    ident = client.spawn(steps=steps, stdin=True)
    put(keeper, client, ident, b"abcdef\nrest\n")
    client.call("eof", id=ident, size=12)
    assert client.exit(ident)["exit"]["code"] == 0
    assert keeper.output(ident) == b"abc[def]\nrest\n"


def test_input_survives_the_death_of_its_feeder(client: Client, keeper: KeeperProcess) -> None:
    data = random.Random(2).randbytes(3_000_000)
    for _ in range(4):
        ident = client.bash("while IFS= read -r -N 1000 x; do :; done < /dev/null; cat", stdin=True)
        shim = client.event("start", ident)["facts"]["start"]["shim"]
        put(keeper, client, ident, data[:2_000_000])
        time.sleep(random.random() * 0.01)
        kill(shim)
        put(keeper, client, ident, data[2_000_000:], 2_000_000)
        client.call("eof", id=ident, size=len(data))
        facts = client.exit(ident)
        assert facts["exit"]["code"] == 0
        assert digest(keeper.output(ident)) == digest(data)


def test_input_survives_keeper_and_then_shim(make_keeper: object, keeper: KeeperProcess) -> None:
    other = KeeperProcess(keeper.data.parent / "other")
    client = Client(other.data)
    data = random.Random(3).randbytes(2_000_000)
    ident = client.spawn("bash", "-c", "sleep 0.3; exec cat", stdin=True)
    shim = client.event("start", ident)["facts"]["start"]["shim"]
    put(other, client, ident, data[:1_000_000])
    other.kill()
    client.close()
    other.start()
    client = Client(other.data)
    os.kill(shim, signal.SIGKILL)
    put(other, client, ident, data[1_000_000:], 1_000_000)
    client.call("eof", id=ident, size=len(data))
    facts = client.exit(ident)
    assert facts["exit"]["code"] == 0 or "lost" in facts
    assert digest(other.output(ident)) == digest(data)
    client.close()
    other.end()
