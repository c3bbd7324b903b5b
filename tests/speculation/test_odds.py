"""How likely a guess is right: a cautious bound that learns, never jumps the wrong way, and forgets."""

from __future__ import annotations

import math
import os
import threading
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.journal.record import PredictionRow
from specflow.speculation.odds import MOST_KEYS, PRIOR, Odds, Source, lower_bound

EXAMPLES = 5_000 if os.environ.get("SPECFLOW_NIGHTLY") else 400 if os.environ.get("CI") else 100
ME = Source(tool="look", predictor="sniffer", bucket="first/0")
CONFIDENCE = st.floats(0.0, 1.0)
ENDS = st.lists(st.booleans(), max_size=80)


def taught(ends: list[bool], source: Source = ME) -> Odds:
    odds = Odds()
    for right in ends:
        odds.saw(source, right=right)
    return odds


def quantile(a: float, b: float, share: float = 0.1, steps: int = 1_000) -> float:
    """The exact quantile of Beta(a, b), by integrating its density with the midpoint rule.

    In u = x**a, so that the density has no pole at 0; b >= 1 here, so there is none at 1.
    """
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

    def below(x: float) -> float:
        top = x**a
        parts = ((index + 0.5) / steps * top for index in range(steps))
        return sum((1.0 - u ** (1.0 / a)) ** (b - 1.0) for u in parts) * top / steps / a / math.exp(log_beta)

    low, high = 0.0, 1.0
    for _ in range(16):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < share else (low, middle)
    return low


EXACT = [
    (4.0, 4.0),
    (0.8, 7.2),
    (6.4, 1.6),
    (17.2, 2.8),
    (8.0, 20.0),
    (50.0, 8.0),
    (30.0, 30.0),
    (55.2, 2.8),
]


@pytest.mark.parametrize(("a", "b"), EXACT)
def test_the_bound_is_near_the_exact_quantile_and_hardly_ever_above(a: float, b: float) -> None:
    exact, ours = quantile(a, b), lower_bound(a, b)
    assert exact - 0.17 <= ours <= exact + 0.03
    if a + b >= 50:
        assert ours == pytest.approx(exact, abs=0.03)


def test_the_exact_quantile_of_the_test_is_right_where_it_is_known() -> None:
    assert quantile(1.0, 1.0) == pytest.approx(0.1, abs=1e-3)
    assert quantile(3.0, 1.0) == pytest.approx(0.1 ** (1 / 3), abs=1e-3)


@settings(max_examples=EXAMPLES)
@given(CONFIDENCE, ENDS)
def test_the_bound_is_a_probability_not_above_the_mean(confidence: float, ends: list[bool]) -> None:
    odds = taught(ends)
    a, b = odds.posterior(ME, confidence)
    assert a >= 0
    assert b >= -1e-12
    assert 0.0 <= odds.bound(ME, confidence) <= a / (a + b) + 1e-12


@settings(max_examples=EXAMPLES)
@given(CONFIDENCE, CONFIDENCE, ENDS)
def test_more_confidence_never_lowers_it(one: float, other: float, ends: list[bool]) -> None:
    odds, (low, high) = taught(ends), sorted([one, other])
    assert odds.bound(ME, low) <= odds.bound(ME, high) + 1e-12


@settings(max_examples=EXAMPLES)
@given(CONFIDENCE, ENDS)
def test_a_hit_never_lowers_it_and_a_loss_never_raises_it(confidence: float, ends: list[bool]) -> None:
    before = taught(ends).bound(ME, confidence)
    assert taught([*ends, True]).bound(ME, confidence) >= before - 1e-12
    assert taught([*ends, False]).bound(ME, confidence) <= before + 1e-12


@pytest.mark.parametrize("truth", [0.2, 0.5, 0.9])
def test_it_converges_whatever_the_predictor_says_of_itself(truth: float) -> None:
    odds = taught([number % 10 < truth * 10 for number in range(400)])
    a, b = odds.posterior(ME, 0.95)
    assert a / (a + b) == pytest.approx(truth, abs=0.15)
    assert odds.bound(ME, 0.95) > truth - 0.2
    assert abs(odds.bound(ME, 0.95) - odds.bound(ME, 0.3)) < 0.1


def test_without_anything_seen_it_is_the_word_of_the_predictor() -> None:
    assert Odds().posterior(ME, 0.75) == (PRIOR * 0.75, PRIOR * 0.25)


def test_what_is_long_past_fades() -> None:
    odds = taught([True] * 200 + [False] * 100)
    assert odds.bound(ME, 0.9) < 0.25


def test_a_bucket_hardly_seen_starts_from_what_is_known_of_the_others() -> None:
    other = replace(ME, bucket="second/1")
    odds = taught([False] * 30)
    assert odds.bound(other, 0.9) < 0.5 < Odds().bound(other, 0.9)
    assert odds.bound(replace(ME, predictor="draft"), 0.9) == Odds().bound(ME, 0.9), "somebody else's guess"


def row(outcome: str, cause: str = "", **more: str) -> PredictionRow:
    return PredictionRow(
        speculation_id="s",
        session_id="x",
        tool=more.get("tool", ME.tool),
        fingerprint="f",
        predictor=ME.predictor,
        confidence=0.9,
        outcome=outcome,
        cause=cause,
        at=0.0,
    )


def test_it_can_be_loaded_with_what_a_journal_has_kept() -> None:
    odds = Odds()
    odds.load(
        [row("hit"), row("late"), row("cancelled", "mismatch"), row("stale"), row("cancelled", "preempted")]
    )
    hits, lost = odds._seen[ME.everywhere]
    assert (round(hits), round(lost)) == (2, 2), "a preempted guess says nothing"
    assert Odds().bound(ME, 0.9) > odds.bound(ME, 0.9)


def test_it_remembers_so_many_keys_and_no_more() -> None:
    odds = Odds()
    for number in range(3 * MOST_KEYS):
        odds.saw(Source(tool=f"t{number}", predictor="p"), right=True)
        odds.saw(ME, right=True)
    assert len(odds._seen) == MOST_KEYS
    assert odds.posterior(ME, 0.5)[0] > 40


def test_several_threads_may_teach_it_at_once() -> None:
    odds = Odds()

    def teach() -> None:
        for _ in range(3_000):
            odds.saw(ME, right=True)
            odds.bound(ME, 0.5)

    threads = [threading.Thread(target=teach) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hits, lost = odds._seen[ME]
    assert (hits, lost) == (pytest.approx(50.0, abs=0.1), 0.0)
