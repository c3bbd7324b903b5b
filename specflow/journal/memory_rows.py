"""The rows of the journal in memory: where they lie, how they are found, how one changes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from specflow.clock import Clock
from specflow.errors import JournalError
from specflow.journal import rules
from specflow.journal.operations import already_there
from specflow.journal.owner import known_dead
from specflow.journal.record import (
    BranchRow,
    DependencyRow,
    EffectRow,
    EventRow,
    Intent,
    Lease,
    PredictionRow,
    SessionRow,
    Snapshot,
)
from specflow.journal.text import note
from specflow.lifecycle import RESTING, BranchState, SessionState, Stage


class MemoryRows:
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
        self._closed = False

    async def active_sessions(self, thread: str | None = None) -> tuple[SessionRow, ...]:
        self._check_open()
        found = [
            row
            for row in self._sessions.values()
            if row.state is SessionState.ACTIVE and thread in {None, row.thread}
        ]
        return tuple(sorted(found, key=lambda row: (row.created_at, row.session_id)))

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
        )
        return copy.deepcopy(found)

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

    def _mine(self, lease: Lease, effect_id: str) -> EffectRow | None:
        row = self._effects.get(effect_id)
        return row if row is not None and row.session_id == lease.session_id else None

    def _adopter(self, adopted_by: str) -> EffectRow | None:
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
        if not self._effects.keys() >= set(intent.depends_on):
            raise JournalError(
                f"effect {intent.effect_id} depends on an effect that the journal does not know",
                effect_id=intent.effect_id,
                conflict="depends_on",
            )

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
