"""Bugs, each planted by replacing one named function, and the checks of the proof that must notice it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from specflow.effects.tool import CallContext
from specflow.execution import door as doors
from specflow.execution.door import Door, success
from specflow.journal import rules
from specflow.journal.memory import MemoryJournal
from specflow.journal.memory_rows import MemoryRows
from specflow.journal.record import Outcome
from specflow.lifecycle import BranchState, Stage
from specflow.settlement import rest as rests
from specflow.settlement import undo as undos
from specflow.settlement.rest import Settler
from specflow.settlement.undo import Undoer
from specflow.speculation import session as sessions
from specflow.speculation.adopt import Adopter
from specflow.speculation.retire import Retirer

Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """`at` is the function that is replaced; `caught_by` are checks that must fail, by name."""

    name: str
    at: str
    plant: Plant
    caught_by: tuple[str, ...]


BUGS: list[Bug] = []


def bug(name: str, at: str, *caught_by: str) -> Callable[[Plant], Plant]:
    def add(plant: Plant) -> Plant:
        BUGS.append(Bug(name=name, at=at, plant=plant, caught_by=caught_by))
        return plant

    return add


# ------------------------------------------------------------------ intent, call, outcome


@bug(
    "the intent is written after the call",
    "MemoryJournal.intend",
    "every_call_is_on_record_before_it_is_made",
    "death_at_every_point_is_recovered",
)
def _(patch: pytest.MonkeyPatch) -> None:
    intend, record = MemoryJournal.intend, MemoryJournal.record
    later: dict[str, Any] = {}

    async def put_off(self: Any, lease: Any, intent: Any) -> int:
        later[intent.effect_id] = intent
        return 1

    async def then(self: Any, lease: Any, effect_id: str, outcome: Outcome) -> bool:
        if effect_id in later:
            await intend(self, lease, later.pop(effect_id))
        return await record(self, lease, effect_id, outcome)

    patch.setattr(MemoryJournal, "intend", put_off)
    patch.setattr(MemoryJournal, "record", then)


@bug(
    "the outcome is written before the call",
    "Door._act",
    "every_call_is_on_record_before_it_is_made",
    "death_at_every_point_is_recovered",
)
def _(patch: pytest.MonkeyPatch) -> None:
    act = Door._act

    async def too_soon(self: Any, order: Any, lease: Any, effect_id: str, *rest: Any) -> Any:
        await self._journal.record(lease, effect_id, success({"booking_id": effect_id}))
        return await act(self, order, lease, effect_id, *rest)

    patch.setattr(Door, "_act", too_soon)


@bug(
    "an intent that could not be written does not stop the call",
    "door.finish",
    "without_an_intent_there_is_no_call",
)
def _(patch: pytest.MonkeyPatch) -> None:
    async def never_mind(write: Any) -> Any:
        try:
            return await write
        except Exception:
            return True

    patch.setattr(doors, "finish", never_mind)


@bug(
    "a recorded outcome is ignored on resume",
    "Door._on_record",
    "what_is_recorded_is_returned_and_not_called_again",
    "one_real_call_has_one_effect",
)
def _(patch: pytest.MonkeyPatch) -> None:
    count = itertools.count()

    async def forgetful(self: Any, order: Any) -> Any:
        return (None if order.adopted_by is None else f"{order.adopted_by} {next(count)}"), None

    patch.setattr(Door, "_on_record", forgetful)


@bug(
    "a lost real call is repeated under a new key",
    "rest.CallContext",
    "a_lost_real_call_is_repeated_under_its_own_key",
)
def _(patch: pytest.MonkeyPatch) -> None:
    def fresh(**options: Any) -> CallContext:
        key = options.get("idempotency_key", "")
        return CallContext(**{**options, "idempotency_key": f"{key} again"})

    patch.setattr(rests, "CallContext", fresh)


@bug(
    "a write in flight is cancelled",
    "Retirer._take_back",
    "a_write_in_flight_is_never_cancelled",
)
def _(patch: pytest.MonkeyPatch) -> None:
    take_back = Retirer._take_back

    async def impatient(self: Any, session: Any, speculation: Any, cause: str) -> None:
        speculation.work.cancel()
        await take_back(self, session, speculation, cause)

    patch.setattr(Retirer, "_take_back", impatient)


# ------------------------------------------------------------------ what is not known


def _always(stage: Stage) -> Plant:
    def plant(patch: pytest.MonkeyPatch) -> None:
        async def guess(self: Any, lease: Any, row: Any, *, repeat: bool) -> Outcome:
            return Outcome(stage=stage, result={"booking_id": row.idem_key}, error="surely")

        patch.setattr(Settler, "_find_out", guess)

    return plant


bug(
    "what is unknown is taken to be undone",
    "Settler._find_out",
    "an_unknown_outcome_is_asked_after_not_guessed",
    "what_nobody_can_tell_is_stuck_and_said",
    "death_at_every_point_is_recovered",
)(_always(Stage.FAILED))

bug(
    "what is unknown is taken to be done",
    "Settler._find_out",
    "an_unknown_outcome_is_asked_after_not_guessed",
    "what_nobody_can_tell_is_stuck_and_said",
    "death_at_every_point_is_recovered",
)(_always(Stage.DONE))


@bug(
    "the answer of a verify is inverted",
    "Settler._ask",
    "an_unknown_outcome_is_asked_after_not_guessed",
    "death_at_every_point_is_recovered",
)
def _(patch: pytest.MonkeyPatch) -> None:
    ask = Settler._ask

    async def inverted(self: Any, row: Any) -> Any:
        return {"booking_id": row.idem_key} if await ask(self, row) is None else None

    patch.setattr(Settler, "_ask", inverted)


@bug(
    "a call that may still be travelling is asked after at once",
    "Settler._until_it_cannot_travel",
    "a_late_call_meets_its_undo",
)
def _(patch: pytest.MonkeyPatch) -> None:
    async def at_once(self: Any, row: Any) -> None:
        return None

    patch.setattr(Settler, "_until_it_cannot_travel", at_once)


# ------------------------------------------------------------------ undo


@bug(
    "undo goes forward: the oldest effect first",
    "MemoryRows.unsettled, MemoryRows.effects",
    "a_saga_takes_back_the_newest_first",
)
def _(patch: pytest.MonkeyPatch) -> None:
    for name in ("unsettled", "effects"):
        newest_first = getattr(MemoryRows, name)

        async def oldest_first(self: Any, session_id: str, found: Any = newest_first) -> Any:
            return tuple(reversed(await found(self, session_id)))

        patch.setattr(MemoryRows, name, oldest_first)


@bug(
    "what an effect builds on is not waited for",
    "Settler._free",
    "what_stands_on_something_is_undone_before_it",
)
def _(patch: pytest.MonkeyPatch) -> None:
    async def free(self: Any, *_args: Any, **_options: Any) -> bool:
        return True

    patch.setattr(Settler, "_free", free)


@bug(
    "every try of an undo has a key of its own",
    "undo.CallContext",
    "an_undo_has_one_key_whoever_makes_it",
    "death_at_every_point_is_recovered",
)
def _(patch: pytest.MonkeyPatch) -> None:
    count = itertools.count()

    def fresh(**options: Any) -> CallContext:
        return CallContext(**{**options, "idempotency_key": f"{options['idempotency_key']} {next(count)}"})

    patch.setattr(undos, "CallContext", fresh)


@bug(
    "an undo that failed counts as done",
    "Undoer._try",
    "an_undo_that_fails_for_good_is_stuck_and_said",
    "an_undo_is_tried_again_until_it_succeeds",
)
def _(patch: pytest.MonkeyPatch) -> None:
    tried = Undoer._try

    async def content(self: Any, *args: Any, **options: Any) -> str:
        self._persistence = replace(self._persistence, tries=1)
        await tried(self, *args, **options)
        return ""

    patch.setattr(Undoer, "_try", content)


@bug(
    "what is stuck is dropped without a word",
    "Undoer._stuck",
    "an_undo_that_fails_for_good_is_stuck_and_said",
)
def _(patch: pytest.MonkeyPatch) -> None:
    async def drop(self: Any, lease: Any, row: Any, _reason: str, **_facts: Any) -> Stage:
        await self._journal.move(lease, row.effect_id, Stage.COMPENSATING, Stage.COMPENSATED, cause="dropped")
        return Stage.COMPENSATED

    patch.setattr(Undoer, "_stuck", drop)


@bug(
    "a tool that is not declared to undo is run as a compensator",
    "Undoer._compensator",
    "only_a_declared_compensator_is_run",
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Undoer, "_compensator", lambda self, row: self._registry.require(row.undo.tool))


@bug(
    "a compensator is called beside itself",
    "Undoer.undo",
    "what_stands_on_something_is_undone_before_it",
)
def _(patch: pytest.MonkeyPatch) -> None:
    async def unguarded(self: Any, lease: Any, row: Any, *, cause: str, speculation_id: str = "") -> Stage:
        return await self._undo(lease, row, cause=cause, speculation_id=speculation_id)

    patch.setattr(Undoer, "undo", unguarded)


@bug(
    "the compensator is called before the undo is on record",
    "MemoryJournal.move",
    "every_call_is_on_record_before_it_is_made",
    "an_undo_has_one_key_whoever_makes_it",
)
def _(patch: pytest.MonkeyPatch) -> None:
    move = MemoryJournal.move

    async def later(self: Any, lease: Any, effect_id: str, source: Any, target: Any, **more: Any) -> bool:
        going = Stage.COMPENSATING
        if target is going:
            return True
        if source is going:
            row = await self.effect(effect_id)
            await move(self, lease, effect_id, row.stage, going, comp_key=f"undo {effect_id}")
        return await move(self, lease, effect_id, source, target, **more)

    patch.setattr(MemoryJournal, "move", later)


# ------------------------------------------------------------------ decisions, leases, recovery


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
    "coordinator._admit",
    "nobody_is_charged_without_a_yes",
)
def _(patch: pytest.MonkeyPatch) -> None:
    from specflow.speculation import coordinator

    patch.setattr(coordinator, "_admit", lambda verdict, real: None)
