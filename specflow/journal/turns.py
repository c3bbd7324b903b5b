"""One after the other, whichever event loops they come from."""

from __future__ import annotations

import asyncio
import threading
from collections import deque


class Turns:
    """A turn is taken by one at a time, first come first served, and given on by who has it."""

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._taken = False
        self._waiting: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()

    async def take(self) -> None:
        """Wait for the turn; whoever is cancelled meanwhile has not taken it."""
        loop = asyncio.get_running_loop()
        with self._gate:
            if not self._taken:
                self._taken = True
                return
            future: asyncio.Future[None] = loop.create_future()
            self._waiting.append((loop, future))
        try:
            await future
        except asyncio.CancelledError:
            if not self._withdraw(future) and not future.cancelled():
                self.give()  # it was ours already
            raise

    def _withdraw(self, future: asyncio.Future[None]) -> bool:
        with self._gate:
            before = len(self._waiting)
            self._waiting = deque(item for item in self._waiting if item[1] is not future)
            return len(self._waiting) < before

    def give(self) -> None:
        """Let the next one have it; from any thread."""
        while True:
            with self._gate:
                if not self._waiting:
                    self._taken = False
                    return
                loop, future = self._waiting.popleft()
            try:
                loop.call_soon_threadsafe(self._hand_over, future)
            except RuntimeError:
                continue  # its loop has ended, and who waited there with it
            return

    def _hand_over(self, future: asyncio.Future[None]) -> None:
        if future.done():
            self.give()  # it was cancelled on the way
        else:
            future.set_result(None)
