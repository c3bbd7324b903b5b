"""How many calls of each tool are looked at: all that are likely, some, or none.

To look at calls is most of what a prediction takes, and at most moments most tools are out of the question.
How far they are is known before: by what the situation gives each name, and by what usually comes next. Of
some it is known that they are called until they succeed, and then no more. And after some calls, those that
change something above all, the model hardly ever goes on reading.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping

from specflow.prediction.history.dialogue import USER, Dialogue
from specflow.prediction.history.pool import MOST
from specflow.prediction.history.tables import Tables

NEAR, FAR = 5.0, 8.5
"""How much less likely a tool is than the likeliest name (nats): beyond the first, `FEW` of its calls are
looked at, and beyond the second none.
"""

FEW = 5
"""The likeliest calls of such a tool, by their paths."""

CHANCES, RAREST = 0.6, 1e-4
"""What the logarithm of the chance to come next counts in that, and which chance is the least."""

READS_ON = 0.1
"""The share of messages after the same event that begin with a call which may be early, below which no call
of a tool that is far is looked at.
"""

Worthy = Callable[[str, float], int]
"""How many calls of a tool are looked at, by its name and the chance that it comes next."""


def every(_name: str, _chance: float) -> int:
    """All that are likely, of every tool."""
    return MOST


def may_read_on(tables: Tables, dialogue: Dialogue, early: Callable[[str], bool]) -> bool:
    """Whether the model may well call a tool next that may be called `early`: somebody has just spoken, or it
    often has after such a call as the last one. Of an event that is not known, it may.
    """
    last = dialogue.events[-1]
    return last == USER or tables.share_after(last, early) >= READS_ON


def worthy_by(situation: Mapping[str, float], over: Collection[str] = (), *, reads_on: bool = True) -> Worthy:
    """As many as the situation makes worth it, by the score that it gives each name; none of those that are
    `over`, and of those that are far only where the model `reads_on`.
    """
    far = FAR if reads_on else NEAR
    best = max(situation.values(), default=0.0)

    def most(name: str, chance: float) -> int:
        if name in over:
            return 0
        behind = best - situation.get(name, 0.0) - CHANCES * math.log(chance + RAREST)
        return MOST if behind <= NEAR else FEW if behind <= far else 0

    return most
