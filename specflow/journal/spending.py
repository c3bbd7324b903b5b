"""Approvals in a transaction: how they are read, and how an intent uses one up."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from specflow.journal.approval import Approval
from specflow.journal.consuming import consume
from specflow.journal.prepared import Values
from specflow.journal.record import Intent
from specflow.journal.rows import Row
from specflow.journal.transaction import Transaction
from specflow.lifecycle import ApprovalState, Stage


def find(tx: Transaction, approval_id: str) -> Approval | None:
    """One approval."""
    found = tx.fetch(tx.statements.approvals.one, {"w_approval_id": approval_id})
    return approval_row(found[0]) if found else None


def spend(tx: Transaction, intent: Intent) -> None:
    """Use up the approval that `intent` rests on.

    Raises:
        ApprovalError: it does not cover the intent.
    """
    if intent.consent is None:
        return
    mine = {"w_approval_id": intent.consent.approval_id}
    found = tx.fetch(tx.statements.approvals.lock, mine)
    row = approval_row(found[0]) if found else None
    earlier: Stage | None = None
    if row is not None and row.effect_id is not None:
        stages = tx.fetch(tx.statements.approvals.stage, {"w_effect_id": row.effect_id})
        earlier = Stage(stages[0][0]) if stages else None
    used = consume(row, intent, intent.consent, earlier)
    tx.run(tx.statements.approvals.use, {**mine, "cause": "", **used})


_COLUMNS = tuple(field.name for field in fields(Approval))


def approval_values(row: Approval) -> Values:
    """Columns of a row."""
    values: dict[str, Any] = {name: getattr(row, name) for name in _COLUMNS}
    return {**values, "state": row.state.value}


def approval_row(row: Row) -> Approval:
    """An approval from its columns in the order of the table."""
    values = dict(zip(_COLUMNS, row, strict=True))
    return Approval(**{**values, "state": ApprovalState(values["state"])})
