"""How calls ended that the journal was not there to be told: it is told when it is back.

Settled without that, they would count as calls whose caller died without a word: some are then made again,
though the run has long heard that they failed, and what nobody can find out any more is stuck.
"""

from __future__ import annotations

from specflow.errors import FencedError, SpecflowError
from specflow.journal.port import Journal
from specflow.journal.record import Lease, Outcome


class Missed:
    """Records outcomes, and remembers those that could not be, as long as their session is at work here."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._missed: dict[str, tuple[str, Outcome, int | None]] = {}
        """By effect: the session, the outcome, and what it is about."""

    def __contains__(self, effect_id: str) -> bool:
        return effect_id in self._missed

    async def record(self, lease: Lease, effect_id: str, outcome: Outcome, *, rev: int | None = None) -> bool:
        """Have the journal record it; answers, and raises, what that does."""
        try:
            return await self._journal.record(lease, effect_id, outcome, rev=rev)
        except FencedError:
            raise  # whoever has the session now finds out what happened
        except SpecflowError:
            self._missed[effect_id] = (lease.session_id, outcome, rev)
            raise

    async def catch_up(self, lease: Lease) -> None:
        """Record what was missed in the lease's session.

        Raises:
            JournalError: it still cannot be.
        """
        for effect_id, (session_id, outcome, rev) in tuple(self._missed.items()):
            if session_id == lease.session_id:
                await self._journal.record(lease, effect_id, outcome, rev=rev)
                self._missed.pop(effect_id, None)

    def forget(self, session_id: str) -> None:
        """The session is over, or not ours any more."""
        self._missed = {one: missed for one, missed in self._missed.items() if missed[0] != session_id}
