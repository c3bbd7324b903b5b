"""What the gate costs: one decision, and one candidate of a flood."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from time import process_time
from typing import Any

from specflow.bench.effort import Effort
from specflow.bench.paired import Measure, in_turn, paired
from specflow.bench.row import Row, row
from specflow.clock import SystemClock
from specflow.effects.call import Call
from specflow.effects.tool import CallContext, ToolSpec
from specflow.journal.memory import MemoryJournal
from specflow.policy.load import loads
from specflow.prediction.calibration.ensemble import Ensemble
from specflow.prediction.candidate import Candidate
from specflow.speculation.turn import MOST_SAID
from specflow.speculation.weigh import weigh
from specflow.testing.scripted_core import ScriptedCore

BENCH = "gate"
POLICY = """
version: 1
tools:
  search:
    effect: read_only
    speculate: now
    destinations: {host: "*"}
    limits: {cost_usd: 0.001, max_concurrent: 3, max_per_minute: 60}
"""
LIVE = 3
"""Early calls that run meanwhile."""


def rows(effort: Effort) -> Iterator[Row]:
    """A decision, and what a predictor that says 10,000 things costs for each, beside a verdict."""
    effort.tell("gate: one decision")
    times = effort.size(2_000, 100)
    yield asyncio.run(_one(effort, times))
    effort.tell("gate: a flood")
    yield asyncio.run(_flood(effort, effort.size(10_000, 1_000)))


async def _one(effort: Effort, times: int) -> Row:
    core, turn = _core()
    candidate = _guess(-1)
    parts, tool = core.parts, core.parts.registry.require("search")
    settings = parts.judge.settings(tool)

    def judged() -> Any:
        return parts.judge.judge(tool, candidate.call, context={})

    verdict, outlook = judged(), turn.outlook
    variants = {
        "baseline": _timed(judged, times),
        "ours": _timed(lambda: weigh(parts, outlook, candidate, settings, verdict), times),
    }
    measured = await in_turn(variants, rounds=effort.pairs(15))
    await core.settle()
    found = paired(measured["ours"], measured["baseline"])
    note = f"with {LIVE} early calls running; baseline: the policy's verdict on the same call"
    return row(BENCH, "one decision", "time", "us", found, note=note)


async def _flood(effort: Effort, candidates: int) -> Row:
    async def flood() -> float:
        core, turn = _core()
        started = process_time()
        for number in range(candidates):
            core.propose(turn, "search", 0.7, query=f"q{number}")
        spent = process_time() - started
        await core.settle()
        return 1e6 * spent / candidates

    core, turn = _core()
    tool, candidate = core.parts.registry.require("search"), _guess(-1)
    judged = _timed(lambda: core.parts.judge.judge(tool, candidate.call, context={}), candidates)
    measured = await in_turn({"baseline": judged, "ours": flood}, rounds=effort.pairs(5))
    core.end(turn)
    await core.settle()
    found = paired(measured["ours"], measured["baseline"])
    note = f"after its {MOST_SAID:,}th, a predictor is not listened to any more; baseline: one verdict"
    return row(BENCH, f"each of {candidates:,} candidates of a turn", "time", "us", found, note=note)


def _core() -> tuple[ScriptedCore, Any]:
    schema = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}

    async def search(call: Call, context: CallContext) -> str:
        await asyncio.sleep(3600)
        return f"{call.tool} {context.early}"

    tool = ToolSpec(name="search", parameters=schema, runner=search)
    clock = SystemClock()
    core = ScriptedCore([tool], loads(POLICY), MemoryJournal(clock), clock=clock, ensemble=Ensemble())
    for _ in range(8):
        core.parts.durations.saw("search", 2.0)
        core.parts.turns.saw("", 20.0)
    turn = core.begin()
    for number in range(LIVE):
        core.propose(turn, "search", 0.9, query=f"live {number}")
    return core, turn


def _guess(number: int) -> Candidate:
    return Candidate(
        call=Call(tool="search", args={"query": f"q{number}"}), confidence=0.8, predictor="scripted"
    )


def _timed(work: Any, times: int) -> Measure:
    async def measure() -> float:
        started = process_time()
        for _ in range(times):
            work()
        return 1e6 * (process_time() - started) / times

    return measure
