"""What the predictor's word is worth before it is first used: by tasks that it had not learned from."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

from specflow.prediction.calibration.ensemble import Ensemble, Guess, Scene
from specflow.prediction.calibration.stages import Source, Stages
from specflow.prediction.history.apart import Example, Unseen, likely
from specflow.prediction.history.dialogue import Args, args_of
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


class _OfTasks(Stages):
    """Knows of which tasks the guesses were that each key was told of."""

    def __init__(self) -> None:
        super().__init__()
        self.task = ""
        self.tasks: dict[tuple[str, ...], set[str]] = defaultdict(set)

    def saw(self, source: Source, confidence: float, *, right: bool) -> None:
        super().saw(source, confidence, right=right)
        for key in source.keys:
            self.tasks[key].add(self.task)


def stages_of(
    unseen: Sequence[Unseen], sharpness: Mapping[str, float], together: Together, *, seed: int
) -> Stages:
    """How the guesses ended that would have been proposed there, with those that others made: a call is right
    that is in the message.
    """
    found, ordered = _OfTasks(), list(unseen)
    ensemble = Ensemble(found)
    # The last ones count most, and should not all be of one task.
    random.Random(seed).shuffle(ordered)  # noqa: S311 - an order, no secret
    for one in ordered:
        example = one.example
        found.task = example.task
        scene = Scene(domain=example.kit, model=example.agent)
        guesses = _guesses(example, likely(one, sharpness), together)
        ensemble.learn(guesses, {_key(*call): call[0] for call in example.made}, scene)
    found.count_as({key: EACH_TASK * len(tasks) for key, tasks in found.tasks.items()})
    return found


def _guesses(example: Example, first: Sequence[float], together: Together) -> dict[str, Guess]:
    """What would have been proposed at one moment, the foreseen before the heard."""
    guesses: dict[str, Guess] = {}
    shares = together.shares(example.offered, first)
    for at in proposed(example.offers, first, shares, BREADTH):
        tool, args = example.offered.names[at], example.offered.args[at] or ()
        guesses.setdefault(_key(tool, args), Guess(tool)).hear(NAME, shares[at])
    for candidate in example.heard:
        tool, args = candidate.call.tool, args_of(candidate.call.args)
        guesses.setdefault(_key(tool, args), Guess(tool)).hear(candidate.predictor, candidate.confidence)
    return guesses


def _key(tool: str, args: Args) -> str:
    return f"{tool}{args}"


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
