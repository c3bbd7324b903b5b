"""What the predictor's word is worth before it is first used: by tasks that it had not learned from."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

from specflow.prediction.calibration.stages import Source, Stages
from specflow.prediction.history.apart import Unseen, likely
from specflow.prediction.history.together import Together

NAME = "history"
BREADTH = 3
"""Calls that are proposed at once."""

MORE, LIKELY = 8, 0.2
"""How many further calls are proposed because they may go with these, and how likely each is at least."""

LEAST_PROBABILITY = 0.005
"""Guesses below that are not worth a proposal."""

EACH_TASK = 3.0
"""Guesses that all those of one task count as: its conversations go alike, and the next task may go another
way. So what few tasks have taught gives way to what is seen.
"""


def stages_of(
    unseen: Sequence[Unseen], sharpness: Mapping[str, float], together: Together, *, seed: int
) -> Stages:
    """How the guesses ended that would have been proposed there: a call is right that is in the message."""
    found, ordered = Stages(), list(unseen)
    tasks: dict[tuple[str, ...], set[str]] = defaultdict(set)
    # The last ones count most, and should not all be of one task.
    random.Random(seed).shuffle(ordered)  # noqa: S311 - an order, no secret
    for one in ordered:
        example = one.example
        first = likely(one, sharpness)
        shares = first if example.offered is None else together.shares(example.offered, first)
        made = {example.right, *example.more}
        for at in proposed(example.offers, first, shares, BREADTH):
            tool = example.compiled.names[at]
            source = Source(predictor=NAME, tool=tool, domain=example.kit, model=example.agent)
            found.saw(source, shares[at], right=at in made)
            for key in source.keys:
                tasks[key].add(example.task)
    found.count_as({key: EACH_TASK * len(its) for key, its in tasks.items()})
    return found


def proposed(
    offers: Iterable[int],
    first: Sequence[float],
    shares: Sequence[float],
    breadth: int,
    fits: Callable[[int], bool] = lambda _at: True,
) -> list[int]:
    """Which offers are proposed, the likeliest first: of those that fit, the `breadth` that are most likely
    to begin the message, and what else is likely enough to be in it.
    """
    ordered = sorted((at for at in offers if shares[at] >= LEAST_PROBABILITY), key=lambda at: -first[at])
    fitting = (at for at in ordered if fits(at))
    begin = list(islice(fitting, breadth))
    rest = frozenset(ordered).difference(begin)
    likely = sorted((at for at in rest if shares[at] >= LIKELY), key=lambda at: (-shares[at], at))
    more = islice((at for at in likely if fits(at)), MORE)
    return sorted([*begin, *more], key=lambda at: (-shares[at], -first[at], at))
