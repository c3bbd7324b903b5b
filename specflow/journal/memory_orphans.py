"""What a lost checkpoint leaves, in memory: as `orphan_operations` does it in a database."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence

from specflow.journal import rules
from specflow.journal.memory_rows import MemoryRows
from specflow.journal.orphan_operations import stands
from specflow.journal.record import EffectRow, Kept, Lease
from specflow.journal.text import identifiers
from specflow.lifecycle import SessionState, Stage


class MemoryOrphans(MemoryRows):
    """Committed effects that a resumed run asks for again, or never does."""

    async def kept_by_run(self, thread: str, run_key: str, *, tenant: str = "") -> tuple[Kept, ...]:
        self._check_open()
        run = (thread, run_key, tenant)
        sessions = [
            row for row in self._sessions.values() if run_key and (row.thread, row.run_key, row.tenant) == run
        ]
        sessions.sort(key=lambda row: (row.created_at, row.session_id))
        return tuple(
            Kept(effect=copy.deepcopy(row), identities=(row.adopted_by or "", *self._names(row.effect_id)))
            for session in sessions
            for row in self._of(session.session_id)
            if self._stands(row)
        )

    async def readopt(self, lease: Lease, effect_id: str, adopted_by: str) -> bool:
        identifiers((("adopted_by", adopted_by),))
        session = self._guard(lease)
        row = self._effects.get(effect_id)
        if row is None or not self._stands(row) or self._sessions[row.session_id].tenant != session.tenant:
            return False
        if self._adopter(adopted_by) is not None:
            return False
        if (effect_id, lease.session_id) in self._readoptions.values():
            return False
        self._readoptions[adopted_by] = (effect_id, lease.session_id)
        return True

    async def condemn(
        self, lease: Lease, effect_ids: Sequence[str], *, seen: Collection[str] = ()
    ) -> tuple[Lease, ...]:
        tenant = self._guard(lease).tenant
        leases: dict[str, Lease] = {}
        for effect_id in effect_ids:
            row = self._effects.get(effect_id)
            if row is None or row.stage is not Stage.COMMITTED:
                continue
            if not set(self._names(effect_id)) <= set(seen):
                continue
            session = self._sessions[row.session_id]
            if session.tenant != tenant:
                continue
            if session.session_id not in leases:
                if session.state is SessionState.ACTIVE:
                    continue
                leases[session.session_id] = self._take(session, lease.owner, rules.ORPHANED)
            held = leases[session.session_id]
            self._shift(
                held,
                row,
                Stage.COMPENSATING,
                cause=rules.ORPHANED,
                not_before=None,
                attempts=row.attempts + 1,
            )
        return tuple(leases.values())

    def _stands(self, row: EffectRow) -> bool:
        return stands(row.stage, self._branches[row.branch_id].state)

    def _names(self, effect_id: str) -> list[str]:
        return [name for name, (known, _) in self._readoptions.items() if known == effect_id]
