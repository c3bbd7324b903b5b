"""The invariant of calls made once more: under a key, while they were wanted, on record until all is over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from specflow.journal.record import EffectRow, EventRow
from specflow.journal.verify_history import saga_decided
from specflow.journal.verify_rows import Rows, Violation, violation
from specflow.lifecycle import BranchState, Stage


def repetitions_are_on_record(rows: Rows) -> Iterator[Violation]:
    """I18, of every effect that was called again."""
    for effect in rows.effects.values():
        events = rows.events("effect", effect.effect_id)
        again = [event for event in events if (event.source, event.target) == _REPEATED]
        for trouble in _troubles(rows, effect, again) if again else ():
            yield violation("I18", f"{effect.tool} was called again {trouble}", effect.effect_id)


_REPEATED = (Stage.UNKNOWN, Stage.INTENDED)


def _troubles(rows: Rows, effect: EffectRow, again: list[EventRow]) -> Iterator[str]:
    if not effect.keyed:
        yield "and takes no key: it may have happened twice"
    confirmed = rows.first(effect.branch_id, BranchState.CONFIRMED)
    if confirmed is None or confirmed > again[0].seq:
        yield "before its branch was confirmed"
    saga = saga_decided(rows, effect.session_id)
    if saga is not None and saga < again[-1].seq:
        yield "though its session takes back what it did"
    deadlines: list[Any] = [event.facts.get("call_deadline") for event in again]
    if None in deadlines or sorted(deadlines) != deadlines or deadlines[-1] != effect.call_deadline:
        yield f"until {deadlines}, and its row says {effect.call_deadline}"
