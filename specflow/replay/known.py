"""When the values of a call's arguments can be known, by whoever guesses no results.

What was said is known when it was; what a tool answers when its early twin ends, which begins when its own
values are known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from math import inf

from specflow.effects.call import Call
from specflow.replay.sources import Sources
from specflow.replay.steps import Step

Quickest = Callable[[Call, int, int], float | None]
"""Seconds that the early twin of a call takes at least that is begun from one step on until another; None: it
has none.
"""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A call of step number `place`, which the first `before` messages stand before; it is answered `real`
    seconds after the beginning of the run, at the latest.
    """

    call: Call
    place: int
    before: int
    real: float


class Known:
    """Seconds since the beginning of a run, whose steps are told of in their order."""

    def __init__(self, sources: Sources, quickest: Quickest) -> None:
        self._sources, self._quickest = sources, quickest
        self._begins: Sequence[float] = ()
        self._there: list[float] = []
        self._asked: dict[int, _Asked] = {}
        self._answered: dict[int, dict[int, float]] = {}

    def begin(self, step: Step, begins: Sequence[float]) -> None:
        """The last of the steps that `begins` has the times of: what the model said may have been known since
        it began to say it.
        """
        self._begins = begins
        before = begins[-2] if len(begins) > 1 else begins[-1]
        for item in step.history[len(self._there) :]:
            self._there.append(before if item.role in {"assistant", "tool"} else begins[-1])

    def answer(self, step: Step, ends: Sequence[float]) -> None:
        """Its calls are answered so many seconds after it begins."""
        place, before = len(self._begins) - 1, len(step.history)
        for at, (call, end) in enumerate(zip(step.calls, ends, strict=True)):
            # The message stands before the results of its calls.
            self._asked[before + 1 + at] = _Asked(call, place, before, self._begins[-1] + end)

    def since(self, call: Call, before: int, first: int) -> float:
        """Since when all values of a call are known that are in the first so many messages, where calls are
        begun from step `first` on.
        """
        return max(
            (
                min(self._holds(place, first) for place in holding)
                for holding in self._sources.of(call, before)
            ),
            default=-inf,
        )

    def _holds(self, place: int, first: int) -> float:
        if place not in self._asked:
            return self._there[place]
        answered = self._answered.setdefault(first, {})
        if place not in answered:
            # In order, each once: a long conversation is no deep recursion.
            for other, asked in islice(self._asked.items(), len(answered), None):
                answered[other] = self._answers(asked, first)
        return answered[place]

    def _answers(self, asked: _Asked, first: int) -> float:
        seconds = self._quickest(asked.call, first, asked.place)
        if seconds is None or first > asked.place:
            return asked.real
        begun = max(self._begins[first], self.since(asked.call, asked.before, first))
        return min(asked.real, begun + seconds)
