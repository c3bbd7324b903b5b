"""What the early work of one session uses up, and which budget has room for one more."""

from __future__ import annotations

import asyncio
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from specflow.policy.settings import Budgets, ToolSettings
from specflow.speculation.odds import counts
from specflow.speculation.pending import Speculation, Standing
from specflow.speculation.slot import Slot

MINUTE = 60.0
"""Seconds."""

LAST = 20
"""Early calls that the wasted share is of; with fewer, it is not known."""

SURE = 0.9
"""The confidence from which a guess is started although too many were wrong lately."""

FORGIVEN = 600.0
"""Seconds after which a lost guess counts no more: a session that starts nothing would never recover."""


class Spending:
    """Running calls, money at stake and lost, calls of the last minute, ends of the last few.

    Belongs to one session, on its event loop.
    """

    def __init__(self) -> None:
        self.wasted_usd = 0.0
        self._running: set[Speculation] = set()
        self._real: Counter[str] = Counter()
        self._at_stake: dict[Speculation, float] = {}
        self._begun: deque[tuple[float, str]] = deque()
        self._ends: deque[tuple[float, bool]] = deque(maxlen=LAST)
        self._again: Callable[[], None] | None = None
        self._called = False
        # Weakly: a turn that nobody ends must not be kept, and taken for one that goes on.
        self._waiters: weakref.WeakKeyDictionary[object, None] = weakref.WeakKeyDictionary()
        self._timer: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------------ what happens

    def began(self, speculation: Speculation) -> Slot:
        """An early call is launched; the slot says when it has really ended."""
        self._running.add(speculation)
        self._at_stake[speculation] = price(speculation.settings, writes=speculation.writes)
        self._begun.append((speculation.started, speculation.tool.name))
        return Slot(lambda: self._ended(speculation))

    def inherit(self, speculation: Speculation) -> None:
        """An early read that an earlier run of the conversation has launched is this one's now.

        What it costs was at stake in that one.
        """
        if speculation.work is not None and not speculation.work.done():
            self._running.add(speculation)
            Slot(lambda: self._ended(speculation)).hold(speculation.work)

    def _ended(self, speculation: Speculation) -> None:
        self._running.discard(speculation)
        self.room()

    def resolved(self, speculation: Speculation, at: float, cause: str, *, kept: bool) -> None:
        """It was adopted (`kept`), or it is lost."""
        stake = self._at_stake.pop(speculation, 0.0)
        if speculation.called:
            if not kept:
                self.wasted_usd += stake
            if kept or counts(cause):
                self._ends.append((at, not kept))
        self.room()

    @contextmanager
    def real(self, tool: str) -> Iterator[None]:
        """Around a real call: it takes up room like an early one."""
        self._real[tool] += 1
        try:
            yield
        finally:
            self._real[tool] -= 1
            if not self._real[tool]:
                del self._real[tool]
            self.room()

    # ------------------------------------------------------------------ who waits for room

    def wait(self, waiter: object, again: Callable[[], None]) -> None:
        """Call that once, soon after there is room again."""
        self._again = again
        self._waiters[waiter] = None

    def stop(self) -> None:
        """Nobody waits for room any more."""
        self._again = None

    def waiters(self) -> list[object]:
        """Who has waited since the last time, the first one first."""
        waiters = list(self._waiters)
        self._waiters.clear()
        return waiters

    def room(self) -> None:
        """Something has ended."""
        if self._again is not None and not self._called:
            self._called = True
            asyncio.get_running_loop().call_soon(self._call)

    def room_later(self, now: float) -> None:
        """There will be room when the oldest launch of the last minute is a minute old."""
        loop = asyncio.get_running_loop()
        if self._timer is None or self._timer.when() <= loop.time():
            # By a weak reference: the timer must not keep a session that is over.
            later = weakref.WeakMethod(self.room)
            self._timer = loop.call_later(self.next_minute(now), lambda: (room := later()) and room())

    def _call(self) -> None:
        again, self._again, self._called = self._again, None, False
        if again is not None:
            again()

    # ------------------------------------------------------------------ what there is room for

    def short_of(
        self,
        tool: str,
        settings: ToolSettings,
        budgets: Budgets,
        *,
        live: Iterable[Speculation],
        confidence: float,
        writes: bool,
        depth: int,
        now: float,
    ) -> str:
        """The name of the budget that another early call would go beyond; empty when there is room in all.

        `live` are the early calls that wait for their adoption; `depth` counts the guesses below this one.
        """
        waiting = list(live)
        begun = self._last_minute(now)
        cost = price(settings, writes=writes)
        mine = sum(item.tool.name == tool for item in waiting)
        limits = (
            ("max_depth", depth, budgets.max_depth),
            ("max_concurrent", self.busy(), budgets.max_concurrent),
            ("max_concurrent", self.busy(tool), settings.max_concurrent),
            ("max_branches", len(waiting), budgets.max_branches),
            ("max_branches", mine, settings.max_branches),
            ("max_result_bytes", sum(item.size for item in waiting), budgets.max_result_bytes),
            ("max_per_minute", len(begun), budgets.max_per_minute),
            ("max_per_minute", sum(name == tool for _, name in begun), settings.max_per_minute),
        )
        for name, used, most in limits:
            if most is not None and used >= most:
                return name
        if cost and self.wasted_usd + sum(self._at_stake.values()) + cost > budgets.max_wasted_usd:
            return "max_wasted_usd"
        if confidence < SURE and self.wasted_share(now) > budgets.max_wasted_share:
            return "max_wasted_share"
        return ""

    def busy(self, tool: str = "", *, ending: bool = True) -> int:
        """How many calls run, of one tool or of all, real ones included.

        `ending` False: without early ones that are lost and only have not ended yet.
        """
        early = sum(
            (not tool or item.tool.name == tool) and (ending or item.standing is not Standing.RETIRED)
            for item in self._running
        )
        return early + (self._real[tool] if tool else self._real.total())

    def wasted_share(self, now: float) -> float:
        """Of the last `LAST` early calls, the share that was lost; 0 while there were not as many."""
        recent = [lost for at, lost in self._ends if now - at < FORGIVEN]
        return sum(recent) / LAST if len(recent) == LAST else 0.0

    def next_minute(self, now: float) -> float:
        """Seconds until the oldest launch of the last minute is a minute old."""
        begun = self._last_minute(now)
        return max(0.0, begun[0][0] + MINUTE - now) if begun else 0.0

    def _last_minute(self, now: float) -> deque[tuple[float, str]]:
        while self._begun and now - self._begun[0][0] >= MINUTE:
            self._begun.popleft()
        return self._begun


def price(settings: ToolSettings, *, writes: bool) -> float:
    """USD that an early call costs if it is lost."""
    return settings.cost_usd + (settings.undo_usd if writes else 0.0)
