"""What the predictor's word is worth before it is first used: by tasks that it had not learned from."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence

from specflow.prediction.calibration.stages import Source, Stages
from specflow.prediction.history.apart import Unseen
from specflow.prediction.history.chooser import softmax

NAME = "history"
BREADTH = 3
"""Calls that are proposed at once."""

LEAST_PROBABILITY = 0.005
"""Guesses below that are not worth a proposal."""

EACH_TASK = 3.0
"""Guesses that all those of one task count as: its conversations go alike, and the next task may go another
way. So what few tasks have taught gives way to what is seen.
"""


def stages_of(unseen: Sequence[Unseen], sharpness: Mapping[str, float], *, seed: int) -> Stages:
    """How the guesses ended that would have been proposed there."""
    found, ordered = Stages(), list(unseen)
    tasks: dict[tuple[str, ...], set[str]] = defaultdict(set)
    # The last ones count most, and should not all be of one task.
    random.Random(seed).shuffle(ordered)  # noqa: S311 - an order, no secret
    for one in ordered:
        example = one.example
        sharp = sharpness.get(example.kit) or sharpness.get("") or 1.0
        likely = softmax([score / sharp for score in one.scores])
        for at in sorted(example.offers, key=lambda at: -likely[at])[:BREADTH]:
            if likely[at] >= LEAST_PROBABILITY:
                tool = example.compiled.names[at]
                source = Source(predictor=NAME, tool=tool, domain=example.kit, model=example.agent)
                found.saw(source, likely[at], right=at == example.right)
                for key in source.keys:
                    tasks[key].add(example.task)
    found.count_as({key: EACH_TASK * len(its) for key, its in tasks.items()})
    return found
