"""Bugs in undoing."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from planted_bugs import bug

from specflow.effects.tool import CallContext
from specflow.journal.memory import MemoryJournal
from specflow.journal.memory_rows import MemoryRows
from specflow.lifecycle import Stage
from specflow.settlement import undo as undos
from specflow.settlement.rest import Settler
from specflow.settlement.undo import Undoer


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
