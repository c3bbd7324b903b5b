"""What a lost checkpoint leaves: committed effects that the resumed run asks for again, or never does."""

from __future__ import annotations

from dataclasses import dataclass

from specflow.journal.cover import base_of
from specflow.journal.operations import Move, Unconstrained, is_patched
from specflow.journal.record import Lease
from specflow.journal.rows import undo_of
from specflow.journal.session_operations import Token, nobody, take
from specflow.journal.text import note
from specflow.journal.transaction import Transaction
from specflow.lifecycle import BranchState, SessionState, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Readopt:
    """A second name for a committed effect: the call by which a resumed run asks for it again."""

    lease: Lease
    effect_id: str
    adopted_by: str
    moment: str = ""

    def apply(self, tx: Transaction) -> bool:
        lease = self.lease
        standing = tx.guard(lease)
        found = tx.fetch(tx.statements.kept, {"w_effect_id": self.effect_id, "w_tenant": standing.tenant})
        if not found or not stands(found[0][0], found[0][1]):
            return False
        taken = tx.fetch(tx.statements.adopter, {"w_adopted_by": self.adopted_by})
        if taken or is_patched(tx, self.effect_id):
            return False
        values = {
            "adopted_by": self.adopted_by,
            "effect_id": self.effect_id,
            "session_id": lease.session_id,
            "at": tx.now,
            "fence": lease.fence,
            "moment": note(self.moment),
        }
        tx.run(tx.statements.insert_readoption, values)
        return True

    def conflict(self, tx: Transaction) -> bool:
        """Somebody was first: with this name, or in this session."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Condemn(Unconstrained):
    """Committed effects of closed sessions are to be taken back: all at once, so that none is forgotten."""

    lease: Lease
    effect_ids: tuple[str, ...]
    seen: frozenset[str]
    cause: str
    lease_seconds: float
    presence: Token = nobody

    def apply(self, tx: Transaction) -> tuple[Lease, ...]:
        tenant = tx.guard(self.lease).tenant
        leases: dict[str, Lease] = {}
        for effect_id in self.effect_ids:
            found = tx.fetch(tx.statements.kept, {"w_effect_id": effect_id, "w_tenant": tenant})
            if not found or found[0][0] != Stage.COMMITTED or self._adopted_since(tx, effect_id):
                continue
            if is_patched(tx, effect_id):
                continue
            self._condemn(tx, effect_id, found[0][2], leases)
            if (base := base_of(undo_of(found[0][3]))) and found[0][2] in leases:
                # INVARIANT: I16, a patch and its base are taken back together.
                self._condemn(tx, base, found[0][2], leases)
        return tuple(leases.values())

    def _adopted_since(self, tx: Transaction, effect_id: str) -> bool:
        names = tx.fetch(tx.statements.names_of, {"w_effect_id": effect_id})
        return any(name not in self.seen for (name,) in names)

    def _condemn(self, tx: Transaction, effect_id: str, session_id: str, leases: dict[str, Lease]) -> None:
        if session_id not in leases:
            standing = tx.session(session_id)
            if standing is None or standing.state is SessionState.ACTIVE:
                return  # somebody is at work in it
            owner, token = self.lease.owner, self.presence()
            lease = take(tx, session_id, standing, owner, self.lease_seconds, token, cause=self.cause)
            leases[session_id] = lease
        source, target = Stage.COMMITTED, Stage.COMPENSATING
        moving = Move(
            lease=leases[session_id], effect_id=effect_id, source=source, target=target, cause=self.cause
        )
        moving.apply(tx)


def stands(stage: str, branch: str) -> bool:
    """Whether an effect has committed, written down or not yet."""
    return stage == Stage.COMMITTED or (stage == Stage.DONE and branch == BranchState.CONFIRMED)
