"""The definitions of top-1, top-3, precision and recall, and of the percentiles."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.effects.call import Call
from specflow.policy.load import loads
from specflow.prediction.partial_call import PartialCallPredictor
from specflow.prediction.predictor import TurnContext
from specflow.replay.ask import score_run
from specflow.replay.curves import precision_recall, reliability
from specflow.replay.guesses import Guess
from specflow.replay.interval import interval_of_sums, intervals_of_columns
from specflow.replay.latency import latency
from specflow.replay.percentiles import percentiles
from specflow.replay.spread import KINDS, PARTS, Share, Spread
from specflow.replay.summary import Summary, replay_run
from specflow.testing.foreseeing import Foreseeing, in_order


def call(number: int) -> Call:
    return Call(tool="read", args={"id": number})


def test_the_scores_by_hand(kit: Any) -> None:
    run = kit.run(
        kit.answer(4.0, ("read", {"id": 1}), ("read", {"id": 2})),  # said 2, 2, 1: top-3 only
        kit.answer(4.0, ("read", {"id": 3})),  # said 3: top-1
        kit.answer(4.0, ("read", {"id": 4})),  # said nothing
        kit.answer(4.0),  # said 9, and nothing was called
    )
    guesses = [
        [(0, call(2), 1.0), (1, call(2), 1.0), (2, call(1), 1.0)],
        [(0, call(3), 1.0)],
        [],
        [(0, call(9), 1.0)],
    ]
    one = replay_run(
        run,
        Summary(),
        judge_for=lambda registry: loads(kit.policy, tools=registry),
        predictors=[kit.guesser(guesses), kit.guesser([], name="silent")],
        latency=latency("1s"),
    )
    rows = one.as_json()["predictors"]
    # Three steps with calls; four distinct proposals of which three were called; four distinct calls.
    assert rows["guesser"] == {"top1": 0.3333, "top3": 0.6667, "precision": 0.75, "recall": 0.75, "n": 3}
    assert rows["silent"] == {"top1": 0.0, "top3": 0.0, "precision": 0.0, "recall": 0.0, "n": 3}


def score(kit: Any, run: Any, predictors: Any) -> Summary:
    return replay_run(
        run,
        Summary(),
        judge_for=lambda registry: loads(kit.policy, tools=registry),
        predictors=predictors,
        latency=latency("1s"),
    )


def test_the_ensemble_is_all_that_guess_taken_together(kit: Any) -> None:
    run = kit.run(*(kit.answer(4.0, ("read", {"id": number})) for number in (1, 2)))
    first = kit.guesser([[(1, call(1), 0.6)], [(0, call(9), 0.8)]], name="first")
    second = kit.guesser([[(0, call(8), 0.5)], [(3, call(2), 0.7), (0, call(9), 0.3)]], name="second")
    one = score(kit, run, [first, second, PartialCallPredictor()])
    found = one.as_json(whole=True)
    assert found["predictors"].keys() == {"first", "second", "partial_call"}
    together = one.scores.together
    assert [(guess.place, guess.right) for guess in together.guesses] == [(0, True), (1, False)]
    # The likeliest first; what the model itself writes would always be right, and is left out.
    assert found["ensemble"]["top1"] == 0.5
    assert found["ensemble"]["top3"] == 1.0
    assert sum(held["n"] for held in found["ensemble"]["reliability"]) == 2
    both = Summary()
    both.include(one)
    both.include(one)
    assert len(both.scores.together.guesses) == 4
    assert score(kit, run, [kit.guesser([]), PartialCallPredictor()]).as_json()["ensemble"] is None


def test_asked_and_played_the_ensemble_is_the_same(kit: Any) -> None:
    run = kit.run(*(kit.answer(4.0, ("read", {"id": number})) for number in (1, 2, 3)))

    def guessers() -> list[Any]:
        one = [[(0, call(number), 0.7)] for number in (1, 2, 4)]
        return [kit.guesser(one, name="one"), kit.guesser([[(1, call(3), 0.6)]] * 3, name="two")]

    asked = score_run(
        run, judge_for=lambda registry: loads(kit.policy, tools=registry), predictors=guessers()
    )
    assert asked.scores.together == score(kit, run, guessers()).scores.together


def test_who_foresees_speaks_before_who_listens_however_they_are_named(kit: Any) -> None:
    """What the listener alone says is worth less, since the other had its say; never the other way round."""
    numbers = range(12)
    run = kit.run(*(kit.answer(4.0, ("read", {"id": number})) for number in numbers))

    def foreseen(context: TurnContext) -> list[Call]:
        number = sum(item.call is not None for item in context.history)
        return [call(number if number % 2 else 80)]

    def guessers() -> list[Any]:
        heard = [[(0, call(number if number % 2 else 90), 0.7)] for number in numbers]
        return [Foreseeing(foreseen, confidence=0.6), kit.guesser(heard)]

    one, other = (
        score_run(run, judge_for=lambda registry: loads(kit.policy, tools=registry), predictors=named)
        for named in (guessers(), guessers()[::-1])
    )
    assert one.scores.together.guesses == other.scores.together.guesses
    played = score(kit, run, guessers()).scores.together
    assert played.guesses == score(kit, run, guessers()[::-1]).scores.together.guesses
    by_step = one.scores.together.guesses
    assert by_step[0].confidence == pytest.approx(0.7)  # nobody was ever before it
    assert by_step[-2].confidence < 0.6


def test_what_is_foreseen_after_a_guess_is_no_guess_at_this_message(kit: Any) -> None:
    """A chain's call is for a later message: it would else look like a wrong guess at this one."""
    plan = [call(1), call(2), call(3)]
    run = kit.run(*(kit.answer(9.0, ("read", {"id": number})) for number in (1, 2, 3)))
    one = score(kit, run, [Foreseeing(in_order(plan), confidence=0.9)])
    assert one.outcomes["hit"] == 3
    assert one.launched == 3
    assert one.scores.of["foreseeing"].proposed == 3
    assert [guess.right for guess in one.scores.of["foreseeing"].guesses] == [True] * 3


