"""The same question is asked once: who comes with it meanwhile shares the answer, so may who comes later."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Asked(Generic[T]):
    task: asyncio.Task[T]
    waiting: int = 0


class Once(Generic[T]):
    """Answers by the key of their question; the newest `most` of them are kept. Safe from any thread.

    Questions are shared within an event loop, kept answers by all of them.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[str, T] = OrderedDict()
        self._asked: dict[tuple[asyncio.AbstractEventLoop, str], _Asked[T]] = {}
        self._lock = threading.Lock()

    async def get(self, key: str, ask: Callable[[], Awaitable[tuple[T, bool]]]) -> T:
        """The answer, and whether it may be kept, is what `ask` returns. Given up by all, it is cancelled.

        Raises whatever `ask` raises.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        place = (asyncio.get_running_loop(), key)
        asked = self._asked.get(place)
        if asked is None:
            asked = self._asked[place] = _Asked(asyncio.create_task(self._ask(key, ask)))
        asked.waiting += 1
        try:
            return await asyncio.shield(asked.task)
        finally:
            asked.waiting -= 1
            if not asked.waiting:
                # Also where it is being cancelled: whoever comes now asks anew.
                self._asked.pop(place, None)
                asked.task.cancel()

    async def _ask(self, key: str, ask: Callable[[], Awaitable[tuple[T, bool]]]) -> T:
        answer, keep = await ask()
        if keep:
            with self._lock:
                self._kept[key] = answer
                if len(self._kept) > self._most:
                    self._kept.popitem(last=False)
        return answer
