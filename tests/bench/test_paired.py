"""The arithmetic of paired ratios, and the order in which things are measured."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.bench.paired import Measure, in_turn, paired, quartiles
from specflow.errors import ConfigurationError

amounts = st.floats(min_value=1e-6, max_value=1e6)
series = st.lists(st.tuples(amounts, amounts), min_size=1, max_size=40)


@given(series)
def test_ratio_and_quartiles_lie_in_order_among_the_ratios(pairs: list[tuple[float, float]]) -> None:
    ratios = [ours / baseline for ours, baseline in pairs]
    found = paired([ours for ours, _ in pairs], [baseline for _, baseline in pairs])
    slack = 1 + 1e-9
    assert min(ratios) <= found.low * slack
    assert found.low <= found.ratio * slack
    assert found.ratio <= found.high * slack
    assert found.high <= max(ratios) * slack
    assert found.n == len(pairs)


@given(series, st.data())
def test_a_machine_that_is_slow_for_some_rounds_changes_no_ratio(
    pairs: list[tuple[float, float]], data: st.DataObject
) -> None:
    """The reason for pairing: each round may be slowed by its own factor."""
    factors = data.draw(st.lists(st.floats(0.01, 100), min_size=len(pairs), max_size=len(pairs)))
    calm = paired([ours for ours, _ in pairs], [baseline for _, baseline in pairs])
    slowed = paired(
        [ours * factor for (ours, _), factor in zip(pairs, factors, strict=True)],
        [baseline * factor for (_, baseline), factor in zip(pairs, factors, strict=True)],
    )
    for name in ("ratio", "low", "high"):
        assert math.isclose(getattr(calm, name), getattr(slowed, name), rel_tol=1e-9)


@given(series, st.randoms())
def test_the_order_of_the_rounds_does_not_matter(pairs: list[tuple[float, float]], draw: Random) -> None:
    shuffled = list(pairs)
    draw.shuffle(shuffled)
    one, other = (
        paired([ours for ours, _ in some], [baseline for _, baseline in some]) for some in (pairs, shuffled)
    )
    assert one == other


def test_the_median_is_of_the_ratios_not_the_ratio_of_the_medians() -> None:
    found = paired([1.0, 20.0, 300.0], [1.0, 10.0, 100.0])
    assert (found.ratio, found.low, found.high) == (2.0, 1.5, 2.5)
    assert (found.ours, found.baseline, found.n) == (20.0, 10.0, 3)
    # The medians are 6 and 3; the ratios 10, 1/3 and 1.
    assert paired([10.0, 1.0, 6.0], [1.0, 3.0, 6.0]).ratio == 1.0


def test_one_round_has_its_ratio_as_quartiles() -> None:
    assert quartiles([3.0]) == (3.0, 3.0)


@pytest.mark.parametrize(
    ("ours", "baseline"), [([], []), ([1.0], [1.0, 2.0]), ([1.0], [0.0]), ([1.0, 2.0], [1.0, -1.0])]
)
def test_what_cannot_be_paired_is_said(ours: list[float], baseline: list[float]) -> None:
    with pytest.raises(ConfigurationError):
        paired(ours, baseline)


@pytest.mark.parametrize("warm_up", [True, False])
async def test_variants_are_measured_in_turn_after_a_round_that_does_not_count(warm_up: bool) -> None:
    order: list[str] = []

    def variant(name: str) -> Measure:
        async def measure() -> float:
            order.append(name)
            return float(len(order))

        return measure

    found = await in_turn({"a": variant("a"), "b": variant("b")}, rounds=3, warm_up=warm_up)
    skipped = 2 * warm_up
    assert order == ["a", "b"] * (3 + warm_up)
    assert found == {
        "a": (1.0 + skipped, 3.0 + skipped, 5.0 + skipped),
        "b": (2.0 + skipped, 4.0 + skipped, 6.0 + skipped),
    }
