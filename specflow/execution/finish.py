"""Seeing a write through: what is under way in the journal is waited for, cancelled or not."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def finish(write: Coroutine[Any, Any, T]) -> T:
    """Await a write to its end even while this task is being cancelled, then pass that on.

    Cancelling the wait would not cancel the write: it would only leave open whether it was made.
    """
    task = asyncio.ensure_future(write)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # seen, so that asyncio does not report it as never retrieved
        raise cancelled
    return task.result()
