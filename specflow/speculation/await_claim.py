"""A real call waits while an effect of another session holds what it would change; but not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from specflow.clock import Clock
from specflow.errors import ClaimedError
from specflow.lifecycle import Stage

T = TypeVar("T")

PAUSES = (0.02, 0.5)
"""Seconds before the second, and at most before each further try."""


async def await_claim(
    make: Callable[[], Awaitable[T]], clock: Clock, wait: float, preempt: Callable[[ClaimedError], None]
) -> T:
    """What `make` answers, tried again for at most `wait` seconds while somebody else's claim is in its way.

    `preempt` is told who that is, and may end what is only a guess.

    Raises:
        ClaimedError: it was too long, or the effect in the way is stuck: only a person can settle that.
        Exception: whatever `make` raises.
    """
    pause, longest = PAUSES
    until: float | None = None
    while True:
        try:
            return await make()
        except ClaimedError as error:
            now = clock.monotonic()
            until = now + wait if until is None else until
            if error.facts.get("stage") == Stage.STUCK:
                raise
            if now >= until:
                raise ClaimedError(
                    f"{error.message}, still after {wait:g} s", hint=error.hint, **error.facts
                ) from error
            preempt(error)
        await asyncio.sleep(min(pause, until - now))
        pause = min(2 * pause, longest)
