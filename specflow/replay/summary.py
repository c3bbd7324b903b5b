"""Many runs, replayed and added up: saved and wasted time, beside what could have been saved."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from referencing.exceptions import Unresolvable

from specflow.effects.registry import ToolRegistry
from specflow.journal.event import EventKind
from specflow.policy.settings import Judge
from specflow.prediction.calibration.ensemble import Scene
from specflow.prediction.history.patterns import kit_of
from specflow.prediction.predictor import AnyPredictor
from specflow.replay.accounts import Accounts, rows
from specflow.replay.believed import Believing, Stream, as_they_speak, stages_of
from specflow.replay.guesses import reads
from specflow.replay.latency import Latency
from specflow.replay.loose import Loose, loose_of
from specflow.replay.misfires import Misfires, misfires_of
from specflow.replay.oracle import Bound
from specflow.replay.percentiles import percentiles
from specflow.replay.quality import PRECISION
from specflow.replay.recorded_times import RecordedLatency, RecordedTimes
from specflow.replay.regret import shortest
from specflow.replay.score import Scores, proposed_in
from specflow.replay.shuffled import shuffled
from specflow.replay.simulate import Played, Tools, play
from specflow.replay.spread import PARTS, Share, Spread
from specflow.replay.steps import Step, steps_of, tools_of
from specflow.replay.threshold import AtThreshold
from specflow.replay.user_time import pauses
from specflow.speculation.parts import Mode
from specflow.traces.recorded import RecordedRun, RecordingError

JudgeFor = Callable[[ToolRegistry], Judge]
COUNTS = (
    "runs",
    "steps",
    "untimed_steps",
    "untimed_calls",
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
    "chained_oracle_seconds",
    "run_oracle_seconds",
    "known_oracle_seconds",
    "regret_seconds",
    "regret_withheld_seconds",
    "regret_late_seconds",
    "regret_begun_late_seconds",
)
MONEY = ("calls_usd", "saved_usd")
OUTCOMES = ("hit", "late", "miss", "stale", "cancelled", "compensated", "stuck")


@dataclass(slots=True)
class Summary:
    """Totals. Times in seconds of the runs' own time, money in USD.

    `untimed_steps` are those whose model time was made from their tokens; `untimed_calls`, where tools take
    the time of the record, the calls of listed tools that have none there. `calls` are the real calls that
    were made: hit, late, miss or stale, `held` (the policy lets them not run early) or `refused`;
    `conflicts` of them failed because an early write was in their way. `unknown` are calls of tools that the
    run does not list, which take no time. Every launched call was adopted (hit,
    late) or is in `wasted_calls`, and has one class among the `misfires`.

    `user_seconds` are those that users took to answer, which are in no other figure; None: nobody has said.

    `oracle_seconds` is what right guesses made at once would have saved one step ahead, under the same
    policy without its budgets, `chained_oracle_seconds` the same several steps ahead, and
    `run_oracle_seconds` that had no read outlived its run: where reads do, more may be saved.
    `known_oracle_seconds` is the same by whoever guesses no results: calls begin when their values are known.
    `regret_seconds` is what the predictors' own right guesses would have saved if made at once, minus what
    they saved: lost to guesses that were not started (`regret_withheld_seconds`), and to what was started
    late, or for nothing (`regret_late_seconds`), in part although the guess was there
    (`regret_begun_late_seconds`). `calls_usd` is the price of the real calls, which are made with and without
    speculation; `saved_usd` what the saved seconds are worth (`usd_per_second` of the policy); `wasted_usd`
    the price of the wasted calls, and of undoing them.
    """

    runs: int = 0
    steps: int = 0
    untimed_steps: int = 0
    untimed_calls: int = 0
    launched: int = 0
    wasted_calls: int = 0
    calls: int = 0
    held: int = 0
    refused: int = 0
    conflicts: int = 0
    unknown: int = 0
    user_seconds: float | None = None
    sequential_seconds: float = 0.0
    saved_seconds: float = 0.0
    wasted_seconds: float = 0.0
    wasted_usd: float = 0.0
    oracle_seconds: float = 0.0
    chained_oracle_seconds: float = 0.0
    run_oracle_seconds: float = 0.0
    known_oracle_seconds: float = 0.0
    regret_seconds: float = 0.0
    regret_withheld_seconds: float = 0.0
    regret_late_seconds: float = 0.0
    regret_begun_late_seconds: float = 0.0
    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    scores: Scores = field(default_factory=Scores)
    misfires: Misfires = field(default_factory=Misfires)
    calls_usd: float = 0.0
    saved_usd: float = 0.0
    accounts: Accounts = field(default_factory=Accounts)
    loose: Loose = field(default_factory=Loose)
    spread: Spread = field(default_factory=Spread)
    sequential_steps: list[float] = field(default_factory=list)
    speculative_steps: list[float] = field(default_factory=list)

    def include(self, one: Summary) -> None:
        """Add another summary to this one."""
        for name in (*COUNTS, *AMOUNTS, *MONEY):
            setattr(self, name, getattr(self, name) + getattr(one, name))
        if one.user_seconds is not None:
            self.user_seconds = (self.user_seconds or 0.0) + one.user_seconds
        for outcome, count in one.outcomes.items():
            self.outcomes[outcome] += count
        self.sequential_steps += one.sequential_steps
        self.speculative_steps += one.speculative_steps
        self.scores.include(one.scores)
        self.misfires.include(one.misfires)
        self.accounts.include(one.accounts)
        self.loose.include(one.loose)
        self.spread.shares += one.spread.shares

    def as_json(self, *, whole: bool = False) -> dict[str, Any]:
        """The shape programs rely on; with `whole` each predictor's figures have their intervals."""
        user = {} if self.user_seconds is None else {"user_seconds": round(self.user_seconds, 3)}
        return {
            **{name: getattr(self, name) for name in COUNTS},
            **user,
            # Adding 0.0 takes the sign off a zero.
            **{name: round(getattr(self, name), 3) + 0.0 for name in AMOUNTS},
            "money": {
                "calls_usd": round(self.calls_usd, 6),
                "saved_usd": round(self.saved_usd, 6) + 0.0,
                "wasted_usd": round(self.wasted_usd, 6),
                "net_usd": round(self.saved_usd - self.wasted_usd, 6) + 0.0,
            },
            "by_tool": rows(self.accounts.by_tool),
            "by_predictor": rows(self.accounts.by_predictor),
            "outcomes": dict(self.outcomes),
            "misfires": self.misfires.total(),
            "loose": self.loose.as_json(),
            "misfires_by_predictor": self.misfires.rows(),
            "misfires_by_tool": self.misfires.tool_rows(),
            **self.scores.as_json(whole=whole),
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
    predictors: Sequence[AnyPredictor],
    latency: Latency | RecordedTimes,
    threshold: float | None = None,
    shuffle: int | None = None,
    user_takes: float | None = None,
    speed: float | None = None,
    stream: Stream | None = None,
    place: str = "",
) -> Summary:
    """Replay one run twice, sequential and speculative, beside its bounds, and add it to `summary`.

    `latency` says how long tools take, `RecordedTimes` that they take what is recorded. `threshold` takes the
    place of the policy's own ones (in [0, 1]); `shuffle` is the seed by which the words of the answers are
    shuffled. `user_takes` and `speed` are as for `play`. `stream` is what the predictors' words
    were worth in the runs before this one; it learns. Returns the summary of this run alone.

    Raises:
        RecordingError: saying at `place` what in the record cannot be played.
    """
    place = place or f"run {run.number}"
    spoken = None if shuffle is None else shuffled(run, shuffle)
    steps = tuple(steps_of(run, place=place, spoken=spoken))
    takes = latency.on(steps) if isinstance(latency, RecordedTimes) else latency
    tools = Tools(steps, takes)
    registry = tools_of(run, tools, place=place)
    judge = judge_for(registry)
    if threshold is not None:
        judge = AtThreshold(of=judge, threshold=threshold)

    heard = stream or Stream(stages_of(predictors))

    def once(predictors: Sequence[AnyPredictor], mode: Mode) -> Played:
        return play(
            steps,
            registry=registry,
            judge=judge,
            tools=tools,
            predictors=predictors,
            mode=mode,
            speed=speed,
            ensemble=heard.played if predictors else None,
            model=run.model,
            user_takes=user_takes or 0.0,
        )

    try:
        sequential, speculative = once((), Mode.OFF), once(predictors, Mode.ON)
        bound = Bound(registry=registry, judge=judge, latency=takes, user_takes=user_takes or 0.0)
        least = shortest(bound, steps, speculative)
    except (RecursionError, Unresolvable, re.error) as error:
        # Only a schema or a value of the record can be nested, refer or match like that.
        raise RecordingError(f"{place}: the arguments cannot be checked: {error}") from error
    one = _count(steps, registry, judge, speculative)
    if isinstance(takes, RecordedLatency):
        one.untimed_calls = takes.missing(registry)
    if user_takes is not None:
        one.user_seconds = sum(pauses(steps, user_takes))
    one.misfires.count(misfires_of(speculative.log.events))
    one.loose = loose_of(steps, speculative.log.events)
    one.sequential_seconds = sequential.seconds
    one.saved_seconds = sequential.seconds - speculative.seconds
    one.saved_usd = one.saved_seconds * judge.budgets.usd_per_second
    one.oracle_seconds = sequential.seconds - least.oracle
    one.chained_oracle_seconds = sequential.seconds - least.chained
    one.run_oracle_seconds = sequential.seconds - least.within
    one.known_oracle_seconds = sequential.seconds - least.known
    one.regret_seconds = speculative.seconds - least.own
    one.regret_withheld_seconds = least.started - least.own
    one.regret_late_seconds = speculative.seconds - least.started
    one.regret_begun_late_seconds = speculative.seconds - least.said
    one.sequential_steps = list(sequential.steps)
    one.speculative_steps = list(speculative.steps)
    names = [predictor.name for predictor in as_they_speak(predictors)]
    scene = Scene(domain=kit_of(registry), model=run.model)
    one.scores.add(
        steps,
        proposed_in(speculative, names),
        reads=lambda call: reads(judge, registry, call),
        believing=lambda name: Believing(scene, PRECISION, heard.of(name)),
        task=run.task_id,
        least=threshold or 0.0,
    )
    one.spread.shares.append(
        Share(
            task=run.task_id,
            amounts=(*(getattr(one, part) for part in PARTS), *one.misfires.total().values()),
            sequential=sequential.steps,
            speculative=speculative.steps,
            misfires=one.misfires,
        )
    )
    summary.include(one)
    return one


def _count(steps: Sequence[Step], registry: ToolRegistry, judge: Judge, played: Played) -> Summary:
    accounts = Accounts()
    accounts.count(played.log.events, judge, registry)
    early = accounts.whole()
    ended = played.log.of(EventKind.CALL_ENDED)
    answered = [event.outcome for event in ended]
    called = [call.tool for step in steps for call in step.calls]
    return Summary(
        runs=1,
        steps=len(steps),
        untimed_steps=sum(not step.timed for step in steps),
        launched=early.launched,
        wasted_calls=early.wasted_calls,
        calls=len(answered),
        held=answered.count("held"),
        refused=answered.count("refused"),
        conflicts=sum(event.error.startswith("ConflictError") for event in ended),
        unknown=sum(name not in registry for name in called),
        wasted_seconds=early.wasted_seconds,
        wasted_usd=early.wasted_usd,
        calls_usd=sum(
            judge.settings(registry.require(event.call.tool)).cost_usd
            for event in ended
            if event.call is not None and event.outcome != "refused"
        ),
        accounts=accounts,
        outcomes=played.log.outcomes(),
    )
