"""How guesses of each confidence turned out lately: what a reliability diagram shows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

STEP = 0.5
"""Width of a bin, in log-odds."""

FAR = 6.0
"""Log-odds beyond which guesses share the last bin."""

COUNT = int(2 * FAR / STEP)
LEAST = 1e-4
"""Probabilities are taken to be at least so far from 0 and 1."""
ROUNDED = 0.01
"""What counts may be off when they are read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """`n` guesses (faded counts) of mean confidence `said`, of which the share `right` was right."""

    n: float
    said: float
    right: float


@dataclass(slots=True)
class Bins:
    """Counts by confidence. With each further guess the earlier ones keep 1 - 1/`window` of their weight, so
    that about the last `window` count.
    """

    window: float
    counts: list[float] = field(default_factory=lambda: [0.0] * COUNT)
    said: list[float] = field(default_factory=lambda: [0.0] * COUNT)
    came: list[float] = field(default_factory=lambda: [0.0] * COUNT)

    def saw(self, confidence: float, *, right: bool) -> None:
        """A guess of that confidence was right, or wrong."""
        keep, at = 1.0 - 1.0 / self.window, place_of(confidence)
        for counts in (self.counts, self.said, self.came):
            counts[:] = [count * keep for count in counts]
        self.counts[at] += 1.0
        self.said[at] += confidence
        self.came[at] += right

    def count_as(self, most: float) -> None:
        """Let what was seen count as at most so many guesses."""
        share = most / self.n if self.n > most else 1.0
        for counts in (self.counts, self.said, self.came):
            counts[:] = [count * share for count in counts]

    @property
    def n(self) -> float:
        """How many guesses count, at most `window`."""
        return sum(self.counts)

    def __iter__(self) -> Iterator[Bin]:
        """The bins that hold something, by confidence."""
        for n, said, came in zip(self.counts, self.said, self.came, strict=True):
            if n > 1e-3:
                yield Bin(n=n, said=said / n, right=came / n)

    def as_json(self) -> list[list[float]]:
        """A row for each bin that holds something: its place, the count, and the sums."""
        rows = enumerate(zip(self.counts, self.said, self.came, strict=True))
        return [[at, round(n, 3), round(said, 4), round(came, 3)] for at, (n, said, came) in rows if n > 1e-3]

    @classmethod
    def from_json(cls, rows: Sequence[Sequence[float]], *, window: float) -> Bins:
        """Counts as they were written.

        Raises:
            TypeError, ValueError, IndexError: the data has another shape.
        """
        made = cls(window)
        for at, n, said, came in rows:
            if not (-ROUNDED <= came <= n + ROUNDED and -ROUNDED <= said <= n + ROUNDED):
                raise ValueError(f"bin {at} has more right guesses than guesses")
            made.counts[int(at)], made.said[int(at)], made.came[int(at)] = float(n), float(said), float(came)
        return made


def log_odds(probability: float) -> float:
    """ln(p / (1 - p)), with p kept away from 0 and 1."""
    kept = min(1.0 - LEAST, max(LEAST, probability))
    return math.log(kept / (1.0 - kept))


def next_above(probability: float) -> float:
    """A probability that is one bin higher."""
    return 1.0 / (1.0 + math.exp(-log_odds(probability) - STEP))


def place_of(confidence: float) -> int:
    """The bin of a confidence."""
    return max(0, min(COUNT - 1, int((log_odds(confidence) + FAR) / STEP)))
