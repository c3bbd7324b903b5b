"""Nothing that is played beats its bound; and the bound is reached where nothing stands in the way."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from specflow.effects.call import Call
from specflow.policy.load import loads
from specflow.prediction.predictor import TurnContext
from specflow.replay.latency import latency
from specflow.replay.oracle import Bound
from specflow.replay.recorded_times import recorded_times
from specflow.replay.simulate import Tools, play
from specflow.replay.steps import steps_of, tools_of
from specflow.replay.summary import Summary, replay_run
from specflow.testing.foreseeing import Foreseeing, in_order

NAMES = ("read", "other", "quick", "lasting", "loose", "held", "book", "pay", "banned", "nobody")
ARGS = st.fixed_dictionaries({"id": st.integers(0, 2)}, optional={"note": st.sampled_from(["a", "b"])})
CALLS = st.tuples(st.sampled_from(NAMES), ARGS)
SECONDS = st.sampled_from([0.0, 0.3, 1.0, 2.5, 7.0, 40.0])
TURNS = st.lists(st.tuples(SECONDS, st.lists(CALLS, max_size=7)), max_size=6)
GUESS = st.tuples(st.integers(0, 8), CALLS, st.sampled_from([0.1, 0.9]), st.booleans())
GUESSES = st.lists(st.lists(GUESS, max_size=8), max_size=6)
LATENCIES = st.sampled_from(["0s", "0.5s", "2s", "20s", "lognormal:1,1.5"])
EPSILON = 1e-6


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(turns=TURNS, guesses=GUESSES, takes=LATENCIES)
@example(
    turns=[(0.0, []), (0.0, [("lasting", {"id": 0, "note": "a"})] * 2)],
    guesses=[[], [(0, ("read", {"id": 0}), 0.9, True)]],
    takes="0s",
)
def test_no_run_beats_its_bound(kit: Any, turns: list[Any], guesses: list[Any], takes: str) -> None:
    """# INVARIANT: saved <= oracle and regret >= 0, for every run, also up to each of its steps."""
    run = kit.run(*(kit.answer(seconds, *calls) for seconds, calls in turns))
    spoken = []
    for place, said in enumerate(guesses):
        mine = turns[place][1] if place < len(turns) else []
        # Half of the guesses are right: random ones alone would hardly ever be.
        picked = [
            (mine[k % len(mine)] if right and mine else call) for k, (_, call, _, right) in enumerate(said)
        ]
        spoken.append(
            [
                (piece, Call(tool=name, args=args), confidence)
                for (piece, _, confidence, _), (name, args) in zip(said, picked, strict=True)
            ]
        )
    one = replay_run(
        run,
        Summary(),
        judge_for=lambda registry: loads(kit.policy, tools=registry),
        predictors=[kit.guesser(spoken)],
        latency=latency(takes),
    )
    assert one.saved_seconds <= one.oracle_seconds + EPSILON
    assert one.regret_seconds >= -EPSILON
    assert one.oracle_seconds >= -EPSILON
    ends = one.outcomes
    answered = ends["hit"] + ends["late"]
    kept = [call for _, calls in turns for call in calls if call[0] == "lasting"]
    if len(kept) == len({repr(call) for call in kept}):
        assert one.launched == answered + one.wasted_calls
    else:  # a read that lasts may answer several calls
        assert one.launched <= answered + one.wasted_calls
    assert one.calls == sum(ends[end] for end in ("hit", "late", "miss", "stale")) + one.held + one.refused
    # Sequential time: the recorded model time, and the longest of the calls of each message.
    takes_of = latency(takes)
    spent = 0.0
    for seconds, calls in turns:
        tools = [
            min(takes_of(Call(tool=name, args=args)), 1.0 if name == "quick" else 600.0)
            for name, args in calls
            if name not in {"banned", "nobody"}
        ]
        spent += seconds + max(tools, default=0.0)
    assert one.sequential_seconds == pytest.approx(spent, abs=EPSILON)
    bound = _bound(kit, run, takes)
    for played, least in zip(accumulate(one.speculative_steps), accumulate(bound), strict=True):
        assert played >= least - EPSILON
    if not kept:  # nor is a single step quicker: nothing that an earlier one has lost comes back
        for played, least in zip(one.speculative_steps, bound, strict=True):
            assert played >= least - EPSILON


