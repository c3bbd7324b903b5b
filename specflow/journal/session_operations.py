"""Changes of whole sessions: who holds one, how it was decided, when it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from specflow.errors import InvariantError, JournalError
from specflow.journal.absence import Absences
from specflow.journal.operations import Move, Unconstrained
from specflow.journal.record import Lease
from specflow.journal.transaction import Standing, Transaction
from specflow.lifecycle import RESTING, BranchState, SessionState, Stage

Token = Callable[[], str]
"""The token of the lock that shows that this process lives, as it is now; empty while there is none."""


def nobody() -> str:
    """No token: only the lease tells whether this process lives."""
    return ""


_ACTIVE, _CLOSED = SessionState.ACTIVE.value, SessionState.CLOSED.value


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """A new session, leased to its owner."""

    session_id: str
    thread: str
    owner: str
    tenant: str
    run_key: str = ""
    lease_seconds: float
    presence: Token = nobody

    def apply(self, tx: Transaction) -> Lease:
        lease = Lease(session_id=self.session_id, owner=self.owner, fence=1)
        tx.run(
            tx.statements.insert_session,
            {
                "session_id": self.session_id,
                "thread": self.thread,
                "tenant": self.tenant,
                "owner": self.owner,
                "fence": 1,
                "lease_seconds": self.lease_seconds,
                "state": _ACTIVE,
                "decision": "",
                "created_at": tx.now,
                "presence": self.presence(),
                "run_key": self.run_key,
            },
        )
        tx.forget(self.session_id)
        tx.event(lease, self.session_id, "", _ACTIVE, facts={"owner": self.owner})
        return lease

    def conflict(self, tx: Transaction) -> Lease:
        raise JournalError(
            f"session {self.session_id} is already in the journal",
            hint="take it over, or open one under a new id",
            session_id=self.session_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """The owner's lock is gone, but not for long enough: ask again in so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeSession(Unconstrained):
    """Another owner for an active session."""

    session_id: str
    owner: str
    force: bool
    lease_seconds: float
    presence: Token = nobody
    known_dead: Callable[[str], bool]
    absences: Absences = field(default_factory=Absences)

    def apply(self, tx: Transaction) -> Lease | Missed | None:
        overdue, token = None, ""
        if tx.statements.absence is not None and not self.force:
            # Skips a row that is locked: whoever writes in the session lives, or will be ended by the server;
            # our writer must not wait for that.
            found = tx.fetch(tx.statements.absence, {"w_session_id": self.session_id})
            if not found:
                return None
            overdue, absent, presence = found[0]
            token = presence if absent else ""
        standing = tx.session(self.session_id)
        if standing is None or standing.state is SessionState.CLOSED:
            return None
        ended = standing.expired if overdue is None else overdue
        if not (self.force or ended or self.known_dead(standing.owner)):
            if not token:
                return None
            seconds = self.absences.remaining(token)
            if seconds:
                return Missed(seconds=seconds)
        return take(
            tx, self.session_id, standing, self.owner, self.lease_seconds, self.presence(), cause="taken"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReopenSession(Unconstrained):
    """A closed session in which something is stuck, for an operator."""

    session_id: str
    owner: str
    lease_seconds: float
    presence: Token = nobody

    def apply(self, tx: Transaction) -> Lease | None:
        standing = tx.session(self.session_id)
        if standing is None or standing.state is SessionState.ACTIVE:
            return None
        if not tx.fetch(tx.statements.stuck, {"w_session_id": self.session_id}):
            return None
        return take(
            tx, self.session_id, standing, self.owner, self.lease_seconds, self.presence(), cause="reopened"
        )


def take(  # noqa: PLR0917 - a step of two operations, called there only
    tx: Transaction,
    session_id: str,
    standing: Standing,
    owner: str,
    lease_seconds: float,
    presence: str,
    *,
    cause: str,
) -> Lease:
    """Fence + 1 under a new owner; the caller has seen that it may."""
    lease = Lease(session_id=session_id, owner=owner, fence=standing.fence + 1)
    changed = tx.run(
        tx.statements.take,
        {
            "w_session_id": session_id,
            "w_fence": standing.fence,
            "owner": owner,
            "fence": lease.fence,
            "lease_seconds": lease_seconds,
            "presence": presence,
        },
    )
    if changed != 1:
        raise InvariantError(f"session {session_id} changed under its lock")
    facts = {"owner": owner, "from": standing.owner}
    tx.event(lease, session_id, standing.state.value, _ACTIVE, cause=cause, facts=facts)
    tx.forget(session_id)
    return lease


@dataclass(frozen=True, slots=True, kw_only=True)
class DecideSession(Unconstrained):
    """The session's one decision, before it is acted on."""

    lease: Lease
    decision: str

    def apply(self, tx: Transaction) -> bool:
        lease = self.lease
        standing = tx.guard(lease)
        if standing.decision:
            return standing.decision == self.decision
        tx.run(tx.statements.decide, {**mine(lease), "decision": self.decision})
        tx.forget(lease.session_id)
        tx.event(
            lease, lease.session_id, _ACTIVE, _ACTIVE, cause="decided", facts={"decision": self.decision}
        )
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseSession(Unconstrained):
    """The end of a session; its effects are at rest."""

    lease: Lease
    decision: str

    def apply(self, tx: Transaction) -> None:
        lease = self.lease
        standing = tx.guard(lease)
        if standing.decision not in {"", self.decision}:
            raise already_decided(lease, standing.decision, self.decision)
        found = tx.fetch(tx.statements.open_branch, {"w_session_id": lease.session_id})
        if found:
            raise branch_open(lease, found[0][0])
        for effect_id, stage, branch in tx.fetch(tx.statements.live, {"w_session_id": lease.session_id}):
            # `committed` follows from the branch; this is the latest moment to write it down.
            if stage != Stage.DONE or branch != BranchState.CONFIRMED:
                raise not_at_rest(lease, effect_id, stage)
            Move(
                lease=lease,
                effect_id=effect_id,
                source=Stage.DONE,
                target=Stage.COMMITTED,
                cause="closed",
            ).apply(tx)
        tx.run(tx.statements.release_claims, {"w_session_id": lease.session_id})
        tx.run(tx.statements.close, {**mine(lease), "decision": self.decision})
        tx.forget(lease.session_id)
        tx.event(lease, lease.session_id, _ACTIVE, _CLOSED, cause=self.decision)


def already_decided(lease: Lease, decision: str, wanted: str) -> JournalError:
    """The error for a second, different decision."""
    return JournalError(
        f"session {lease.session_id} was decided {decision}; it cannot be closed as {wanted}",
        session_id=lease.session_id,
    )


def branch_open(lease: Lease, branch_id: str) -> JournalError:
    """The error for closing above an undecided branch."""
    return JournalError(
        f"session {lease.session_id} cannot be closed: branch {branch_id} is still open",
        hint="confirm or abort it first",
        session_id=lease.session_id,
        branch_id=branch_id,
    )


def not_at_rest(lease: Lease, effect_id: str, stage: str) -> JournalError:
    """The error for closing above an effect that something must still happen to."""
    resting = ", ".join(sorted(RESTING))
    return JournalError(
        f"session {lease.session_id} cannot be closed: effect {effect_id} is {stage}, not at rest",
        hint=f"settle it first, so that it is one of {resting}",
        session_id=lease.session_id,
        effect_id=effect_id,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Renew(Unconstrained):
    """More time for leases; answers with those that are lost."""

    leases: tuple[Lease, ...]
    lease_seconds: float
    presence: str = ""

    def apply(self, tx: Transaction) -> tuple[Lease, ...]:
        statement = tx.statements.renew
        values = {"lease_seconds": self.lease_seconds, "presence": self.presence}
        # In one order everywhere, so that two processes never wait for each other's rows.
        ordered = sorted(self.leases, key=lambda lease: lease.session_id)
        return tuple(lease for lease in ordered if not tx.run(statement, {**mine(lease), **values}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Release(Unconstrained):
    """Leases given back, so that somebody else may take the sessions over at once."""

    leases: tuple[Lease, ...]

    def apply(self, tx: Transaction) -> None:
        ordered = sorted(self.leases, key=lambda lease: lease.session_id)
        tx.many(tx.statements.release, [mine(lease) for lease in ordered])


def mine(lease: Lease) -> dict[str, object]:
    """Parameters that find the session only while the lease is the newest."""
    return {"w_session_id": lease.session_id, "w_owner": lease.owner, "w_fence": lease.fence}
