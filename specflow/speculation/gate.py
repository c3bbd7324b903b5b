"""The gate: whether a launch that the policy allows is also worth it. See docs/explanation/gate.md.

    value = P * V * saved - c_exec - (1 - P) * (c_undo + h * visible)

and a launch is worth it if and only if that is above zero.
"""

from __future__ import annotations

from dataclasses import dataclass

PRESUMED = 1.0
"""Seconds that a call is taken to save while nobody knows, where nothing can be lost by it."""

INSTANT = 0.001
"""Seconds; no call is faster, a clock that says so is coarse."""

UNTIL_UNDONE = 60.0
"""Seconds for which a wrong effect is taken to be seen while nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stakes:
    """What one early call can win and lose. Times in seconds, money in USD.

    `probability` is a cautious figure that it is right, and that everything it rests on is; `worth` what a
    second less to wait is worth. `takes` is how long the tool takes, `runway` how long until the real run
    could ask for it, `undoing` how long its undo takes; None is not known. `cost` is that of the call,
    `undo_cost` that of taking it back, `visible_cost` that of a second in which a wrong effect is seen.
    """

    probability: float
    worth: float
    takes: float | None = None
    runway: float | None = None
    undoing: float | None = None
    cost: float = 0.0
    undo_cost: float = 0.0
    visible_cost: float = 0.0

    @property
    def saved(self) -> float | None:
        """Seconds that a right guess saves: min(expected tool time, expected remaining runway)."""
        if self.takes is None:
            return None
        return max(INSTANT, self.takes if self.runway is None else min(self.takes, self.runway))

    @property
    def visible(self) -> float:
        """Seconds for which a wrong effect can be seen: until the turn ends, and until it is undone."""
        if self.runway is None or self.undoing is None:
            return UNTIL_UNDONE
        return max(0.0, self.runway - (self.takes or 0.0)) + self.undoing

    @property
    def loss(self) -> float:
        """What a wrong guess costs beyond the call itself."""
        return self.undo_cost + (self.visible_cost * self.visible if self.visible_cost else 0.0)

    @property
    def free(self) -> bool:
        """Whether nothing can be lost by it."""
        return not self.cost and not self.loss

    def value(self, others_wrong: float = 1.0) -> float:
        """What it is expected to bring, in USD.

        `others_wrong` is the probability that all guesses of the same step started before it are wrong: only
        one of them can be right, so what one more can win is P_k+1 * (1 - P_1) * ... * (1 - P_k).
        """
        saved = self.saved
        if saved is None:
            # INVARIANT: where something can be lost, what is not known wins nothing.
            saved = PRESUMED if self.free else 0.0
        probability = self.probability * others_wrong
        return probability * self.worth * saved - self.cost - (1.0 - probability) * self.loss
