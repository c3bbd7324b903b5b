"""How fast recorded runs are replayed: seconds of an agent's time for each second of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from time import perf_counter

from specflow.bench.effort import Effort
from specflow.bench.paired import Measure, in_turn, paired
from specflow.bench.row import Row, row
from specflow.bench.sample import POLICY, musing, tools
from specflow.bench.told import Told
from specflow.graph.tools import specs_of
from specflow.policy.load import loads
from specflow.prediction.partial_call import PartialCallPredictor
from specflow.prediction.predictor import Predictor
from specflow.prediction.sniffer import ReasoningSniffer
from specflow.replay.latency import latency
from specflow.replay.simulate import Tools, play
from specflow.replay.steps import steps_of, tools_of
from specflow.replay.summary import Summary, replay_run
from specflow.traces.recorded import RecordedRun

BENCH, METRIC, UNIT = "replay-speed", "virtual seconds a second", "s/s"
ASKED = "Where are my orders?"


def rows(effort: Effort) -> Iterator[Row]:
    """A synthetic run, played with a deaf predictor, with the default ones, and as `specflow replay` does."""
    effort.tell("replay-speed")
    run = synthetic_run(effort.size(12, 3), effort.size(200, 40))
    takes = latency("2s")
    steps = tuple(steps_of(run))
    bodies = Tools(steps, takes)
    registry = tools_of(run, bodies)
    judge = loads(POLICY, tools=registry)

    def once(*predictors: Predictor) -> float:
        return play(steps, registry=registry, judge=judge, tools=bodies, predictors=predictors).seconds

    def whole() -> float:
        summary = replay_run(
            run,
            Summary(),
            judge_for=lambda known: loads(POLICY, tools=known),
            predictors=(ReasoningSniffer(), PartialCallPredictor()),
            latency=takes,
        )
        return summary.sequential_seconds

    variants = {
        # One that is never told what to propose, but hears every token.
        "deaf": _speed(lambda: once(Told())),
        "one play with the default predictors": _speed(
            lambda: once(ReasoningSniffer(), PartialCallPredictor())
        ),
        "all that specflow replay does": _speed(whole),
    }
    measured = asyncio.run(in_turn(variants, rounds=effort.pairs(5)))
    baseline = measured.pop("deaf")
    for case, values in measured.items():
        note = "more is faster; baseline: one play that predicts nothing"
        yield row(BENCH, case, METRIC, UNIT, paired(values, baseline), note=note)


def _speed(play_it: Callable[[], float]) -> Measure:
    def timed() -> float:
        started = perf_counter()
        virtual = play_it()
        return virtual / (perf_counter() - started)

    async def measure() -> float:
        # A replay has a loop of its own, which cannot run inside this one.
        return await asyncio.to_thread(timed)

    return measure


def synthetic_run(steps: int, words: int) -> RecordedRun:
    """A run of `steps` reads, each announced in about `words` words of reasoning."""
    functions = [
        {"name": spec.name, "description": spec.description, "parameters": dict(spec.parameters)}
        for spec in specs_of(tools())
    ]
    turns: list[dict[str, object]] = [{"role": "user", "content": ASKED}]
    for number in range(steps):
        order = f"A-{1000 + number}"
        call = {"id": f"c{number}", "name": "look_up_order", "args": {"order_id": order}}
        turns.append(
            {
                "role": "assistant",
                "reasoning": musing(words, seed=number, opening=f"I will look up order {order}."),
                "tool_calls": [call],
                "tool_results": [{"id": call["id"], "content": "on its way"}],
                "gen_s": 6.0,
            }
        )
    turns.append({"role": "assistant", "content": "They are on their way.", "gen_s": 1.0})
    return RecordedRun.model_validate({"model": "synthetic", "tools": functions, "turns": turns})
