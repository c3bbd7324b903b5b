"""Whether a predictor is still what it was: an alarm when its guesses come true less often than is believed.

The test is an e-detector (Shin, Ramdas and Rinaldo, "E-detectors", 2023): with q the believed probability and
y whether it came true, each factor 1 + s (q - y) has a mean of at most 1 while q is not too high. The product
since the best moment to begin, max(1, M) (1 + s (q - y)), averaged over several stakes s, passes `ALARM` at
most once in `ALARM` guesses on average while nothing is wrong, whatever the guesses are.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

ALARM = 1_000.0
"""Guesses between two false alarms, at least, on average."""

STAKES = (0.2, 0.5, 0.8)

SHADOW = 40
"""Guesses in a row that are looked at, once it is off, before it is on again."""


@dataclass(slots=True)
class Watch:
    """Of one predictor in one domain. It goes on being told while it is off."""

    off: bool = False
    _grown: list[float] = field(default_factory=lambda: [1.0] * len(STAKES))
    _shadow: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=SHADOW))

    def saw(self, believed: float, *, right: bool) -> None:
        """A guess that was taken to be right with that probability was right, or wrong."""
        if self.off:
            self._shadow.append((believed, right))
            if self._good():
                self._begin(off=False)
            return
        self._grown = [
            max(1.0, grown) * (1.0 + stake * (believed - right))
            for grown, stake in zip(self._grown, STAKES, strict=True)
        ]
        if sum(self._grown) / len(STAKES) >= ALARM:
            self._begin(off=True)

    def _begin(self, *, off: bool) -> None:
        self.off = off
        self._grown = [1.0] * len(STAKES)
        self._shadow.clear()

    def _good(self) -> bool:
        """Whether the shadow window is full, and lacks at most one standard deviation of what is believed."""
        lacking = sum(believed - right for believed, right in self._shadow)
        spread = math.sqrt(sum(believed * (1.0 - believed) for believed, _ in self._shadow))
        return len(self._shadow) == SHADOW and lacking <= spread
