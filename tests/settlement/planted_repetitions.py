"""Bugs in repeating a call under its old key: what is on record before it, and what counts after it."""

from __future__ import annotations

from typing import Any

import pytest
from planted_bugs import bug

from specflow.execution import door
from specflow.execution.time_allowed import limit
from specflow.journal.memory import MemoryJournal


@bug(
    "a repetition is not on record first",
    "MemoryJournal.repeat",
    "a_repetition_is_on_record_before_it_is_made",
    "who_comes_after_a_repetition_waits_for_it",
    "a_no_from_before_a_repetition_does_not_count_after_it",
    "nobody_calls_again_what_somebody_else_has_settled",
)
def _(patch: pytest.MonkeyPatch) -> None:
    async def unwritten(self: Any, lease: Any, effect_id: str, **_options: Any) -> bool:
        return True

    patch.setattr(MemoryJournal, "repeat", unwritten)


@bug(
    "a repetition keeps the deadline of the try before it",
    "MemoryJournal.repeat",
    "a_repetition_is_on_record_before_it_is_made",
    "who_comes_after_a_repetition_waits_for_it",
)
def _(patch: pytest.MonkeyPatch) -> None:
    repeat = MemoryJournal.repeat

    async def hurried(self: Any, lease: Any, effect_id: str, *, rev: int, call_deadline: float) -> bool:
        row = await self.effect(effect_id)
        return await repeat(self, lease, effect_id, rev=rev, call_deadline=row.call_deadline or call_deadline)

    patch.setattr(MemoryJournal, "repeat", hurried)


@bug(
    "an answer from before a repetition counts after it",
    "MemoryJournal.record",
    "a_no_from_before_a_repetition_does_not_count_after_it",
)
def _(patch: pytest.MonkeyPatch) -> None:
    record = MemoryJournal.record

    async def forgetful(self: Any, lease: Any, effect_id: str, outcome: Any, **_options: Any) -> bool:
        return await record(self, lease, effect_id, outcome)

    patch.setattr(MemoryJournal, "record", forgetful)


@bug(
    "a call is made however late it is",
    "door.left",
    "who_was_stopped_before_its_call_does_not_make_it_late",
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(door, "left", lambda order, _on_record, _clock: limit(order))
