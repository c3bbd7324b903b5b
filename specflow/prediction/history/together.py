"""Which calls go together: a message may ask for more than the call it begins with.

The softmax says which call a message begins with. That a call c is in it at all has the probability

    P(c) + sum of P(f) * Q(c | f) over the other calls f that it may begin with

where Q is a logistic regression: is it the same tool, with one argument changed; does this model, in this
conversation, ask for several things at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class Offered:
    """The options of one moment, in their order: tools and arguments (None: no call that could be proposed);
    which of the calls were `made` before, by their places; and what holds for all of them.
    """

    names: Sequence[str]
    args: Sequence[Args | None]
    made: frozenset[int]
    last: str
    here: tuple[str, ...]


def offered(dialogue: Dialogue, names: Sequence[str], args: Sequence[Args | None]) -> Offered:
    """What is offered in the conversation as it stands."""
    here = (
        f"last={small(dialogue.together)}",
        f"several={small(dialogue.several)}&single={small(dialogue.single)}",
        f"agent={dialogue.agent}",
    )
    pairs = enumerate(zip(names, args, strict=True))
    made = frozenset(at for at, (name, one) in pairs if one is not None and (name, one) in dialogue.made)
    return Offered(names, args, made, dialogue.events[-1], here)


@dataclass(frozen=True, slots=True)
class Companion:
    """The option at `place`, beside the one that begins the message: what speaks for it, and `how` the two
    are alike (`kin`: the same tool with one argument changed; `same` tool; `other`).
    """

    place: int
    how: str
    traits: tuple[str, ...]


@dataclass(slots=True, eq=False)
class Together:
    """The weights of Q. Not safe from several threads at once."""

    _ftrl: Ftrl = field(default_factory=lambda: Ftrl(RATE, L1, L2))
    _at: dict[str, int] = field(default_factory=dict)

    def shares(self, offered: Offered, first: Sequence[float]) -> list[float]:
        """The probability of each option to be in the message, by that of each to begin it."""
        found = list(first)
        for begins in _firsts(offered, first):
            for at, traits in _looked_at(companions(offered, begins), begins, first):
                likely = self._likely(traits)
                if likely >= SILENT:
                    found[at] += first[begins] * likely
        return [min(1.0, share) for share in found]

    def learn(self, offered: Offered, begins: int, first: Sequence[float], more: frozenset[int]) -> None:
        """A message began with option `begins`, and asked for `more` besides; `first` is how likely each was
        to begin it.
        """
        if offered.args[begins] is None:
            return
        for at, traits in _looked_at(companions(offered, begins), begins, first):
            pull = self._likely(traits) - (at in more)
            self._ftrl.step({self._index(trait): pull for trait in traits})

    def _likely(self, traits: Iterable[str]) -> float:
        known, values = self._at, self._ftrl.values
        score = ALONE + sum(values[known[trait]] for trait in traits if trait in known)
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, score))))

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


def companions(offered: Offered, begins: int) -> list[Companion]:
    """What may go with option `begins`."""
    tool, own = offered.names[begins], offered.args[begins] or ()
    unused = sum(
        name == tool and args is not None and at != begins and at not in offered.made
        for at, (name, args) in enumerate(zip(offered.names, offered.args, strict=True))
    )
    here = (*offered.here, f"unused={small(unused, 4)}")
    spelled: dict[tuple[str, str, bool], tuple[str, ...]] = {}
    found = []
    for at, (name, args) in enumerate(zip(offered.names, offered.args, strict=True)):
        if args is None or at == begins:
            continue
        how = "other" if name != tool else "kin" if _one_changed(own, args) else "same"
        kind = how, name, at in offered.made
        traits = spelled.get(kind)
        if traits is None:
            its = (*here, f"of={tool}>{name}", f"again={kind[2]}", f"e1={offered.last}&of={name}")
            traits = spelled[kind] = (how, *(f"{how}&{trait}" for trait in its))
        found.append(Companion(at, how, traits))
    return found


def _looked_at(
    beside: Sequence[Companion], begins: int, first: Sequence[float]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The places of those that are looked at, and what speaks for them, how likely they are included."""
    others = sorted((one for one in beside if one.how == "other"), key=lambda one: -first[one.place])
    for one in (*(one for one in beside if one.how != "other"), *others[:OTHERS]):
        # How much less likely than the first call, in steps of a factor of e.
        odds = math.log(max(first[one.place], 1e-6) / max(first[begins], 1e-6))
        yield one.place, (*one.traits, f"{one.how}&odds={max(-6, min(1, round(odds)))}")


def _one_changed(one: Args, other: Args) -> bool:
    return len(one) == len(other) and sum(a != b for a, b in zip(one, other, strict=True)) == 1


def _firsts(offered: Offered, first: Sequence[float]) -> list[int]:
    likely = [at for at, share in enumerate(first) if share >= LEAST_FIRST and offered.args[at] is not None]
    return sorted(likely, key=lambda at: -first[at])[:MOST_FIRST]
