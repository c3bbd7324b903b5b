"""Whoever looks ahead in a generated run: foresees calls after calls, and guesses what pending calls return.

Both are functions of what they are shown and of the case, right or wrong as it comes.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence
from typing import Any
from zlib import crc32

from specflow.effects.call import Call
from specflow.prediction.candidate import Candidate
from specflow.prediction.predictor import TurnContext
from specflow.prediction.result_guess import ResultGuess
from specflow.testing.lossless.case import Ask, Case, Foresight
from specflow.testing.lossless.kinds import KINDS
from specflow.testing.lossless.program import BOOKING, NUMBER
from specflow.testing.lossless.world import World

SEER, TELLER = "seer", "teller"
UNKNOWN = {NUMBER: 2, BOOKING: "none"}
"""What somebody who looks ahead takes for what only the agent has seen."""


class Seer:
    """Foresees what may be asked for next: some call of the case, chosen by what is in the history."""

    name = SEER

    def __init__(self, case: Case, foresight: Foresight) -> None:
        self._foresight = foresight
        self._calls = [_call(ask) for step in case.steps for option in step.options for ask in option]

    async def foresee(self, context: TurnContext) -> Sequence[Candidate]:
        """A few calls of the case."""
        await asyncio.sleep(self._foresight.seconds)
        past = [item.call for item in context.history if item.call is not None]
        shown = "".join(f"{call.tool}{call.result}" for call in past)
        # Mostly what stands after the newest call of the history, as far as that is known.
        known = [Call(tool=call.tool, args=call.args) for call in past[-1:]]
        place = self._calls.index(known[0]) + 1 if known and known[0] in self._calls else 0
        place += crc32(shown.encode()) % 3 if past else 0
        chosen = [self._calls[(place + more) % len(self._calls)] for more in range(self._foresight.width)]
        return [Candidate(call=call, confidence=0.9, predictor=self.name) for call in chosen]


class Teller:
    """Guesses what a pending call returns: what it would return now, or something close to that."""

    name = TELLER

    def __init__(self, world: World, foresight: Foresight) -> None:
        self._world = world
        self._foresight = foresight

    async def guess(self, call: Call, context: TurnContext) -> Sequence[ResultGuess]:
        """The right value, a wrong one, or both."""
        await asyncio.sleep(self._foresight.seconds)
        right = self._answer(call)
        if right is None:
            return ()
        wrong = {name: not item if isinstance(item, bool) else 0 for name, item in right.items()}
        said = {"right": [right], "wrong": [wrong], "both": [wrong, right]}[self._foresight.results]
        return [ResultGuess(value=value, confidence=0.9, predictor=self.name) for value in said]

    def _answer(self, call: Call) -> dict[str, Any] | None:
        area = str(call.args.get("area"))
        if call.tool not in KINDS or area not in self._world.areas:
            return None
        world = World(areas={area: copy.deepcopy(self._world.areas[area])})
        answer: Any = None
        try:
            for said in world.phases(call.tool, call.args, "guessed"):
                answer = said
        except Exception:  # noqa: BLE001 - it would fail: nothing to guess
            return None
        return answer if isinstance(answer, dict) else None


def _call(ask: Ask) -> Call:
    return Call(tool=ask.tool, args={name: UNKNOWN.get(str(item), item) for name, item in ask.args.items()})
