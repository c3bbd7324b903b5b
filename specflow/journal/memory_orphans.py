"""What a lost checkpoint leaves, in memory: as `orphan_operations` does it in a database."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence

from specflow.journal import rules
from specflow.journal.cover import base_of, paired
from specflow.journal.memory_approvals import MemoryApprovals
from specflow.journal.orphan_operations import stands
from specflow.journal.record import EffectRow, Kept, Lease, Readoption
from specflow.journal.text import identifiers, note
from specflow.lifecycle import SessionState, Stage

_DOUBTFUL = (Stage.UNKNOWN, Stage.STUCK)


class MemoryOrphans(MemoryApprovals):
    """Committed effects that a resumed run asks for again, or never does."""

    async def kept_by_run(self, thread: str, run_key: str, *, tenant: str = "") -> tuple[Kept, ...]:
        every = self._of_run(thread, run_key, tenant)
        return paired(item for item in every if self._stands(item.effect))

    async def doubtful_by_run(self, thread: str, run_key: str, *, tenant: str = "") -> tuple[Kept, ...]:
        every = self._of_run(thread, run_key, tenant)
        return tuple(item for item in every if item.effect.stage in _DOUBTFUL and item.effect.adopted_by)

    def _of_run(self, thread: str, run_key: str, tenant: str) -> tuple[Kept, ...]:
        self._check_open()
        run = (thread, run_key, tenant)
        sessions = [
            row for row in self._sessions.values() if run_key and (row.thread, row.run_key, row.tenant) == run
        ]
        sessions.sort(key=lambda row: (row.created_at, row.session_id))
        return tuple(self._kept(row) for session in sessions for row in self._of(session.session_id))

    def _kept(self, row: EffectRow) -> Kept:
        again = [name for name in self._readoptions.values() if name.effect_id == row.effect_id]
        return Kept(
            effect=copy.deepcopy(row),
            identities=(row.adopted_by or "", *(name.adopted_by for name in again)),
            moments=(row.moment, *(name.moment for name in again)),
        )

    async def run_taken_back(self, thread: str, run_key: str, *, tenant: str = "") -> bool:
        self._check_open()
        return any(
            bool(run_key)
            and (row.thread, row.run_key, row.tenant) == (thread, run_key, tenant)
            and row.decision == rules.SAGA_ABORTED
            for row in self._sessions.values()
        )

    async def readopt(self, lease: Lease, effect_id: str, adopted_by: str, *, moment: str = "") -> bool:
        identifiers((("adopted_by", adopted_by),))
        session = self._guard(lease)
        row = self._effects.get(effect_id)
        if row is None or not self._stands(row) or self._sessions[row.session_id].tenant != session.tenant:
            return False
        if self._adopter(adopted_by) is not None or self._is_patched(effect_id):
            return False
        by = lease.session_id
        if any((name.effect_id, name.session_id) == (effect_id, by) for name in self._readoptions.values()):
            return False
        self._readoptions[adopted_by] = Readoption(
            adopted_by=adopted_by, effect_id=effect_id, session_id=by, moment=note(moment)
        )
        return True

    async def condemn(
        self,
        lease: Lease,
        effect_ids: Sequence[str],
        *,
        seen: Collection[str] = (),
        cause: str = rules.ORPHANED,
    ) -> tuple[Lease, ...]:
        tenant = self._guard(lease).tenant
        leases: dict[str, Lease] = {}
        for effect_id in effect_ids:
            row = self._effects.get(effect_id)
            if row is None or row.stage is not Stage.COMMITTED or self._is_patched(effect_id):
                continue
            if not set(self._names(effect_id)) <= set(seen):
                continue
            session = self._sessions[row.session_id]
            if session.tenant != tenant:
                continue
            if session.session_id not in leases:
                if session.state is SessionState.ACTIVE:
                    continue
                leases[session.session_id] = self._take(session, lease.owner, cause)
            held, base = leases[session.session_id], base_of(row.undo)
            # INVARIANT: I16, a patch and its base are taken back together.
            for one in (row, self._effects[base]) if base else (row,):
                tries = one.attempts + 1
                self._shift(held, one, Stage.COMPENSATING, cause=cause, not_before=None, attempts=tries)
        return tuple(leases.values())

    def _stands(self, row: EffectRow) -> bool:
        return stands(row.stage, self._branches[row.branch_id].state)

    def _names(self, effect_id: str) -> list[str]:
        return [name for name, again in self._readoptions.items() if again.effect_id == effect_id]
