"""Early reads that live on: the bound allows them no more time than they could have had."""

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
from specflow.replay.simulate import Tools
from specflow.replay.steps import steps_of, tools_of
from specflow.replay.summary import Summary, replay_run
from specflow.testing.foreseeing import Foreseeing

EPSILON = 1e-6
GO_ON = {"role": "user", "content": "go on"}
LASTING = ("lasting", {"id": 1})


def wider(kit: Any) -> str:
    """The policy, with results that may outlive the run."""
    return str(kit.policy.replace("scope: session", "scope: tenant"))


def replayed(kit: Any, run: Any, guesses: Any, takes: str = "5s", **options: Any) -> Summary:
    """`guesses` are, for each step, the (place, (tool, args), confidence) that are proposed in it."""
    policy = options.pop("policy", kit.policy)
    said = [[(at, Call(tool=name, args=args), sure) for at, (name, args), sure in mine] for mine in guesses]
    return replay_run(
        run,
        Summary(),
        judge_for=lambda registry: loads(policy, tools=registry),
        predictors=options.pop("predictors", None) or [kit.guesser(said)],
        latency=latency(takes),
        **options,
    )


def bounded(
    kit: Any, run: Any, takes: str, *, policy: str, user_takes: float, chained: bool = False
) -> tuple[float, ...]:
    steps = tuple(steps_of(run))
    registry = tools_of(run, Tools(steps, latency(takes)))
    judge = loads(policy, tools=registry)
    bound = Bound(registry=registry, judge=judge, latency=latency(takes), user_takes=user_takes)
    return bound.steps(steps, chained=chained)


def test_a_guess_of_one_step_ago_is_as_early_as_that_step(kit: Any) -> None:
    run = kit.run(kit.answer(10.0), kit.answer(1.0), kit.answer(1.0, LASTING))
    one = replayed(kit, run, [[], [(0, LASTING, 1.0)], []])
    # Started at 10 s, it is there at 15 s, where the run would have had it at 17 s.
    assert one.saved_seconds == pytest.approx(2.0)
    assert one.oracle_seconds == pytest.approx(5.0)
    assert one.regret_withheld_seconds == pytest.approx(0.0)
    assert one.regret_late_seconds == pytest.approx(0.0)


def test_the_earliest_guess_that_is_young_enough_counts(kit: Any) -> None:
    """`ttl` is 30 s: the guess of the first step is too old, that of the second would do."""
    run = kit.run(kit.answer(25.0), kit.answer(20.0), kit.answer(1.0, LASTING))
    doubted = [(0, LASTING, 0.1)]
    assert replayed(kit, run, [doubted, doubted, []]).regret_withheld_seconds == pytest.approx(5.0)
    # In the last word of the first step it can have been started 21 s before the call.
    assert replayed(kit, run, [doubted, [], []]).regret_withheld_seconds == pytest.approx(5.0)
    older = kit.run(kit.answer(25.0), kit.answer(20.0), kit.answer(11.0, LASTING))
    assert replayed(kit, older, [doubted, [], []]).regret_withheld_seconds == pytest.approx(0.0)
    assert replayed(kit, older, [doubted, doubted, []]).regret_withheld_seconds == pytest.approx(5.0)


def test_what_is_older_than_its_ttl_answers_nothing(kit: Any) -> None:
    """The model thinks for longer than the read is good for: so much later it begins at best."""
    one = replayed(kit, kit.run(kit.answer(40.0, LASTING)), [[(0, LASTING, 1.0)]], "35s")
    assert one.outcomes["stale"] == 1
    assert one.oracle_seconds == pytest.approx(30.0)  # begun 10 s after the question, it ends at 45 s


def test_what_lives_as_long_as_the_run_dies_when_the_user_speaks(kit: Any) -> None:
    run = kit.run(kit.answer(10.0), GO_ON, kit.answer(1.0, LASTING))
    guesses = [[(0, LASTING, 1.0)], []]
    one = replayed(kit, run, guesses)
    assert one.saved_seconds == pytest.approx(0.0)
    assert one.regret_seconds == pytest.approx(0.0)
    assert one.oracle_seconds == pytest.approx(1.0)
    kept = replayed(kit, run, guesses, policy=wider(kit))
    assert kept.saved_seconds == pytest.approx(5.0)
    assert kept.oracle_seconds == pytest.approx(5.0)
    assert kept.regret_seconds == pytest.approx(0.0)
    # What could be saved had the read not outlived the run is another figure, which may be less.
    assert kept.run_oracle_seconds == pytest.approx(1.0)
    assert (one.run_oracle_seconds, one.chained_oracle_seconds) == (pytest.approx(1.0),) * 2