def test_summaries_add_up(kit: Any) -> None:
    run = kit.run(kit.answer(4.0, ("read", {"id": 1})))
    total = Summary()
    ones = [
        replay_run(
            run,
            total,
            judge_for=lambda registry: loads(kit.policy, tools=registry),
            predictors=[kit.guesser([[(0, call(k), 1.0)]])],
            latency=latency("1s"),
        )
        for k in range(3)
    ]
    found = total.as_json()
    for key in ("runs", "steps", "launched", "wasted_calls", "calls", "saved_seconds", "oracle_seconds"):
        assert found[key] == pytest.approx(sum(one.as_json()[key] for one in ones)), key
    assert found["predictors"]["guesser"]["precision"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["latency"]["speculative"] == {"p50": 5.0, "p95": 5.0, "p99": 5.0}


def test_percentiles_are_nearest_rank() -> None:
    assert percentiles([]) == {"p50": 0.0, "p95": 0.0, "p99": 0.0}
    assert percentiles([7.0]) == {"p50": 7.0, "p95": 7.0, "p99": 7.0}
    assert percentiles(range(1, 101)) == {"p50": 50, "p95": 95, "p99": 99}
    assert percentiles(range(1, 21)) == {"p50": 10, "p95": 19, "p99": 20}
    assert percentiles([3.0, 1.0, 2.0]) == {"p50": 2.0, "p95": 3.0, "p99": 3.0}


@given(st.lists(st.integers(0, 50), min_size=1, max_size=300))
def test_a_percentile_is_the_least_value_that_enough_values_do_not_exceed(values: list[int]) -> None:
    for name, found in percentiles(values).items():
        percent = int(name[1:])
        assert found in values
        assert 100 * sum(value <= found for value in values) >= percent * len(values)
        assert 100 * sum(value < found for value in values) < percent * len(values)


@given(st.integers(0, 10_000))
def test_a_drawn_latency_is_the_call_s_own(number: int) -> None:
    takes = latency("lognormal:1.5,0.6")
    assert takes(call(number)) == takes(call(number)) > 0


def test_drawn_latencies_have_the_median_that_was_asked_for() -> None:
    takes = latency("lognormal:1.5s,0.6")
    drawn = sorted(takes(call(number)) for number in range(4001))
    assert drawn[2000] == pytest.approx(1.5, rel=0.08)
    assert drawn[3365] / drawn[2000] == pytest.approx(1.822, rel=0.1)  # one sigma up: e ** 0.6


def test_the_curve_and_the_bins_by_hand() -> None:
    guesses = [
        *(Guess(str(task), True, 0, 0.92, True, wanted=True) for task in range(3)),
        Guess("3", True, -1, 0.92, False, wanted=True),
        # The surest guess was the call, but no read: nothing would be started for it.
        Guess("4", False, 0, 0.0, False),
        Guess("5", True, 0, 0.42, True, wanted=True),
        Guess("6", False, -1, 0.0, False),
    ]
    curve = {point["threshold"]: point for point in precision_recall(guesses)}
    assert (curve[0.0]["n"], curve[0.0]["precision"], curve[0.0]["recall"]) == (5, 0.8, 0.8)
    assert (curve[0.9]["n"], curve[0.9]["precision"], curve[0.9]["recall"]) == (4, 0.75, 0.6)
    assert 0.95 not in curve, "nothing is that sure"
    low, high = curve[0.9]["precision_interval"]
    assert low < 0.75 < high
    said = [(held["from"], held["n"], held["said"], held["came"]) for held in reliability(guesses)]
    assert said == [(0.4, 1, 0.42, 1.0), (0.9, 4, 0.92, 0.75)]
    assert precision_recall([]) == reliability([]) == []


def test_totals_have_intervals_over_tasks_and_not_over_runs() -> None:
    def share(task: str, saved: float) -> Share:
        amounts = tuple(saved if part == "saved_seconds" else 1.0 for part in (*PARTS, *KINDS))
        return Share(task=task, amounts=amounts, sequential=[1.0, saved], speculative=[1.0])

    alike = Spread([share(str(task), 2.0) for task in range(5)])
    assert alike.amounts()["saved_seconds"] == [10.0, 10.0]
    assert alike.amounts()["misfires"]["stale"] == [5.0, 5.0]
    assert alike.latency()["sequential"]["p99"] == [2.0, 2.0]
    # Ten runs of two tasks: as uncertain as two.
    two = Spread([share(str(number % 2), float(number % 2)) for number in range(10)])
    assert two.amounts()["tasks"] == 2
    assert two.amounts()["saved_seconds"] == [0.0, 10.0]
    one = Spread([share("same", 1.0), share("same", 3.0)])
    assert one.amounts()["saved_seconds"] is None
    assert one.latency()["sequential"]["p50"] is None


ROWS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.dictionaries(st.sampled_from("xyz"), st.floats(0, 9), min_size=1))
)


