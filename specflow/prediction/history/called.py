"""What a value was called: by the words before it, or by the field that it stood in.

A flight number may look just like a reservation's. But people say "my flight HAT045", and results hold it in
a field `flight_number`; so it is no reservation's, where a reservation's never was called so.
"""

from __future__ import annotations

from functools import lru_cache

from specflow.prediction.words import name_words, stem

_PLAIN = frozenset(map(stem, ("id", "number", "no", "code", "key", "name", "value", "type")))
"""Stems that values of every kind are called by."""


@lru_cache(maxsize=8_192)
def called_in(path: str) -> tuple[str, ...]:
    """The stems of the field that a path ends with; nothing for the path of a mention."""
    if "~" in path:
        return ()
    field = path.replace("[*]", "").replace("[]", "").rpartition(".")[2]
    return tuple(map(stem, name_words(field)))


@lru_cache(maxsize=4_096)
def _wanted(parameter: str) -> frozenset[str]:
    stems = frozenset(map(stem, name_words(parameter)))
    return (stems - _PLAIN) or stems


@lru_cache(maxsize=16_384)
def called_as(called: frozenset[str], parameter: str) -> tuple[bool, bool]:
    """Whether a value with these stems was called as the parameter is; and whether only otherwise."""
    own = not called.isdisjoint(_wanted(parameter))
    return own, not own and not called <= _PLAIN
