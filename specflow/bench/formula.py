"""The client-side bound: with a right guess after g seconds of a turn of G, a step takes max(G, g+T).

Measured with the real coordinator on virtual time, where nothing but the waiting itself takes time.
Source of the formula: arXiv 2512.15834, speculation on the client's side with one guess a step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from specflow.bench.effort import Effort
from specflow.bench.paired import paired
from specflow.bench.row import Row, row
from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.tool import CallContext, ToolSpec
from specflow.journal.memory import MemoryJournal
from specflow.policy.verdict import Speculate
from specflow.testing.explore import run
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.static_judge import Rule, StaticJudge

BENCH = "formula"
STEPS = 10
TURNS = (1.0, 4.0)
GUESSES = (0.25, 0.75)
"""When the guess comes, as a share of the turn."""
TOOLS = (0.5, 2.0, 8.0)


def rows(effort: Effort) -> Iterator[Row]:
    """One row for each (G, g, T): virtual seconds of ten steps beside the formula; n counts schedules."""
    tools = TOOLS[: effort.size(len(TOOLS), 2)]
    grid = [(turn, share * turn, tool) for turn in TURNS for share in GUESSES for tool in tools]
    for turn, guess, tool in grid:
        effort.tell(f"formula: G={turn:g} g={guess:g} T={tool:g}")
        bound = STEPS * max(turn, guess + tool)
        seeds = range(effort.pairs(5))
        measured = [run(_steps(turn, guess, tool), seed=seed) for seed in seeds]
        found = paired(measured, [bound] * len(measured))
        worst = max(abs(one - bound) / bound for one in measured)
        case = f"G={turn:g} g={guess:g} T={tool:g}"
        note = f"largest relative error {worst:.1e}; sequential {STEPS * (turn + tool):g} s"
        yield row(BENCH, case, f"virtual time of {STEPS} steps", "s", found, note=note)


async def _steps(turn_takes: float, guess_after: float, tool_takes: float) -> float:
    async def read(call: Call, context: CallContext) -> Any:
        await asyncio.sleep(tool_takes)
        return call.args["number"]

    schema = {"type": "object", "properties": {"number": {"type": "number"}}, "required": ["number"]}
    judge = StaticJudge({"read": Rule(effect=EffectClass.READ_ONLY, speculate=Speculate.NOW)})
    tool = ToolSpec(name="read", parameters=schema, runner=read)
    core = ScriptedCore([tool], judge, MemoryJournal(LoopClock()))
    loop = asyncio.get_running_loop()
    started = loop.time()
    for number in range(STEPS):
        turn = core.begin()
        await asyncio.sleep(guess_after)
        call = core.propose(turn, "read", number=number)
        await asyncio.sleep(turn_takes - guess_after)
        core.end(turn, [call])
        answer = await core.call(call)
        assert answer == number, "the early result is the call's own"
    seconds = loop.time() - started
    await core.settle()
    return seconds
