"""The application that uvicorn serves as a peer: plain ASGI, what Starlette's StreamingResponse and Response would do.

``/file?OFFSET-LENGTH`` streams BENCH_FILE in blocks of 64 KiB, as StreamingResponse does with an open file, but reads
it in the loop, which is kinder to the peer than a thread for each block. ``/silent`` says nothing for ever. Any other
path is a key of BENCH_BODIES, a JSON object of constant bodies.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

Send = Callable[[dict[str, Any]], Awaitable[None]]

_BLOCK_BYTES = 64 * 1024
_BODIES = {path: text.encode() for path, text in json.loads(os.environ.get("BENCH_BODIES", "{}")).items()}


async def app(scope: dict[str, Any], _receive: object, send: Send) -> None:
    """Answer one request."""
    assert scope["type"] == "http"
    path = scope["path"]
    if path == "/file":
        await _stream(send, *map(int, scope["query_string"].split(b"-")))
    elif path == "/silent":
        await _head(send, [])
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        await asyncio.Event().wait()
    else:
        query = scope["query_string"].decode()
        body = _BODIES[f"{path}?{query}" if query else path]
        await _head(send, [(b"content-length", b"%d" % len(body))])
        await send({"type": "http.response.body", "body": body})


async def _head(send: Send, more: list[tuple[bytes, bytes]]) -> None:
    headers = [(b"content-type", b"application/json"), *more]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _stream(send: Send, offset: int, length: int) -> None:
    await _head(send, [])
    fd = os.open(os.environ["BENCH_FILE"], os.O_RDONLY)
    try:
        while length and (block := os.pread(fd, min(length, _BLOCK_BYTES), offset)):
            await send({"type": "http.response.body", "body": block, "more_body": True})
            length -= len(block)
            offset += len(block)
    finally:
        os.close(fd)
    await send({"type": "http.response.body", "body": b""})
