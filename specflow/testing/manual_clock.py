"""A clock that moves only when a test says so."""

from __future__ import annotations

import math
import threading

from specflow.errors import ConfigurationError


class ManualClock:
    """A `specflow.clock.Clock` under the test's thumb; safe to read and move from several threads.

    `monotonic` starts at `start` seconds, `wall` at `epoch` (Unix seconds). `advance` moves both;
    `jump_wall` moves the wall clock alone, as an operator or a time server does, also backwards.
    """

    def __init__(self, *, start: float = 0.0, epoch: float = 1_700_000_000.0) -> None:
        self._lock = threading.Lock()
        self._monotonic = _finite(start, "start")
        self._wall = _finite(epoch, "epoch")

    def monotonic(self) -> float:
        return self._monotonic

    def wall(self) -> float:
        return self._wall

    def advance(self, seconds: float) -> None:
        """Let `seconds` (zero or more) pass on both clocks.

        Raises:
            ConfigurationError: when `seconds` is negative or not finite; a monotonic clock cannot go back.
        """
        if _finite(seconds, "seconds") < 0:
            raise ConfigurationError(
                f"a monotonic clock cannot go back by {-seconds} s",
                hint="use jump_wall to set the wall clock back",
            )
        with self._lock:
            self._monotonic += seconds
            self._wall += seconds

    def jump_wall(self, seconds: float) -> None:
        """Move the wall clock by `seconds`, negative for back; `monotonic` does not notice.

        Raises:
            ConfigurationError: when `seconds` is not finite.
        """
        _finite(seconds, "seconds")
        with self._lock:
            self._wall += seconds

    def __repr__(self) -> str:
        return f"ManualClock(monotonic={self._monotonic}, wall={self._wall})"


def _finite(value: float, name: str) -> float:
    if not math.isfinite(value):
        raise ConfigurationError(f"{name} must be a finite number of seconds, not {value}")
    return float(value)
