"""Waits that end early, by trio's clock."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from jobdeck_server.core.patience import Patience


async def never() -> str:
    await trio.sleep_forever()
    raise AssertionError


async def soon() -> str:
    await trio.sleep(1)
    return "done"


async def test_what_is_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    assert await Patience().wait(soon, limit_s=5, gone=never) == "done"
    assert trio.current_time() == pytest.approx(1)


async def test_the_time_is_up(autojump_clock: trio.testing.MockClock) -> None:
    assert await Patience().wait(soon, limit_s=0.5) is None
    assert trio.current_time() == pytest.approx(0.5)


async def test_no_time_at_all_is_enough_for_what_is_there(autojump_clock: trio.testing.MockClock) -> None:
    async def at_once() -> int:
        return 7

    assert await Patience().wait(at_once, limit_s=-3) == 7
    assert await Patience().wait(soon, limit_s=0) is None
    assert trio.current_time() == 0


async def test_the_client_has_gone(autojump_clock: trio.testing.MockClock) -> None:
    async def gone() -> None:
        await trio.sleep(0.25)

    assert await Patience().wait(soon, limit_s=5, gone=gone) is None
    assert trio.current_time() == pytest.approx(0.25)


async def test_the_server_ends(autojump_clock: trio.testing.MockClock) -> None:
    patience = Patience()
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            assert await patience.wait(never, limit_s=1000) is None
            nursery.cancel_scope.cancel()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        before = patience.closed
        patience.close()
        await trio.sleep(100)
    assert trio.current_time() == 0
    assert (before, patience.closed) == (False, True)
    assert await patience.wait(never, limit_s=1000) is None


async def test_what_goes_wrong_passes_through_as_it_is() -> None:
    async def fail() -> None:
        raise ValueError("as it is")

    with pytest.raises(ValueError, match="as it is"):
        await Patience().wait(fail, limit_s=5)
