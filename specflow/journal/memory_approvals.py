"""Approvals in memory: as `approval_operations` keeps them in a database."""

from __future__ import annotations

from dataclasses import replace

from specflow.journal.approval import Approval
from specflow.journal.approval_operations import asked, check_decided
from specflow.journal.consuming import consume
from specflow.journal.memory_rows import MemoryRows
from specflow.journal.record import Intent
from specflow.journal.text import note
from specflow.lifecycle import ApprovalState


class MemoryApprovals(MemoryRows):
    """What people are asked, and what became of it."""

    async def ask(self, question: Approval) -> Approval:
        self._check_open()
        return self._approvals.setdefault(question.approval_id, asked(question))

    async def decide(
        self, approval_id: str, state: ApprovalState, *, decision: str = "", cause: str = "", at: float
    ) -> bool:
        self._check_open()
        check_decided(state)
        row = self._approvals.get(approval_id)
        if row is None or row.state is not ApprovalState.ASKED:
            return False
        decided = replace(row, state=state, decision=decision, cause=note(cause), decided_at=at)
        self._approvals[approval_id] = decided
        return True

    async def approval(self, approval_id: str) -> Approval | None:
        self._check_open()
        return self._approvals.get(approval_id)

    async def open_approvals(self, call_name: str) -> tuple[Approval, ...]:
        self._check_open()
        named = (row for row in self._approvals.values() if row.call_name == call_name)
        found = (row for row in named if row.state is ApprovalState.ASKED)
        return tuple(sorted(found, key=lambda row: (row.asked_at, row.approval_id)))

    def _spent(self, intent: Intent) -> Approval | None:
        """The approval as it is once the intent has used it up; raises ApprovalError."""
        if intent.consent is None:
            return None
        row = self._approvals.get(intent.consent.approval_id)
        earlier = self._effects.get(row.effect_id or "") if row is not None else None
        used = consume(row, intent, intent.consent, earlier.stage if earlier is not None else None)
        assert row is not None
        return replace(row, cause="", **used)  # type: ignore[arg-type]  # columns of this very row
