"""Many runs, replayed and added up: saved and wasted time, beside what could have been saved."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from referencing.exceptions import Unresolvable

from specflow.effects.registry import ToolRegistry
from specflow.journal.event import EventKind
from specflow.policy.settings import Judge
from specflow.prediction.predictor import Predictor
from specflow.replay.latency import Latency
from specflow.replay.oracle import Bound
from specflow.replay.score import Scores
from specflow.replay.simulate import Played, Tools, play
from specflow.replay.steps import Step, steps_of, tools_of
from specflow.speculation.parts import Mode
from specflow.traces.recorded import RecordedRun, RecordingError

JudgeFor = Callable[[ToolRegistry], Judge]
COUNTS = (
    "runs",
    "steps",
    "untimed_steps",
    "launched",
    "wasted_calls",
    "calls",
    "held",
    "refused",
    "conflicts",
    "unknown",
)
AMOUNTS = (
    "sequential_seconds",
    "saved_seconds",
    "wasted_seconds",
    "wasted_usd",
    "oracle_seconds",
    "regret_seconds",
)
OUTCOMES = ("hit", "late", "miss", "stale", "cancelled", "compensated", "stuck")


@dataclass(slots=True)
class Summary:
    """Totals. Times in seconds of the runs' own time, money in USD.

    `untimed_steps` are those whose model time was made from their tokens. `calls` are the real calls that
    were made: hit, late, miss or stale, `held` (the policy lets them not run early) or `refused`;
    `conflicts` of them failed because an early write was in their way. `unknown` are calls of tools that the
    run does not list, which take no time. Every launched call was adopted (hit,
    late) or is in `wasted_calls`.

    `oracle_seconds` is what right guesses made at once would have saved one step ahead, under the same
    policy without its budgets; `regret_seconds` what the predictors' own right guesses would have saved if
    made at once, minus what they saved.
    """

    runs: int = 0
    steps: int = 0
    untimed_steps: int = 0
    launched: int = 0
    wasted_calls: int = 0
    calls: int = 0
    held: int = 0
    refused: int = 0
    conflicts: int = 0
    unknown: int = 0
    sequential_seconds: float = 0.0
    saved_seconds: float = 0.0
    wasted_seconds: float = 0.0
    wasted_usd: float = 0.0
    oracle_seconds: float = 0.0
    regret_seconds: float = 0.0
    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    scores: Scores = field(default_factory=Scores)
    sequential_steps: list[float] = field(default_factory=list)
    speculative_steps: list[float] = field(default_factory=list)

    def include(self, one: Summary) -> None:
        """Add another summary to this one."""
        for name in (*COUNTS, *AMOUNTS):
            setattr(self, name, getattr(self, name) + getattr(one, name))
        for outcome, count in one.outcomes.items():
            self.outcomes[outcome] += count
        self.sequential_steps += one.sequential_steps
        self.speculative_steps += one.speculative_steps
        self.scores.include(one.scores)

    def as_json(self) -> dict[str, Any]:
        """The shape programs rely on."""
        return {
            **{name: getattr(self, name) for name in COUNTS},
            # Adding 0.0 takes the sign off a zero.
            **{name: round(getattr(self, name), 3) + 0.0 for name in AMOUNTS},
            "outcomes": dict(self.outcomes),
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
    speed: float | None = None,
    place: str = "",
) -> Summary:
    """Replay one run twice, sequential and speculative, beside its bounds, and add it to `summary`.

    `speed` is as for `play`. Returns the summary of this run alone.

    Raises:
        RecordingError: saying at `place` what in the record cannot be played.
    """
    place = place or f"run {run.number}"
    steps = tuple(steps_of(run, place=place))
    tools = Tools(steps, latency)
    registry = tools_of(run, tools, place=place)
    judge = judge_for(registry)

    def once(predictors: Sequence[Predictor], mode: Mode) -> Played:
        return play(
            steps,
            registry=registry,
            judge=judge,
            tools=tools,
            predictors=predictors,
            mode=mode,
            speed=speed,
        )

    try:
        sequential, speculative = once((), Mode.OFF), once(predictors, Mode.ON)
        bound = Bound(registry=registry, judge=judge, latency=latency)
        best = sum(bound.steps(steps))
        ideal = sum(bound.steps(steps, _guessed(bound, speculative)))
    except (RecursionError, Unresolvable, re.error) as error:
        # Only a schema or a value of the record can be nested, refer or match like that.
        raise RecordingError(f"{place}: the arguments cannot be checked: {error}") from error
    one = _count(steps, registry, judge, speculative)
    one.sequential_seconds = sequential.seconds
    one.saved_seconds = sequential.seconds - speculative.seconds
    one.oracle_seconds = sequential.seconds - best
    one.regret_seconds = speculative.seconds - ideal
    one.sequential_steps = list(sequential.steps)
    one.speculative_steps = list(speculative.steps)
    one.scores.add([predictor.name for predictor in predictors], steps, speculative)
    summary.include(one)
    return one


def _guessed(bound: Bound, played: Played) -> list[set[str]]:
    """For each step, the match keys of what some predictor proposed before the message was there."""
    proposed: dict[str, set[str]] = {turn_id: set() for turn_id in played.turns}
    for event in played.log.of(EventKind.PROPOSED):
        if event.call is not None:
            proposed[event.turn_id].add(bound.key(event.call))
    return [proposed[turn_id] for turn_id in played.turns]


def _count(steps: Sequence[Step], registry: ToolRegistry, judge: Judge, played: Played) -> Summary:
    resolved = played.log.of(EventKind.RESOLVED)
    wasted = [event for event in resolved if event.outcome not in {"hit", "late"}]
    ended = played.log.of(EventKind.CALL_ENDED)
    answered = [event.outcome for event in ended]
    called = [call.tool for step in steps for call in step.calls]
    return Summary(
        runs=1,
        steps=len(steps),
        untimed_steps=sum(not step.timed for step in steps),
        launched=len(played.log.of(EventKind.LAUNCHED)),
        wasted_calls=len(wasted),
        calls=len(answered),
        held=answered.count("held"),
        refused=answered.count("refused"),
        conflicts=sum(event.error.startswith("ConflictError") for event in ended),
        unknown=sum(name not in registry for name in called),
        wasted_seconds=sum(float(event.facts.get("wasted", 0.0)) for event in wasted),
        wasted_usd=sum(
            judge.settings(registry.require(event.call.tool)).cost_usd for event in wasted if event.call
        ),
        outcomes=played.log.outcomes(),
    )


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """p50, p95 and p99 by nearest rank (always one of the values); zeros when there is nothing."""
    ordered = sorted(values)

    def rank(percent: int) -> float:
        # In whole numbers: 0.95 * n can come out just above the rank that is meant.
        return round(ordered[-(-percent * len(ordered) // 100) - 1], 3) if ordered else 0.0

    return {f"p{percent}": rank(percent) for percent in (50, 95, 99)}
