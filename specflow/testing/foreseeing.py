"""Predictors and guessers that say what a test tells them to, after a pause, or misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from specflow.effects.call import Call
from specflow.prediction.candidate import Candidate
from specflow.prediction.predictor import PastCall, TurnContext
from specflow.prediction.result_guess import Equivalent, ResultGuess

Step = Callable[[TurnContext], Sequence[Call]]


@dataclass(slots=True)
class Foreseeing:
    """Foresees what `step` makes of the conversation, `seconds` later. `asked` keeps what it was shown."""

    step: Step
    confidence: float = 0.9
    seconds: float = 0.0
    name: str = "foreseeing"
    asked: list[TurnContext] = field(default_factory=list)

    async def foresee(self, context: TurnContext) -> Sequence[Candidate]:
        """The calls of `step`, all with the same confidence."""
        self.asked.append(context)
        await asyncio.sleep(self.seconds)
        return [
            Candidate(call=call, confidence=self.confidence, predictor=self.name)
            for call in self.step(context)
        ]


@dataclass(slots=True)
class Guessing:
    """Guesses what `values` says of a tool, as (value, confidence) pairs, `seconds` later.

    `only` is the one call whose result it guesses, if there is just one.
    """

    values: Mapping[str, Sequence[tuple[Any, float]]]
    seconds: float = 0.0
    equivalent: Equivalent | None = None
    only: Call | None = None
    name: str = "guessing"
    asked: list[Call] = field(default_factory=list)

    async def guess(self, call: Call, context: TurnContext) -> Sequence[ResultGuess]:
        """The values of the tool, if there are any."""
        self.asked.append(call)
        await asyncio.sleep(self.seconds)
        if self.only is not None and call != self.only:
            return ()
        return [
            ResultGuess(value=value, confidence=confidence, predictor=self.name, equivalent=self.equivalent)
            for value, confidence in self.values.get(call.tool, ())
        ]


def last_call(context: TurnContext) -> PastCall | None:
    """The newest call whose result is in the history."""
    past = [item.call for item in context.history if item.call is not None]
    return past[-1] if past else None


def in_order(calls: Sequence[Call]) -> Step:
    """Foresees the call that follows the newest one of the history in `calls`; at first the first."""

    def step(context: TurnContext) -> Sequence[Call]:
        past = last_call(context)
        if past is None:
            return calls[:1]
        known = [Call(tool=past.tool, args=past.args) == call for call in calls]
        if True not in known:
            return ()
        after = len(known) - known[::-1].index(True)
        return calls[after : after + 1]

    return step
