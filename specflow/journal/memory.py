"""The journal in dictionaries: the same answers as the SQL one, no threads, no files, nothing durable.

Its methods are coroutines that never wait, so it runs under virtual time; a contract suite and a
Hypothesis machine hold it to what `sql` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from specflow.errors import JournalError
from specflow.journal import rules
from specflow.journal.claims import mode, wanted
from specflow.journal.memory_branches import MemoryBranches
from specflow.journal.record import (
    BranchRow,
    DependencyRow,
    EffectRow,
    Intent,
    Lease,
    Outcome,
    SessionRow,
    UndoPlan,
    VerifyPlan,
)
from specflow.journal.session_operations import already_decided, branch_open, not_at_rest
from specflow.journal.text import dump, load, note
from specflow.lifecycle import RESTING, BranchState, SessionState, Stage
from specflow.sealing.sealed import Sealed

_SHARED = {field.name for field in fields(Intent)} & {field.name for field in fields(EffectRow)}


class MemoryJournal(MemoryBranches):
    """`specflow.journal.port.Journal` without a database, for tests and for runs that risk nothing.

    All of it is gone with the process: nothing can be recovered.
    """

    async def open_session(
        self, session_id: str, *, thread: str, owner: str, tenant: str = "", run_key: str = ""
    ) -> Lease:
        self._check_open()
        rules.check_session(session_id, thread, owner, tenant, run_key)
        if session_id in self._sessions:
            raise JournalError(
                f"session {session_id} is already in the journal",
                hint="take it over, or open one under a new id",
                session_id=session_id,
            )
        now = self._clock.wall()
        self._sessions[session_id] = SessionRow(
            session_id=session_id,
            thread=thread,
            tenant=tenant,
            owner=owner,
            fence=1,
            lease_until=now + self._lease_seconds,
            state=SessionState.ACTIVE,
            decision="",
            created_at=now,
            run_key=run_key,
        )
        lease = Lease(session_id=session_id, owner=owner, fence=1)
        self._event(lease, session_id, "", SessionState.ACTIVE, facts={"owner": owner})
        return lease

    async def newest_session(self, thread: str, *, tenant: str = "") -> SessionRow | None:
        self._check_open()
        # A dictionary keeps its keys in the order in which they came: that of the events.
        newest_first = reversed(self._sessions.values())
        return next((row for row in newest_first if (row.thread, row.tenant) == (thread, tenant)), None)

    async def take_session(self, session_id: str, *, owner: str, force: bool = False) -> Lease | None:
        self._check_open()
        rules.check_session(session_id, "", owner, "")
        session = self._sessions.get(session_id)
        if session is None or session.state is SessionState.CLOSED:
            return None
        if not (force or self._abandoned(session)):
            return None
        return self._take(session, owner, "taken")

    async def reopen_session(self, session_id: str, *, owner: str) -> Lease | None:
        self._check_open()
        rules.check_session(session_id, "", owner, "")
        session = self._sessions.get(session_id)
        if session is None or session.state is SessionState.ACTIVE:
            return None
        if not any(row.stage is Stage.STUCK for row in self._of(session_id)):
            return None
        return self._take(session, owner, "reopened")

    async def decide_session(self, lease: Lease, decision: str) -> bool:
        rules.check_decision(decision)
        session = self._guard(lease)
        if session.decision:
            return session.decision == decision
        self._sessions[lease.session_id] = replace(session, decision=decision)
        active = SessionState.ACTIVE
        self._event(lease, lease.session_id, active, active, cause="decided", facts={"decision": decision})
        return True

    async def close_session(self, lease: Lease, *, decision: str = "completed") -> None:
        rules.check_decision(decision)
        session = self._guard(lease)
        if session.decision not in {"", decision}:
            raise already_decided(lease, session.decision, decision)
        still_open = await self.open_branches(lease.session_id)
        if still_open:
            raise branch_open(lease, still_open[0])
        live = [row for row in self._of(lease.session_id) if row.stage not in RESTING]
        for row in live:
            confirmed = self._branches[row.branch_id].state is BranchState.CONFIRMED
            if row.stage is not Stage.DONE or not confirmed:
                raise not_at_rest(lease, row.effect_id, row.stage)
        for row in live:
            self._shift(lease, row, Stage.COMMITTED, cause="closed", not_before=None)
        self._release_claims(lease.session_id)
        self._sessions[lease.session_id] = replace(
            session, decision=decision, state=SessionState.CLOSED, lease_until=0.0
        )
        self._event(lease, lease.session_id, SessionState.ACTIVE, SessionState.CLOSED, cause=decision)

    async def intend(self, lease: Lease, intent: Intent) -> int:
        rules.check_intent(intent)
        args = load(dump(intent.args, f"the arguments of {intent.tool}"))
        before = load(dump(intent.before, "what was there before")) if intent.before_known else None
        session = self._guard(lease)
        want = wanted(intent)
        needs = self._grant(session, intent, want) if want is not None else ()
        self._check_ground(lease, intent)
        spent = self._spent(intent)
        self._refuse_twins(session, intent)
        if spent is not None:
            self._approvals[spent.approval_id] = spent
        now, seq = self._clock.wall(), 1 + max((row.seq for row in self._of(lease.session_id)), default=0)
        state = BranchState.OPEN if intent.adopted_by is None else BranchState.CONFIRMED
        decided, cause = state is BranchState.CONFIRMED, note(intent.cause)
        self._branches[intent.branch_id] = BranchRow(
            branch_id=intent.branch_id,
            session_id=lease.session_id,
            parent_id=intent.parent_id,
            hypothesis=note(intent.hypothesis),
            state=state,
            cause=cause if decided else "",
            decided_at=now if decided else None,
            decided_fence=lease.fence if decided else None,
        )
        given = {name: getattr(intent, name) for name in _SHARED}
        given |= {
            "args": args,
            "undo": _undo(intent.undo),
            "verify": _verify(intent.verify),
            "reasons": tuple(intent.reasons),
            "traceparent": note(intent.traceparent),
            "before": before,
            "moment": note(intent.moment),
            "sealed": dict(intent.sealed),
        }
        self._effects[intent.effect_id] = EffectRow(
            **given,
            session_id=lease.session_id,
            seq=seq,
            stage=Stage.INTENDED,
            result=None,
            replayable=True,
            error="",
            comp_key=None,
            comp_args=None,
            attempts=0,
            not_before=None,
            fence=lease.fence,
            rev=1,
            created_at=now,
            updated_at=now,
        )
        for other in (*intent.depends_on, *needs):
            row = DependencyRow(effect_id=intent.effect_id, needs_id=other)
            self._dependencies[intent.effect_id, other] = row
        for resource in want.claims if want is not None else ():
            self._claim(intent.effect_id, resource, mode(intent))
        self._event(lease, intent.branch_id, "", state, cause=cause)
        self._event(lease, intent.effect_id, "", Stage.INTENDED, cause=cause)
        return seq

    async def record(self, lease: Lease, effect_id: str, outcome: Outcome, *, rev: int | None = None) -> bool:
        rules.check_outcome(outcome)
        result = load(dump(outcome.result, "the tool's result"))
        self._guard(lease)
        row = self._mine(lease, effect_id)
        if row is None or row.stage not in rules.record_sources(outcome.stage):
            return False
        if rev is not None and rules.repeated_since(row.stage, row.rev, rev):
            return False
        self._shift(
            lease,
            row,
            outcome.stage,
            cause="outcome",
            result=result,
            sealed=_sealing(row, "result", outcome.sealed),
            replayable=outcome.replayable,
            error=note(outcome.error),
        )
        return True

    async def repeat(self, lease: Lease, effect_id: str, *, rev: int, call_deadline: float) -> bool:
        session, row = self._guard(lease), self._mine(lease, effect_id)
        if row is None:
            return False
        branch = self._branches[row.branch_id].state
        if not rules.may_repeat(row.stage, row.rev == rev, branch, session.decision):
            return False
        rules.check_repetition(effect_id, row.call_deadline, call_deadline, keyed=row.keyed)
        facts = {"call_deadline": call_deadline}
        self._shift(lease, row, Stage.INTENDED, cause=rules.AGAIN, facts=facts, call_deadline=call_deadline)
        return True

    async def move(
        self,
        lease: Lease,
        effect_id: str,
        source: Stage,
        target: Stage,
        *,
        cause: str = "",
        comp_key: str | None = None,
        comp_args: Mapping[str, Any] | None = None,
        comp_sealed: Sealed | None = None,
        not_before: float | None = None,
        error: str | None = None,
    ) -> bool:
        rules.check_move(source, target)
        given = None if comp_args is None else load(dump(comp_args, "the undo's arguments"))
        session = self._guard(lease)
        row = self._mine(lease, effect_id)
        if row is None or row.stage is not source:
            return False
        branch = self._branches[row.branch_id].state
        rules.check_branch(effect_id, source, target, branch, session.decision, cause)
        rules.check_comp_key(effect_id, row.comp_key, comp_key)
        if comp_key is not None and any(
            other.comp_key == comp_key and other is not row for other in self._effects.values()
        ):
            raise JournalError(
                f"the undo key of effect {effect_id} belongs to another effect",
                effect_id=effect_id,
                conflict="comp_key",
            )
        self._shift(
            lease,
            row,
            target,
            cause=cause,
            facts={"error": note(error)} if error else {},
            not_before=not_before,
            comp_key=row.comp_key or comp_key,
            comp_args=row.comp_args if given is None else given,
            sealed=row.sealed if given is None else _sealing(row, "comp_args", comp_sealed),
            error=row.error if error is None else note(error),
            attempts=row.attempts + (target is Stage.COMPENSATING),
        )
        return True


def _sealing(row: EffectRow, name: str, sealed: Sealed | None) -> dict[str, Sealed]:
    others = {other: mark for other, mark in row.sealed.items() if other != name}
    return others if sealed is None else {**others, name: sealed}


def _undo(plan: UndoPlan | None) -> UndoPlan | None:
    return None if plan is None else replace(plan, arguments=dict(plan.arguments))


def _verify(plan: VerifyPlan | None) -> VerifyPlan | None:
    return None if plan is None else replace(plan, arguments=dict(plan.arguments))