def test_who_adopts_an_early_call_gives_it_time_anew(kit: Any) -> None:
    """`quick` is given up after 1 s: the early one 1 s after its adoption, which is at 0.3 s."""
    quick = ("quick", {"id": 1})
    one = replayed(kit, kit.run(kit.answer(0.3, quick)), [[(0, quick, 1.0)]], "1.2s")
    assert one.outcomes["late"] == 1
    assert one.saved_seconds == pytest.approx(0.1)
    assert one.oracle_seconds == pytest.approx(0.1)
    assert one.regret_seconds == pytest.approx(0.0)


NAMES = st.sampled_from(["lasting", "lasting", "quick", "loose", "read", "held", "pay"])
CALLS = st.tuples(NAMES, st.fixed_dictionaries({"id": st.integers(0, 1)}))
SECONDS = st.sampled_from([0.0, 0.3, 1.0, 7.0, 25.0, 40.0])
GUESSES = st.lists(st.tuples(st.integers(0, 6), CALLS, st.sampled_from([0.1, 0.9])), max_size=4)
ROWS = st.lists(
    st.tuples(SECONDS, st.lists(CALLS, max_size=3), st.booleans(), GUESSES, st.integers(0, 3)), max_size=6
)
LATENCIES = st.sampled_from(["0s", "1.2s", "5s", "20s", "32s", "lognormal:3,1.5"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=ROWS,
    takes=LATENCIES,
    outlives=st.booleans(),
    chains=st.booleans(),
    user_takes=st.sampled_from([0.0, 0.0, 3.0, 20.0, 29.0, 45.0]),
)
@example(
    rows=[
        (1.0, [("pay", {"id": 0})], True, [(0, ("lasting", {"id": 0}), 0.9)], 0),
        (0.0, [("lasting", {"id": 0})], False, [], 0),
    ],
    takes="5s",
    outlives=True,
    chains=False,
    user_takes=20.0,
)
@example(  # what was foreseen behind a read that lives on does not live on with it
    rows=[(0.3, [], False, [], 0), (0.0, [LASTING, ("quick", {"id": 0})], False, [], 0)],
    takes="lognormal:3,1.5",
    outlives=False,
    chains=True,
    user_takes=0.0,
)
def test_no_run_is_further_than_its_bound_at_any_time(
    kit: Any, *, rows: list[Any], takes: str, outlives: bool, chains: bool, user_takes: float
) -> None:
    """# INVARIANT: no step of a run ends before the bound says that it can, and no regret is below zero."""
    turns: list[Any] = []
    for seconds, calls, speaks, _, _ in rows:
        turns += [kit.answer(seconds, *calls), *([GO_ON] if speaks else [])]
    run = kit.run(*turns)
    # Besides what comes at random, each step's guesses are those of a message that is so far ahead.
    guesses = [
        [
            *said,
            *((0, call, 0.9) for row in rows[place + ahead : place + ahead + 1] for call in row[1]),
        ]
        for place, (_, _, _, said, ahead) in enumerate(rows)
    ]
    plan = [Call(tool=name, args=args) for _, calls, _, _, _ in rows for name, args in calls]

    def foreseen(context: TurnContext) -> list[Call]:
        known = sum(item.call is not None for item in context.history)
        return plan[known : known + 2]

    policy = wider(kit) if outlives else kit.policy
    ahead = [Foreseeing(foreseen, confidence=0.95)] if chains else None
    one = replayed(kit, run, guesses, takes, policy=policy, predictors=ahead, user_takes=user_takes)
    if not chains:
        ends = accumulate(one.speculative_steps)
        least = accumulate(bounded(kit, run, takes, policy=policy, user_takes=user_takes))
        assert all(end >= bound - EPSILON for end, bound in zip(ends, least, strict=True))
        assert one.saved_seconds <= one.oracle_seconds + EPSILON
    assert one.saved_seconds <= one.chained_oracle_seconds + EPSILON
    assert one.oracle_seconds <= one.chained_oracle_seconds + EPSILON
    within = bounded(kit, run, takes, policy=kit.policy, user_takes=user_takes, chained=True)
    assert one.run_oracle_seconds == pytest.approx(one.sequential_seconds - sum(within))
    assert one.run_oracle_seconds <= one.chained_oracle_seconds + EPSILON
    assert one.regret_withheld_seconds >= -EPSILON
    assert -EPSILON <= one.regret_begun_late_seconds <= one.regret_late_seconds + EPSILON
