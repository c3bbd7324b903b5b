"""How long runs take one step ahead, in chains, and on guessed results: exactly what the formulas say.

Of step i the model takes G_i and the tool T_i, and `right` says whether the call was foreseen. Everything is
foreseen at once (g = 0). s_i is when the read starts, f_i when the step is over; f_0 = 0:

    f_i = max(f_(i-1) + G_i, s_i + T_i)    and, where it was not foreseen,    s_i = f_(i-1) + G_i

one step ahead    s_i = f_(i-1)                what N * max(G, g + T) is made of
chain             s_i = s_(i-1) + T_(i-1)      the reads follow each other, whatever the model does
guessed results   s_i = s_(i-1)                the critical path of the run with every guess right
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.tool import CallContext, ToolSpec
from specflow.journal.event import EventKind
from specflow.journal.memory import MemoryJournal
from specflow.policy.verdict import Speculate
from specflow.prediction.predictor import HistoryItem, TurnContext
from specflow.prediction.result_guess import ResultGuess
from specflow.speculation.lookahead import Lookahead
from specflow.speculation.turn import result_item
from specflow.testing.explore import run
from specflow.testing.foreseeing import Foreseeing, in_order
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.static_judge import Rule, StaticJudge

EXAMPLES = 2_000 if "SPECFLOW_NIGHTLY" in os.environ else 150 if "CI" in os.environ else 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a run; seconds."""

    model: float
    tool: float
    right: bool


SECONDS = st.sampled_from([0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0])
STEPS = st.lists(st.builds(Step, model=SECONDS, tool=SECONDS, right=st.booleans()), min_size=1, max_size=7)


def formula(steps: Sequence[Step], way: str) -> float:
    """The module's recurrence."""
    start = before = over = 0.0
    for step in steps:
        if not step.right:
            start = over + step.model
        elif way == "one step ahead":
            start = over
        elif way == "chain":
            start += before
        over = max(over + step.model, start + step.tool)
        before = step.tool
    return over


def read(number: int) -> Call:
    return Call(tool="read", args={"number": number})


class Knows:
    """Guesses every result right, at once."""

    name = "knows"

    async def guess(self, call: Call, context: TurnContext) -> Sequence[ResultGuess]:
        return [ResultGuess(value=call.args["number"], confidence=1.0, predictor=self.name)]


def measured(steps: Sequence[Step], way: str) -> float:
    """The same run through the real core, on virtual time."""

    async def body(call: Call, context: CallContext) -> Any:
        number = call.args["number"]
        await asyncio.sleep(steps[number].tool if 0 <= number < len(steps) else 1.0)
        return number

    plan = [read(number) for number in range(len(steps))]

    def foreseen(context: TurnContext) -> Sequence[Call]:
        calls = in_order(plan)(context)
        # What is foreseen wrongly is another call, of which nothing follows.
        return [
            call if steps[call.args["number"]].right else read(-1 - call.args["number"]) for call in calls
        ]

    tool = ToolSpec(
        name="read",
        parameters={"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]},
        runner=body,
    )
    judge = StaticJudge({"read": Rule(effect=EffectClass.READ_ONLY, speculate=Speculate.NOW)})

    async def story() -> float:
        core = ScriptedCore(
            [tool],
            judge,
            MemoryJournal(LoopClock()),
            predictors=[Foreseeing(foreseen, 1.0)],
            result_guessers=[Knows()] if way == "guessed results" else [],
            lookahead=Lookahead(
                depth=0 if way == "one step ahead" else 2 * len(steps) + 2, breadth=1, branches=256, starts=64
            ),
        )
        history: list[HistoryItem] = []
        for number, step in enumerate(steps):
            turn = core.begin(history=tuple(history))
            await asyncio.sleep(step.model)
            core.end(turn, [plan[number]])
            history.append(result_item(plan[number], str(await core.call(plan[number]))))
        took = asyncio.get_running_loop().time()
        session = core.session
        await core.settle()
        # The loser of a race is cancelled, and only this waits for its last steps.
        await core.coordinator.aclose()
        assert len(session.grove) == 0
        launched, resolved = core.log.of(EventKind.LAUNCHED), core.log.of(EventKind.RESOLVED)
        assert len(launched) == len(resolved)
        return took

    return run(story(), leaks="error")


@pytest.mark.parametrize("way", ["one step ahead", "chain", "guessed results"])
@given(steps=STEPS)
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_run_takes_what_the_formula_says(way: str, steps: list[Step]) -> None:
    assert measured(steps, way) == pytest.approx(formula(steps, way), rel=1e-6)


@given(steps=STEPS)
@settings(max_examples=EXAMPLES, deadline=None)
def test_looking_further_ahead_is_never_slower(steps: list[Step]) -> None:
    sequence = sum(step.model + step.tool for step in steps)
    ways = [formula(steps, way) for way in ("guessed results", "chain", "one step ahead")]
    assert ways == sorted(ways)
    assert ways[-1] <= sequence
    every_guess_right = [Step(model=step.model, tool=step.tool, right=True) for step in steps]
    assert formula(every_guess_right, "one step ahead") == sum(max(step.model, step.tool) for step in steps)
