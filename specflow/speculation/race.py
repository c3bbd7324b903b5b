"""One stalled early read delays nothing: when it takes too long, a fresh call races it.

The first success wins and the other is cancelled. So a real call that finds its twin running takes at most
as long as it would have taken by itself, and what its twin was still allowed to take: nothing, where it has
been running for that long already. A write is never raced: two of them could be two effects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from specflow.execution.order import Done
from specflow.policy.settings import EARLY_TIMEOUT
from specflow.speculation.parts import Parts
from specflow.speculation.pending import Speculation

UNMEASURED = 0.5
"""Share of its timeout that a tool may take before it is raced, while little is known of it (without a
timeout: of `EARLY_TIMEOUT`)."""

Fresh = Callable[[], Coroutine[Any, Any, Done]]
"""Makes the call as the real run would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Won:
    """Who was first. `early` False: the fresh call, with its result or with what it raised. `at_once`:
    nobody had to wait. `current` False: what was read has another version now.
    """

    early: bool
    done: Done | None = None
    error: Exception | None = None
    at_once: bool = False
    current: bool = True


def allowance(parts: Parts, speculation: Speculation) -> float:
    """Seconds from its start after which a running early read is raced: the tool's 95th percentile."""
    p95 = parts.durations.p95(speculation.tool.name)
    return UNMEASURED * (speculation.settings.timeout or EARLY_TIMEOUT) if p95 is None else p95


async def first(
    parts: Parts,
    speculation: Speculation,
    fresh: Fresh,
    *,
    good: Callable[[], bool],
    lost: Callable[[asyncio.Task[Done]], object],
) -> Won:
    """Wait for an early read that the real run wants now; race it when it is slow.

    `good` says of a finished early read whether it may still be adopted. `lost` takes the fresh call when it
    is not needed any more, and cancels it.

    Raises:
        Exception: the early read failed before it was raced; the real run makes the call itself.
        CancelledError: the real call was cancelled, or the early read was, before it was raced.
    """
    early = speculation.work
    assert early is not None
    allowed = allowance(parts, speculation)
    left = speculation.started + allowed - parts.clock.monotonic()
    await asyncio.wait({early}, timeout=max(0.0, left))
    if early.done():
        return Won(early=True, done=early.result())
    own = asyncio.get_running_loop().create_task(fresh())
    try:
        return await _race(parts, early, own, allowed, good)
    finally:
        if not own.done():
            lost(own)


async def _race(
    parts: Parts, early: asyncio.Task[Done], own: asyncio.Task[Done], allowed: float, good: Callable[[], bool]
) -> Won:
    await asyncio.wait({early, own}, return_when=asyncio.FIRST_COMPLETED)
    if not own.done() and _came_to_something(early) and good():
        return Won(early=True, done=early.result())
    await asyncio.wait({own})
    if own.cancelled():
        raise asyncio.CancelledError
    error = own.exception()
    if error is None:
        return Won(early=False, done=own.result())
    if not isinstance(error, Exception):
        raise error
    if not parts.door.steers(error):
        # As long again as the early one was allowed, and not longer: the run waits to hear of its error.
        await asyncio.wait({early}, timeout=allowed)
        if early.done() and _came_to_something(early) and good():
            return Won(early=True, done=early.result())
    return Won(early=False, error=error)


def _came_to_something(work: asyncio.Task[Done]) -> bool:
    return work.done() and not work.cancelled() and work.exception() is None
