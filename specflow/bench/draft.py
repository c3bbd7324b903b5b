"""A draft model in miniature: asked as a turn begins, it says the next call after a while, always right."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from specflow.effects.call import Call
from specflow.prediction.candidate import Candidate
from specflow.prediction.predictor import TurnContext


class Draft:
    """Knows the `calls` of a run, and needs `seconds` to say the next one.

    So what is measured is the algorithm, at its best, and not a small model's wit. With `Lookahead(depth=0)`
    it is the client's side of arXiv 2512.15834: one step ahead, one guess a step.
    """

    name = "draft"

    def __init__(self, calls: Sequence[Call], seconds: float) -> None:
        self._calls, self._seconds = calls, seconds

    async def foresee(self, context: TurnContext) -> Sequence[Candidate]:
        """The call after those whose results are known."""
        await asyncio.sleep(self._seconds)
        known = sum(item.call is not None for item in context.history)
        following = self._calls[known : known + 1]
        return [Candidate(call=call, confidence=0.9, predictor=self.name) for call in following]
