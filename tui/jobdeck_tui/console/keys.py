"""Keys are obeyed in the order in which they were pressed.

Textual forwards a key to the widget with the focus, whose queue it waits in, and then rises from parent to parent; but
one with a priority binding is obeyed at once. So of two keys that come together (fast fingers, a paste, a busy machine)
the second may be obeyed first, and a key that moves the focus has not moved it yet when the next one is forwarded: what
was typed after ``/`` would be keys of the list, ``n`` would start a job and ``x`` end one.

Here a key waits until the one before it has been through all its widgets. A mark is sent the same way after each key;
when it arrives here, the widgets have had the key. What they have told each other about it may be a step behind (the
line of a filter tells that it is left, and only then the screen gives the focus to the list), so the mark goes round
once more; then the key is done.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, TypeVar

from textual import events, on
from textual.app import App
from textual.message import Message

if TYPE_CHECKING:
    from textual.dom import DOMNode

__all__ = ["KeyOrder"]

_LOST_S = 0.25  # a mark whose widget has gone meanwhile does not come
_LATE_COUNT = 20  # times that long a widget which is there may take: the machine is busy
_KEYS_LIMIT_COUNT = 4096
_ROUNDS_COUNT = 2

R = TypeVar("R")


class KeyOrder(App[R]):
    """An app that obeys keys in their order. See the top of this file."""

    class Done(Message):
        """A key has been through all its widgets, and so many marks after it with this one."""

        def __init__(self, number: int, target: DOMNode, rounds_count: int = 1) -> None:
            super().__init__()
            self.number = number
            self.target = target
            self.rounds_count = rounds_count

    def __init__(self) -> None:
        super().__init__()
        self._pressed: deque[events.Event] = deque(maxlen=_KEYS_LIMIT_COUNT)
        self._key_number = 0
        self._under_way: asyncio.TimerHandle | None = None

    @property
    def keys_waiting(self) -> bool:
        """Whether a key that was pressed is not done yet."""
        return bool(self._pressed) or self._under_way is not None

    async def on_event(self, event: events.Event) -> None:
        """Take keys and pastes one after the other, all else as it comes."""
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            self._pressed.append(event)
            if self._under_way is None:
                await self._next_key()
        else:
            await super().on_event(event)

    async def _next_key(self) -> None:
        """Forward the next key, and a mark after it."""
        while self._pressed and self._under_way is None:
            target = self.focused or self.screen
            await super().on_event(self._pressed.popleft())
            self._key_number += 1
            if target.post_message(self.Done(self._key_number, target)):
                self._wait_for(self._key_number, target, _LATE_COUNT)

    def _wait_for(self, number: int, target: DOMNode, left: int) -> None:
        """Go on without a mark, if it is lost.

        The app is told in its turn, and the mark may come before that. A timer of Textual's would not do: one that was
        held up before it began to wait never tells.
        """
        loop = asyncio.get_running_loop()
        self._under_way = loop.call_later(_LOST_S, self.call_later, self._late, number, target, left)

    async def _late(self, number: int, target: DOMNode, left: int) -> None:
        if self._under_way is None or number != self._key_number:
            return  # done meanwhile
        if left and target.is_attached:
            self._wait_for(number, target, left - 1)
        else:
            await self._key_done(number)

    @on(Done)
    async def _mark_came(self, event: Done) -> None:
        event.stop()
        again = self.Done(event.number, event.target, event.rounds_count + 1)
        if event.rounds_count < _ROUNDS_COUNT and event.target.is_attached and event.target.post_message(again):
            return
        await self._key_done(event.number)

    async def _key_done(self, number: int) -> None:
        if self._under_way is not None and number == self._key_number:
            self._under_way.cancel()
            self._under_way = None
            await self._next_key()
