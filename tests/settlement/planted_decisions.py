"""Bugs in deciding, leasing and recovering."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from planted_bugs import bug

from specflow.journal import rules
from specflow.journal.memory import MemoryJournal
from specflow.journal.memory_rows import MemoryRows
from specflow.lifecycle import BranchState, Stage
from specflow.speculation import coordinator
from specflow.speculation import session as sessions
from specflow.speculation.adopt import Adopter


@bug(
    "adoption does not compare before it sets",
    "MemoryJournal._decide",
    "adoption_and_abort_cannot_both_win",
)
def _(patch: pytest.MonkeyPatch) -> None:
    decide = MemoryJournal._decide

    def reckless(self: Any, lease: Any, branch_id: str, state: Any, *rest: Any) -> bool:
        branch = self._branches[branch_id]
        if state is BranchState.CONFIRMED:
            self._branches[branch_id] = replace(branch, state=BranchState.OPEN)
        return bool(decide(self, lease, branch_id, state, *rest))

    patch.setattr(MemoryJournal, "_decide", reckless)


@bug(
    "an abort after the adoption wins",
    "MemoryJournal.abort",
    "adoption_and_abort_cannot_both_win",
)
def _(patch: pytest.MonkeyPatch) -> None:
    abort = MemoryJournal.abort

    async def stubborn(self: Any, lease: Any, branch_id: str, cause: str) -> bool:
        self._branches[branch_id] = replace(self._branches[branch_id], state=BranchState.OPEN)
        return await abort(self, lease, branch_id, cause)

    patch.setattr(MemoryJournal, "abort", stubborn)


@bug(
    "a result is handed over before it is adopted",
    "Adopter._commit",
    "a_result_is_handed_over_only_once_it_is_adopted",
)
def _(patch: pytest.MonkeyPatch) -> None:
    async def hasty(self: Any, *_args: Any) -> bool:
        return True

    patch.setattr(Adopter, "_commit", hasty)


@bug(
    "a saga is decided after it has acted",
    "session.take_back",
    "death_in_a_saga_does_not_end_it",
)
def _(patch: pytest.MonkeyPatch) -> None:
    take_back = sessions.take_back

    async def acts_first(journal: Any, settler: Any, lease: Any, **options: Any) -> Any:
        for row in await journal.effects(lease.session_id):
            await settler.rest(lease, row, cause="saga", saga=True)
        return await take_back(journal, settler, lease, **options)

    patch.setattr(rules, "check_branch", lambda *_args: None)
    patch.setattr(sessions, "take_back", acts_first)


@bug(
    "recovery passes over what was being compensated",
    "MemoryRows.unsettled",
    "death_at_every_point_is_recovered",
)
def _(patch: pytest.MonkeyPatch) -> None:
    unsettled = MemoryRows.unsettled

    async def some(self: Any, session_id: str) -> Any:
        found = await unsettled(self, session_id)
        return tuple(row for row in found if row.stage is not Stage.COMPENSATING)

    patch.setattr(MemoryRows, "unsettled", some)


@bug(
    "recovery leaves open branches open",
    "MemoryRows.open_branches",
    "death_at_every_point_is_recovered",
)
def _(patch: pytest.MonkeyPatch) -> None:
    async def none(self: Any, session_id: str) -> tuple[str, ...]:
        return ()

    patch.setattr(MemoryRows, "open_branches", none)


@bug(
    "the fence is not checked",
    "rules.check_lease",
    "a_zombie_writes_nothing",
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules, "check_lease", lambda lease, held: None)


@bug(
    "a lease never ends",
    "MemoryRows._abandoned",
    "a_lease_ends_and_not_before",
    "death_at_every_point_is_recovered",
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryRows, "_abandoned", lambda self, row: False)


@bug(
    "a session is taken from an owner that lives",
    "MemoryRows._abandoned",
    "a_lease_ends_and_not_before",
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryRows, "_abandoned", lambda self, row: True)


@bug(
    "an event is not written",
    "MemoryRows._event",
    "death_at_every_point_is_recovered",
    "an_undo_is_tried_again_until_it_succeeds",
)
def _(patch: pytest.MonkeyPatch) -> None:
    event = MemoryRows._event

    def silent(self: Any, lease: Any, subject: str, source: str, target: str, **facts: Any) -> None:
        if target != Stage.COMPENSATED:
            event(self, lease, subject, source, target, **facts)

    patch.setattr(MemoryRows, "_event", silent)


@bug(
    "a call that needs a person's yes is made without one",
    "coordinator.admit",
    "nobody_is_charged_without_a_yes",
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(coordinator, "admit", lambda verdict, real: None)
