from __future__ import annotations

from jobdeck_server.http.message import Request, Response, Upgrade
from jobdeck_server.http.upgrade import Socket
from tests.server.http.toy import serving


async def echo(request: Request) -> Response | Upgrade:
    if request.path == "/ws":

        async def run(socket: Socket) -> None:
            while True:
                await socket.send(await socket.receive())

        return Upgrade(subprotocol=None, run=run, message_limit_bytes=1 << 20)
    body = await request.body.read(1 << 20)
    return Response(body=f"{request.method} {request.path}?{request.query} ".encode() + body)


async def test_keep_alive() -> None:
    async with serving(echo) as toy, toy.client() as client:
        for n in range(3):
            reply = await client.request("POST", f"/a?n={n}", body=b"x" * n)
            assert reply.status == 200
            assert reply.body == b"POST /a?n=%d " % n + b"x" * n
        reply = await client.request("HEAD", "/a")
        assert reply.body == b""
        assert reply.headers["content-length"] == "9"
        assert len(toy.log.requests()) == 4


async def test_websocket() -> None:
    from trio_websocket import open_websocket_url

    async with serving(echo) as toy, open_websocket_url(f"ws://127.0.0.1:{toy.port}/ws") as ws:
        await ws.send_message("hej")
        assert await ws.get_message() == "hej"
        await ws.send_message(b"x" * 500_000)
        assert await ws.get_message() == b"x" * 500_000
        await ws.aclose()