@settings(deadline=None)
@given(ROWS)
def test_intervals_of_columns_are_those_of_each_column(rows: list[tuple[str, dict[str, float]]]) -> None:
    found = intervals_of_columns(rows)
    assert found.keys() == {key for _, amounts in rows for key in amounts}
    for key, interval in found.items():
        alone = interval_of_sums(
            [(task, (amounts.get(key, 0.0),)) for task, amounts in rows], lambda sums: sums[0]
        )
        assert interval == (alone if alone is None else pytest.approx(alone, abs=2e-4))


def test_misfires_have_intervals_by_predictor_and_by_tool(kit: Any) -> None:
    total = Summary()
    for task in range(6):
        run = kit.run(kit.answer(4.0, ("read", {"id": 1}))).model_copy(update={"task_id": str(task)})
        said = [(0, Call(tool="quick", args={"id": 7}), 0.9)] if task < 3 else [(0, call(2), 0.9)]
        replay_run(
            run,
            total,
            judge_for=lambda registry: loads(kit.policy, tools=registry),
            predictors=[kit.guesser([said])],
            latency=latency("1s"),
        )
    found = total.as_json()
    assert found["misfires_by_tool"]["quick"]["wrong_tool"] == 3
    assert found["misfires_by_tool"]["read"]["wrong_argument"] == 3
    between = total.spread.misfires()
    assert between["misfires_by_predictor"]["guesser"]["all"] == [6.0, 6.0]
    assert between["misfires_by_predictor"]["guesser"]["stale"] == [0.0, 0.0]
    low, high = between["misfires_by_tool"]["quick"]["wrong_tool"] or (9, 0)
    assert 0 <= low < 3 < high <= 6
