"""What the coordinator takes on virtual time is what the formulas say; and the figures show just that."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.bench.effort import Effort
from specflow.bench.formula import Setting, exponential, grid, one_ahead
from specflow.bench.formulas import (
    breadth,
    critical_path,
    exponential_saving,
    hiding_bound,
    is_worth_it,
    one_step_ahead,
    published_saving,
    sequential,
)
from specflow.bench.walk import shared_out
from specflow.testing.explore import run

DOCS = Path(__file__).resolve().parents[2] / "docs"
GRID = grid(Effort())
seconds = st.floats(0.0, 1e4)
shares = st.floats(0.0, 1.0)


@pytest.mark.parametrize("setting", GRID, ids=[setting.case for setting in GRID])
def test_the_measured_time_is_that_of_the_formula(setting: Setting) -> None:
    """The goal is 1 %; nothing but waiting takes time here, so it is rounding."""
    assert run(setting.play(), seed=len(setting.case)) == pytest.approx(setting.formula, rel=1e-6)


def test_the_grid_has_gains_losses_and_both_sides_of_each_bend() -> None:
    assert len({setting.case for setting in GRID}) == len(GRID)
    alone = {setting.case: float(setting.note.rsplit("sequential ", 1)[1].split()[0]) for setting in GRID}
    assert any(setting.formula > alone[setting.case] for setting in GRID), "some are not worth it"
    for setting in GRID:
        pays = setting.formula <= alone[setting.case] + 1e-9
        assert pays == ("not worth it" not in setting.note), setting.case


@given(shares, st.integers(1, 200))
def test_a_share_of_the_steps_is_right_and_they_are_mixed(share: float, count: int) -> None:
    shared = shared_out(count, share)
    assert len(shared) == count
    assert abs(sum(shared) - share * count) < 1 + 1e-6


@given(st.floats(0.1, 100.0), shares, st.floats(0.0, 100.0), shares)
def test_one_step_ahead_is_never_twice_as_fast_nor_beyond_the_hiding_bound(
    turn: float, guess: float, tool: float, right: float
) -> None:
    alone = sequential(10, turn, tool)
    ahead = one_step_ahead(10, turn, guess * turn, tool, right)
    assert ahead <= alone * (1 + 1e-9), "a wrong read costs nothing"
    assert alone / ahead <= min(2.0, hiding_bound(tool / (turn + tool))) * (1 + 1e-9)


@given(shares, st.integers(1, 50))
def test_more_guesses_are_right_more_often_and_each_adds_less(one: float, guesses: int) -> None:
    first, second, third = (breadth(one, k) for k in (guesses - 1, guesses, guesses + 1))
    assert 0 <= first <= second + 1e-12
    assert third - second <= second - first + 1e-9
    assert breadth(one, 1) == pytest.approx(one)


@given(st.lists(st.tuples(seconds, seconds), min_size=1, max_size=30))
def test_the_critical_path_lies_between_the_longest_call_and_the_sequence(
    steps: list[tuple[float, float]],
) -> None:
    guesses, calls = [guess for guess, _ in steps], [call for _, call in steps]
    path = critical_path(guesses, calls)
    assert max(calls) <= path <= sum(calls) * (1 + 1e-9)
    assert critical_path([0.0] * len(calls), calls) == max(calls)
    assert critical_path([math.inf] * len(calls), calls) == pytest.approx(sum(calls))


@given(shares, seconds, seconds, seconds)
def test_worth_it_says_whether_the_mean_step_gets_shorter(
    right: float, overlap: float, overhead: float, rollback: float
) -> None:
    gain = right * overlap - (1 - right) * (overhead + rollback)
    if abs(gain) > 1e-6:
        assert is_worth_it(right, overlap, overhead, rollback) == (gain > 0)


@given(shares, st.floats(0.01, 100.0), st.floats(0.01, 100.0))
def test_exponential_times_save_less_than_was_published(right: float, guesses: float, calls: float) -> None:
    exact, bound = (law(right, guesses, calls) for law in (exponential_saving, published_saving))
    assert exact <= bound + 1e-12 <= 0.5 + 1e-9
    assert exact >= bound / 2 - 1e-12


def test_the_saving_with_exponential_times() -> None:
    """Within 1 %, with a seed: it holds for many steps."""
    setting = exponential(0.5, 4.0, 1.0, steps=800, seed=3)
    assert run(setting.play(), max_steps=10_000_000) == pytest.approx(setting.formula, rel=0.01)


def test_a_coordinator_that_waited_for_nothing_would_be_seen() -> None:
    """The comparison can fail: a run whose guesses come later takes longer than the formula allows."""
    setting, late = one_ahead(4.0, 1.0, 8.0, 1.0), one_ahead(4.0, 1.5, 8.0, 1.0)
    assert run(late.play()) > 1.01 * setting.formula


def test_the_figures_in_the_docs_are_those_the_script_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn anew with `python docs/_ext/formula_figures.py`."""
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    try:
        import formula_figures

        for name, text in formula_figures.drawn():
            assert (DOCS / "explanation" / "figures" / name).read_text(encoding="utf-8") == text, name
    finally:
        for module in ("formula_figures", "chart"):
            sys.modules.pop(module, None)
