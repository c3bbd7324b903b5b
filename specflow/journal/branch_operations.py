"""Decisions of branches: an effect is adopted, a hypothesis is lost, and what rests on it goes with it."""

from __future__ import annotations

from dataclasses import dataclass

from specflow.journal import rows
from specflow.journal.cover import BASE, base_of
from specflow.journal.operations import Unconstrained, is_patched
from specflow.journal.record import Lease
from specflow.journal.rules import ADOPTABLE
from specflow.journal.text import note
from specflow.journal.transaction import Transaction
from specflow.lifecycle import BranchState, Stage


class _FirstWins:
    """Who comes second, to an effect or with a name, has adopted nothing."""

    __slots__ = ()

    def conflict(self, tx: Transaction) -> bool:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt(_FirstWins):
    """The one compare-and-set by which an effect commits."""

    lease: Lease
    effect_id: str
    adopted_by: str
    moment: str = ""

    def apply(self, tx: Transaction) -> bool:
        lease = self.lease
        tx.guard(lease)
        mine = {"w_effect_id": self.effect_id, "w_session_id": lease.session_id}
        found = tx.fetch(tx.statements.standing, mine)
        if not found:
            return False
        stage, branch_id, _state, adopted_by, _comp_key, undo = found[0]
        if adopted_by is not None or Stage(stage) not in ADOPTABLE:
            return False
        # INVARIANT: I16, a patch and its base are adopted together.
        if base_of(rows.undo_of(undo)) or is_patched(tx, self.effect_id):
            return False
        if tx.fetch(tx.statements.adopter, {"w_adopted_by": self.adopted_by}):
            return False
        # INVARIANT: I14, nothing is confirmed before what it builds on.
        if tx.fetch(tx.statements.undecided_below, {"effect_id": self.effect_id, "branch_id": branch_id}):
            return False
        named = (self.adopted_by, note(self.moment))
        return _adopt(tx, lease, self.effect_id, branch_id, named, "adopted")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptPatched(_FirstWins):
    """The same for an effect and its patch: both, or neither."""

    lease: Lease
    effect_id: str
    patch_id: str
    adopted_by: str
    moment: str = ""

    def apply(self, tx: Transaction) -> bool:
        tx.guard(self.lease)
        base_name = self.adopted_by + BASE
        base = self._open(tx, self.effect_id, base_name)
        patch = self._open(tx, self.patch_id, self.adopted_by)
        if base is None or patch is None or base_of(rows.undo_of(patch[1])) != self.effect_id:
            return False
        # INVARIANT: I14, nothing is confirmed before what it builds on, but these two together.
        undecided = {
            branch_id
            for effect_id, row in ((self.effect_id, base), (self.patch_id, patch))
            for (branch_id,) in tx.fetch(
                tx.statements.undecided_below, {"effect_id": effect_id, "branch_id": row[0]}
            )
        }
        if undecided - {base[0]}:
            return False
        moment = note(self.moment)
        _adopt(tx, self.lease, self.effect_id, base[0], (base_name, moment), "patched")
        return _adopt(tx, self.lease, self.patch_id, patch[0], (self.adopted_by, moment), "adopted")

    def _open(self, tx: Transaction, effect_id: str, name: str) -> tuple[str, str | None] | None:
        """The branch of one of the two, and its undo; None when it cannot be adopted under that name."""
        mine = {"w_effect_id": effect_id, "w_session_id": self.lease.session_id}
        found = tx.fetch(tx.statements.standing, mine)
        if not found or tx.fetch(tx.statements.adopter, {"w_adopted_by": name}):
            return None
        stage, branch_id, state, _adopted_by, _comp_key, undo = found[0]
        return (branch_id, undo) if stage == Stage.DONE and state == BranchState.OPEN else None


def _adopt(  # noqa: PLR0917 - one row of each table, and why
    tx: Transaction, lease: Lease, effect_id: str, branch_id: str, named: tuple[str, str], cause: str
) -> bool:
    if not _decide(tx, lease, branch_id, BranchState.CONFIRMED, cause):
        return False
    name, moment = named
    values = {"w_effect_id": effect_id, "w_session_id": lease.session_id, "updated_at": tx.now}
    tx.run(tx.statements.adopt, {**values, "adopted_by": name, "moment": moment})
    facts = {"effect_id": effect_id, "adopted_by": name}
    tx.event(lease, branch_id, rows.OPEN, rows.CONFIRMED, cause=cause, facts=facts)
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort(Unconstrained):
    """The branch is lost, and with it every open branch that rests on it."""

    lease: Lease
    branch_id: str
    cause: str

    def apply(self, tx: Transaction) -> bool:
        tx.guard(self.lease)
        if not self._abort(tx, self.branch_id, note(self.cause)):
            return False
        lost = [self.branch_id]
        for below in lost:
            for (branch_id,) in tx.fetch(tx.statements.resting_on, {"branch_id": below}):
                if self._abort(tx, branch_id, f"lost with {below}"):
                    lost.append(branch_id)
        return True

    def _abort(self, tx: Transaction, branch_id: str, cause: str) -> bool:
        if not _decide(tx, self.lease, branch_id, BranchState.ABORTED, cause):
            return False
        tx.event(self.lease, branch_id, rows.OPEN, rows.ABORTED, cause=cause)
        return True


def _decide(tx: Transaction, lease: Lease, branch_id: str, state: BranchState, cause: str) -> bool:
    """Compare-and-set an open branch of the lease's session; False when it was decided before."""
    changed = tx.run(
        tx.statements.decide_branch,
        {
            "w_branch_id": branch_id,
            "w_session_id": lease.session_id,
            "state": state.value,
            "cause": cause,
            "decided_at": tx.now,
            "decided_fence": lease.fence,
        },
    )
    return changed == 1
