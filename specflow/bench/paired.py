"""Measuring in turn, and the median of paired ratios.

A shared machine is slow for seconds at a time. What is measured in one round is slowed alike, so the
ratios within rounds say more than the ratio of two averages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from specflow.errors import ConfigurationError

Measure = Callable[[], Awaitable[float]]
"""Does the work once and returns what was measured, in the bench's unit; setting up is not in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """`ours` and `baseline` are the medians; `ratio` is the median of ours/baseline over the rounds,
    `low` and `high` its quartiles; `n` counts the rounds.
    """

    ours: float
    baseline: float
    ratio: float
    low: float
    high: float
    n: int


def paired(ours: Sequence[float], baseline: Sequence[float]) -> Paired:
    """What two series come to that were measured in turn.

    Raises:
        ConfigurationError: for series of different length, empty ones, and baselines not above zero.
    """
    if len(ours) != len(baseline) or not ours:
        raise ConfigurationError(
            f"{len(ours)} measurements cannot be paired with {len(baseline)}", hint="measure both in turn"
        )
    if min(baseline) <= 0:
        raise ConfigurationError("a baseline of zero has no ratio", hint="give it more to do")
    ratios = [one / other for one, other in zip(ours, baseline, strict=True)]
    low, high = quartiles(ratios)
    return Paired(
        ours=median(ours), baseline=median(baseline), ratio=median(ratios), low=low, high=high, n=len(ours)
    )


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """The first and third quartile, between the smallest and the largest value."""
    if len(values) == 1:
        return values[0], values[0]
    first, _, third = quantiles(values, n=4, method="inclusive")
    return first, third


async def in_turn(
    variants: Mapping[str, Measure], *, rounds: int, warm_up: bool = True
) -> dict[str, tuple[float, ...]]:
    """Measure every variant once in each round, in the given order: A B C, A B C, ...

    With `warm_up`, one round first that does not count: it pays for imports and caches.
    """
    if warm_up:
        for measure in variants.values():
            await measure()
    measured: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, measure in variants.items():
            measured[name].append(await measure())
    return {name: tuple(values) for name, values in measured.items()}
