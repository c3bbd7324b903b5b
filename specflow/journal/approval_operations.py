"""What can be asked of the writer about approvals. None of it needs a session: the question outlives it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from specflow.errors import InvariantError
from specflow.journal.approval import LONGEST_SHOWN, Approval
from specflow.journal.operations import Unconstrained
from specflow.journal.spending import approval_values, find
from specflow.journal.text import identifiers, note
from specflow.journal.transaction import Transaction
from specflow.lifecycle import ApprovalState


@dataclass(frozen=True, slots=True, kw_only=True)
class AskApproval:
    """Put a question on record; the one that is there already stays as it is."""

    row: Approval

    def apply(self, tx: Transaction) -> Approval:
        found = find(tx, self.row.approval_id)
        if found is None:
            tx.run(tx.statements.approvals.insert, approval_values(self.row))
        return self.row if found is None else found

    def conflict(self, tx: Transaction) -> Approval:
        """Somebody else asked the same at the same moment."""
        found = find(tx, self.row.approval_id)
        assert found is not None  # nothing else of it is unique
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class DecideApproval(Unconstrained):
    """Compare-and-set asked -> refused or void."""

    approval_id: str
    state: ApprovalState
    decision: str
    cause: str
    at: float

    def apply(self, tx: Transaction) -> bool:
        values = {
            "w_approval_id": self.approval_id,
            "state": self.state.value,
            "decision": self.decision,
            "effect_id": None,
            "cause": note(self.cause),
            "decided_at": self.at,
        }
        return tx.run(tx.statements.approvals.decide, values) == 1


def check_decided(state: ApprovalState) -> None:
    """Refuse what only an intent may decide."""
    if state not in {ApprovalState.REFUSED, ApprovalState.VOID}:
        raise InvariantError(f"an approval is {state} by an intent, or not at all")


def asked(row: Approval) -> Approval:
    """The row as it is stored, with everything that can be refused already refused.

    Raises:
        JournalError: an identifier cannot be stored.
    """
    must = ("approval_id", "interrupt_id", "call_name", "tool", "fingerprint")
    may = ("tenant", "thread", "schema_hash", "policy_hash", "shown_hash")
    identifiers((name, getattr(row, name)) for name in must)
    identifiers((name, getattr(row, name) or None) for name in may)
    return replace(
        row, shown=note(row.shown, LONGEST_SHOWN), cause=note(row.cause), state=ApprovalState.ASKED
    )
