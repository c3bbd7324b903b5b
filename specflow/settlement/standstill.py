"""A session in which nothing can be done: all that is left waits for something that is stuck.

Whoever recovers leaves it as it is, without taking it: recovering twice is recovering once (I12).
"""

from __future__ import annotations

from specflow.journal.port import Journal
from specflow.journal.record import EffectRow, SessionRow
from specflow.journal.rules import SAGA_ABORTED
from specflow.lifecycle import RESTING, TERMINAL, BranchState, SessionState, Stage
from specflow.settlement.going_back import goes_back
from specflow.settlement.rest import Settler


class Standstill:
    """Asks, and changes nothing. What it does not know of counts as something to be done."""

    def __init__(self, journal: Journal, settler: Settler) -> None:
        self._journal = journal
        self._settler = settler
        self._known: dict[str, bool] = {}

    async def waiting(self, session_id: str) -> int:
        """How many effects of a session wait, when that is all there is to it; else 0."""
        session = await self._journal.session(session_id)
        if session is None or session.state is SessionState.CLOSED:
            return 0
        if await self._journal.open_branches(session_id):
            return 0
        saga = session.decision == SAGA_ABORTED
        if saga != await goes_back(self._journal, session) or not await self._own_run(session, saga=saga):
            return 0  # that has to be written down first, or others go with it
        at_rest = TERMINAL | {Stage.STUCK} if saga else RESTING
        rows = await (self._journal.effects(session_id) if saga else self._journal.unsettled(session_id))
        left = [row for row in rows if row.stage not in at_rest]
        for row in left:
            if not await self._waits(row, saga=saga):
                return 0
        return len(left)

    async def _own_run(self, session: SessionRow, *, saga: bool) -> bool:
        """Whether no other session has something that a saga would take back together with this one."""
        if not saga or not session.run_key:
            return True
        kept = await self._journal.kept_by_run(session.thread, session.run_key, tenant=session.tenant)
        return all(item.effect.session_id == session.session_id for item in kept)

    async def _waits(self, row: EffectRow, *, saga: bool) -> bool:
        if row.effect_id not in self._known:
            self._known[row.effect_id] = await self._to_be_undone(row, saga=saga) and await self._held(
                row, saga=saga
            )
        return self._known[row.effect_id]

    async def _to_be_undone(self, row: EffectRow, *, saga: bool) -> bool:
        """Whether its undo is all that it still needs: its outcome needs not be found out first."""
        if row.stage is Stage.INTENDED or (
            row.stage is Stage.UNKNOWN and not self._settler.undo_tolerates_missing(row)
        ):
            return False
        return saga or await self._journal.branch_state(row.branch_id) == BranchState.ABORTED

    async def _held(self, row: EffectRow, *, saga: bool) -> bool:
        """Whether something that builds on it is stuck, or waits itself, and nothing else is left of that."""
        above = await self._journal.dependents(row.effect_id)
        left = [other for other in above if other.stage not in TERMINAL]
        return bool(left) and all(
            [other.stage is Stage.STUCK or await self._waits(other, saga=saga) for other in left]
        )
