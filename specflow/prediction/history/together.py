"""Which calls go together: a message may ask for more than the call it begins with.

The softmax says which call a message begins with. That a call c is in it at all has the probability

    P(c) + sum of P(f) * Q(c | f) over the other calls f that it may begin with

where Q is a logistic regression: is it the same tool, with one argument changed; does this model, in this
conversation, ask for several things at once.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from specflow.prediction.history.dialogue import Args, Dialogue
from specflow.prediction.history.ftrl import Ftrl
from specflow.prediction.history.traits import small

MOST_FIRST = 4
LEAST_FIRST = 0.03
"""What a message may begin with, as far as it is looked at."""

OTHERS = 4
"""Calls of other tools that are looked at beside each of them, the likeliest."""

RATE, L1, L2 = 0.1, 0.2, 1.0
ALONE = -4.0
"""The score of a call of which nothing was learned: until something is, every call stands alone."""

SILENT = 0.02
"""Below that, calls are not said to go together."""


@dataclass(slots=True)
class Offered:
    """The options of one moment, in their order: tools and arguments (None: no call that could be proposed);
    which of the calls were `made` before, and those of each tool, by their places; what came last, and what
    holds for all of them.
    """

    names: Sequence[str]
    args: Sequence[Args | None]
    made: frozenset[int]
    of: Mapping[str, Sequence[int]]
    last: str
    here: tuple[str, ...]


def offered(dialogue: Dialogue, names: Sequence[str], args: Sequence[Args | None]) -> Offered:
    """What is offered in the conversation as it stands."""
    here = (
        f"last={small(dialogue.together)}",
        f"several={small(dialogue.several)}&single={small(dialogue.single)}",
        f"agent={dialogue.agent}",
    )
    made, of = set(), defaultdict(list)
    for at, (name, one) in enumerate(zip(names, args, strict=True)):
        if one is not None:
            of[name].append(at)
            if (name, one) in dialogue.made:
                made.add(at)
    return Offered(names, args, frozenset(made), of, dialogue.events[-1], here)


@dataclass(slots=True, eq=False)
class Together:
    """The weights of Q. Not safe from several threads at once."""

    _ftrl: Ftrl = field(default_factory=lambda: Ftrl(RATE, L1, L2))
    _at: dict[str, int] = field(default_factory=dict)

    def shares(self, offered: Offered, first: Sequence[float]) -> list[float]:
        """The probability of each option to be in the message, by that of each to begin it."""
        found, ordered = list(first), _ordered(offered, first)
        for begins in ordered[:MOST_FIRST]:
            if first[begins] < LEAST_FIRST:
                break
            scores: dict[tuple[str, ...], float] = {}
            for at, traits, odds in _beside(offered, begins, first, ordered):
                score = scores.get(traits)
                if score is None:
                    score = scores[traits] = self._score(traits)
                likely = _share(score + self._score((odds,)))
                if likely >= SILENT:
                    found[at] += first[begins] * likely
        return [min(1.0, share) for share in found]

    def learn(self, offered: Offered, begins: int, first: Sequence[float], more: frozenset[int]) -> None:
        """A message began with option `begins`, and asked for `more` besides; `first` is how likely each was
        to begin it.
        """
        if offered.args[begins] is None:
            return
        for at, traits, odds in _beside(offered, begins, first, _ordered(offered, first)):
            every = (*traits, odds)
            pull = _share(self._score(every)) - (at in more)
            self._ftrl.step({self._index(trait): pull for trait in every})

    def _score(self, traits: Iterable[str]) -> float:
        known, values = self._at, self._ftrl.values
        return sum(values[known[trait]] for trait in traits if trait in known)

    def _index(self, trait: str) -> int:
        at = self._at.get(trait)
        if at is None:
            at = self._at[trait] = self._ftrl.new()
        return at

    def as_json(self) -> dict[str, list[float]]:
        """The weights that are not zero, and how often each has moved."""
        values, squares = self._ftrl.values, self._ftrl.squares
        return {
            trait: [round(values[at], 4), round(squares[at], 3)]
            for trait, at in sorted(self._at.items())
            if values[at]
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Together:
        """As it was written.

        Raises:
            AttributeError, TypeError, ValueError: the data has another shape.
        """
        made = cls()
        for trait, (value, squares) in data.items():
            made._at[str(trait)] = made._ftrl.restore(float(value), float(squares))
        return made


def _ordered(offered: Offered, first: Sequence[float]) -> list[int]:
    """The calls, the likeliest to begin the message first."""
    return sorted((at for places in offered.of.values() for at in places), key=lambda at: -first[at])


def _beside(
    offered: Offered, begins: int, first: Sequence[float], ordered: Sequence[int]
) -> Iterator[tuple[int, tuple[str, ...], str]]:
    """The calls that may go with option `begins`: those of its tool, and the likeliest of others; what speaks
    for each, and how likely it is beside the first call.
    """
    tool, own = offered.names[begins], offered.args[begins] or ()
    same = [at for at in offered.of[tool] if at != begins]
    here = (*offered.here, f"unused={small(sum(at not in offered.made for at in same), 4)}")
    others = islice((at for at in ordered if offered.names[at] != tool), OTHERS)
    spelled: dict[tuple[str, str, bool], tuple[str, ...]] = {}
    for at in (*same, *others):
        name = offered.names[at]
        # `kin`: the same tool, with one argument changed.
        how = "other" if name != tool else "kin" if _one_changed(own, offered.args[at] or ()) else "same"
        kind = how, name, at in offered.made
        traits = spelled.get(kind)
        if traits is None:
            its = (*here, f"of={tool}>{name}", f"again={kind[2]}", f"e1={offered.last}&of={name}")
            traits = spelled[kind] = (how, *(f"{how}&{trait}" for trait in its))
        # In steps of a factor of e.
        odds = math.log(max(first[at], 1e-6) / max(first[begins], 1e-6))
        yield at, traits, f"{how}&odds={max(-6, min(1, round(odds)))}"


def _share(score: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, ALONE + score))))


def _one_changed(one: Args, other: Args) -> bool:
    return len(one) == len(other) and sum(a != b for a, b in zip(one, other, strict=True)) == 1