def _bound(kit: Any, run: Any, takes: str) -> tuple[float, ...]:
    steps = tuple(steps_of(run))
    registry = tools_of(run, Tools(steps, latency(takes)))
    judge = loads(kit.policy, tools=registry)
    return Bound(registry=registry, judge=judge, latency=latency(takes)).steps(steps)


READS = st.tuples(
    st.sampled_from(["read", "other", "held"]), st.fixed_dictionaries({"id": st.integers(0, 3)})
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    turns=st.lists(st.tuples(SECONDS, st.lists(READS, max_size=6)), max_size=6),
    takes=st.sampled_from(["2s", "20s", "lognormal:1,0.5"]),
)
def test_right_guesses_made_at_once_reach_the_bound(kit: Any, turns: list[Any], takes: str) -> None:
    run = kit.run(*(kit.answer(seconds, *calls) for seconds, calls in turns))
    steps = tuple(steps_of(run))
    bodies = Tools(steps, latency(takes))
    registry = tools_of(run, bodies)
    generous = "max_concurrent: 64, usd_per_second: 1000, max_wasted_usd: 1000"
    judge = loads(kit.policy.replace("max_concurrent: 2", generous), tools=registry)
    oracle = kit.guesser([[(0, call, 1.0) for call in step.calls] for step in steps])
    done = play(steps, registry=registry, judge=judge, tools=bodies, predictors=[oracle])
    assert done.steps == pytest.approx(_bound(kit, run, takes), abs=EPSILON)


def test_the_oracle_stands_for_whoever_may_start_a_write(kit: Any) -> None:
    """A write that only `guesser` may start early: no run may beat the bound by starting it."""
    run = kit.run(kit.answer(9.0, ("book", {"id": 1})))
    one = replay_run(
        run,
        Summary(),
        judge_for=lambda registry: loads(kit.policy, tools=registry),
        predictors=[kit.guesser([[(0, Call(tool="book", args={"id": 1}), 1.0)]])],
        latency=latency("4s"),
    )
    assert one.saved_seconds == pytest.approx(4.0)
    assert one.oracle_seconds == pytest.approx(4.0)


def test_a_read_that_lives_on_may_have_been_started_steps_ago(kit: Any) -> None:
    run = kit.run(kit.answer(10.0), kit.answer(1.0, ("lasting", {"id": 1})))
    one = replay_run(
        run,
        Summary(),
        judge_for=lambda registry: loads(kit.policy, tools=registry),
        predictors=[kit.guesser([[(0, Call(tool="lasting", args={"id": 1}), 1.0)], []])],
        latency=latency("5s"),
    )
    assert one.outcomes["hit"] == 1
    assert one.saved_seconds == pytest.approx(5.0)
    assert one.oracle_seconds == pytest.approx(5.0)
    assert one.regret_seconds == pytest.approx(0.0)


ROWS = st.lists(
    st.tuples(SECONDS, st.lists(READS, min_size=1, max_size=3), st.booleans(), st.booleans()), max_size=6
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=ROWS, takes=st.sampled_from(["0.5s", "2s", "20s", "lognormal:1,1.5"]))
def test_chains_do_not_beat_the_bound_of_chains(kit: Any, rows: list[Any], takes: str) -> None:
    """# INVARIANT: what is foreseen on top of guesses saves no more than `chained_oracle_seconds`."""
    turns: list[Any] = []
    for seconds, calls, _, spoken in rows:
        turns += [kit.answer(seconds, *calls), *([{"role": "user", "content": "go on"}] if spoken else [])]
    plan = [
        Call(tool=name, args={"id": number + (0 if right else 50)})
        for _, calls, right, _ in rows
        for name, args in calls
        for number in (args["id"],)
    ]

    def foreseen(context: TurnContext) -> list[Call]:
        # The next two: of a message with several calls, and of the one after it.
        known = sum(item.call is not None for item in context.history)
        return plan[known : known + 2]

    one = replay_run(
        kit.run(*turns),
        Summary(),
        judge_for=lambda registry: loads(
            kit.policy.replace("max_concurrent: 2", "max_concurrent: 9"), tools=registry
        ),
        predictors=[Foreseeing(foreseen, confidence=0.95)],
        latency=latency(takes),
    )
    assert one.saved_seconds <= one.chained_oracle_seconds + EPSILON
    assert one.oracle_seconds <= one.chained_oracle_seconds + EPSILON
    assert one.regret_withheld_seconds >= -EPSILON
    assert -EPSILON <= one.regret_begun_late_seconds <= one.regret_late_seconds + EPSILON
    assert one.regret_seconds == pytest.approx(one.regret_withheld_seconds + one.regret_late_seconds)


