"""Decisions of branches, in memory: as `branch_operations` makes them in a database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from specflow.journal import rules
from specflow.journal.cover import BASE, base_of
from specflow.journal.memory_orphans import MemoryOrphans
from specflow.journal.record import EffectRow, Lease
from specflow.journal.text import identifiers, note
from specflow.lifecycle import BranchState, Stage


class MemoryBranches(MemoryOrphans):
    """Effects that are adopted, hypotheses that are lost, and what goes with them."""

    async def adopt(self, lease: Lease, effect_id: str, adopted_by: str, *, moment: str = "") -> bool:
        identifiers((("adopted_by", adopted_by),))
        self._guard(lease)
        row = self._mine(lease, effect_id)
        if row is None or row.adopted_by is not None or row.stage not in rules.ADOPTABLE:
            return False
        # INVARIANT: I16, a patch and its base are adopted together.
        if base_of(row.undo) or self._is_patched(effect_id):
            return False
        if self._adopter(adopted_by) is not None or self._undecided_below(row):
            return False
        return self._adopt(lease, row, (adopted_by, moment), "adopted")

    async def adopt_patched(
        self, lease: Lease, effect_id: str, patch_id: str, adopted_by: str, *, moment: str = ""
    ) -> bool:
        identifiers((("adopted_by", adopted_by),))
        self._guard(lease)
        base, patch = self._mine(lease, effect_id), self._mine(lease, patch_id)
        if base is None or patch is None or base_of(patch.undo) != effect_id:
            return False
        for row, name in ((base, adopted_by + BASE), (patch, adopted_by)):
            is_open = self._branches[row.branch_id].state is BranchState.OPEN
            if row.stage is not Stage.DONE or not is_open or self._adopter(name) is not None:
                return False
        # INVARIANT: I14, nothing is confirmed before what it builds on, but these two together.
        if (self._undecided_below(base) | self._undecided_below(patch)) - {base.branch_id}:
            return False
        self._adopt(lease, base, (adopted_by + BASE, moment), "patched")
        return self._adopt(lease, patch, (adopted_by, moment), "adopted")

    def _adopt(self, lease: Lease, row: EffectRow, named: tuple[str, str], cause: str) -> bool:
        adopted_by, moment = named
        facts = {"effect_id": row.effect_id, "adopted_by": adopted_by}
        if not self._decide(lease, row.branch_id, BranchState.CONFIRMED, cause, facts):
            return False
        self._effects[row.effect_id] = replace(
            row, adopted_by=adopted_by, moment=note(moment), updated_at=self._clock.wall()
        )
        return True

    async def abort(self, lease: Lease, branch_id: str, cause: str) -> bool:
        self._guard(lease)
        if not self._decide(lease, branch_id, BranchState.ABORTED, note(cause), {}):
            return False
        lost = [branch_id]
        while lost:
            below = lost.pop(0)
            cause, state = f"lost with {below}", BranchState.ABORTED
            lost += [one for one in self._resting_on(below) if self._decide(lease, one, state, cause, {})]
        return True

    def _decide(
        self, lease: Lease, branch_id: str, state: BranchState, cause: str, facts: Mapping[str, Any]
    ) -> bool:
        branch = self._branches.get(branch_id)
        if branch is None or branch.session_id != lease.session_id or branch.state is not BranchState.OPEN:
            return False
        self._branches[branch_id] = replace(
            branch, state=state, cause=cause, decided_at=self._clock.wall(), decided_fence=lease.fence
        )
        self._event(lease, branch_id, BranchState.OPEN, state, cause=cause, facts=facts)
        return True

    def _undecided_below(self, row: EffectRow) -> set[str]:
        """Of the branch above it, and those of effects that it builds on: which are not confirmed."""
        below = [self._effects[needs].branch_id for one, needs in self._dependencies if one == row.effect_id]
        above = self._branches[row.branch_id].parent_id
        grounds = [*below, above] if above is not None else below
        return {one for one in grounds if self._branches[one].state is not BranchState.CONFIRMED}

    def _resting_on(self, branch_id: str) -> list[str]:
        """Branches right below this one, and those of effects that build on its effect."""
        children = {row.branch_id for row in self._branches.values() if row.parent_id == branch_id}
        for one, needs in self._dependencies:
            if self._effects[needs].branch_id == branch_id:
                children.add(self._effects[one].branch_id)
        return sorted(children)
