"""A predictor that believes what it is told: it lets a bench start early exactly what it wants to measure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from specflow.effects.call import Call
from specflow.prediction.candidate import Candidate, Proposal
from specflow.prediction.chunk import Chunk
from specflow.prediction.predictor import TurnContext


class Told:
    """Proposes, with the next chunk it hears, the calls that `tell` was given."""

    name = "told"

    def __init__(self) -> None:
        self._calls: Sequence[Call] = ()

    def tell(self, calls: Sequence[Call]) -> None:
        """What to propose next."""
        self._calls = calls

    def listen(self, context: TurnContext) -> Told:
        return self

    def hear(self, chunk: Chunk) -> Iterable[Proposal]:
        calls, self._calls = self._calls, ()
        return [Candidate(call=call, confidence=0.99, predictor=self.name) for call in calls]
