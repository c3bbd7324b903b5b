"""The rows of the journal in memory: where they lie, how they are found, how one changes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from specflow.clock import Clock
from specflow.effects.claim import tool_claim
from specflow.errors import JournalError
from specflow.journal import cover, rules
from specflow.journal.approval import Approval
from specflow.journal.call_transactions import WithoutTransactions
from specflow.journal.claims import SHARED, Holder, Wanted, grant, is_live
from specflow.journal.operations import already_there
from specflow.journal.owner import known_dead
from specflow.journal.record import (
    BranchRow,
    ClaimRow,
    DependencyRow,
    EffectRow,
    EventRow,
    Intent,
    Lease,
    PredictionRow,
    Readoption,
    SessionRow,
    Snapshot,
)
from specflow.journal.text import note
from specflow.lifecycle import RESTING, BranchState, SessionState, Stage


class MemoryRows(WithoutTransactions):
    """State and queries of `MemoryJournal`; what is read back is the reader's own copy."""

    def __init__(
        self,
        clock: Clock,
        *,
        lease_seconds: float = 30.0,
        is_dead: Callable[[str], bool] = known_dead,
    ) -> None:
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._is_dead = is_dead
        self._sessions: dict[str, SessionRow] = {}
        self._branches: dict[str, BranchRow] = {}
        self._effects: dict[str, EffectRow] = {}
        self._events: list[EventRow] = []
        self._predictions: dict[str, PredictionRow] = {}
        self._dependencies: dict[tuple[str, str], DependencyRow] = {}
        self._readoptions: dict[str, Readoption] = {}
        """By the identity of a later call."""
        self._claims: dict[tuple[str, str], ClaimRow] = {}
        self._approvals: dict[str, Approval] = {}
        self._closed = False

    async def active_sessions(self, thread: str | None = None) -> tuple[SessionRow, ...]:
        self._check_open()
        found = [
            row
            for row in self._sessions.values()
            if row.state is SessionState.ACTIVE and thread in {None, row.thread}
        ]
        return tuple(sorted(found, key=lambda row: (row.created_at, row.session_id)))

    async def abandoned_sessions(self) -> tuple[SessionRow, ...]:
        return tuple(row for row in await self.active_sessions() if self._abandoned(row))

    def _abandoned(self, row: SessionRow) -> bool:
        return row.lease_until < self._clock.wall() or self._is_dead(row.owner)

    async def effect(self, effect_id: str) -> EffectRow | None:
        self._check_open()
        row = self._effects.get(effect_id)
        return copy.deepcopy(row)

    async def adopted(self, adopted_by: str) -> EffectRow | None:
        self._check_open()
        return copy.deepcopy(self._adopter(adopted_by))

    async def unsettled(self, session_id: str) -> tuple[EffectRow, ...]:
        self._check_open()
        live = (row for row in reversed(self._of(session_id)) if row.stage not in RESTING)
        return tuple(copy.deepcopy(row) for row in live)

    async def effects(self, session_id: str) -> tuple[EffectRow, ...]:
        self._check_open()
        return tuple(copy.deepcopy(row) for row in reversed(self._of(session_id)))

    async def dependents(self, effect_id: str) -> tuple[EffectRow, ...]:
        self._check_open()
        found = [self._effects[one] for one, needs in self._dependencies if needs == effect_id]
        found.sort(key=lambda row: (-row.seq, row.effect_id))
        return tuple(copy.deepcopy(row) for row in found)

    async def session(self, session_id: str) -> SessionRow | None:
        self._check_open()
        return self._sessions.get(session_id)

    async def stuck_tools(self, tenant: str) -> Mapping[str, str]:
        self._check_open()
        found: dict[str, str] = {}
        for row in sorted(self._effects.values(), key=lambda row: (row.created_at, row.effect_id)):
            if row.stage is Stage.STUCK and self._sessions[row.session_id].tenant == tenant:
                found.setdefault(row.tool, row.effect_id)
        return found

    async def branch_state(self, branch_id: str) -> str | None:
        self._check_open()
        branch = self._branches.get(branch_id)
        return None if branch is None else branch.state.value

    async def open_branches(self, session_id: str) -> tuple[str, ...]:
        self._check_open()
        return tuple(
            sorted(
                row.branch_id
                for row in self._branches.values()
                if row.session_id == session_id and row.state is BranchState.OPEN
            )
        )

    def note(self, prediction: PredictionRow) -> None:
        self._check_open()
        texts = {f.name: getattr(prediction, f.name) for f in fields(prediction)}
        texts = {name: note(value) for name, value in texts.items() if isinstance(value, str)}
        self._predictions[prediction.speculation_id] = replace(prediction, **texts)

    async def predictions(self, most: int) -> tuple[PredictionRow, ...]:
        return (await self.snapshot()).predictions[-most:]

    async def snapshot(self) -> Snapshot:
        self._check_open()
        found = Snapshot(
            sessions=tuple(sorted(self._sessions.values(), key=lambda row: (row.created_at, row.session_id))),
            branches=tuple(sorted(self._branches.values(), key=lambda row: (row.session_id, row.branch_id))),
            effects=tuple(sorted(self._effects.values(), key=lambda row: (row.session_id, row.seq))),
            events=tuple(self._events),
            predictions=tuple(
                sorted(self._predictions.values(), key=lambda row: (row.at, row.speculation_id))
            ),
            dependencies=tuple(self._dependencies[key] for key in sorted(self._dependencies)),
            claims=tuple(self._claims[key] for key in sorted(self._claims)),
            approvals=self._asked(),
        )
        return copy.deepcopy(found)

    def _asked(self) -> tuple[Approval, ...]:
        return tuple(sorted(self._approvals.values(), key=lambda row: (row.asked_at, row.approval_id)))

    async def aclose(self) -> None:
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise JournalError("the journal is closed", hint="open it again")

    def _guard(self, lease: Lease) -> SessionRow:
        self._check_open()
        session = self._sessions.get(lease.session_id)
        rules.check_lease(lease, session)
        assert session is not None
        return session

    def _of(self, session_id: str) -> list[EffectRow]:
        return [row for row in self._effects.values() if row.session_id == session_id]

    def _take(self, session: SessionRow, owner: str, cause: str) -> Lease:
        lease = Lease(session_id=session.session_id, owner=owner, fence=session.fence + 1)
        self._sessions[session.session_id] = replace(
            session,
            owner=owner,
            fence=lease.fence,
            state=SessionState.ACTIVE,
            lease_until=self._clock.wall() + self._lease_seconds,
        )
        facts = {"owner": owner, "from": session.owner}
        self._event(lease, session.session_id, session.state, SessionState.ACTIVE, cause=cause, facts=facts)
        return lease

    async def release_session(self, lease: Lease) -> None:
        self._check_open()
        session = self._sessions.get(lease.session_id)
        if session is not None and (session.owner, session.fence) == (lease.owner, lease.fence):
            self._sessions[lease.session_id] = replace(session, lease_until=0.0)

    def _mine(self, lease: Lease, effect_id: str) -> EffectRow | None:
        row = self._effects.get(effect_id)
        return row if row is not None and row.session_id == lease.session_id else None

    def _adopter(self, adopted_by: str) -> EffectRow | None:
        again = self._readoptions.get(adopted_by)
        if again is not None:
            return self._effects[again.effect_id]
        return next((row for row in self._effects.values() if row.adopted_by == adopted_by), None)

    def _key(self, row: EffectRow) -> tuple[str, str, str]:
        return self._sessions[row.session_id].tenant, row.tool, row.idem_key

    def _refuse_twins(self, session: SessionRow, intent: Intent) -> None:
        key = (session.tenant, intent.tool, intent.idem_key)
        taken = {
            "effect": intent.effect_id in self._effects,
            "branch": intent.branch_id in self._branches,
            "adopted_by": intent.adopted_by is not None and self._adopter(intent.adopted_by) is not None,
            "idem_key": any(key == self._key(row) for row in self._effects.values()),
        }
        for what, is_taken in taken.items():
            if is_taken:
                raise already_there(intent, what)

    def _holders(self) -> Iterator[Holder]:
        for row in self._claims.values():
            effect = self._effects[row.effect_id]
            state = self._branches[effect.branch_id].state
            if is_live(effect.stage, state):
                yield Holder(
                    resource=row.resource,
                    effect_id=row.effect_id,
                    session_id=effect.session_id,
                    tenant=self._sessions[effect.session_id].tenant,
                    tool=effect.tool,
                    stage=effect.stage,
                    branch=state,
                )

    def _grant(self, session: SessionRow, intent: Intent, want: Wanted) -> tuple[str, ...]:
        """What an intent builds on besides; raises ClaimedError."""
        who = {"session_id": session.session_id, "tenant": session.tenant}
        return grant(intent, want, holders=self._holders(), **who)

    def _claim(self, effect_id: str, resource: str, mode: str) -> None:
        self._claims[effect_id, resource] = ClaimRow(effect_id=effect_id, resource=resource, mode=mode)

    def _release_claims(self, session_id: str) -> None:
        over = {row.effect_id for row in self._of(session_id) if row.stage is not Stage.STUCK}
        self._claims = {key: row for key, row in self._claims.items() if row.effect_id not in over}

    def _check_ground(self, lease: Lease, intent: Intent) -> None:
        if intent.parent_id is not None:
            above = self._branches.get(intent.parent_id)
            mine = above is not None and above.session_id == lease.session_id
            rules.check_ground(intent, f"branch {intent.parent_id}", above.state if above and mine else None)
        for other in intent.depends_on:
            row = self._mine(lease, other)
            state = None if row is None else self._branches[row.branch_id].state
            rules.check_ground(intent, f"effect {other}", state)
            if row is not None and state is not None and other == cover.base_of(intent.undo):
                patched = self._is_patched(other)
                cover.check_base(intent, row.stage, cover.base_of(row.undo), patched, state)

    def _is_patched(self, effect_id: str) -> bool:
        above = (self._effects[one] for one, needs in self._dependencies if needs == effect_id)
        return any(cover.base_of(row.undo) == effect_id for row in above)

    def _shift(
        self,
        lease: Lease,
        row: EffectRow,
        target: Stage,
        *,
        cause: str,
        facts: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> None:
        self._effects[row.effect_id] = replace(
            row, stage=target, rev=row.rev + 1, fence=lease.fence, updated_at=self._clock.wall(), **changes
        )
        self._event(lease, row.effect_id, row.stage, target, cause=cause, facts=facts)
        unclaimed = all(effect_id != row.effect_id for effect_id, _resource in self._claims)
        if target in {Stage.UNKNOWN, Stage.STUCK} and unclaimed:
            self._claim(row.effect_id, tool_claim(row.tool), SHARED)

    def _event(
        self,
        lease: Lease,
        subject: str,
        source: str,
        target: str,
        *,
        cause: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self._events.append(
            EventRow(
                seq=len(self._events) + 1,
                at=self._clock.wall(),
                session_id=lease.session_id,
                subject=subject,
                source=str(source),
                target=str(target),
                cause=note(cause),
                fence=lease.fence,
                facts=dict(facts or {}),
            )
        )
