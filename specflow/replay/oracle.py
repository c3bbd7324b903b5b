"""The bound: the same run, with guesses that are right and made the moment the model is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from specflow.effects.call import Call
from specflow.prediction.candidate import Candidate, Proposal
from specflow.prediction.chunk import Chunk
from specflow.prediction.predictor import TurnContext


@dataclass(slots=True)
class Oracle:
    """Proposes, at the start of turn k, the calls listed for it: all that the policy allows then run.

    One step ahead: it knows what the model will call, not what tools will answer.
    """

    calls: Sequence[Iterable[Call]]
    name: str = "oracle"
    _turn: int = -1

    def listen(self, context: TurnContext) -> Foreseen:
        """The next turn's ear."""
        self._turn += 1
        known = self.calls[self._turn] if self._turn < len(self.calls) else ()
        return Foreseen(calls=tuple(known))


@dataclass(slots=True, kw_only=True)
class Foreseen:
    """Says everything at the first chunk."""

    calls: tuple[Call, ...]

    def hear(self, chunk: Chunk) -> Iterator[Proposal]:
        """All calls at once, then silence."""
        calls, self.calls = self.calls, ()
        for call in calls:
            # Whoever may start a write early in the policy, the oracle stands for them.
            yield Candidate(call=call, confidence=1.0, predictor="oracle")
