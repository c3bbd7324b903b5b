"""How far ahead of the real run the core may look, and how wide."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

from specflow.errors import ConfigurationError
from specflow.speculation.branch import Branch, Grove


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookahead:
    """Limits on hypotheses; the gate and the policy's budgets (`max_depth` among them) apply on top.

    `depth` guesses at most are below another one; `breadth` results of one pending call are presumed at the
    same time; `branches` are open at once in a session. Below `min_odds`, the probability along the path,
    nothing is presumed. A predictor or guesser has `seconds` to say what it foresees, and `proposals` of
    what it says are looked at. `starts` branches begin in one turn of the event loop.

    Raises:
        ConfigurationError: a limit that is none.
    """

    depth: int = 8
    breadth: int = 3
    branches: int = 64
    min_odds: float = 0.2
    seconds: float = 2.0
    proposals: int = 16
    starts: int = 6

    def __post_init__(self) -> None:
        counts = (self.depth, self.breadth, self.branches, self.proposals)
        if min(counts) < 0 or self.starts < 1:
            raise ConfigurationError("lookahead: no count is negative, and `starts` at least 1")
        if not (0 <= self.min_odds <= 1 and 0 < self.seconds < math.inf):
            raise ConfigurationError("lookahead: min_odds is in [0, 1], seconds above 0")


class Pace:
    """Lets only so many begin in one turn of the event loop, so that nobody else waits for them."""

    def __init__(self, starts: int) -> None:
        self._starts = starts
        self._begun = 0

    async def step(self) -> None:
        """Wait for a place in this turn of the loop, or one of the next."""
        while self._begun >= self._starts:  # noqa: ASYNC110 - the next turn of the loop is what it waits for
            await asyncio.sleep(0)
        if not self._begun:
            asyncio.get_running_loop().call_soon(self._reset)
        self._begun += 1

    def _reset(self) -> None:
        self._begun = 0


def beyond(limit: Lookahead, grove: Grove, above: Branch | None, writes: bool) -> str:
    """Why nothing more is presumed here: `lost`, `depth`, `odds`, `budget`, `patient`, or empty for go.

    `above` is the hypothesis under which something is to begin; None is the model's next message.
    """
    if grove.full:
        return "budget"
    if above is None:
        return ""
    if above.lost:
        return "lost"
    if above.depth >= limit.depth:
        return "depth"
    if above.odds < limit.min_odds:
        return "odds"
    # INVARIANT: no effect waits in the world for a person to answer.
    return "patient" if writes and any(branch.patient for branch in above.path) else ""
