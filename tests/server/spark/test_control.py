"""The client of a context's process, against ends that do not behave."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import trio

from jobdeck_server.spark.control import Control, ControlError, Counts, GoneError, RefusedError, Status

Serve = Callable[[trio.SocketStream], Awaitable[None]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a path that no socket's address can have."""
    long = tmp_path.joinpath(*["a-long-name-of-a-folder"] * 6)
    long.mkdir(parents=True)
    return long


@pytest.fixture
def listener(folder: Path) -> Iterator[trio.SocketListener]:
    place = os.open(folder, os.O_PATH)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(f"/proc/self/fd/{place}/control.sock")
    os.close(place)
    sock.listen()
    with sock:
        yield trio.SocketListener(trio.socket.from_stdlib_socket(sock))


async def asked(listener: trio.SocketListener, serve: Serve, ask: Callable[[], Awaitable[object]]) -> object:
    """Ask one question of an end that does as it is told."""

    async def accept() -> None:
        async with await listener.accept() as stream:
            await serve(stream)

    failed: ControlError | None = None
    answer: object = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        try:
            answer = await ask()
        except ControlError as error:  # as it is, not in a group
            failed = error
        nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed
    return answer


def saying(*pieces: bytes) -> Serve:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        for piece in pieces:
            await stream.send_all(piece)
            await trio.lowlevel.checkpoint()

    return serve


UP = {
    "ok": True,
    "state": "up",
    "note": None,
    "context": "c1",
    "application": "local-1",
    "master": "local[2]",
    "ui": None,
    "version": "3.5.9",
    "memory_bytes": 5,
    "jobs": {"j": {"stages_done": 1, "stages": 2, "tasks_done": 3, "tasks_active": 4, "tasks": 5, "new": 6}},
    "later": [],
}


async def test_a_status(folder: Path, listener: trio.SocketListener) -> None:
    line = json.dumps(UP).encode() + b"\n"
    status = await asked(listener, saying(line[:7], line[7:90], line[90:]), Control(folder).status)
    assert status == Status(
        state="up",
        note=None,
        context="c1",
        application="local-1",
        master="local[2]",
        ui=None,
        version="3.5.9",
        memory_bytes=5,
        jobs={"j": Counts(stages_done=1, stages=2, tasks_done=3, tasks_active=4, tasks=5)},
    )


async def test_what_is_asked(folder: Path, listener: trio.SocketListener) -> None:
    got: list[object] = []

    async def serve(stream: trio.SocketStream) -> None:
        got.append(json.loads(await stream.receive_some()))
        await stream.send_all(b'{"ok": true}\n')

    control = Control(folder)
    await asked(listener, serve, lambda: control.make("c1", "a name", {"a": "b"}, ["/j.jar"], limit_s=5))
    await asked(listener, serve, lambda: control.cancel("j"))
    await asked(listener, serve, control.stop)
    assert got == [
        {"op": "make", "context": "c1", "name": "a name", "conf": {"a": "b"}, "jars": ["/j.jar"]},
        {"op": "cancel", "job": "j"},
        {"op": "stop"},
    ]


async def test_a_refusal(folder: Path, listener: trio.SocketListener) -> None:
    with pytest.raises(RefusedError, match=r"^not now$"):
        await asked(listener, saying(b'{"ok": false, "error": "not now"}\n'), Control(folder).status)


@pytest.mark.parametrize("line", [b"\n", b"{\n", b"[]\n", b"{}\n", b'{"ok": 1}\n', b"\xff\n", b"[" * 100_000 + b"\n"])
async def test_an_answer_that_is_none(folder: Path, listener: trio.SocketListener, line: bytes) -> None:
    with pytest.raises(ControlError, match="cannot be understood"):
        await asked(listener, saying(line), Control(folder).status)


async def test_a_status_of_other_types(folder: Path, listener: trio.SocketListener) -> None:
    odd = {"ok": True, "state": 1, "note": 2, "jobs": {"a": 3, "b": {"tasks": "x"}}, "memory_bytes": "y"}
    status = await asked(listener, saying(json.dumps(odd).encode() + b"\n"), Control(folder).status)
    assert isinstance(status, Status)
    assert (status.note, status.memory_bytes, status.jobs) == (None, 0, {"a": Counts(), "b": Counts()})


async def test_a_line_that_is_cut(folder: Path, listener: trio.SocketListener) -> None:
    with pytest.raises(GoneError, match="ended before it answered"):
        await asked(listener, saying(b'{"ok": true, "sta'), Control(folder).status)


async def test_a_line_without_an_end(folder: Path, listener: trio.SocketListener) -> None:
    with pytest.raises(ControlError, match="without an end"):
        await asked(listener, saying(*[b"x" * (1 << 20)] * 9), Control(folder).status)


async def test_silence(folder: Path, listener: trio.SocketListener) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    with pytest.raises(ControlError, match=r"within 0\.05 s"):
        await asked(listener, serve, lambda: Control(folder).status(limit_s=0.05))


async def test_nobody(folder: Path, tmp_path: Path, listener: trio.SocketListener) -> None:
    with pytest.raises(GoneError):
        await Control(tmp_path / "nowhere").status()
    with pytest.raises(GoneError):
        await Control(tmp_path).status()
    await listener.aclose()
    with pytest.raises(GoneError):
        await Control(folder).status()
