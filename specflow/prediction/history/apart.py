"""Weights learned three times, each time without a third of the tasks, and averaged.

The mean is steadier than what is learned from all tasks at once, and what each part says of the tasks that it
has not seen tells how sure the whole may be.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from specflow.prediction.candidate import Candidate
from specflow.prediction.history.chooser import softmax
from specflow.prediction.history.dialogue import Args
from specflow.prediction.history.together import Offered, Together
from specflow.prediction.history.weights import Compiled, Weights

EPOCHS = 2
"""More make the weights of few tasks surer than they may be."""

PARTS = 3

TOGETHER_EPOCHS = 4
"""How often the calls that go together are gone through: a few weights, which need more."""

TEMPERATURES = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2.1, 2.5)
ENOUGH = 50
"""Examples from which on the sharpness of a set of tools is looked at by itself."""

Tell = Callable[[str, int, int], None]
"""Told what is done, and how many of how many are."""


@dataclass(frozen=True, slots=True)
class Example:
    """One moment: option `right` was the one, `offers` are those that could be proposed. `kit` names the set
    of tools, `agent` who spoke for the model. `more` are further calls of the message, of those in
    `offered`; `made` are all that it asks for. `heard` is what others proposed.
    """

    compiled: Compiled
    right: int
    task: str
    kit: str
    offers: Sequence[int]
    agent: str
    more: frozenset[int]
    offered: Offered
    made: frozenset[tuple[str, Args]]
    heard: Sequence[Candidate]


@dataclass(frozen=True, slots=True)
class Unseen:
    """An example whose task had not been learned from, and how its options scored then."""

    example: Example
    scores: list[float]


def learn_apart(
    weights: Weights, examples: Sequence[Example], *, epochs: int, seed: int, tell: Tell
) -> list[Unseen]:
    """Learn the weights. Returns what each part made of the tasks that it had not seen."""
    chance = random.Random(seed)  # noqa: S311 - an order, no secret
    tasks = sorted({example.task for example in examples})
    chance.shuffle(tasks)
    part_of = {task: at % PARTS for at, task in enumerate(tasks)}
    together = len(tasks) < PARTS
    learned: list[Weights] = []
    unseen: list[Unseen] = []
    for part in range(1 if together else PARTS):
        mine = weights.blank()
        seen = [one for one in examples if together or part_of[one.task] != part]
        for epoch in range(epochs):
            tell("weighing", part * epochs + epoch, PARTS * epochs)
            chance.shuffle(seen)
            for one in seen:
                mine.learn(one.compiled, one.right)
        learned.append(mine)
        unseen += [
            Unseen(one, mine.scores(one.compiled))
            for one in examples
            if not together and part_of[one.task] == part
        ]
    weights.take_mean(learned)
    return unseen


def sharpness_by_kit(unseen: Sequence[Unseen]) -> dict[str, float]:
    """What to divide scores by, for each set of tools and (empty) for others."""
    scored: dict[str, list[tuple[list[float], int]]] = defaultdict(list)
    for one in unseen:
        for kit in (one.example.kit, ""):
            scored[kit].append((one.scores, one.example.right))
    return {kit: sharpness_of(entries) for kit, entries in scored.items() if len(entries) >= ENOUGH}


def likely(one: Unseen, sharpness: Mapping[str, float]) -> list[float]:
    """The probability of each option to begin the message, as it would have been said."""
    sharp = sharpness.get(one.example.kit) or sharpness.get("") or 1.0
    return softmax([score / sharp for score in one.scores])


def learn_together(unseen: Sequence[Unseen], sharpness: Mapping[str, float], *, seed: int) -> Together:
    """Which calls go together, learned from what had not been seen."""
    made, ordered = Together(), [one for one in unseen if one.example.right in one.example.offers]
    chance = random.Random(seed)  # noqa: S311 - an order, no secret
    for _ in range(TOGETHER_EPOCHS):
        chance.shuffle(ordered)
        for one in ordered:
            example = one.example
            made.learn(example.offered, example.right, likely(one, sharpness), example.more)
    return made


def sharpness_of(scored: Sequence[tuple[Sequence[float], int]]) -> float:
    """The temperature at which what came was the least surprising (Guo et al. 2017)."""

    def surprise(temperature: float) -> float:
        total = 0.0
        for scores, right in scored:
            found = softmax([score / temperature for score in scores])
            total -= math.log(max(found[right], 1e-9))
        return total

    return min(TEMPERATURES, key=surprise)
