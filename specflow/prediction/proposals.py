"""Which calls one listener currently believes in, so that each is said once and taken back once."""

from __future__ import annotations

from collections import Counter

from specflow.effects.call import Call
from specflow.prediction.candidate import Candidate, Retraction


class LiveProposals:
    """Counts the reasons for each call: the first proposes it, the end of the last one retracts it."""

    def __init__(self, *, predictor: str) -> None:
        self._predictor = predictor
        self._reasons: Counter[Call] = Counter()

    def __contains__(self, call: object) -> bool:
        return call in self._reasons

    def __len__(self) -> int:
        return len(self._reasons)

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls believed in, oldest first."""
        return tuple(self._reasons)

    def propose(self, candidate: Candidate) -> tuple[Candidate, ...]:
        """The candidate if its call is new, else nothing; either way one more reason for the call."""
        self._reasons[candidate.call] += 1
        return (candidate,) if self._reasons[candidate.call] == 1 else ()

    def retract(self, call: Call, reason: str) -> tuple[Retraction, ...]:
        """A retraction if this was the last reason for `call`."""
        if call not in self._reasons:
            return ()
        self._reasons[call] -= 1
        if self._reasons[call]:
            return ()
        del self._reasons[call]
        return (Retraction(call=call, predictor=self._predictor, reason=reason),)

    def retract_all(self, reason: str) -> tuple[Retraction, ...]:
        """Retractions for everything believed in."""
        calls = self.calls
        self._reasons.clear()
        return tuple(Retraction(call=call, predictor=self._predictor, reason=reason) for call in calls)
