"""Whether what the user named has been found: a result holds it, and no call was given it.

Who goes through records looks for one of them, and stops there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from specflow.prediction.history.seen import Seen


class Sought:
    """Values that the user ever named, names of people and things aside; how many of them the last result
    held (`last`), and which ones those since the user's last message did.
    """

    __slots__ = ("_met", "_values", "last")

    def __init__(self) -> None:
        self._values: frozenset[str] = frozenset()
        self._met: frozenset[str] = frozenset()
        self.last = 0

    @property
    def met(self) -> int:
        """How many were found since the user's last message."""
        return len(self._met)

    def named(self, mentions: Iterable[Seen]) -> None:
        """The user mentioned these."""
        self._values |= {seen.value for seen in mentions if not seen.path.startswith("user~name")}
        self._met = frozenset()

    def result(self, values: Iterable[Seen], used: Mapping[tuple[str, str], Mapping[str, int]]) -> None:
        """A result holds these values; `used` are those that calls were given, by tool and parameter."""
        found = self._values.intersection(seen.value for seen in values)
        new = frozenset(value for value in found if not any(value in given for given in used.values()))
        self.last = len(new)
        self._met |= new
