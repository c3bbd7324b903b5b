"""What can be asked of the writer, one class per change; each leaves its events in the transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from specflow.errors import JournalError
from specflow.journal import claiming, cover, rows, rules
from specflow.journal.claims import Holder, Wanted, grant, granted, wanted
from specflow.journal.envelope import pack
from specflow.journal.prepared import Values
from specflow.journal.record import Intent, Lease, Outcome, PredictionRow
from specflow.journal.spending import spend
from specflow.journal.text import dump, note
from specflow.journal.transaction import Transaction
from specflow.lifecycle import BranchState, Stage


class Operation(Protocol):
    """A change. `apply` may be called again after a rollback; it must keep nothing in between."""

    def apply(self, tx: Transaction) -> Any:
        """Change the database; what is returned is the answer to who asked (its type is the operation's).

        Raises:
            JournalError: refused; nothing was changed, or will be rolled back.
        """
        ...

    def conflict(self, tx: Transaction) -> Any:
        """The answer after a uniqueness constraint refused `apply`, which was rolled back."""
        ...


class Unconstrained:
    """An operation that breaks no constraint of ours, whatever it is asked."""

    __slots__ = ()

    def conflict(self, tx: Transaction) -> NoReturn:
        raise foreign_constraint(self)


def foreign_constraint(operation: object) -> JournalError:
    """The error for a refusal of the database that no row of ours explains."""
    return JournalError(
        f"the database refused: {type(operation).__name__} met a constraint that is not specflow's",
        hint="look for a constraint or a trigger that somebody added to the sf_ tables",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Intend:
    """Branch and effect, before the call."""

    lease: Lease
    intent: Intent
    effect: Values
    wanted: Wanted | None = None

    def grant(self, tx: Transaction, held: list[Holder]) -> tuple[str, ...]:
        """Claim what it changes: adds to `held`, and gives what it builds on besides; before anything else.

        Raises:
            ClaimedError: somebody else holds it. Nothing was written.
        """
        if self.wanted is None:
            return ()
        if tx.claims_busy and not claiming.is_locked(tx, self.wanted):
            raise claiming.BusyClaimError("somebody else is writing these claims")
        standing = tx.guard(self.lease)
        who = {"session_id": self.lease.session_id, "tenant": standing.tenant}
        needs = grant(self.intent, self.wanted, holders=held, **who)
        held.extend(granted(self.intent, self.wanted, **who))
        return needs

    def values(self, tx: Transaction) -> tuple[Values, Values, int]:
        """Rows of branch and effect, and the effect's `seq`; adds the events."""
        standing = tx.guard(self.lease)
        standing.seq += 1
        intent, lease = self.intent, self.lease
        decided = intent.adopted_by is not None
        state = rows.CONFIRMED if decided else rows.OPEN
        cause = note(intent.cause)
        branch = {
            "branch_id": intent.branch_id,
            "session_id": lease.session_id,
            "parent_id": intent.parent_id,
            "hypothesis": note(intent.hypothesis),
            "state": state,
            "cause": cause if decided else "",
            "decided_at": tx.now if decided else None,
            "decided_fence": lease.fence if decided else None,
        }
        effect = {
            **self.effect,
            "tenant": standing.tenant,
            "seq": standing.seq,
            "created_at": tx.now,
            "updated_at": tx.now,
        }
        tx.event(lease, intent.branch_id, "", state, cause=cause)
        tx.event(lease, intent.effect_id, "", rows.INTENDED, cause=cause)
        return branch, effect, standing.seq

    @property
    def linked(self) -> bool:
        """Whether it rests on other rows, which are to be looked at first."""
        return bool(self.intent.depends_on or self.intent.parent_id or self.intent.consent)

    def apply(self, tx: Transaction) -> int:
        want = self.wanted
        needs = self.grant(tx, claiming.held(tx, [want])) if want is not None else ()
        branch, effect, seq = self.values(tx)
        self._check_ground(tx)
        spend(tx, self.intent)
        tx.run(tx.statements.insert_branch, branch)
        tx.run(tx.statements.insert_effect, effect)
        tx.many(tx.statements.insert_dependency, rows.dependencies(self.intent, needs))
        if want is not None:
            tx.many(tx.statements.insert_claim, rows.claims(self.intent, want.claims))
        return seq

    def _check_ground(self, tx: Transaction) -> None:
        intent, session_id = self.intent, self.lease.session_id
        if intent.parent_id is not None:
            query = {"w_branch_id": intent.parent_id, "w_session_id": session_id}
            found = tx.fetch(tx.statements.branch_state, query)
            rules.check_ground(intent, f"branch {intent.parent_id}", found[0][0] if found else None)
        for other in intent.depends_on:
            query = {"w_effect_id": other, "w_session_id": session_id}
            found = tx.fetch(tx.statements.standing, query)
            rules.check_ground(intent, f"effect {other}", found[0][2] if found else None)
            if other == cover.base_of(intent.undo):
                stage, _, state, *_, undo = found[0]
                own = cover.base_of(rows.undo_of(undo))
                cover.check_base(intent, stage, own, is_patched(tx, other), state)

    def conflict(self, tx: Transaction) -> int:
        intent = self.intent
        tenant = tx.guard(self.lease).tenant
        queries: tuple[tuple[str, Any, Values], ...] = (
            ("effect", tx.statements.same_effect, {"w_effect_id": intent.effect_id}),
            ("branch", tx.statements.same_branch, {"w_branch_id": intent.branch_id}),
            ("adopted_by", tx.statements.adopter, {"w_adopted_by": intent.adopted_by}),
            (
                "idem_key",
                tx.statements.same_key,
                {"w_tenant": tenant, "w_tool": intent.tool, "w_idem_key": intent.idem_key},
            ),
        )
        for what, statement, values in queries:
            if tx.fetch(statement, values):
                raise already_there(intent, what)
        raise foreign_constraint(self)


def is_patched(tx: Transaction, effect_id: str) -> bool:
    """Whether another effect amends this one."""
    above = tx.fetch(tx.statements.built_on, {"w_needs_id": effect_id})
    return any(cover.base_of(rows.undo_of(undo)) == effect_id for (undo,) in above)


def already_there(intent: Intent, what: str) -> JournalError:
    """The error for an intent whose `what` another row has."""
    return JournalError(
        f"the intent of {intent.tool} is already in the journal: its {what} is taken",
        hint="nothing was written; look the effect up instead of calling again",
        effect_id=intent.effect_id,
        conflict=what,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Unconstrained):
    """The outcome, after the call."""

    lease: Lease
    effect_id: str
    outcome: Outcome
    result: str

    def values(self, tx: Transaction, source: Stage) -> Values:
        """Parameters of the compare-and-set from `source`."""
        return {
            "w_effect_id": self.effect_id,
            "w_session_id": self.lease.session_id,
            "w_stage": source.value,
            "stage": self.outcome.stage.value,
            "result": self.result,
            "replayable": self.outcome.replayable,
            "error": note(self.outcome.error),
            "fence": self.lease.fence,
            "updated_at": tx.now,
        }

    def tell(self, tx: Transaction, source: Stage) -> None:
        """Add the event."""
        tx.event(self.lease, self.effect_id, source.value, self.outcome.stage.value, cause="outcome")

    def apply(self, tx: Transaction) -> bool:
        tx.guard(self.lease)
        for source in rules.record_sources(self.outcome.stage):
            if tx.run(tx.statements.record, self.values(tx, source)):
                self.tell(tx, source)
                if self.outcome.stage is Stage.UNKNOWN:
                    claiming.hold_tool(tx, self.effect_id)
                return True
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One stage to another."""

    lease: Lease
    effect_id: str
    source: Stage
    target: Stage
    cause: str = ""
    comp_key: str | None = None
    comp_args: str | None = None
    not_before: float | None = None
    error: str | None = None

    def apply(self, tx: Transaction) -> bool:
        lease = self.lease
        decision = tx.guard(lease).decision
        mine = {"w_effect_id": self.effect_id, "w_session_id": lease.session_id}
        found = tx.fetch(tx.statements.standing, mine)
        if not found or found[0][0] != self.source:
            return False
        _stage, _branch_id, state, _adopted_by, comp_key, _undo = found[0]
        branch = BranchState(state)
        rules.check_branch(self.effect_id, self.source, self.target, branch, decision, self.cause)
        rules.check_comp_key(self.effect_id, comp_key, self.comp_key)
        values = {
            **mine,
            "w_stage": self.source.value,
            "stage": self.target.value,
            "fence": lease.fence,
            "updated_at": tx.now,
            "not_before": self.not_before,
            "comp_key": self.comp_key,
            "comp_args": self.comp_args,
            "error": None if self.error is None else note(self.error),
            "tries": int(self.target is Stage.COMPENSATING),
        }
        if not tx.run(tx.statements.move, values):
            return False
        if self.target in {Stage.UNKNOWN, Stage.STUCK}:
            claiming.hold_tool(tx, self.effect_id)
        facts: Mapping[str, Any] = {"error": note(self.error)} if self.error else {}
        tx.event(lease, self.effect_id, self.source.value, self.target.value, cause=self.cause, facts=facts)
        return True

    def conflict(self, tx: Transaction) -> bool:
        raise JournalError(
            f"the undo key of effect {self.effect_id} belongs to another effect",
            effect_id=self.effect_id,
            conflict="comp_key",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Predict:
    """Statistics, written when there is time."""

    predictions: tuple[PredictionRow, ...]

    def apply(self, tx: Transaction) -> None:
        newest = {row.speculation_id: row for row in self.predictions}
        tx.many(tx.statements.upsert_prediction, [rows.prediction_values(row) for row in newest.values()])

    def conflict(self, tx: Transaction) -> None:
        """Not worth an error."""


def intend(lease: Lease, intent: Intent) -> Intend:
    """The operation, with everything that can be refused already refused."""
    rules.check_intent(intent)
    values = rows.effect_values(lease, intent)
    return Intend(lease=lease, intent=intent, effect=values, wanted=wanted(intent))


def record(lease: Lease, effect_id: str, outcome: Outcome) -> Record:
    """The operation, with everything that can be refused already refused."""
    rules.check_outcome(outcome)
    result = dump(pack(outcome.result, outcome.sealed), "the tool's result")
    return Record(lease=lease, effect_id=effect_id, outcome=outcome, result=result)
