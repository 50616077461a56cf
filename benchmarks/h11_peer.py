"""The least that a Python server with trio and h11 can do: read a request, send the same bytes, for ever.

``python -m benchmarks.h11_peer PORT``: BENCH_ANSWER is a JSON object with ``headers`` (pairs, without
Content-Length) and ``body``. It routes nothing, checks nothing, logs nothing and knows no jobs.
"""

from __future__ import annotations

import json
import os
import sys

import h11
import trio

_RECEIVE_BYTES = 65536


class Peer:
    """Answers each request of each connection in the one way that it knows."""

    def __init__(self, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        length = (b"Content-Length", b"%d" % len(body))
        self._head = h11.Response(status_code=200, headers=[*headers, length], reason=b"OK")
        self._body = h11.Data(data=body)
        self._end = h11.EndOfMessage()

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection, until the client ends it."""
        conn = h11.Connection(h11.SERVER)
        async with stream:
            while True:
                event = conn.next_event()
                if event is h11.NEED_DATA:
                    conn.receive_data(await stream.receive_some(_RECEIVE_BYTES))
                elif isinstance(event, h11.ConnectionClosed):
                    return
                elif isinstance(event, h11.EndOfMessage):
                    parts = (conn.send(each) for each in (self._head, self._body, self._end))
                    await stream.send_all(b"".join(part or b"" for part in parts))
                    conn.start_next_cycle()


def main(words: list[str]) -> None:
    """Be the peer."""
    answer = json.loads(os.environ["BENCH_ANSWER"])
    headers = [(name.encode(), value.encode()) for name, value in answer["headers"]]
    peer = Peer(answer["body"].encode(), headers)
    trio.run(trio.serve_tcp, peer.serve, int(words[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
