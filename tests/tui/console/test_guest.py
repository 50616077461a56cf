"""trio as a guest of asyncio: calls both ways, cancellation, and an end in order."""

from __future__ import annotations

import asyncio

import pytest
import trio
import trio.lowlevel

from jobdeck_tui.console.guest import Guest, GuestEndedError, trio_side
from tests.tui.console.harness import ui


def never(error: BaseException) -> None:
    raise AssertionError(error)


@ui
async def test_a_call_returns_what_the_function_returns_and_raises_what_it_raises() -> None:
    async def double(number: int) -> int:
        await trio.lowlevel.checkpoint()
        if number < 0:
            raise ValueError(number)
        return 2 * number

    async with trio_side(never) as guest:
        assert await guest.call(double, 21) == 42
        with pytest.raises(ValueError, match="-1"):
            await guest.call(double, -1)
        assert await asyncio.gather(*(guest.call(double, n) for n in range(50))) == [2 * n for n in range(50)]


@ui
async def test_who_cancels_the_waiting_cancels_the_function() -> None:
    ended: list[str] = []

    async def wait() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append("function")

    async with trio_side(never) as guest:
        waiting = asyncio.create_task(guest.call(wait))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await guest.call(trio.sleep, 0)
        assert ended == ["function"]


@ui
async def test_the_end_of_the_block_cancels_and_waits() -> None:
    ended: list[str] = []

    async def linger() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await trio.sleep(0.02)
            ended.append("linger")

    async with trio_side(never) as guest:
        guest.start_soon(linger)
        asked = asyncio.create_task(guest.call(trio.sleep_forever))
        await asyncio.sleep(0.01)
    assert ended == ["linger"]
    with pytest.raises(GuestEndedError):
        await asked
    with pytest.raises(GuestEndedError):
        await guest.call(trio.sleep, 0)
    with pytest.raises(GuestEndedError):
        guest.start_soon(trio.sleep, 0)


@ui
async def test_a_task_that_fails_is_told_and_ends_the_rest() -> None:
    told: list[BaseException] = []

    async def fail() -> None:
        raise ZeroDivisionError

    async with trio_side(told.append) as guest:
        asked = asyncio.create_task(guest.call(trio.sleep_forever))
        await asyncio.sleep(0)
        guest.start_soon(fail)
        with pytest.raises(GuestEndedError):
            await asked
    (error,) = told
    assert isinstance(error, BaseExceptionGroup)
    assert error.subgroup(ZeroDivisionError) is not None


@ui
async def test_asyncio_may_wake_trio_directly() -> None:
    """One thread: an event of trio's may be set from a handler of the other side."""
    async with trio_side(never) as guest:
        bell = trio.Event()
        waiting = asyncio.create_task(guest.call(bell.wait))
        await asyncio.sleep(0.02)
        bell.set()
        await asyncio.wait_for(waiting, 5)


def test_one_after_the_other_in_one_process() -> None:
    async def once() -> None:
        async with trio_side(never) as guest:
            assert isinstance(guest, Guest)
            await guest.call(trio.sleep, 0.001)

    for _ in range(3):
        asyncio.run(once())
