"""Binaries in their versions, with real files and a real database."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobdeck_server.core.binaries import Binaries
from jobdeck_server.core.errors import UnknownBinaryError
from tests.server.core.blobbench import blobbench

ZIP = b"PK\x03\x04 and so on"


async def test_what_was_sent_last_is_what_a_name_stands_for(tmp_path: Path) -> None:
    async with blobbench(tmp_path) as b:
        binaries = Binaries(b.blobs.settings, store=b.store, events=b.events, blobs=b.blobs)
        for data in (ZIP, ZIP + b"!"):
            async with binaries.upload("test", "wheel") as upload:
                await upload.write(data)
                binary = await upload.commit()
            assert await binaries.list() == [binary] == [await binaries.get("test")]
        assert [each.size_bytes for each in await binaries.versions("test")] == [len(ZIP) + 1, len(ZIP)]
        await binaries.delete("test")
        assert await binaries.list() == []
        with pytest.raises(UnknownBinaryError):
            await binaries.get("test")
