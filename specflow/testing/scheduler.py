"""What may run next under the seeded loop, and in which orders: the rules in `seeded_loop`, and nothing else.

Three kinds of work wait here. *Plain* callbacks keep their order and hold back every step registered after
them. *Free* work (steps of tasks, functions for a thread) may be overtaken by anything. *Timers* may run once
they are due, the earlier due first.
"""

from __future__ import annotations

import asyncio
import bisect
import collections
import heapq
import random
from dataclasses import dataclass
from typing import Any

HELD_BACK = 1 / 16
SLOW_SHARE = 1 / 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What was chosen to run: its label in the history, its handle, and the task whose step it is."""

    label: str
    handle: asyncio.Handle
    task: asyncio.Task[Any] | None


class Scheduler:
    """Ready work and timers, a virtual clock in seconds (`now`), and the seeded draw between them.

    With `lag` a quarter of the tasks is slow: chosen only once in sixteen draws while others could run.
    """

    def __init__(self, seed: int, *, lag: bool) -> None:
        self.now = 0.0
        self.draw = random.Random(seed).random  # noqa: S311 - must be repeatable
        self._lag = lag
        self._last = 0
        self._plain: collections.deque[tuple[int, str, asyncio.Handle]] = collections.deque()
        # Sorted by number, so that a draw does not depend on the order in which tasks were woken.
        self._free: list[tuple[int, int, bool, str, asyncio.Handle, asyncio.Task[Any] | None]] = []
        # The second element is drawn: it decides between timers for the same instant.
        self._timers: list[tuple[float, float, int, str, asyncio.TimerHandle]] = []

    def number(self) -> int:
        """The next number of this run: for tasks, futures and the order of registration."""
        self._last += 1
        return self._last

    def is_slow(self) -> bool:
        """Draw whether a new task is a slow one."""
        return self._lag and self.draw() < SLOW_SHARE

    def add_plain(self, label: str, handle: asyncio.Handle) -> None:
        self._plain.append((self.number(), label, handle))

    def add_free(
        self,
        number: int,
        label: str,
        handle: asyncio.Handle,
        *,
        slow: bool = False,
        task: asyncio.Task[Any] | None = None,
    ) -> None:
        bisect.insort(self._free, (number, self.number(), slow, label, handle, task))

    def add_timer(self, when: float, label: str, handle: asyncio.TimerHandle) -> None:
        heapq.heappush(self._timers, (when, self.draw(), self.number(), label, handle))

    def clear(self) -> None:
        self._plain.clear()
        self._free.clear()
        self._timers.clear()

    def next(self) -> Drawn | None:
        """Draw what runs now; when nothing is ready, jump to the next timer. None: nothing ever will."""
        plain, free, timers = self._plain, self._free, self._timers
        while plain and plain[0][2].cancelled():
            plain.popleft()
        while timers and timers[0][4].cancelled():
            heapq.heappop(timers)
        if not plain and not free:
            if not timers:
                return None
            self.now = max(self.now, timers[0][0])
        due = bool(timers) and timers[0][0] <= self.now
        ready = [index for index, entry in enumerate(free) if not plain or entry[1] < plain[0][0]]
        others = due + bool(plain)
        if self._lag and len(ready) + others > 1:
            fast = [index for index in ready if not free[index][2]]
            if (fast or others) and self.draw() >= HELD_BACK:
                ready = fast
        choices = len(ready) + others
        choice = int(self.draw() * choices) if choices > 1 else 0
        task: asyncio.Task[Any] | None = None
        handle: asyncio.Handle
        if choice < len(ready):
            _, _, _, label, handle, task = free.pop(ready[choice])
        elif plain and choice == len(ready):
            _, label, handle = plain.popleft()
        else:
            _, _, _, label, handle = heapq.heappop(timers)
        return Drawn(label=label, handle=handle, task=task)
