"""Weights that learn online and stay few: follow the regularised leader, proximal.

McMahan et al., "Ad Click Prediction: a View from the Trenches" (KDD 2013), algorithm 1 with beta = 1. A
weight is zero until its gradients add up to more than `l1`, so what came up once or twice says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


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
        size = len(self.values)
        return Ftrl(self.rate, self.l1, self.l2, [0.0] * size, [0.0] * size, [0.0] * size)

    def take_mean(self, others: Sequence[Ftrl]) -> None:
        """Become the mean of weights that were learned apart, and as steady as they are together."""
        share = 1.0 / len(others)
        for at in range(len(self.values)):
            self.values[at] = share * sum(other.values[at] for other in others)
            self.squares[at] = share * sum(other.squares[at] for other in others)
            self._lead(at)

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

    def restore(self, value: float, squares: float) -> int:
        """The index of a weight that was learned before."""
        at = self.new()
        self.values[at], self.squares[at] = value, squares
        self._lead(at)
        return at

    def _lead(self, at: int) -> None:
        value, squares = self.values[at], self.squares[at]
        slope = (1.0 + math.sqrt(squares)) / self.rate + self.l2
        self._leads[at] = -value * slope - math.copysign(self.l1, value) if value else 0.0

    def step(self, gradients: Mapping[int, float]) -> list[int]:
        """Take in the gradient of the loss by each of these weights. Returns those that came to zero, or
        left it.
        """
        turned: list[int] = []
        values, squares, leads = self.values, self.squares, self._leads
        rate, l1, l2 = self.rate, self.l1, self.l2
        for at, gradient in gradients.items():
            old = squares[at]
            new = old + gradient * gradient
            root = math.sqrt(new)
            lead = leads[at] + gradient - (root - math.sqrt(old)) / rate * values[at]
            squares[at], leads[at] = new, lead
            beyond = abs(lead) - l1
            value = -math.copysign(beyond, lead) / ((1.0 + root) / rate + l2) if beyond > 0 else 0.0
            if (not value) is not (not values[at]):
                turned.append(at)
            values[at] = value
        return turned
