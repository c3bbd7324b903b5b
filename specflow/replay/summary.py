"""Many runs, replayed and added up: saved and wasted time, beside what could have been saved."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from specflow.effects.call import Call
from specflow.effects.registry import ToolRegistry
from specflow.journal.event import EventKind
from specflow.policy.settings import Judge
from specflow.prediction.predictor import Predictor
from specflow.replay.latency import Latency
from specflow.replay.oracle import Oracle
from specflow.replay.score import Scores
from specflow.replay.simulate import Played, Tools, play
from specflow.replay.steps import Step, steps_of, tools_of
from specflow.speculation.parts import Mode
from specflow.traces.recorded import RecordedRun

JudgeFor = Callable[[ToolRegistry], Judge]
SUMS = (
    "runs",
    "steps",
    "launched",
    "wasted_calls",
    "sequential_seconds",
    "saved_seconds",
    "wasted_seconds",
    "oracle_seconds",
    "regret_seconds",
)
OUTCOMES = ("hit", "late", "miss", "stale", "cancelled", "compensated", "stuck")


@dataclass(slots=True)
class Summary:
    """Totals. Times in seconds of virtual time.

    `oracle_seconds` is what right guesses made at once would have saved one step ahead, under the same
    policy; `regret_seconds` what the predictors' own right guesses would have saved if made at once,
    minus what they saved.
    """

    runs: int = 0
    steps: int = 0
    launched: int = 0
    wasted_calls: int = 0
    sequential_seconds: float = 0.0
    saved_seconds: float = 0.0
    wasted_seconds: float = 0.0
    oracle_seconds: float = 0.0
    regret_seconds: float = 0.0
    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    scores: Scores = field(default_factory=Scores)
    sequential_steps: list[float] = field(default_factory=list)
    speculative_steps: list[float] = field(default_factory=list)

    def include(self, one: Summary) -> None:
        """Add another summary to this one."""
        for name in SUMS:
            setattr(self, name, getattr(self, name) + getattr(one, name))
        for outcome, count in one.outcomes.items():
            self.outcomes[outcome] += count
        self.sequential_steps += one.sequential_steps
        self.speculative_steps += one.speculative_steps
        self.scores.include(one.scores)

    def as_json(self) -> dict[str, Any]:
        """The shape programs rely on."""
        return {
            "runs": self.runs,
            "steps": self.steps,
            "launched": self.launched,
            "outcomes": dict(self.outcomes),
            "sequential_seconds": round(self.sequential_seconds, 3),
            "saved_seconds": round(self.saved_seconds, 3),
            "wasted_calls": self.wasted_calls,
            "wasted_seconds": round(self.wasted_seconds, 3),
            "oracle_seconds": round(self.oracle_seconds, 3),
            "regret_seconds": round(self.regret_seconds, 3),
            "predictors": {name: score.as_row() for name, score in sorted(self.scores.of.items())},
            "latency": {
                "sequential": percentiles(self.sequential_steps),
                "speculative": percentiles(self.speculative_steps),
            },
        }


def replay_run(
    run: RecordedRun,
    summary: Summary,
    *,
    judge_for: JudgeFor,
    predictors: Sequence[Predictor],
    latency: Latency,
) -> Summary:
    """Replay one run four times (sequential, speculative, two oracles) and add it to `summary`.

    Returns the summary of this run alone.
    """
    steps = tuple(steps_of(run))
    tools = Tools(steps, latency)
    registry = tools_of(run, tools)
    judge = judge_for(registry)

    def once(predictors: Sequence[Predictor], mode: Mode = Mode.ON) -> Played:
        return play(steps, registry=registry, judge=judge, tools=tools, predictors=predictors, mode=mode)

    sequential = once((), Mode.OFF)
    speculative = once(predictors)
    oracle = once((Oracle([step.calls for step in steps]),))
    ideal = once((Oracle(_right_guesses(steps, speculative)),))
    one = _measure(steps, sequential, speculative, oracle, ideal)
    one.scores.add([predictor.name for predictor in predictors], steps, speculative)
    summary.include(one)
    return one


def _right_guesses(steps: Sequence[Step], played: Played) -> list[list[Call]]:
    """Of each step, the calls that some predictor proposed before the message was there."""
    proposed: dict[str, set[Call]] = {}
    for event in played.log.of(EventKind.PROPOSED):
        if event.call is not None:
            proposed.setdefault(event.turn_id, set()).add(event.call)
    return [
        [call for call in step.calls if call in proposed.get(turn_id, ())]
        for turn_id, step in zip(played.turns, steps, strict=True)
    ]


def _measure(
    steps: Sequence[Step], sequential: Played, speculative: Played, oracle: Played, ideal: Played
) -> Summary:
    resolved = speculative.log.of(EventKind.RESOLVED)
    one = Summary(
        runs=1,
        steps=len(steps),
        launched=len(speculative.log.of(EventKind.LAUNCHED)),
        wasted_calls=sum(event.outcome not in {"hit", "late"} for event in resolved),
        sequential_seconds=sequential.seconds,
        saved_seconds=sequential.seconds - speculative.seconds,
        wasted_seconds=sum(float(event.facts.get("wasted", 0.0)) for event in resolved),
        oracle_seconds=sequential.seconds - oracle.seconds,
        regret_seconds=max(0.0, speculative.seconds - ideal.seconds),
        sequential_steps=list(sequential.steps),
        speculative_steps=list(speculative.steps),
    )
    one.outcomes.update(speculative.log.outcomes())
    return one


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """p50, p95 and p99 by nearest rank; zeros when there is nothing."""
    ordered = sorted(values)
    if not ordered:
        return {"p50": 0.0, "p95": 0.0, "p99": 0.0}

    def rank(share: float) -> float:
        return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 3)

    return {"p50": rank(0.50), "p95": rank(0.95), "p99": rank(0.99)}
