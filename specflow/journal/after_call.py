"""What the core asks of a journal after a call: how it ended, and that it is made once more."""

from __future__ import annotations

from typing import Protocol

from specflow.journal.record import Lease, Outcome


class AfterCall(Protocol):
    """A part of `specflow.journal.port.Journal`."""

    async def record(self, lease: Lease, effect_id: str, outcome: Outcome, *, rev: int | None = None) -> bool:
        """Compare-and-set intended (or unknown, which is resolved) -> outcome.stage.

        `rev` is the revision at which the call was put on record, or was unknown when somebody asked after
        it: what they say does not count for a repetition that came later.

        False: the effect was in neither stage, or the call was repeated since `rev`.
        """
        ...

    async def repeat(self, lease: Lease, effect_id: str, *, rev: int, call_deadline: float) -> bool:
        """Put a repetition under the old key on record, before the call: compare-and-set unknown -> intended
        of the row as it was read, at revision `rev`. After `call_deadline` (seconds since the epoch) neither
        the repetition nor an earlier try can be travelling any longer.

        False: something has happened to the row since, its branch is not confirmed, or its session takes
        back what it did. Then the call must not be made.

        Raises:
            FencedError: somebody has taken the session over; the call must not be made either.
            InvariantError: the tool takes no key, or the deadline would be brought forward.
        """
        ...
