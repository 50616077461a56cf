"""The body of a request that has none."""

from __future__ import annotations

from collections.abc import AsyncIterator


class NoBody:
    async def read(self, limit_bytes: int) -> bytes:
        del limit_bytes
        return b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        nothing: tuple[bytes, ...] = ()
        for piece in nothing:
            yield piece

    async def read_into(self, room: memoryview) -> int:
        del room
        return 0
