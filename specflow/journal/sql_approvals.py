"""Approvals in a database."""

from __future__ import annotations

from specflow.journal.approval import Approval
from specflow.journal.approval_operations import AskApproval, DecideApproval, asked, check_decided
from specflow.journal.sql_reading import SqlReading
from specflow.lifecycle import ApprovalState


class SqlApprovals(SqlReading):
    """The part of `SqlJournal` that keeps what people are asked."""

    async def ask(self, question: Approval) -> Approval:
        standing: Approval = await self._writer.ask(AskApproval(row=asked(question)))
        return standing

    async def decide(
        self, approval_id: str, state: ApprovalState, *, decision: str = "", cause: str = "", at: float
    ) -> bool:
        check_decided(state)
        deciding = DecideApproval(approval_id=approval_id, state=state, decision=decision, cause=cause, at=at)
        return await self._writer.ask(deciding) is True

    async def approval(self, approval_id: str) -> Approval | None:
        return await self._read(self._queries.approval, approval_id)

    async def open_approvals(self, call_name: str) -> tuple[Approval, ...]:
        return await self._read(self._queries.open_approvals, call_name)
