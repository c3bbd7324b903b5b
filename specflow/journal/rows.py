"""From values to columns and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from specflow.effects.kind import EffectClass
from specflow.journal.claims import mode
from specflow.journal.envelope import pack, unpack
from specflow.journal.record import (
    BranchRow,
    ClaimRow,
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

BORN: Mapping[str, Any] = {
    "stage": INTENDED,
    "result": "null",
    "replayable": True,
    "error": "",
    "comp_key": None,
    "comp_args": None,
    "attempts": 0,
    "not_before": None,
    "rev": 1,
}
"""Columns in which all new effects are the same."""


def plan_text(plan: UndoPlan | VerifyPlan | None) -> str | None:
    """A plan as JSON."""
    if plan is None:
        return None
    said = {name: getattr(plan, name) for name in _PLAN[type(plan)]}
    if not said.get("covered_by", True):
        del said["covered_by"]  # as nearly always: what is not written costs nothing
    return dump(said, "the plan")


_PLAN = {plan: tuple(field.name for field in fields(plan)) for plan in (UndoPlan, VerifyPlan)}


def effect_values(lease: Lease, intent: Intent) -> dict[str, Any]:
    """Columns of a new effect, but for what only the transaction knows (tenant, seq, times).

    Raises:
        JournalError: when the arguments are not plain JSON.
    """
    return {
        **BORN,
        "effect_id": intent.effect_id,
        "branch_id": intent.branch_id,
        "session_id": lease.session_id,
        "tool": intent.tool,
        "schema_hash": intent.schema_hash,
        "policy_hash": intent.policy_hash,
        "effect_class": intent.effect.value,
        "fingerprint": intent.fingerprint,
        "args": dump(pack(intent.args, intent.sealed.get("args")), f"the arguments of {intent.tool}"),
        "idem_key": intent.idem_key,
        "keyed": intent.keyed,
        "redacted": intent.redacted,
        "adopted_by": intent.adopted_by,
        "undo": plan_text(intent.undo),
        "verify": plan_text(intent.verify),
        "call_deadline": intent.call_deadline,
        "fence": lease.fence,
        "reasons": dump(intent.reasons, "the reasons"),
        "traceparent": note(intent.traceparent),
        "before_image": _image(intent),
        "moment": note(intent.moment),
    }


def _image(intent: Intent) -> str | None:
    if not intent.before_known:
        return None
    return dump(pack(intent.before, intent.sealed.get("before")), "what was there before")


def dependencies(intent: Intent, needs: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Rows of sf_effect_dep; `needs` are what it turned out to build on besides."""
    every = dict.fromkeys((*intent.depends_on, *needs))
    return [{"effect_id": intent.effect_id, "needs_id": other} for other in every]


def claims(intent: Intent, resources: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of sf_claim."""
    shared = mode(intent)
    return [{"effect_id": intent.effect_id, "resource": resource, "mode": shared} for resource in resources]


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
    values["undo"] = undo_of(values["undo"])
    values["verify"] = _verify(values["verify"])
    values["reasons"] = tuple(load(values["reasons"]))
    values["before"] = values.pop("before_image")
    values["before_known"] = values["before"] is not None
    sealed = {}
    for name in ("args", "result", "comp_args", "before"):
        if values[name] is not None:
            values[name], mark = unpack(load(values[name]))
            if mark is not None:
                sealed[name] = mark
    return EffectRow(**values, sealed=sealed)


_EFFECT = (
    "effect_id", "branch_id", "session_id", "tenant", "seq", "tool", "schema_hash", "policy_hash",
    "effect_class", "fingerprint", "args", "idem_key", "keyed", "redacted", "stage", "result",
    "replayable", "error", "adopted_by", "undo", "verify", "comp_key", "comp_args", "attempts",
    "call_deadline", "not_before", "fence", "rev", "reasons", "traceparent", "created_at", "updated_at",
    "before_image", "moment",
)  # fmt: skip
"""sf_effect's columns in order; a test compares it with the table."""


def undo_of(text: str | None) -> UndoPlan | None:
    """The undo of an effect from its column."""
    return None if text is None else UndoPlan(**_plain(text))


def _verify(text: str | None) -> VerifyPlan | None:
    return None if text is None else VerifyPlan(**_plain(text))


def _plain(text: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = load(text)
    return found


def session_row(row: Row) -> SessionRow:
    """A session from its columns in the order of the table."""
    session_id, thread, tenant, owner, fence, lease_until, state, decision, created_at, *others = row
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
        presence=others[0],
        run_key=others[1],
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


def claim_row(row: Row) -> ClaimRow:
    """A claim from its columns in the order of the table."""
    effect_id, resource, mode = row
    return ClaimRow(effect_id=effect_id, resource=resource, mode=mode)


def prediction_row(row: Row) -> PredictionRow:
    """A prediction from its columns in the order of the table."""
    names = (
        "speculation_id", "session_id", "tool", "fingerprint", "predictor", "confidence", "outcome",
        "cause", "at", "runway", "saved", "wasted",
    )  # fmt: skip
    return PredictionRow(**dict(zip(names, row, strict=True)))
