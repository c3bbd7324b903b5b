"""Decisions of branches: an effect is adopted, a hypothesis is lost, and what rests on it goes with it."""

from __future__ import annotations

from dataclasses import dataclass

from specflow.journal import rows
from specflow.journal.operations import Unconstrained
from specflow.journal.record import Lease
from specflow.journal.rules import ADOPTABLE
from specflow.journal.text import note
from specflow.journal.transaction import Transaction
from specflow.lifecycle import BranchState, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt:
    """The one compare-and-set by which an effect commits."""

    lease: Lease
    effect_id: str
    adopted_by: str

    def apply(self, tx: Transaction) -> bool:
        lease = self.lease
        tx.guard(lease)
        mine = {"w_effect_id": self.effect_id, "w_session_id": lease.session_id}
        found = tx.fetch(tx.statements.standing, mine)
        if not found:
            return False
        stage, branch_id, _state, adopted_by, _comp_key = found[0]
        if adopted_by is not None or Stage(stage) not in ADOPTABLE:
            return False
        if tx.fetch(tx.statements.adopter, {"w_adopted_by": self.adopted_by}):
            return False
        # INVARIANT: I14, nothing is confirmed before what it builds on.
        if tx.fetch(tx.statements.undecided_below, {"effect_id": self.effect_id, "branch_id": branch_id}):
            return False
        if not _decide(tx, lease, branch_id, BranchState.CONFIRMED, "adopted"):
            return False
        tx.run(tx.statements.adopt, {**mine, "adopted_by": self.adopted_by, "updated_at": tx.now})
        facts = {"effect_id": self.effect_id, "adopted_by": self.adopted_by}
        tx.event(lease, branch_id, rows.OPEN, rows.CONFIRMED, cause="adopted", facts=facts)
        return True

    def conflict(self, tx: Transaction) -> bool:
        return False


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
