"""What a predictor's word is worth: it is learned, never jumps the wrong way, and is forgotten."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.prediction.calibration.bins import Bin, Bins
from specflow.prediction.calibration.curve import Curve, Prior, fit
from specflow.prediction.calibration.stages import WINDOWS, Source, Stages
from specflow.prediction.calibration.threshold import threshold

LOOSE = Prior(slope=10.0, shift=10.0)
CONFIDENCE = st.floats(0.0, 1.0)
OUTCOMES = st.lists(st.tuples(CONFIDENCE, st.booleans()), max_size=60)
LOOK = Source(predictor="history", tool="look", domain="shop", model="m")


def binned(outcomes: list[tuple[float, bool]], window: float = 500.0) -> Bins:
    found = Bins(window)
    for confidence, right in outcomes:
        found.saw(confidence, right=right)
    return found


def stream(count: int, truth: Callable[[float], float], seed: int = 0) -> list[tuple[float, bool]]:
    dice = random.Random(seed)
    said = [dice.random() for _ in range(count)]
    return [(one, dice.random() < truth(one)) for one in said]


def told(outcomes: list[tuple[float, bool]], source: Source = LOOK) -> Stages:
    found = Stages()
    for confidence, right in outcomes:
        found.saw(source, confidence, right=right)
    return found


@settings(deadline=None)
@given(OUTCOMES, CONFIDENCE, CONFIDENCE)
def test_more_confidence_never_means_less_probability(
    outcomes: list[tuple[float, bool]], one: float, other: float
) -> None:
    low, high = sorted([one, other])
    curve = fit(binned(outcomes), Prior(slope=0.5, shift=1.0))
    assert 0.0 <= curve(low) <= curve(high) + 1e-12 <= 1.0 + 1e-12
    stages = told(outcomes)
    assert 0.0 <= stages.probability(LOOK, low) <= stages.probability(LOOK, high) + 1e-12


@settings(deadline=None)
@given(OUTCOMES)
def test_the_fit_is_where_the_slope_of_the_posterior_is_zero(outcomes: list[tuple[float, bool]]) -> None:
    bins, prior = binned(outcomes), Prior(slope=0.3, shift=0.5)
    found = fit(bins, prior)

    def loss(a: float, b: float, c: float) -> float:
        total = (
            ((a - 1) / prior.slope) ** 2 / 2 + ((b - 1) / prior.slope) ** 2 / 2 + (c / prior.shift) ** 2 / 2
        )
        for one in bins:
            q = min(1 - 1e-12, max(1e-12, Curve(a, b, c)(one.said)))
            total -= one.n * (one.right * math.log(q) + (1 - one.right) * math.log(1 - q))
        return total

    best = loss(found.a, found.b, found.c)
    for move in (-0.01, 0.01):
        assert loss(max(0.05, found.a + move), found.b, found.c) >= best - 1e-4
        assert loss(found.a, max(0.05, found.b + move), found.c) >= best - 1e-4
        assert loss(found.a, found.b, found.c + move) >= best - 1e-4


def test_without_outcomes_everybody_is_taken_at_their_word() -> None:
    assert fit([], LOOSE) == Curve()
    assert [round(Curve()(p), 6) for p in (0.01, 0.5, 0.99)] == [0.01, 0.5, 0.99]
    assert Stages().probability(LOOK, 0.7) == 0.7


@pytest.mark.parametrize("truth", [lambda p: p * p, lambda p: 0.3 * p, lambda p: 0.5 + 0.4 * p])
def test_a_distorted_predictor_is_set_right(truth: Callable[[float], float]) -> None:
    stages = told(stream(1_500, truth))
    found = [(p, stages.probability(LOOK, p)) for p in (0.2, 0.4, 0.6, 0.8)]
    assert all(abs(q - truth(p)) < 0.1 for p, q in found), found


def test_one_outcome_moves_little_and_fifty_do() -> None:
    assert told([(0.4, True)]).probability(LOOK, 0.9) < 0.95
    assert told([(0.9, False)]).probability(LOOK, 0.9) > 0.8
    assert told([(0.9, False)] * 50).probability(LOOK, 0.9) < 0.25


def test_what_one_tool_teaches_reaches_others_of_its_predictor_and_less_so() -> None:
    stages = told([(0.8, False)] * 60)
    own = stages.probability(LOOK, 0.8)
    other_tool = stages.probability(Source(predictor="history", tool="list", domain="shop", model="m"), 0.8)
    other_domain = stages.probability(Source(predictor="history", tool="look", domain="bank"), 0.8)
    stranger = stages.probability(Source(predictor="sniffer", tool="look", domain="shop", model="m"), 0.8)
    assert own < other_tool < other_domain < stranger == 0.8


def test_it_forgets_what_is_long_ago() -> None:
    stages = told([(0.5, False)] * 400 + [(0.5, True)] * 400)
    assert stages.probability(LOOK, 0.5) > 0.6
    bins = binned([(0.5, False)] * 1_000, window=50)
    assert bins.n == pytest.approx(50, rel=0.01)


@settings(deadline=None)
@given(OUTCOMES)
def test_what_is_written_is_read_again(outcomes: list[tuple[float, bool]]) -> None:
    stages = told(outcomes)
    read = Stages.from_json(json.loads(json.dumps(stages.as_json())))
    for confidence in (0.1, 0.5, 0.9):
        refit = stages.copy().probability(LOOK, confidence)
        assert read.probability(LOOK, confidence) == pytest.approx(refit, abs=1e-9)
        assert refit == pytest.approx(stages.probability(LOOK, confidence), abs=0.1)


def test_what_counts_for_less_gives_way_sooner() -> None:
    heavy, light = (told([(0.5, True)] * 200) for _ in range(2))
    light.count_as(dict.fromkeys(LOOK.keys, 12.0))
    assert [round(bins.n) for _, bins in light] == [12] * 4
    assert light.probability(LOOK, 0.5) > 0.6
    for stages in (heavy, light):
        for _ in range(12):
            stages.saw(LOOK, 0.5, right=False)
    assert light.probability(LOOK, 0.5) < heavy.probability(LOOK, 0.5) - 0.1
    empty = Bins(10.0)
    empty.count_as(3.0)
    assert empty.n == 0


def test_nonsense_is_not_read() -> None:
    for rows in (
        [[["tool"], [[0, 1.0, 2.0, 0.0]]]],
        [[["mood"], []]],
        [["tool"]],
        [[["tool"], [[99, 1, 0.5, 0]]]],
    ):
        with pytest.raises((LookupError, TypeError, ValueError)):
            Stages.from_json(rows)
    assert "tool" in WINDOWS


def test_a_threshold_by_hand() -> None:
    assert threshold([], 0.8) == 0.8  # nothing seen: at their word
    good = [
        Bin(n=100, said=0.9, right=0.95),
        Bin(n=100, said=0.6, right=0.7),
        Bin(n=100, said=0.2, right=0.1),
    ]
    assert threshold(good, 0.8) == 0.6  # 0.95 and 0.7 together are right often enough
    bad = [Bin(n=100, said=0.9, right=0.4), Bin(n=100, said=0.3, right=0.3)]
    assert 0.92 < threshold(bad, 0.8) < 0.95  # what says 0.9 is wrong: only more than that may be enough
    low = [Bin(n=100, said=0.1, right=0.1)]
    assert threshold(low, 0.8) == 0.8  # nobody has said more yet


@given(st.lists(st.builds(Bin, n=st.floats(1, 100), said=CONFIDENCE, right=CONFIDENCE), max_size=8))
def test_more_precision_never_needs_less(bins: list[Bin]) -> None:
    found = [threshold(bins, precision) for precision in (0.5, 0.7, 0.9)]
    assert all(0.0 <= one <= 1.0 for one in found)
    assert found == sorted(found)
