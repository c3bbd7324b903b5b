"""What can be asked of the writer about repetitions, and of answers that came before one."""

from __future__ import annotations

from dataclasses import dataclass

from specflow.journal import rules
from specflow.journal.operations import Record, Unconstrained, record
from specflow.journal.record import Lease, Outcome
from specflow.journal.transaction import Transaction
from specflow.lifecycle import BranchState, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat(Unconstrained):
    """An unknown call is about to be made once more under its old key."""

    lease: Lease
    effect_id: str
    rev: int
    call_deadline: float

    def apply(self, tx: Transaction) -> bool:
        decision = tx.guard(self.lease).decision
        mine = {"w_effect_id": self.effect_id, "w_session_id": self.lease.session_id}
        found = tx.fetch(tx.statements.repeats.look, mine)
        if not found:
            return False
        stage, rev, keyed, until, state = found[0]
        if not rules.may_repeat(Stage(stage), rev == self.rev, BranchState(state), decision):
            return False
        rules.check_repetition(self.effect_id, until, self.call_deadline, keyed=bool(keyed))
        values = {
            **mine,
            "w_rev": self.rev,
            "call_deadline": self.call_deadline,
            "fence": self.lease.fence,
            "updated_at": tx.now,
        }
        if not tx.run(tx.statements.repeats.repeat, values):
            return False
        source, target = Stage.UNKNOWN.value, Stage.INTENDED.value
        facts = {"call_deadline": self.call_deadline}
        tx.event(self.lease, self.effect_id, source, target, cause=rules.AGAIN, facts=facts)
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordUnrepeated(Record):
    """An outcome that counts only while the call was not repeated since `rev`."""

    rev: int

    def apply(self, tx: Transaction) -> bool:
        tx.guard(self.lease)
        mine = {"w_effect_id": self.effect_id, "w_session_id": self.lease.session_id}
        found = tx.fetch(tx.statements.repeats.look, mine)
        if not found or rules.repeated_since(Stage(found[0][0]), found[0][1], self.rev):
            return False
        return Record.apply(self, tx)


def record_at(lease: Lease, effect_id: str, outcome: Outcome, rev: int | None) -> Record:
    """The operation for an outcome, with everything that can be refused already refused."""
    plain = record(lease, effect_id, outcome)
    if rev is None:
        return plain
    return RecordUnrepeated(lease=lease, effect_id=effect_id, outcome=outcome, result=plain.result, rev=rev)
