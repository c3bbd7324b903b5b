"""What each predictor adds to the others: all of them together, beside all but that one, run by run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from operator import itemgetter
from typing import Any

from specflow.replay.interval import interval_of_sums
from specflow.replay.spread import PARTS, Spread
from specflow.replay.variant import Variant

ADDED = {"saved_seconds": 3, "launched": None, "wasted_calls": None}
"""And with how many digits; None: a count."""


def others(main: Variant) -> Mapping[str, Variant]:
    """For each of several predictors, the same with all but that one."""
    names = main.predictors
    if len(names) < 2:
        return {}
    return {
        name: replace(main, predictors=tuple(other for other in names if other != name)) for name in names
    }


def added(together: Spread, rest: Spread) -> dict[str, Any]:
    """What the one that is missing in `rest` adds, with 95 % intervals (over tasks, run beside run)."""
    rows = [
        (one.task, [one.amounts[PARTS.index(part)] - other.amounts[PARTS.index(part)] for part in ADDED])
        for one, other in zip(together.shares, rest.shares, strict=True)
    ]
    sums = [sum(column) for column in zip(*(amounts for _, amounts in rows), strict=True)]
    return {
        **{part: round(total, ADDED[part]) for part, total in zip(ADDED, sums, strict=True)},
        "intervals": {part: interval_of_sums(rows, itemgetter(at)) for at, part in enumerate(ADDED)},
    }
