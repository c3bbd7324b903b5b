"""How long predictors take to say what comes next, in conversations of about thirty messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

LENGTHS = range(27, 34)
"""Messages of the conversations that count: short ones are quick, and long ones rare."""


@dataclass(frozen=True, slots=True)
class Took:
    """Processor time in milliseconds, from being asked after so many `messages` until all that is foreseen
    was said: what is new was taken in, and the last turn learned from.
    """

    messages: int
    milliseconds: float


def times(took: Sequence[Took]) -> dict[str, Any] | None:
    """How many times counted (`n`), their median and the 95th percentile; None if there are none."""
    counted = sorted(one.milliseconds for one in took if one.messages in LENGTHS)
    if not counted:
        return None
    return {
        "messages": [LENGTHS[0], LENGTHS[-1]],
        "n": len(counted),
        "median": round(median(counted), 3),
        "p95": round(counted[int(0.95 * len(counted))], 3),
    }
