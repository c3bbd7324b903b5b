"""Bugs in calling: what is written when, and what is made of what nobody knows."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from planted_bugs import Plant, bug

from specflow.effects.tool import CallContext
from specflow.execution import door as doors
from specflow.execution.door import Door, success
from specflow.journal.memory import MemoryJournal
from specflow.journal.record import Outcome
from specflow.lifecycle import Stage
from specflow.settlement import rest as rests
from specflow.settlement.rest import Settler
from specflow.speculation.retire import Retirer


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

    async def then(self: Any, lease: Any, effect_id: str, outcome: Outcome, **options: Any) -> bool:
        if effect_id in later:
            await intend(self, lease, later.pop(effect_id))
        return await record(self, lease, effect_id, outcome, **options)

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
