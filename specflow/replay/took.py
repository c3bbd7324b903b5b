"""How long predictors take to say what comes next, in conversations of about thirty messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from specflow.replay.percentiles import percentiles

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
    """How many times counted (`n`), and the percentiles of each part, and of both; None if there are none."""
    counted = [one for one in took if one.messages in LENGTHS]
    if not counted:
        return None
    foreseen = [(one.listened, one.foreseen) for one in counted if one.foreseen is not None]
    parts = {
        "new_messages": [one.listened for one in counted],
        "prediction": [prediction for _, prediction in foreseen],
        "both": [sum(both) for both in foreseen],
    }
    return {
        "messages": [LENGTHS[0], LENGTHS[-1]],
        "n": len(counted),
        **{name: percentiles(part) for name, part in parts.items() if part},
    }
