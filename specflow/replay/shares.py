"""What was saved, as a share of what could have been; and which share of the early calls was wasted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from specflow.replay.interval import interval_of_sums
from specflow.replay.spread import PARTS, Spread

_AT = {part: at for at, part in enumerate(PARTS)}

OF: dict[str, tuple[str, tuple[str, ...]]] = {
    "saved_of_said": ("saved_seconds", ("saved_seconds", "regret_begun_late_seconds")),
    "saved_of_started": ("saved_seconds", ("saved_seconds", "regret_late_seconds")),
    "saved_of_right": ("saved_seconds", ("saved_seconds", "regret_seconds")),
    "saved_of_oracle": ("saved_seconds", ("oracle_seconds",)),
    "saved_of_chained_oracle": ("saved_seconds", ("chained_oracle_seconds",)),
    "saved_of_run_oracle": ("saved_seconds", ("run_oracle_seconds",)),
    "saved_of_known_oracle": ("saved_seconds", ("known_oracle_seconds",)),
    "wasted_of_launched": ("wasted_calls", ("launched",)),
}
"""A part, and what it is a share of: the sum of these."""

SAID = {
    "saved_of_said": "of what the guesses that were started could save since they were made",
    "saved_of_started": "of what the guesses that were started could save, made at once",
    "saved_of_right": "of what all right guesses could save",
    "saved_of_oracle": "of the oracle, one step ahead",
    "saved_of_chained_oracle": "of the oracle, several steps ahead",
    "saved_of_run_oracle": "of the same, had no read outlived its run",
    "saved_of_known_oracle": "of the same, by whoever guesses no results",
}
"""What was saved is so much of it, in words."""


def shares(spread: Spread) -> dict[str, Any]:
    """By name a `value`, and its 95 % `interval` over tasks; None if nothing was. None is above 1 but
    `saved_of_run_oracle`, where reads outlive their run, and `saved_of_known_oracle`, where somebody has
    guessed what a tool would answer.
    """
    rows = [(share.task, share.amounts) for share in spread.shares]
    sums = [sum(column) for column in zip(*(amounts for _, amounts in rows), strict=True)]
    found: dict[str, Any] = {}
    for name, (part, whole) in OF.items():
        figure = _figure(part, whole)
        some = bool(sums) and bool(sum(sums[_AT[one]] for one in whole))
        found[name] = {
            "value": round(figure(sums), 4) if some else None,
            "interval": interval_of_sums(rows, figure) if some else None,
        }
    return found


def _figure(part: str, whole: Sequence[str]) -> Callable[[Sequence[float]], float]:
    top, below = itemgetter(_AT[part]), [_AT[one] for one in whole]

    def figure(sums: Sequence[float]) -> float:
        all_of_it = sum(sums[at] for at in below)
        # Adding 0.0 takes the sign off a zero.
        return float(top(sums)) / all_of_it + 0.0 if all_of_it else 0.0

    return figure
