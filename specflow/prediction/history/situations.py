"""What each trait of a situation is worth for each name: the weights of a trait lie side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from specflow.prediction.history.ftrl import Ftrl

MOST = 400_000
"""Weights; later traits, and later names, are not learned."""

NARROW, FEW = 8, 4
"""Names that there is room for at first, and traits that room is made for at least: there are many of these
tables, and most of them small.
"""


class Situations:
    """Weights by trait and name. The weight of trait number t for name number n is at `t * width + n`."""

    def __init__(self, *, rate: float = 0.06, l1: float = 1.0, l2: float = 2.0) -> None:
        self._traits: dict[str, int] = {}
        self._names: dict[str, int] = {}
        self._width = NARROW
        self._ftrl = Ftrl(rate=rate, l1=l1, l2=l2)

    def blank(self) -> Situations:
        """Weights for the same traits and names, all zero. Numbers that a copy gives hold for all of them."""
        made = Situations()
        made._traits, made._names = self._traits, self._names
        return made

    def take_mean(self, others: Sequence[Situations]) -> None:
        """Become the mean of blank copies that have learned apart."""
        for one in (self, *others):
            one._make_room()  # noqa: SLF001 - of the same class
        self._ftrl.take_mean([other._ftrl for other in others])  # noqa: SLF001 - of the same class

    @property
    def numbered_by(self) -> object:
        """The same object for all copies that give traits the same numbers."""
        return self._traits

    def numbers(self, traits: Sequence[str]) -> list[int]:
        """The numbers of the traits; new ones get one while there is room."""
        known = self._traits
        try:
            # As a rule all are known.
            return list(map(known.__getitem__, traits))
        except KeyError:
            found = []
        for trait in traits:
            at = known.get(trait)
            if at is None:
                if len(known) * self._width >= MOST:
                    continue
                at = known[trait] = len(known)
            found.append(at)
        return found

    def scores(self, numbers: Sequence[int]) -> dict[str, float]:
        """For each name that anything was learned of, the sum over the traits of these numbers."""
        self._make_room()
        values, width, many = self._ftrl.values, self._width, len(self._names)
        rows = [values[at : at + many] for at in [number * width for number in numbers]]
        return dict(zip(self._names, map(sum, zip(*rows, strict=True)), strict=False))

    def learn(self, numbers: Sequence[int], pulls: Mapping[str, float]) -> None:
        """Take in the gradient by each name, where the situation has the traits of these numbers."""
        places = [(self._place(name), pull) for name, pull in pulls.items()]
        self._make_room()
        width = self._width
        self._ftrl.step(
            {
                number * width + place: pull
                for place, pull in places
                if place is not None
                for number in numbers
            }
        )

    def restore(self, trait: str, name: str, value: float, squares: float) -> None:
        """A weight that was learned before."""
        place = self._place(name)
        for number in self.numbers((trait,)):
            self._make_room()
            if place is not None:
                self._ftrl.put(number * self._width + place, value, squares)

    def read(self, data: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
        """Weights as they were written.

        Raises:
            AttributeError, TypeError, ValueError: the data has another shape.
        """
        for trait, by_name in data.items():
            for name, (value, squares) in by_name.items():
                self.restore(trait, name, float(value), float(squares))

    def written(self) -> dict[str, dict[str, tuple[float, float]]]:
        """Weight and sum of squares by trait and name, where the weight is not zero."""
        self._make_room()
        values, squares, width = self._ftrl.values, self._ftrl.squares, self._width
        return {
            trait: {
                name: (values[at], squares[at])
                for name, at in ((name, number * width + place) for name, place in self._names.items())
                if values[at]
            }
            for trait, number in self._traits.items()
        }

    def _place(self, name: str) -> int | None:
        """The number of a name; None if there is no room for it."""
        known = self._names.get(name)
        if known is None and max(NARROW, len(self._names) + 1) * len(self._traits) <= MOST:
            known = self._names[name] = len(self._names)
        return known

    def _make_room(self) -> None:
        """Have a weight for every number: a copy may have given some since."""
        while self._width < len(self._names):
            self._ftrl.spread(self._width, 2 * self._width)
            self._width *= 2
        if len(self._ftrl.values) < self._width * len(self._traits):
            self._ftrl.grow(self._width * (len(self._traits) + FEW + len(self._traits) // 8))


def rounded(
    table: Mapping[str, Mapping[str, tuple[float, float]]],
) -> dict[str, dict[str, list[float]]]:
    """Weights and sums of squares as they are kept in a file, in order, without what is empty."""
    return {
        owner: {
            name: [round(value, 4), round(squares, 3)] for name, (value, squares) in sorted(entries.items())
        }
        for owner, entries in sorted(table.items())
        if entries
    }
