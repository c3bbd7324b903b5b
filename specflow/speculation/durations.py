"""How long calls take, and how long models think: what the gate and the racing of stalled work go by."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict, deque

WINDOW = 64
"""The newest durations of a name that are remembered: what a service does today counts, not last week's."""

ENOUGH_FOR_MEDIAN = 3
ENOUGH_FOR_P95 = 8
"""Fewer say nothing: with up to 20 samples the 95th percentile is the longest of them."""

MOST_NAMES = 1_024
"""Names that are remembered; the one that was not heard of for longest goes first."""


class _Sample:
    """The newest durations, in the order they came and in order of length."""

    __slots__ = ("came", "sorted")

    def __init__(self) -> None:
        self.came: deque[float] = deque()
        self.sorted: list[float] = []

    def add(self, seconds: float) -> None:
        if len(self.came) == WINDOW:
            oldest = self.came.popleft()
            del self.sorted[bisect_left(self.sorted, oldest)]
        self.came.append(seconds)
        insort(self.sorted, seconds)


class Durations:
    """A bounded sample per name, in seconds. Shared by all sessions of a runtime, safe from any thread."""

    def __init__(self) -> None:
        self._samples: OrderedDict[str, _Sample] = OrderedDict()
        self._lock = threading.Lock()

    def saw(self, name: str, seconds: float) -> None:
        """It took that long. What was cut short, or failed, says nothing and is not told."""
        if not 0 <= seconds < math.inf:
            return
        with self._lock:
            sample = self._samples.get(name)
            if sample is None:
                if len(self._samples) >= MOST_NAMES:
                    self._samples.popitem(last=False)
                sample = self._samples[name] = _Sample()
            self._samples.move_to_end(name)
            sample.add(seconds)

    def expected(self, name: str) -> float | None:
        """The median; None before there are `ENOUGH_FOR_MEDIAN` samples."""
        with self._lock:
            sample = self._samples.get(name)
            if sample is None or len(sample.sorted) < ENOUGH_FOR_MEDIAN:
                return None
            return _median(sample.sorted)

    def p95(self, name: str) -> float | None:
        """The 95th percentile by nearest rank; None before there are `ENOUGH_FOR_P95` samples."""
        with self._lock:
            sample = self._samples.get(name)
            if sample is None or len(sample.sorted) < ENOUGH_FOR_P95:
                return None
            return sample.sorted[math.ceil(0.95 * len(sample.sorted)) - 1]

    def remaining(self, name: str, elapsed: float) -> float | None:
        """How much longer it takes, when it has taken `elapsed` so far: the median of those that took longer.

        None where too little is known, or where hardly any took that long: then nobody can tell.
        """
        with self._lock:
            sample = self._samples.get(name)
            if sample is None:
                return None
            longer = sample.sorted[bisect_right(sample.sorted, elapsed) :]
            return _median(longer) - elapsed if len(longer) >= ENOUGH_FOR_MEDIAN else None


def _median(ordered: list[float]) -> float:
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
