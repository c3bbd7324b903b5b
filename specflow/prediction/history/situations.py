"""What each trait of a situation is worth for each name: few of very many weights are not zero."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from specflow.prediction.history.ftrl import Ftrl

MOST = 400_000
"""Weights; later traits are not learned."""

NOTHING: Mapping[str, int] = {}


class Situations:
    """Weights by trait and name. Only those that are not zero are looked at to score."""

    def __init__(self) -> None:
        self.ftrl = Ftrl(rate=0.06, l1=1.0, l2=2.0)
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
