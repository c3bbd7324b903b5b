"""95 % intervals by drawing tasks again (Efron's bootstrap): runs of one task are not independent."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from specflow.replay.guesses import Guess

T = TypeVar("T")
Interval = list[float] | None
DRAWS = 400


def interval(guesses: Sequence[Guess], figure: Callable[[Sequence[Guess]], float]) -> Interval:
    """The interval of `figure` over the guesses; None for one task."""
    by_task: dict[str, list[Guess]] = defaultdict(list)
    for guess in guesses:
        by_task[guess.task].append(guess)
    return ends([figure([guess for task in draw for guess in task]) for draw in draws(by_task)])


def interval_of_sums(
    rows: Sequence[tuple[str, Sequence[float]]], figure: Callable[[Sequence[float]], float]
) -> Interval:
    """The interval of a figure that is made of sums over (task, amounts); None for a single task."""
    by_task: dict[str, list[float]] = {}
    for task, amounts in rows:
        known = by_task.setdefault(task, [0.0] * len(amounts))
        for at, amount in enumerate(amounts):
            known[at] += amount
    return ends([figure([sum(column) for column in zip(*draw, strict=True)]) for draw in draws(by_task)])


def intervals_of_columns(rows: Sequence[tuple[str, Mapping[T, float]]]) -> dict[T, Interval]:
    """The interval of each key's sum over (task, amounts by key), for the keys that occur."""
    by_task: dict[str, dict[T, float]] = defaultdict(dict)
    for task, amounts in rows:
        known = by_task[task]
        for key, amount in amounts.items():
            known[key] = known.get(key, 0.0) + amount
    keys = list(dict.fromkeys(key for amounts in by_task.values() for key in amounts))
    drawn: dict[T, list[float]] = {key: [] for key in keys}
    for draw in draws(by_task):
        sums = dict.fromkeys(keys, 0.0)
        for amounts in draw:
            for key, amount in amounts.items():
                sums[key] += amount
        for key, amount in sums.items():
            drawn[key].append(amount)
    return {key: ends(values) for key, values in drawn.items()}


def draws(by_task: Mapping[str, T]) -> list[list[T]]:
    """What `DRAWS` drawings of as many tasks hold; none for a single task. The same every time."""
    tasks = [by_task[task] for task in sorted(by_task)]
    chance = random.Random(0)  # noqa: S311 - resampling, the same each time; no secret
    return [chance.choices(tasks, k=len(tasks)) for _ in range(DRAWS)] if len(tasks) > 1 else []


def ends(values: list[float]) -> Interval:
    """The 2.5 % and 97.5 % points."""
    if not values:
        return None
    values.sort()
    # Adding 0.0 takes the sign off a zero.
    return [round(values[round(share * (len(values) - 1))], 4) + 0.0 for share in (0.025, 0.975)]
