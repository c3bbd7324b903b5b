"""Work that was cancelled and has not ended yet."""

from __future__ import annotations

import asyncio
from typing import Any

LAST_STEPS = 5.0
"""Seconds that cancelled work gets at shutdown; then it is left behind."""


class Leftovers:
    """Nobody waits for it, but the end of everything."""

    def __init__(self) -> None:
        self._ending: set[asyncio.Task[Any]] = set()

    def cancel(self, task: asyncio.Task[Any]) -> None:
        """Cancel what nobody wants any more. Only the end of everything waits for its last steps."""
        task.cancel()
        self.see_off(task)

    def see_off(self, task: asyncio.Task[Any]) -> None:
        """Nobody wants it any more, but it is let go on."""
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def quiet(self) -> None:
        """Wait until what was cancelled is over; not for ever, as some of it may not listen."""
        if self._ending:
            await asyncio.wait(set(self._ending), timeout=LAST_STEPS)
