"""What may come next at one moment of a conversation, and what came."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from specflow.prediction.history.chooser import Options
from specflow.prediction.history.confidence import BREADTH, proposed
from specflow.prediction.history.dialogue import Args
from specflow.prediction.history.together import Offered
from specflow.prediction.history.weights import Compiled


@dataclass(slots=True)
class Chance:
    """A call and the probability that the next message asks for it."""

    tool: str
    args: Args
    probability: float


@dataclass(slots=True)
class Considered:
    """The options at one moment: the `probabilities` of each to be what the message begins with, and
    `shares`, those of each to be in it.
    """

    options: Options
    compiled: Compiled
    probabilities: list[float]
    tools: list[str]
    early: Callable[[str], bool]
    offered: Offered
    shares: list[float]

    def chance(self, at: int) -> Chance:
        """Option `at`, as far as it is a call."""
        return Chance(self.options.names[at], self.options.args[at] or (), self.shares[at])

    def proposed(self, breadth: int, fits: Callable[[int], bool] = lambda _at: True) -> list[int]:
        """The options that are worth a proposal, the likeliest first: of those that fit, `breadth` that may
        begin the message, and what goes with them.
        """
        offers = [at for at, one in enumerate(self.options.args) if one is not None]
        return proposed(offers, self.probabilities, self.shares, breadth, fits)

    def chances(self) -> list[Chance]:
        """The calls that are worth a proposal, whether they fit their schemas or not."""
        return [self.chance(at) for at in self.proposed(BREADTH)]


@dataclass(frozen=True, slots=True)
class Taught:
    """A message began with option `begins` of what was `considered` and had `more` of these besides; among
    the options that are `compiled` (others, if its tool was not looked at then) it is `right`. -1: none.
    """

    considered: Considered
    begins: int
    more: frozenset[int]
    compiled: Compiled
    right: int
