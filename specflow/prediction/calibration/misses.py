"""Tools whose arguments a predictor cannot know (free text, sums), by how often it had them wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

WINDOW = 200.0
HOPELESS = 0.1
"""A tool is given up while its share of right arguments is below that, with 90 % certainty: after 15 calls
that were all met with other arguments, at the earliest.
"""

QUANTILE = 1.2815515655446004
"""Standard normal quantile of 0.9."""


@dataclass(slots=True)
class Misses:
    """Of one predictor and tool: of the turns in which it proposed a call of the tool and the model made one,
    in how many the arguments were right. Faded, so that about the last `WINDOW` count.
    """

    met: float = 0.0
    right: float = 0.0

    def saw(self, *, right: bool) -> None:
        """The tool was called as was proposed, or with other arguments."""
        keep = 1.0 - 1.0 / WINDOW
        self.met, self.right = self.met * keep + 1.0, self.right * keep + right

    @property
    def hopeless(self) -> bool:
        """Whether the arguments cannot be known (Wilson's upper bound is low)."""
        return self.met > 0 and _upper(self.right, self.met) < HOPELESS


def _upper(right: float, n: float) -> float:
    mean, z2 = right / n, QUANTILE * QUANTILE
    spread = QUANTILE * math.sqrt(mean * (1.0 - mean) / n + z2 / (4.0 * n * n))
    return (mean + z2 / (2.0 * n) + spread) / (1.0 + z2 / n)
