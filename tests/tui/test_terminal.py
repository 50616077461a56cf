"""A job's bytes on their way out: exact into pipes, sanitised onto terminals."""

from __future__ import annotations

import ast
import io
import os
import pty
import tty
from pathlib import Path

import pytest
import trio

from jobdeck_tui import terminal
from jobdeck_tui.terminal import Outlet, note

EVERYTHING = bytes(range(256)) + b"\x1b]52;c;AAAA\x07 \x1b[31mred"


def stream_of(fd: int, encoding: str = "utf-8") -> io.TextIOWrapper:
    return io.TextIOWrapper(os.fdopen(fd, "wb", buffering=0), encoding=encoding, write_through=True)


async def test_a_pipe_gets_the_exact_bytes() -> None:
    reader, writer = os.pipe()
    with stream_of(writer) as stream:
        outlet = Outlet(stream)
        await outlet.write(EVERYTHING)
        await outlet.close()
    with os.fdopen(reader, "rb") as file:
        assert file.read() == EVERYTHING


@pytest.mark.parametrize(
    ("raw", "encoding", "wanted"),
    [
        (False, "utf-8", "a\u241b]52;c;AA\u2407\x1b[31mě\x1b[0m".encode()),
        (True, "utf-8", b"a\x1b]52;c;AA\x07\x1b[31m\xc4\x9b"),
        # in an 8-bit terminal the second byte of this character would begin a control sequence
        (False, "latin-1", b"a?]52;c;AA?\x1b[31m?\x1b[0m"),
    ],
)
async def test_a_terminal_gets_no_controls(raw: bool, encoding: str, wanted: bytes) -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    with stream_of(slave, encoding) as stream, os.fdopen(master, "rb", buffering=0) as screen:
        outlet = Outlet(stream, raw=raw)
        for index in range(17):
            await outlet.write(b"a\x1b]52;c;AA\x07\x1b[31m\xc4\x9b"[index : index + 1])
        await outlet.write(b"a\x1b]52;c;AA\x07\x1b[31m\xc4\x9b"[17:])
        await outlet.close()
        got = b""
        while len(got) < len(wanted):  # a terminal hands over in pieces of its own
            got += screen.read(1000)
        assert got == wanted


async def test_all_is_written_to_a_slow_reader_that_does_not_block() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    data = b"x" * 500_000
    got = bytearray()

    def read() -> None:
        with os.fdopen(reader, "rb", buffering=0) as file:
            while piece := file.read(50_000):
                got.extend(piece)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, read)
        with stream_of(writer) as stream:
            await Outlet(stream).write(data)
    assert bytes(got) == data


async def test_a_reader_that_has_gone_is_noticed() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with stream_of(writer) as stream:
        outlet = Outlet(stream)
        await outlet.write(b"x")
        assert outlet.broken
        await outlet.write(b"y")


def test_notes_go_to_standard_error_as_one_safe_line(capfd: pytest.CaptureFixture[str]) -> None:
    note("job \x1b[2Jx\nfailed")
    out, err = capfd.readouterr()
    assert (out, err) == ("", "jobdeck: job ␛[2Jx failed\n")


def test_only_one_place_writes_foreign_bytes() -> None:
    """Nothing else in the package writes to a file descriptor or a stream by itself."""
    package = Path(terminal.__file__).parent
    for path in package.rglob("*.py"):
        if path.name == "terminal.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.Name) and node.id == "print"), path
            assert not (isinstance(node, ast.Attribute) and node.attr in ("write", "buffer") and _is_stream(node.value))


def _is_stream(node: ast.expr) -> bool:
    return ast.unparse(node) in ("os", "sys.stdout", "sys.stderr")
