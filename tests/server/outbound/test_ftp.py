"""Packages by ftp: servers old and new, and such as mean harm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from jobdeck_server.core.outbound.errors import FailedError, RefusedError
from tests.server.outbound.fetchbench import DATA, HASH, fetcher
from tests.server.outbound.receivers import talking


class Ftp:
    """A small server; ``wrong`` says in which way it is not as it should be."""

    def __init__(self, wrong: str = "") -> None:
        self.wrong = wrong
        self.commands: list[bytes] = []
        self.data_contacts = 0

    async def control(self, stream: trio.SocketStream) -> None:
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        port = listener.socket.getsockname()[1]
        held = b""
        async with listener:
            if self.wrong == "silent":
                await trio.sleep_forever()
            await stream.send_all(
                b"x" * 100_000 if self.wrong == "babble" else b"220-Hello\r\n220-you\r\n220 there\r\n"
            )
            while True:
                while b"\r\n" not in held:
                    piece = await stream.receive_some(1000)
                    if not piece:
                        return
                    held += piece
                command, _, held = held.partition(b"\r\n")
                self.commands.append(command)
                await self._answer(command, stream, listener, port)

    async def _answer(
        self, command: bytes, stream: trio.SocketStream, listener: trio.SocketListener, port: int
    ) -> None:
        match command.split()[0]:
            case b"USER":
                await stream.send_all(b"331 word?\r\n")
            case b"PASS" | b"TYPE":
                await stream.send_all(b"530 no\r\n" if self.wrong == "login" else b"230 fine\r\n")
            case b"SIZE":
                await stream.send_all(b"502 what?\r\n" if self.wrong == "no size" else b"213 %d\r\n" % len(DATA))
            case b"EPSV":
                known = self.wrong not in ("old", "elsewhere")
                number = 80 if self.wrong == "low port" else port
                await stream.send_all(b"229 Entering (|||%d|)\r\n" % number if known else b"500 what?\r\n")
            case b"PASV":
                host = b"10,9,8,7" if self.wrong == "elsewhere" else b"127,0,0,1"
                await stream.send_all(b"227 Entering (%b,%d,%d).\r\n" % (host, port >> 8, port & 255))
            case b"RETR":
                await stream.send_all(b"150 here it comes\r\n")
                async with await listener.accept() as data:
                    self.data_contacts += 1
                    await data.send_all(DATA[:1000] if self.wrong == "short" else DATA)
                    if self.wrong == "stuck":
                        await trio.sleep_forever()
                await stream.send_all(b"426 broken\r\n" if self.wrong == "broken" else b"226 done\r\n")


@pytest.mark.parametrize("wrong", ["", "no size", "old", "elsewhere"])
async def test_by_ftp(wrong: str, folder: Path) -> None:
    server = Ftp(wrong)
    async with talking(server.control) as port, fetcher(folder) as (own, _):
        got = await own.fetch(f"ftp://127.0.0.1:{port}/pub/word%20count.whl")
        assert (got.name, got.content.hash) == ("word count.whl", HASH)
        assert server.data_contacts == 1  # whatever address it said
        assert b"RETR pub/word count.whl" in server.commands


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("babble", "says too much"),
        ("login", "its answer was 530"),
        ("short", "1000 bytes of a file of 700000"),
        ("broken", "its answer was 426"),
        ("stuck", "sends less than"),
        ("silent", "did not answer in"),
        ("low port", "port below 1024"),
    ],
)
async def test_ftp_that_is_wrong(wrong: str, words: str, folder: Path) -> None:
    limits: dict[str, Any] = {"fetch_head_s": 0.5 if wrong == "silent" else 30.0}
    limits["fetch_grace_s"] = 0.5 if wrong == "stuck" else 30.0
    limits["fetch_rate_floor_bytes_per_s"] = 10_000_000
    server = Ftp(wrong)
    async with talking(server.control) as port, fetcher(folder, **limits) as (own, bench):
        with pytest.raises((FailedError, RefusedError), match=words):
            await own.fetch(f"ftp://127.0.0.1:{port}/x")
        assert bench.files() == {}


@pytest.mark.parametrize("path", ["/x%0d%0aDELE%20y", "/x%00", "/", "/x?y"])
async def test_ftp_commands_cannot_be_smuggled(path: str, folder: Path) -> None:
    server = Ftp()
    async with talking(server.control) as port, fetcher(folder) as (own, _):
        with pytest.raises(RefusedError):
            await own.fetch(f"ftp://127.0.0.1:{port}{path}")
        assert not any(b"DELE" in command for command in server.commands)
