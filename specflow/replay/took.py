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
    """Processor time in milliseconds, in a conversation of so many `messages`: until a predictor had taken in
    what is new, and learned from the last turn (`listened`), and from then on until all that it foresees was
    said (`foreseen`; None: it foresees nothing, and only listens).
    """

    messages: int
    listened: float
    foreseen: float | None = None


def times(took: Sequence[Took]) -> dict[str, Any] | None:
    """How many times counted (`n`), and the median and the 95th percentile of each part, and of both; None if
    there are none.
    """
    counted = [one for one in took if one.messages in LENGTHS]
    if not counted:
        return None
    foreseen = [one for one in counted if one.foreseen is not None]
    parts = {
        "new_messages": [one.listened for one in counted],
        "prediction": [one.foreseen or 0.0 for one in foreseen],
        "both": [one.listened + (one.foreseen or 0.0) for one in foreseen],
    }
    return {
        "messages": [LENGTHS[0], LENGTHS[-1]],
        "n": len(counted),
        **{name: _middle_and_most(part) for name, part in parts.items() if part},
    }


def _middle_and_most(times: Sequence[float]) -> dict[str, float]:
    p95 = sorted(times)[int(0.95 * len(times))]
    return {"median": round(median(times), 3), "p95": round(p95, 3)}
