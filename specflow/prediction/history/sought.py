"""Whether what the user named has been found: a result holds it.

Who goes through records looks for one of them, and stops there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from specflow.prediction.history.seen import Seen

NOTHING_NAMED: Final = "nothing"
NOT_FOUND: Final = "not"
ONE_FOUND: Final = "one"
FOUND: Final = "found"
PASSED: Final = "passed"


class Sought:
    """Values that the user named, names of people and things aside, and no call was given alone: that is a
    key, and in its result anyway. `last` of them were in the last result; since the user last named something
    new, no result before it held so many (`lead` 3), none held more (2), one did (1), or none is in it (0).
    """

    __slots__ = ("_best", "_met", "_values", "last", "lead")

    def __init__(self) -> None:
        self._values: frozenset[str] = frozenset()
        self._met: frozenset[str] = frozenset()
        self.last = self.lead = self._best = 0

    @property
    def open(self) -> bool:
        """Whether there is something to look for."""
        return bool(self._values)

    @property
    def met(self) -> int:
        """How many were found since the user's last message."""
        return len(self._met)

    @property
    def state(self) -> str:
        """What came of it in the last result: `NOTHING_NAMED` to be found, `NOT_FOUND`, `ONE_FOUND`, several
        `FOUND`, or fewer than in a result before (`PASSED`).
        """
        if not self._values:
            return NOTHING_NAMED
        if self.lead == 1:
            return PASSED
        return FOUND if self.last > 1 else ONE_FOUND if self.last else NOT_FOUND

    def named(self, mentions: Iterable[Seen], is_key: Callable[[str], bool]) -> None:
        """The user mentioned these; `is_key` says whether a call was given a value alone."""
        values = {seen.value for seen in mentions if not seen.path.startswith("user~name")}
        new = frozenset(value for value in values - self._values if not is_key(value))
        if new:
            self._values |= new
            self._best = 0
        self._met = frozenset()

    def given(self, value: str) -> None:
        """A call was given that value alone."""
        self._values -= {value}

    def result(self, values: Iterable[Seen]) -> None:
        """A result holds these values."""
        found = self._values.intersection(seen.value for seen in values)
        self.last, best = len(found), self._best
        self.lead = 0 if not found else 1 if self.last < best else 2 if self.last == best else 3
        self._best = max(best, self.last)
        self._met |= found
