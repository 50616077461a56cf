"""trio as a guest of Textual's event loop: one thread, so that either side may call the other's plain functions.

    async with trio_side(crashed) as guest:
        await app.run_async()

The guest is started before the app and has ended before the loop closes; in between one nursery holds all that the
console does over the network. ``call`` lets a coroutine of asyncio wait for a trio function; whoever cancels the one
cancels the other. What is started with ``start_soon`` may not fail: a failure ends the nursery, and with it the console
(``crashed`` is told).
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import outcome

T = TypeVar("T")


class GuestEndedError(Exception):
    """The trio side has ended, or ends; nothing can be asked of it any more."""


class Guest:
    """One trio run on the running asyncio loop. Made by ``trio_side``."""

    def __init__(self, crashed: Callable[[BaseException], None]) -> None:
        self._crashed = crashed
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._ready = asyncio.Event()
        self._nursery: trio.Nursery | None = None

    async def start(self) -> None:
        """Start the run; returns once functions can be called."""
        trio.lowlevel.start_guest_run(
            self._main,
            run_sync_soon_threadsafe=self._loop.call_soon_threadsafe,
            run_sync_soon_not_threadsafe=self._loop.call_soon,
            done_callback=self._finished,
            host_uses_signal_set_wakeup_fd=True,
            restrict_keyboard_interrupt_to_checkpoints=True,
        )
        await self._ready.wait()

    async def stop(self) -> None:
        """Cancel what runs and wait for its end."""
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()
        await asyncio.shield(self._done)

    def start_soon(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run a trio function beside everything else, until it or the guest ends."""
        if self._nursery is None:
            raise GuestEndedError
        self._nursery.start_soon(function, *args)

    async def call(self, function: Callable[..., Awaitable[T]], *args: object) -> T:
        """Run a trio function and return what it returns, or raise what it raises.

        Raises:
            GuestEndedError: The trio side ended before it did.
        """
        if self._nursery is None:
            raise GuestEndedError
        future: asyncio.Future[T] = self._loop.create_future()
        scope = trio.CancelScope()
        self._nursery.start_soon(_answer, function, args, future, scope)
        try:
            return await future
        except asyncio.CancelledError:
            scope.cancel()
            raise

    async def _main(self) -> None:
        try:
            async with trio.open_nursery() as self._nursery:
                self._ready.set()
                await trio.sleep_forever()
        finally:
            self._nursery = None

    def _finished(self, result: outcome.Outcome[None]) -> None:
        try:
            result.unwrap()
        except trio.Cancelled:
            pass
        except BaseException as error:  # noqa: BLE001  # the boundary of the run: whatever ended it is told
            self._crashed(error)
        self._ready.set()
        if not self._done.done():
            self._done.set_result(None)


async def _answer(
    function: Callable[..., Awaitable[T]], args: tuple[object, ...], future: asyncio.Future[T], scope: trio.CancelScope
) -> None:
    try:
        with scope:
            try:
                value = await function(*args)
            except Exception as error:  # noqa: BLE001  # handed on to who waits for it
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(value)
    finally:
        if not future.done():
            future.set_exception(GuestEndedError())


@asynccontextmanager
async def trio_side(crashed: Callable[[BaseException], None]) -> AsyncIterator[Guest]:
    """A guest run for as long as the block lasts.

    Args:
        crashed: Told what ended the run, if it was not the end of the block.
    """
    guest = Guest(crashed)
    await guest.start()
    try:
        yield guest
    finally:
        await guest.stop()
