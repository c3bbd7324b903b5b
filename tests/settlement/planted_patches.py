"""Bugs in amending what was done early."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from planted_bugs import bug

from specflow.journal import memory_orphans
from specflow.journal.cover import BASE
from specflow.journal.memory import MemoryJournal
from specflow.lifecycle import BranchState
from specflow.settlement import rest
from specflow.settlement.undo import Undoer
from specflow.speculation.patch import Patcher


@bug(
    "a base is adopted before its patch has run",
    "Patcher.run",
    "a_pair_is_adopted_once_both_have_happened",
)
def _(patch: pytest.MonkeyPatch) -> None:
    run = Patcher.run

    async def hasty(self: Any, session: Any, amendment: Any) -> Any:
        base_id = amendment.order.amends.base_id
        await self._parts.journal.adopt(await session.lease(), base_id, "hasty")
        return await run(self, session, amendment)

    patch.setattr(Patcher, "run", hasty)


@bug(
    "a patched pair replays the result of its base",
    "MemoryJournal.adopt_patched",
    "a_pair_is_given_again_as_the_call_that_was_made",
    "death_at_every_point_of_a_patch_is_recovered",
)
def _(patch: pytest.MonkeyPatch) -> None:
    async def swapped(
        self: Any, lease: Any, effect_id: str, patch_id: str, adopted_by: str, **_more: Any
    ) -> bool:
        for one, name in ((effect_id, adopted_by), (patch_id, adopted_by + BASE)):
            row = self._effects[one]
            self._decide(lease, row.branch_id, BranchState.CONFIRMED, "adopted", {})
            self._effects[one] = replace(row, adopted_by=name)
        return True

    patch.setattr(MemoryJournal, "adopt_patched", swapped)


@bug(
    "a base is undone while its patch may still arrive",
    "rest.base_of",
    "a_late_patch_meets_no_undo",
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rest, "base_of", lambda _plan: "")


@bug(
    "a resumed run meets a patch and its base as two calls",
    "memory_orphans.paired",
    "a_pair_is_one_call_to_a_resumed_run",
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(memory_orphans, "paired", tuple)


@bug(
    "a patch has to be undone by a call of its own",
    "Undoer._cover",
    "death_at_every_point_of_a_patch_is_recovered",
)
def _(patch: pytest.MonkeyPatch) -> None:
    async def alone(self: Any, lease: Any, row: Any) -> Any:
        return await self._stuck(lease, row, "no compensator", speculation_id="", started=0.0)

    patch.setattr(Undoer, "_cover", alone)
