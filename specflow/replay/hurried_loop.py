"""An ordinary event loop whose clock runs faster: real scheduling and real work, less waiting."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any, TypeVar

from specflow.errors import ConfigurationError

T = TypeVar("T")


class _Hurried(selectors.SelectSelector):
    """Waits only a share of what it is asked to wait.

    `select` waits to the microsecond; `epoll` rounds up to milliseconds, which hurry would multiply.
    """

    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else timeout / self._speed)


class HurriedLoop(asyncio.SelectorEventLoop):
    """`time()` starts at 0 and passes `speed` seconds for each second of the wall clock.

    Every sleep, deadline and time-to-live on this loop is shortened alike. What the machine computes is
    not: at speed 20, a millisecond of work looks like 20.

    Raises:
        ConfigurationError: for a speed that is not between 0.01 and 1000.
    """

    def __init__(self, speed: float = 1.0) -> None:
        if not 0.01 <= speed <= 1000:
            raise ConfigurationError(f"a speed of {speed:g} cannot be kept", hint="from 0.01 to 1000")
        self._speed = speed
        self._started = monotonic()
        super().__init__(_Hurried(speed))

    def time(self) -> float:
        """Seconds since the loop was made, by its own clock."""
        return (monotonic() - self._started) * self._speed


def run_hurried(main: Coroutine[Any, Any, T], *, speed: float) -> T:
    """Run `main` as `asyncio.run` does, on a `HurriedLoop`.

    Raises whatever `main` raises.
    """
    make: Callable[[], asyncio.AbstractEventLoop] = lambda: HurriedLoop(speed)  # noqa: E731 - typed for Runner
    with asyncio.Runner(loop_factory=make) as runner:
        return runner.run(main)
