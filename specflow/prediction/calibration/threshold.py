"""From which probability on guesses are right often enough."""

from __future__ import annotations

from collections.abc import Iterable

from specflow.prediction.calibration.bins import Bin, next_above

WORD = 10.0
"""Guesses that the probabilities' own word is worth beside what was seen."""


def threshold(bins: Iterable[Bin], precision: float) -> float:
    """The lowest probability from which on all guesses together are right in at least the share `precision`.

    `bins` are outcomes by probability. Where nothing was seen probabilities are taken at their word: there a
    guess must itself be that likely.
    """
    n = said = right = 0.0
    reached, failed = 1.0, -1.0
    for one in sorted(bins, key=lambda one: -one.said):
        n, said, right = n + one.n, said + one.n * one.said, right + one.n * one.right
        if (right + WORD * said / n) / (n + WORD) >= precision:
            reached, failed = one.said, -1.0
        elif failed < 0:
            failed = one.said  # the highest below what was reached
    return min(reached, precision if failed < 0 else max(precision, next_above(failed)))
