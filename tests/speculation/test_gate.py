"""The gate's formula: monotone in everything it goes by, and the worked example of the documentation."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.speculation.gate import Stakes

EXAMPLES = 20_000 if os.environ.get("SPECFLOW_NIGHTLY") else 1_000 if os.environ.get("CI") else 200
SECONDS = st.none() | st.floats(0, 1e4)
USD = st.sampled_from([0.0, 0.001, 0.01, 0.5, 3.0]) | st.floats(0, 10)
STAKES = st.builds(
    Stakes,
    probability=st.floats(0, 1),
    worth=USD,
    takes=SECONDS,
    runway=SECONDS,
    undoing=SECONDS,
    cost=USD,
    undo_cost=USD,
    visible_cost=USD,
)
OTHERS = st.floats(0, 1)


def launches(stakes: Stakes, others: float = 1.0) -> bool:
    return stakes.value(others) > 0.0


@settings(max_examples=EXAMPLES)
@given(STAKES, st.floats(0, 1), OTHERS)
def test_more_confidence_never_turns_a_launch_into_none(stakes: Stakes, more: float, others: float) -> None:
    surer = replace(stakes, probability=max(stakes.probability, more))
    assert launches(surer, others) >= launches(stakes, others)


@settings(max_examples=EXAMPLES)
@given(STAKES, st.floats(0, 1e4), OTHERS)
def test_a_slower_tool_never_turns_a_launch_into_none(stakes: Stakes, more: float, others: float) -> None:
    if stakes.takes is not None:
        slower = replace(stakes, takes=max(stakes.takes, more))
        assert launches(slower, others) >= launches(stakes, others)


@settings(max_examples=EXAMPLES)
@given(STAKES, st.floats(0, 1e4), OTHERS)
def test_more_runway_never_turns_a_launch_into_none_where_nothing_is_seen(
    stakes: Stakes, more: float, others: float
) -> None:
    stakes = replace(stakes, visible_cost=0.0)
    if stakes.runway is not None:
        longer = replace(stakes, runway=max(stakes.runway, more))
        assert launches(longer, others) >= launches(stakes, others)


@settings(max_examples=EXAMPLES)
@given(STAKES, st.sampled_from(["cost", "undo_cost", "visible_cost", "undoing"]), OTHERS)
def test_cheaper_never_turns_a_launch_into_none(stakes: Stakes, name: str, others: float) -> None:
    if getattr(stakes, name) is not None:
        assert launches(replace(stakes, **{name: 0.0}), others) >= launches(stakes, others)


@settings(max_examples=EXAMPLES)
@given(STAKES, OTHERS, OTHERS)
def test_one_more_guess_is_never_worth_more_than_the_first(stakes: Stakes, one: float, two: float) -> None:
    assert stakes.value(one * two) <= stakes.value(one) + 1e-9


@settings(max_examples=EXAMPLES)
@given(STAKES)
def test_what_costs_nothing_is_worth_it_and_what_is_not_known_wins_nothing(stakes: Stakes) -> None:
    free = replace(stakes, cost=0.0, undo_cost=0.0, visible_cost=0.0)
    assert launches(free) == (free.probability * free.worth > 0.0 and free.value() > 0.0)
    if free.probability > 0.01 and free.worth > 0.001:
        assert launches(free), "as it was before there were prices"
    if stakes.takes is None and not stakes.free:
        assert not launches(stakes)


def test_the_worked_example() -> None:
    search = Stakes(probability=0.7, worth=0.01, takes=4.0, runway=2.5, cost=0.005)
    assert search.saved == 2.5
    assert search.value() == pytest.approx(0.0125)
    assert replace(search, probability=0.15).value() == pytest.approx(-0.00125)
    assert search.value(0.3) == pytest.approx(0.00025), "the second guess of a step still pays"
    assert search.value(0.3 * 0.3) < 0.0, "the third does not"


def test_an_effect_is_seen_until_the_turn_ends_and_it_is_undone() -> None:
    book = Stakes(
        probability=0.9, worth=0.01, takes=2.0, runway=5.0, undoing=1.0, undo_cost=0.02, visible_cost=0.01
    )
    assert book.visible == 4.0
    assert book.loss == pytest.approx(0.06)
    assert book.value() == pytest.approx(0.9 * 0.02 - 0.1 * 0.06)
    assert replace(book, runway=None).visible == 60.0
    assert replace(book, takes=9.0).visible == 1.0


def test_no_call_is_faster_than_a_clock_can_tell() -> None:
    assert Stakes(probability=0.5, worth=0.01, takes=0.0).value() > 0.0
    assert Stakes(probability=0.5, worth=0.01, takes=1.0, runway=-3.0).value() > 0.0


def test_where_a_second_is_worth_nothing_nothing_is_worth_it() -> None:
    assert not launches(Stakes(probability=1.0, worth=0.0, takes=100.0))
    assert not launches(Stakes(probability=1.0, worth=0.0))
