"""Percentiles by nearest rank: always one of the values."""

from __future__ import annotations

from collections.abc import Iterable

RANKS = {"p50": 50, "p95": 95, "p99": 99}


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """p50, p95 and p99, to the millisecond; zeros when there is nothing."""
    ordered = sorted(values)

    def rank(percent: int) -> float:
        # In whole numbers: 0.95 * n can come out just above the rank that is meant.
        return round(ordered[-(-percent * len(ordered) // 100) - 1], 3) if ordered else 0.0

    return {name: rank(percent) for name, percent in RANKS.items()}
