"""What the loaded conversation knows of calls on record: a checkpoint may be older than the journal."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol, runtime_checkable

from specflow.journal.record import AGAIN, Kept


@runtime_checkable
class Conversation(Protocol):
    """The host's view of one run at the point from which it goes on.

    `branched`: it goes on from an older point, and what was done after that belongs to another branch, which
    still stands. Then a call is given again all the same, and nothing is taken back. `says_end`: the host
    says when the run has ended (`Coordinator.end_run`); else it has when its outermost agent answers.
    """

    @property
    def branched(self) -> bool:
        """Whether another branch of the conversation stands."""
        ...

    @property
    def says_end(self) -> bool:
        """Whether the host says when the run has ended."""
        ...

    def holds(self, identity: str, moment: str) -> bool:
        """Whether it knows the call that was named `identity` at that `moment` (see `Intent.moment`).

        # INVARIANT: yes, where it cannot be told: nobody undoes what somebody may rely on.
        """
        ...

    def give(self, moment: str) -> None:
        """What was made at that moment is given again: what was done inside it is known from now on."""
        ...


class Names:
    """A conversation of which the host knows the identities of all its calls."""

    branched = says_end = False

    def __init__(self, identities: Iterable[str]) -> None:
        self.identities = frozenset(identities)

    def holds(self, identity: str, moment: str) -> bool:
        """Only what was listed."""
        return identity in self.identities

    def give(self, moment: str) -> None:
        """Nothing is known about what was inside it."""


class Continued:
    """A conversation, and what has been answered since in this process."""

    def __init__(self, before: Conversation, answered: Collection[str]) -> None:
        earlier = before if isinstance(before, Continued) else None
        self.before: Conversation = before if earlier is None else earlier.before
        self.answered: frozenset[str] = frozenset(answered) | (earlier.answered if earlier else frozenset())

    @property
    def branched(self) -> bool:
        """As it was."""
        return self.before.branched

    @property
    def says_end(self) -> bool:
        """As it was."""
        return self.before.says_end

    def holds(self, identity: str, moment: str) -> bool:
        """What was answered here is known here."""
        return identity in self.answered or self.before.holds(identity, moment)

    def give(self, moment: str) -> None:
        """As it was."""
        self.before.give(moment)


Known = Conversation | Iterable[str] | None
"""A conversation, the identities of all its calls, or nothing that could be told of them."""


def conversation_of(known: Known) -> Conversation | None:
    """The same, where only the identities are known."""
    if known is None or isinstance(known, Conversation):
        return known
    return Names(known)


def lost(item: Kept, known: Conversation) -> bool:
    """Whether the conversation knows none of the calls that an effect is the answer to."""
    moments = item.moments or ("",) * len(item.identities)
    named = zip(item.identities, moments, strict=True)
    return not any(known.holds(name.partition(AGAIN)[0], moment) for name, moment in named)
