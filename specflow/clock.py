"""Time, passed in. Durations come from `monotonic`, dates from `wall`; both in seconds."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Where the core reads time. Never `time.time()` directly, so that tests own it."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""
        ...

    def wall(self) -> float:
        """Seconds since the Unix epoch, for what people read and other machines compare."""
        ...


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()


class LoopClock:
    """The running event loop's clock: real under asyncio, virtual under `specflow.testing`'s loop.

    `wall` counts on from `epoch` (Unix seconds at loop time 0).
    """

    def __init__(self, epoch: float = 0.0) -> None:
        self.epoch = epoch

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return self.epoch + self.monotonic()
