"""From what a predictor says to how often that comes true: beta calibration with a prior.

Kull, Silva Filho and Flach, "Beta calibration" (AISTATS 2017): log-odds(q) = a ln p - b ln(1 - p) + c with
a, b >= 0. a = b = 1, c = 0 is the identity, a = b the method of Platt. Here the fit is the mode of a
posterior whose Gaussian prior stands on the identity: what has been seen a few times moves little.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from specflow.prediction.calibration.bins import LEAST, Bin

ROUNDS = 12
LEAST_SLOPE = 0.05
"""Slopes are at least that: more confidence never means less probability."""

LARGEST = 8.0
LEASTS = (LEAST_SLOPE, LEAST_SLOPE, -LARGEST)


@dataclass(frozen=True, slots=True)
class Prior:
    """How much is believed of the identity: standard deviations of the slopes a and b, and of the shift c."""

    slope: float
    shift: float


@dataclass(frozen=True, slots=True)
class Curve:
    """log-odds(q) = a ln p - b ln(1 - p) + c; strictly increasing."""

    a: float = 1.0
    b: float = 1.0
    c: float = 0.0

    def __call__(self, probability: float) -> float:
        """The calibrated probability."""
        low, high = _logs(probability)
        return squeezed(self.a * low - self.b * high + self.c)


def fit(bins: Iterable[Bin], prior: Prior) -> Curve:
    """The curve that the outcomes make most likely, given the prior. Newton's method, kept in bounds."""
    rows = [(one.n, *_logs(one.said), one.right) for one in bins]
    tight = (prior.slope**-2, prior.slope**-2, prior.shift**-2)
    found, centre = [1.0, 1.0, 0.0], (1.0, 1.0, 0.0)
    if not rows:
        return Curve()
    for _ in range(ROUNDS):
        slope = [tight[i] * (found[i] - centre[i]) for i in range(3)]
        bent = [[tight[i] if i == j else 0.0 for j in range(3)] for i in range(3)]
        for n, low, high, right in rows:
            q = squeezed(found[0] * low - found[1] * high + found[2])
            by = (low, -high, 1.0)
            pull, weight = n * (q - right), n * max(q * (1.0 - q), 1e-6)
            for i in range(3):
                slope[i] += pull * by[i]
                for j in range(3):
                    bent[i][j] += weight * by[i] * by[j]
        for i, least in enumerate(LEASTS):
            if (found[i] <= least and slope[i] > 0) or (found[i] >= LARGEST and slope[i] < 0):
                # It stays where it is; the others move as if it were a constant.
                slope[i] = 0.0
                for j in range(3):
                    bent[i][j] = bent[j][i] = 1.0 if i == j else 0.0
        step = _solved(bent, slope)
        moved = [max(-2.0, min(2.0, part)) for part in step]
        found = [min(LARGEST, max(LEASTS[i], found[i] - moved[i])) for i in range(3)]
        if max(map(abs, moved)) < 1e-5:
            break
    return Curve(*found)


def _logs(probability: float) -> tuple[float, float]:
    kept = min(1.0 - LEAST, max(LEAST, probability))
    return math.log(kept), math.log(1.0 - kept)


def squeezed(score: float) -> float:
    """The probability of these log-odds."""
    if score >= 0:
        return 1.0 / (1.0 + math.exp(-min(score, 60.0)))
    power = math.exp(max(score, -60.0))
    return power / (1.0 + power)


def _solved(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """Solve A x = b for a symmetric positive definite A, by Cramer's rule."""
    (a, b, c), (_, d, e), (_, _, f) = matrix
    p, q, r = d * f - e * e, c * e - b * f, b * e - c * d
    whole = a * p + b * q + c * r
    s, t, u = a * f - c * c, b * c - a * e, a * d - b * b
    x, y, z = right
    return [
        (p * x + q * y + r * z) / whole,
        (q * x + s * y + t * z) / whole,
        (r * x + t * y + u * z) / whole,
    ]
