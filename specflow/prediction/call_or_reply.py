"""Whether the message under way will call a tool or only reply, told from its text sentence by sentence."""

from __future__ import annotations

import math
from collections.abc import Set

from specflow.prediction.phrases import Phrases

_TO_THE_USER = Phrases("you|your|yours|please|thank|thanks|sorry|hello|welcome")
MANY = 6
"""Sentences from which on it makes no difference how many there are."""
WEIGHTS = (-1.55, 2.17, 1.52, 0.6, -0.88, -1.33, -1.23, -0.3, -1.14)
"""In the order of `features`."""


class CallOrReply:
    """Hears every finished sentence; cheap, as it is asked for each.

    The weights are of a logistic regression on recorded support runs: docs/explanation/predictors.md.
    """

    __slots__ = ("_asked", "_ever", "_last", "_question", "_said", "_thought", "_visible")

    def __init__(self) -> None:
        self._last = self._ever = self._question = self._asked = False
        self._said = self._visible = self._thought = 0

    def took(self, low: str, heard: Set[str], *, visible: bool, wanted: bool) -> None:
        """A sentence, lowered, with its words; `visible`: not reasoning; `wanted`: it announces an action."""
        self._ever = self._ever or self._last
        self._last = wanted
        self._question = visible and low.endswith("?")
        if not visible:
            self._thought += 1
            return
        self._visible += 1
        self._asked = self._asked or self._question
        self._said += not _TO_THE_USER.words.isdisjoint(heard)

    def features(self, *, live: bool, leave: bool) -> tuple[float, ...]:
        """What the probability is made of; `live`: a call is announced, `leave`: the user is asked first."""
        return (
            1.0,
            float(live),
            float(self._last),
            float(self._ever),
            float(self._question),
            float(self._asked or leave),
            min(self._visible, MANY) / MANY,
            self._said / self._visible if self._visible else 0.0,
            float(self._visible > 0 and self._thought == 0),
        )

    def probability(self, *, live: bool, leave: bool) -> float:
        """That the message calls a tool, in (0, 1)."""
        features = self.features(live=live, leave=leave)
        logit = sum(weight * value for weight, value in zip(WEIGHTS, features, strict=True))
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, logit))))
