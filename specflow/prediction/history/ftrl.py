"""Weights that learn online and stay few: follow the regularised leader, proximal.

McMahan et al., "Ad Click Prediction: a View from the Trenches" (KDD 2013), algorithm 1 with beta = 1. A
weight is zero until its gradients add up to more than `l1`, so what came up once or twice says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain


@dataclass(slots=True)
class Ftrl:
    """`values[i]` is the weight of index i; `rate` how fast it may move."""

    rate: float
    l1: float
    l2: float
    values: list[float] = field(default_factory=list)
    squares: list[float] = field(default_factory=list)
    _leads: list[float] = field(default_factory=list)

    def blank(self) -> Ftrl:
        """As many weights, all zero."""
        made = Ftrl(self.rate, self.l1, self.l2)
        made.grow(len(self.values))
        return made

    def take_mean(self, others: Sequence[Ftrl]) -> None:
        """Become the mean of weights that were learned apart, and as steady as they are together."""
        share = 1.0 / len(others)
        size = max(len(one.values) for one in (self, *others))
        for one in (self, *others):
            one.grow(size)
        squares = zip(*(other.squares for other in others), strict=True)
        values = zip(*(other.values for other in others), strict=True)
        for at, (mine, its) in enumerate(zip(values, squares, strict=True)):
            self.put(at, share * sum(mine), share * sum(its))

    def new(self) -> int:
        """The index of a further weight, zero at first."""
        self.values.append(0.0)
        self.squares.append(0.0)
        self._leads.append(0.0)
        return len(self.values) - 1

    def grow(self, size: int) -> None:
        """Have at least so many weights."""
        for part in (self.values, self.squares, self._leads):
            part.extend([0.0] * (size - len(part)))

    def spread(self, width: int, wider: int) -> None:
        """What lay in rows of `width` weights lies in rows of `wider` ones now, zero at their ends."""
        gap = [0.0] * (wider - width)
        for part in (self.values, self.squares, self._leads):
            rows = [[*part[at : at + width], *gap] for at in range(0, len(part), width)]
            part[:] = chain.from_iterable(rows)

    def restore(self, value: float, squares: float) -> int:
        """The index of a weight that was learned before."""
        at = self.new()
        self.put(at, value, squares)
        return at

    def put(self, at: int, value: float, squares: float) -> None:
        """Have this weight there, as it was learned before."""
        slope = (1.0 + math.sqrt(squares)) / self.rate + self.l2
        self.values[at], self.squares[at] = value, squares
        self._leads[at] = -value * slope - math.copysign(self.l1, value) if value else 0.0

    def step(self, gradients: Mapping[int, float]) -> None:
        """Take in the gradient of the loss by each of these weights."""
        values, squares, leads, sqrt = self.values, self.squares, self._leads, math.sqrt
        rate, l1, l2 = self.rate, self.l1, self.l2
        for at, gradient in gradients.items():
            value, old = values[at], squares[at]
            new = squares[at] = old + gradient * gradient
            root = sqrt(new)
            lead = leads[at] + gradient
            if value:
                lead -= (root - sqrt(old)) / rate * value
            leads[at] = lead
            if lead > l1:
                values[at] = (l1 - lead) / ((1.0 + root) / rate + l2)
            elif lead < -l1:
                values[at] = (-l1 - lead) / ((1.0 + root) / rate + l2)
            elif value:
                values[at] = 0.0
