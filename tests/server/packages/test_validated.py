"""The wait for ``validate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import trio

from jobdeck_server.packages.validated import validated


def said(folder: Path, value: Any) -> None:
    (folder / "new").write_text(json.dumps(value))
    (folder / "new").rename(folder / "validated.json")


async def test_waits_until_it_is_told(tmp_path: Path) -> None:
    for value, expected in (({"ok": True}, ()), ({"problems": ["p"]}, ("p",))):
        (tmp_path / "validated.json").unlink(missing_ok=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_say_later, tmp_path, value)
            assert await validated(tmp_path, trio.Event()) == expected


async def _say_later(folder: Path, value: Any) -> None:
    await trio.sleep(0.03)
    said(folder, value)


async def test_ends_with_the_job(tmp_path: Path) -> None:
    over = trio.Event()
    over.set()
    assert await validated(tmp_path, over) is None
    said(tmp_path, {"ok": True})
    assert await validated(tmp_path, over) == ()
    (tmp_path / "validated.json").unlink()
    over = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_end_later, over)
        assert await validated(tmp_path, over) is None


async def _end_later(over: trio.Event) -> None:
    await trio.sleep(0.03)
    over.set()
