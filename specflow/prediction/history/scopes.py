"""What tenants and users do otherwise than everybody: weights of their own, on top of those of all.

Each begins with nothing, so that of whom nothing is known the tenant's are used, and of a tenant of which
nothing is known those of all. That is how it backs off: by adding, and without a rule of when.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from specflow.effects.call import digest
from specflow.prediction.history.situations import Situations, rounded

MOST_SCOPES = 2_000
"""Tenants and users that are known at once; whoever was not heard of for longest is forgotten first."""

RATE, L1, L2 = 0.25, 0.4, 1.0
"""Of one user there is little to learn from: these weights move sooner, and further, than those of all."""


def scopes_of(salt: str, tenant: str, user: str) -> tuple[str, ...]:
    """The tenant's and the user's, where they are known. Names are digests: no id is kept."""
    found = []
    if tenant:
        found.append(f"tenant:{digest(salt, tenant)[:16]}")
    if user:
        found.append(f"user:{digest(salt, tenant, user)[:16]}")
    return tuple(found)


class Scopes:
    """The weights of each scope that was met. Not safe from several threads at once."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, Situations] = OrderedDict()

    def __len__(self) -> int:
        return len(self._of)

    def add(self, scores: dict[str, float], scopes: Iterable[str], traits: Sequence[str]) -> None:
        """Add to the score of each name what these scopes give it."""
        for scope in scopes:
            known = self._of.get(scope)
            if known is not None:
                for name, value in known.scores(known.numbers(traits)).items():
                    scores[name] = scores.get(name, 0.0) + value

    def learn(self, scopes: Iterable[str], traits: Sequence[str], pulls: Mapping[str, float]) -> None:
        """Take in the gradient by each name, for every one of these scopes."""
        for scope in scopes:
            known = self._of.get(scope)
            if known is None:
                known = self._of[scope] = _fresh()
            self._of.move_to_end(scope)
            known.learn(known.numbers(traits), pulls)
        while len(self._of) > MOST_SCOPES:
            self._of.popitem(last=False)

    def as_json(self) -> dict[str, Any]:
        """By scope, what is not zero."""
        found = {scope: rounded(one.written()) for scope, one in self._of.items()}
        return {scope: rows for scope, rows in found.items() if rows}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scopes:
        """As it was written.

        Raises:
            AttributeError, TypeError, ValueError: the data has another shape.
        """
        made = cls()
        for scope, rows in data.items():
            made._of[str(scope)] = one = _fresh()
            one.read(rows)
        return made


def _fresh() -> Situations:
    return Situations(rate=RATE, l1=L1, l2=L2)
