"""Blobs up and down: one large file, and many small ones.

The limit of an upload is one process that reads the same file, hashes it with SHA-1 and writes it, and syncs it as the
server does; that of a download is a blocking thread with ``socket.sendfile``; that of small files one process that
writes each, syncs it, names it and syncs the folder. Every upload is of bytes that the server has never seen.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from benchmarks import peers
from benchmarks.clients import Drop, ask, connect, get_bytes, post_bytes, read_all
from benchmarks.measure import MIB, Figure, Plan, Sample, Side, Table, run_rounds, timed
from tests.e2e.program import Server, server

_LARGE = (Figure("rate", "MiB/s"), Figure("cpu", "CPU-s per GiB of who does it"))
_SMALL = (Figure("rate", "files/s"), Figure("cpu", "CPU-us for each of who does it"))
_BLOCK_BYTES = 256 * 1024
_SMALL_BYTES = 1024
_AT_ONCE_COUNT = 16
_SALT_BYTES = 16
_DURABLE, _WRITTEN = "read + SHA-1 + write + fsync", "read + SHA-1 + write"


def run(plan: Plan) -> list[Table]:
    """Three tables: large up, large down, small up."""
    size = plan.pick(512, 64, 4) * MIB
    small = plan.pick(400, 80, 16)
    source = plan.folder / "source"
    _fill(source, size)
    with ExitStack() as stack:
        deck = stack.enter_context(server(plan.folder / "data"))
        return [
            _upload(deck, source, size, plan),
            _download(deck, source, size, plan, stack),
            _many(deck, small, plan),
        ]


def _fill(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))


# -- one large file up --


def _upload(deck: Server, source: Path, size: int, plan: Plan) -> Table:
    sides: dict[str, Side] = {
        _DURABLE: partial(_copy, source, plan.folder / "copy", size, sync=True),
        _WRITTEN: partial(_copy, source, plan.folder / "copy", size, sync=False),
        "PUT": partial(_put, deck, source, size),
    }
    for side in sides.values():
        side()
    samples = run_rounds(sides, plan)
    title = f"a file of {size // MIB} MiB up, durable before it is answered"
    return Table(title=title, figures=_LARGE, samples=samples, bases=(_DURABLE, _WRITTEN))


def _copy(source: Path, target: Path, size: int, *, sync: bool) -> Sample:
    buffer = bytearray(_BLOCK_BYTES)
    view = memoryview(buffer)
    start, cpu = time.perf_counter(), time.process_time()
    sha1 = hashlib.sha1(usedforsecurity=False)
    with source.open("rb", buffering=0) as file, target.open("wb", buffering=0) as copy:
        while count := file.readinto(buffer):
            sha1.update(view[:count])
            copy.write(view[:count])
        if sync:
            os.fsync(copy.fileno())
    took_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    target.unlink()
    return {"rate": size / MIB / took_s, "cpu": cpu_s / size * 1024 * MIB}


def _put(deck: Server, source: Path, size: int) -> Sample:
    assert deck.process is not None
    head = _head("PUT", f"/v1/blobs?name=large-{os.urandom(4).hex()}.bin", _SALT_BYTES + size)
    with connect(deck.port) as sock, source.open("rb") as file, timed(deck.process.pid) as cost:
        sock.sendall(head + os.urandom(_SALT_BYTES))
        sock.sendfile(file)
        found = ask(sock, b"")
    assert found["size_bytes"] == _SALT_BYTES + size
    _content(deck, found["content"]).unlink()  # or the disk would fill up over the rounds
    return {"rate": size / MIB / cost.wall_s, "cpu": cost.cpu_s / size * 1024 * MIB}


def _head(method: str, path: str, length: int) -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n".encode()


def _content(deck: Server, content_hash: str) -> Path:
    return deck.data_dir / "blobs" / content_hash[:2] / content_hash


# -- one large file down --


def _download(deck: Server, source: Path, size: int, plan: Plan, stack: ExitStack) -> Table:
    assert deck.process is not None
    with connect(deck.port) as sock, source.open("rb") as file:
        sock.sendall(_head("PUT", "/v1/blobs?name=large.bin", size))
        sock.sendfile(file)
        blob = ask(sock, b"")
        artifact = {"z.bin": {"content": blob["content"], "contentType": "object"}}
        archive = ask(
            sock, post_bytes("/v1/blobs/records", {"name": "a.zip", "contentType": "complex", "content": artifact})
        )
    limit = stack.enter_context(peers.peer("benchmarks.peers", "sendfile", str(source), "{port}"))
    pid = deck.process.pid
    sides: dict[str, Side] = {
        "sendfile thread": partial(_take, limit.pid, limit.port, b"0 %d" % size, size),
        "GET": partial(_take, pid, deck.port, _get(blob["hash"]), size),
        "GET of a zip of it": partial(_take, pid, deck.port, _get(archive["hash"]), size),
    }
    for side in sides.values():
        side()
    title = f"a file of {size // MIB} MiB down"
    return Table(title=title, figures=_LARGE, samples=run_rounds(sides, plan), bases=("sendfile thread",))


def _get(blob_hash: str) -> bytes:
    return get_bytes(f"/v1/blobs/{blob_hash}/content", close=True)


def _take(pid: int, port: int, request: bytes, size: int) -> Sample:
    with timed(pid) as cost:
        reader = Drop(connect(port))
        reader.sock.sendall(request)
        read_all([reader])
    assert size <= reader.taken_bytes < size + 10_000 + size // 1000, reader.taken_bytes
    return {"rate": size / MIB / cost.wall_s, "cpu": cost.cpu_s / size * 1024 * MIB}


# -- many small files up --


def _many(deck: Server, count: int, plan: Plan) -> Table:
    folder = plan.folder / "small"
    folder.mkdir()
    limit = "write + fsync + rename + fsync"
    sides: dict[str, Side] = {
        limit: partial(_sync_each, folder, count),
        "1 connection": partial(_send_small, deck, count, 1),
        f"{_AT_ONCE_COUNT} connections": partial(_send_small, deck, count, _AT_ONCE_COUNT),
    }
    title = f"files of {_SMALL_BYTES} bytes up, each durable before it is answered"
    return Table(title=title, figures=_SMALL, samples=run_rounds(sides, plan), bases=(limit,))


def _sync_each(folder: Path, count: int) -> Sample:
    start, cpu = time.perf_counter(), time.process_time()
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(count):
        data = os.urandom(_SMALL_BYTES)
        fd = os.open(folder / "new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(fd, data)
        os.fsync(fd)
        os.close(fd)
        (folder / "new").rename(folder / hashlib.sha1(data, usedforsecurity=False).hexdigest())
        os.fsync(place)
    os.close(place)
    return {"rate": count / (time.perf_counter() - start), "cpu": (time.process_time() - cpu) / count * 1e6}


def _send_small(deck: Server, count: int, at_once: int) -> Sample:
    assert deck.process is not None
    each = count // at_once
    with ExitStack() as stack:
        socks = [stack.enter_context(closing(connect(deck.port))) for _ in range(at_once)]
        threads = [threading.Thread(target=_send_some, args=(sock, each)) for sock in socks]
        with timed(deck.process.pid) as cost:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    return {"rate": each * at_once / cost.wall_s, "cpu": cost.cpu_s / each / at_once * 1e6}


def _send_some(sock: socket.socket, count: int) -> None:
    head = _head("POST", "/v1/blobs?name=small.txt", _SMALL_BYTES)
    for _ in range(count):
        ask(sock, head + os.urandom(_SMALL_BYTES))