def in_chains(kit: Any, seconds: list[float], plan: list[Call], *, spoken: bool = False) -> Summary:
    """A quick read and a slow one, whose time is that of the record."""
    turns: list[Any] = []
    for took, call in zip(seconds, plan, strict=True):
        turn = kit.answer(5.0 if took == 1.0 else 1.0, (call.tool, call.plain_args()))
        turn["tool_results"][0]["seconds"] = took
        turns += [turn, *([{"role": "user", "content": "go on"}] if spoken else [])]
    run = kit.run(*turns)
    return replay_run(
        run,
        Summary(),
        judge_for=lambda registry: loads(kit.policy, tools=registry),
        predictors=[Foreseeing(in_order(plan), confidence=0.9)],
        latency=recorded_times([run]),
    )


def test_a_slow_read_is_hidden_behind_the_turn_before_it(kit: Any) -> None:
    plan = [Call(tool="read", args={"id": number}) for number in (1, 2)]
    one = in_chains(kit, [1.0, 5.0], plan)
    # In sequence (5 + 1) + (1 + 5); one step ahead 5 + 5; in a chain the second starts after 1 s: 5 + 1.
    assert one.sequential_seconds == pytest.approx(12.0)
    assert one.oracle_seconds == pytest.approx(2.0)
    assert one.chained_oracle_seconds == pytest.approx(6.0)
    assert one.saved_seconds == pytest.approx(6.0)
    assert one.regret_seconds == pytest.approx(0.0)
    # Where somebody speaks, nobody has foreseen what comes after.
    spoken = in_chains(kit, [1.0, 5.0], plan, spoken=True)
    assert spoken.chained_oracle_seconds == pytest.approx(2.0)
    assert spoken.saved_seconds == pytest.approx(2.0)


def test_what_waits_for_room_is_begun_late(kit: Any) -> None:
    """Two calls run at a time: the third begins when one of them has ended."""
    plan = [Call(tool="read", args={"id": number}) for number in range(3)]
    run = kit.run(kit.answer(10.0, *((call.tool, call.plain_args()) for call in plan)))
    one = replay_run(
        run,
        Summary(),
        judge_for=lambda registry: loads(kit.policy, tools=registry),
        predictors=[kit.guesser([[(0, call, 0.9) for call in plan]])],
        latency=latency("8s"),
    )
    # In sequence 18 s, at best 10 s; a third that waits for the first two begins at 8 s.
    assert one.oracle_seconds == pytest.approx(8.0)
    assert (one.launched, one.saved_seconds) == (3, pytest.approx(2.0))
    assert one.regret_begun_late_seconds == one.regret_late_seconds == pytest.approx(6.0)


def test_regret_says_whether_a_guess_was_withheld_or_late(kit: Any) -> None:
    run = kit.run(kit.answer(10.0, ("read", {"id": 1})), kit.answer(10.0, ("read", {"id": 2})))
    doubted = (0, Call(tool="read", args={"id": 1}), 0.3)  # the policy asks for 0.5
    late = (5, Call(tool="read", args={"id": 2}), 0.9)
    one = replay_run(
        run,
        Summary(),
        judge_for=lambda registry: loads(kit.policy, tools=registry),
        predictors=[kit.guesser([[doubted], [late]])],
        latency=latency("8s"),
    )
    assert one.regret_withheld_seconds == pytest.approx(8.0)
    assert 0 < one.regret_late_seconds == pytest.approx(8.0 - one.saved_seconds)
    # It was started when it was there.
    assert one.regret_begun_late_seconds == pytest.approx(0.0)
    found = one.as_json()
    assert found["regret_seconds"] == pytest.approx(
        found["regret_withheld_seconds"] + found["regret_late_seconds"], abs=0.002
    )
