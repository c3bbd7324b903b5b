"""From values to columns and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from specflow.effects.kind import EffectClass
from specflow.journal.record import (
    BranchRow,
    DependencyRow,
    EffectRow,
    EventRow,
    Intent,
    Lease,
    PredictionRow,
    SessionRow,
    UndoPlan,
    VerifyPlan,
)
from specflow.journal.text import dump, load, note
from specflow.lifecycle import BranchState, SessionState, Stage

# Reading `value` off an enum for every row would show in the time of a batch.
INTENDED = Stage.INTENDED.value
OPEN, CONFIRMED, ABORTED = BranchState.OPEN.value, BranchState.CONFIRMED.value, BranchState.ABORTED.value

Row = Sequence[Any]
"""The columns of one row as the driver gives them."""


def plan_text(plan: UndoPlan | VerifyPlan | None) -> str | None:
    """A plan as JSON."""
    if plan is None:
        return None
    return dump({name: getattr(plan, name) for name in _PLAN[type(plan)]}, "the plan")


_PLAN = {plan: tuple(field.name for field in fields(plan)) for plan in (UndoPlan, VerifyPlan)}


def effect_values(lease: Lease, intent: Intent) -> dict[str, Any]:
    """Columns of a new effect, but for what only the transaction knows (tenant, seq, times).

    Raises:
        JournalError: when the arguments are not plain JSON.
    """
    return {
        "effect_id": intent.effect_id,
        "branch_id": intent.branch_id,
        "session_id": lease.session_id,
        "tool": intent.tool,
        "schema_hash": intent.schema_hash,
        "policy_hash": intent.policy_hash,
        "effect_class": intent.effect.value,
        "fingerprint": intent.fingerprint,
        "args": dump(intent.args, f"the arguments of {intent.tool}"),
        "idem_key": intent.idem_key,
        "keyed": intent.keyed,
        "redacted": intent.redacted,
        "stage": INTENDED,
        "result": "null",
        "replayable": True,
        "error": "",
        "adopted_by": intent.adopted_by,
        "undo": plan_text(intent.undo),
        "verify": plan_text(intent.verify),
        "comp_key": None,
        "comp_args": None,
        "attempts": 0,
        "call_deadline": intent.call_deadline,
        "not_before": None,
        "fence": lease.fence,
        "rev": 1,
        "reasons": dump(intent.reasons, "the reasons"),
        "traceparent": note(intent.traceparent),
    }


def dependencies(intent: Intent) -> list[dict[str, Any]]:
    """Rows of sf_effect_dep."""
    return [{"effect_id": intent.effect_id, "needs_id": other} for other in dict.fromkeys(intent.depends_on)]


def prediction_values(row: PredictionRow) -> dict[str, Any]:
    """Columns of a prediction."""
    values = {field.name: getattr(row, field.name) for field in fields(row)}
    return {name: note(value) if isinstance(value, str) else value for name, value in values.items()}


def effect_row(row: Row) -> EffectRow:
    """An effect from its columns in the order of the table."""
    values = dict(zip(_EFFECT, row, strict=True))
    values.pop("tenant")
    values["effect"] = EffectClass(values.pop("effect_class"))
    values["stage"] = Stage(values["stage"])
    for name in ("keyed", "redacted", "replayable"):
        values[name] = bool(values[name])
    for name in ("args", "result"):
        values[name] = load(values[name])
    values["comp_args"] = None if values["comp_args"] is None else load(values["comp_args"])
    values["undo"] = _undo(values["undo"])
    values["verify"] = _verify(values["verify"])
    values["reasons"] = tuple(load(values["reasons"]))
    return EffectRow(**values)


_EFFECT = (
    "effect_id", "branch_id", "session_id", "tenant", "seq", "tool", "schema_hash", "policy_hash",
    "effect_class", "fingerprint", "args", "idem_key", "keyed", "redacted", "stage", "result",
    "replayable", "error", "adopted_by", "undo", "verify", "comp_key", "comp_args", "attempts",
    "call_deadline", "not_before", "fence", "rev", "reasons", "traceparent", "created_at", "updated_at",
)  # fmt: skip
"""sf_effect's columns in order; a test compares it with the table."""


def _undo(text: str | None) -> UndoPlan | None:
    return None if text is None else UndoPlan(**_plain(text))


def _verify(text: str | None) -> VerifyPlan | None:
    return None if text is None else VerifyPlan(**_plain(text))


def _plain(text: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = load(text)
    return found


def session_row(row: Row) -> SessionRow:
    """A session from its columns in the order of the table."""
    session_id, thread, tenant, owner, fence, lease_until, state, decision, created_at = row
    return SessionRow(
        session_id=session_id,
        thread=thread,
        tenant=tenant,
        owner=owner,
        fence=fence,
        lease_until=lease_until,
        state=SessionState(state),
        decision=decision,
        created_at=created_at,
    )


def branch_row(row: Row) -> BranchRow:
    """A branch from its columns in the order of the table."""
    branch_id, session_id, parent_id, hypothesis, state, cause, decided_at, decided_fence = row
    return BranchRow(
        branch_id=branch_id,
        session_id=session_id,
        parent_id=parent_id,
        hypothesis=hypothesis,
        state=BranchState(state),
        cause=cause,
        decided_at=decided_at,
        decided_fence=decided_fence,
    )


def event_row(row: Row) -> EventRow:
    """An event from its columns in the order of the table."""
    seq, at, session_id, subject, source, target, cause, fence, facts = row
    return EventRow(
        seq=seq,
        at=at,
        session_id=session_id,
        subject=subject,
        source=source,
        target=target,
        cause=cause,
        fence=fence,
        facts=load(facts),
    )


def dependency_row(row: Row) -> DependencyRow:
    """A dependency from its columns in the order of the table."""
    effect_id, needs_id = row
    return DependencyRow(effect_id=effect_id, needs_id=needs_id)


def prediction_row(row: Row) -> PredictionRow:
    """A prediction from its columns in the order of the table."""
    names = (
        "speculation_id", "session_id", "tool", "fingerprint", "predictor", "confidence", "outcome",
        "cause", "at", "runway", "saved", "wasted",
    )  # fmt: skip
    return PredictionRow(**dict(zip(names, row, strict=True)))
