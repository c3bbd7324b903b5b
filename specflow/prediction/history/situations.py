"""What each trait of a situation is worth for each name: few of very many weights are not zero."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from specflow.prediction.history.ftrl import Ftrl

MOST = 400_000
"""Weights; later traits are not learned."""

NOTHING: Mapping[str, int] = {}


class Situations:
    """Weights by trait and name. Only those that are not zero are looked at to score."""

    def __init__(self, *, rate: float = 0.06, l1: float = 1.0, l2: float = 2.0) -> None:
        self.ftrl = Ftrl(rate=rate, l1=l1, l2=l2)
        self.table: dict[str, dict[str, int]] = {}
        self._lit: dict[str, dict[str, int]] = {}
        self._owner: list[tuple[str, str]] = []

    def blank(self) -> Situations:
        """Weights for the same traits, all zero."""
        made = Situations()
        made.table, made._owner, made.ftrl = self.table, self._owner, self.ftrl.blank()
        return made

    def take_mean(self, others: Sequence[Situations]) -> None:
        """Become the mean of blank copies that have learned apart."""
        for one in (self, *others):
            one.ftrl.grow(len(self._owner))
        self.ftrl.take_mean([other.ftrl for other in others])
        self._lit = {}
        self._light(range(len(self.ftrl.values)))

    def scores(self, traits: Iterable[str]) -> dict[str, float]:
        """The sum for each name that any of the traits is worth something for."""
        found: dict[str, float] = {}
        values, lit = self.ftrl.values, self._lit
        for trait in traits:
            row = lit.get(trait)
            if row:
                for name, at in row.items():
                    found[name] = found.get(name, 0.0) + values[at]
        return found

    def learn(self, traits: Iterable[str], pulls: Mapping[str, float]) -> None:
        """Take in the gradient by each name, where the situation has these traits."""
        self.ftrl.grow(len(self._owner))  # a copy may have met traits that are new here
        gradients: dict[int, float] = {}
        for trait in traits:
            row = self.table.setdefault(trait, {})
            for name, pull in pulls.items():
                at = row.get(name)
                if at is None:
                    at = self._new(trait, name, 0.0, 0.0)
                if at is not None:
                    gradients[at] = pull
        self._light(self.ftrl.step(gradients))

    def restore(self, trait: str, name: str, value: float, squares: float) -> None:
        """A weight that was learned before."""
        at = self._new(trait, name, value, squares)
        if at is not None:
            self._light((at,))

    def read(self, data: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
        """Weights as `written` wrote them.

        Raises:
            AttributeError, TypeError, ValueError: the data has another shape.
        """
        for trait, by_name in data.items():
            for name, (value, squares) in by_name.items():
                self.restore(trait, name, float(value), float(squares))

    def _new(self, trait: str, name: str, value: float, squares: float) -> int | None:
        if len(self._owner) >= MOST:
            return None
        at = self.table.setdefault(trait, {})[name] = self.ftrl.restore(value, squares)
        self._owner.append((trait, name))
        return at

    def _light(self, changed: Iterable[int]) -> None:
        values = self.ftrl.values
        for at in changed:
            trait, name = self._owner[at]
            if values[at]:
                self._lit.setdefault(trait, {})[name] = at
            elif trait in self._lit:
                self._lit[trait].pop(name, None)


def written(
    table: Mapping[str, Mapping[str, int]], ftrl: Ftrl, keeps: frozenset[str] | None
) -> dict[str, dict[str, list[float]]]:
    """The weights that are not zero, and how often each has moved; of paths those that `keeps` names."""
    found = {
        owner: {
            name: [round(ftrl.values[at], 4), round(ftrl.squares[at], 3)]
            for name, at in sorted(entries.items())
            if ftrl.values[at] and (keeps is None or not name.startswith("via=") or path_of(name) in keeps)
        }
        for owner, entries in sorted(table.items())
    }
    return {owner: entries for owner, entries in found.items() if entries}


def path_of(trait: str) -> str:
    """The path in a trait `via=parameter<path`."""
    return trait.partition("<")[2]
