"""What every journal refuses, whatever it is stored in; `memory` and `sql` both ask here."""

from __future__ import annotations

from functools import cache
from math import isfinite
from typing import Protocol

from specflow.effects.kind import EffectClass
from specflow.errors import FencedError, InvariantError, JournalError
from specflow.journal.cover import check_cover
from specflow.journal.record import Intent, Lease, Outcome
from specflow.journal.tables import DECISIONS
from specflow.journal.text import identifiers
from specflow.lifecycle import MOVES, BranchState, SessionState, Stage, may_move


class Held(Protocol):
    """What is stored about who may write under a session."""

    @property
    def owner(self) -> str: ...
    @property
    def fence(self) -> int: ...
    @property
    def state(self) -> SessionState: ...


def _leads_to(goal: Stage) -> frozenset[Stage]:
    found: set[Stage] = set()
    frontier = {goal}
    while frontier:
        frontier = {
            source
            for source, targets in MOVES.items()
            if targets & frontier and source is not Stage.STUCK and source not in found
        }
        found |= frontier
    return frozenset(found - {goal})


ADOPTABLE = _leads_to(Stage.COMMITTED)
"""Stages from which an effect can still be committed; anything else is never adopted."""

NEVER_EARLY = frozenset({EffectClass.CONFIRMATION_REQUIRED, EffectClass.DENY})
"""Classes that are called only under a confirmed branch."""

SAGA_ABORTED = "saga_aborted"
"""The decision by which a session takes back what it has committed."""

ORPHANED = "orphaned"
"""The cause of taking back a committed effect that the resumed run, its checkpoint lost, never asked for."""

TAKEN_BACK = "taken back"
"""The cause of taking back what an earlier session of a run has committed, when the run has failed."""

CONDEMNED = frozenset({ORPHANED, TAKEN_BACK})
"""Causes for which a committed effect is undone though its own session was completed."""

AGAIN = "again"
"""The cause of an intent that repeats an unknown call under its own key."""

RECORDED = frozenset({Stage.DONE, Stage.FAILED, Stage.UNKNOWN})
"""Stages a call can end in."""


def check_lease(lease: Lease, held: Held | None) -> None:
    """Whether `lease` may write.

    Raises:
        FencedError: somebody has taken the session over.
        JournalError: the session is unknown, or closed.
    """
    if held is None:
        raise JournalError(f"the journal knows no session {lease.session_id}", session_id=lease.session_id)
    if (held.owner, held.fence) != (lease.owner, lease.fence):
        raise FencedError(
            f"session {lease.session_id} was taken over by {held.owner} (fence {held.fence}, ours is "
            f"{lease.fence})",
            hint="nothing more may be written under it here; resume the run where it is now",
            session_id=lease.session_id,
            owner=held.owner,
            fence=held.fence,
        )
    if held.state is SessionState.CLOSED:
        raise JournalError(
            f"session {lease.session_id} is closed",
            hint="a new run opens a new session",
            session_id=lease.session_id,
        )


def check_session(session_id: str, thread: str, owner: str, tenant: str, run_key: str = "") -> None:
    """Refuse identifiers that could not be found again."""
    identifiers(
        (
            ("session_id", session_id),
            ("thread", thread or None),
            ("owner", owner),
            ("tenant", tenant or None),
            ("run_key", run_key or None),
        )
    )


def check_decision(decision: str) -> None:
    """Refuse a decision that is not in the vocabulary."""
    if decision not in DECISIONS:
        known = ", ".join(DECISIONS)
        raise InvariantError(f"a session cannot be decided {decision!r}", hint=f"one of {known}")


def check_intent(intent: Intent) -> None:
    """Refuse an intent that must never be written.

    Raises:
        InvariantError: an early call of a class that may not run early; a patch that could outlive its base.
        JournalError: identifiers that could not be found again.
    """
    identifiers(
        (
            ("effect_id", intent.effect_id),
            ("branch_id", intent.branch_id),
            ("tool", intent.tool),
            ("schema_hash", intent.schema_hash or None),
            ("policy_hash", intent.policy_hash or None),
            ("fingerprint", intent.fingerprint),
            ("idem_key", intent.idem_key),
            ("adopted_by", intent.adopted_by),
            ("parent_id", intent.parent_id),
            *(("depends_on", other) for other in intent.depends_on),
            *(("claims", resource) for resource in intent.claims),
        )
    )
    if intent.effect_id in intent.depends_on:
        raise InvariantError(f"effect {intent.effect_id} cannot depend on itself")
    check_cover(intent)
    # INVARIANT: I11, what needs a confirmation is never called under an open branch.
    if intent.adopted_by is None and intent.effect in NEVER_EARLY:
        raise InvariantError(f"{intent.tool} is {intent.effect}: it may not be called under an open branch")


def check_ground(intent: Intent, what: str, state: str | None) -> None:
    """Refuse an intent that rests on a branch which does not hold, or of which that is not known yet.

    `state` is that of the branch above it, or of an effect that it builds on; None when there is none.

    Raises:
        JournalError: nothing may rest on what is lost, and nothing real on what is still open.
    """
    # INVARIANT: I14, nothing is confirmed before what it builds on.
    if state == BranchState.CONFIRMED or (state == BranchState.OPEN and intent.adopted_by is None):
        return
    found = "which the journal does not know in this session" if state is None else f"which is {state}"
    raise JournalError(
        f"the intent of {intent.tool} rests on {what}, {found}",
        hint="nothing was written, and the call must not be made",
        effect_id=intent.effect_id,
        conflict="depends_on",
    )


def check_outcome(outcome: Outcome) -> None:
    """Refuse an outcome that is none."""
    if outcome.stage not in RECORDED:
        known = ", ".join(sorted(RECORDED))
        raise InvariantError(f"a call cannot end {outcome.stage}", hint=f"one of {known}")


@cache
def record_sources(target: Stage) -> tuple[Stage, ...]:
    """Stages that `record` may leave for `target`, the usual one first."""
    return tuple(stage for stage in (Stage.INTENDED, Stage.UNKNOWN) if may_move(stage, target))


def check_move(source: Stage, target: Stage) -> None:
    """Refuse a move that is not in `lifecycle.MOVES`, or is made by `repeat` only."""
    if not may_move(source, target) or (source, target) == (Stage.UNKNOWN, Stage.INTENDED):
        raise InvariantError(f"an effect cannot go from {source} to {target}")


def may_repeat(stage: Stage, same: bool, branch: BranchState, decision: str) -> bool:
    """Whether an effect may be called once more: it is unknown, and nothing has happened to it since it was
    read (`same`). What is lost, or is taken back, is only undone.
    """
    wanted = branch is BranchState.CONFIRMED and decision != SAGA_ABORTED
    return stage is Stage.UNKNOWN and same and wanted


def check_repetition(effect_id: str, stored: float | None, given: float, *, keyed: bool) -> None:
    """Refuse a repetition that could be a second effect, or would hide an earlier try.

    Raises:
        InvariantError: the tool takes no key; or an earlier try may travel for longer than is said.
    """
    # INVARIANT: I18, what is called again has the key it had, and is on record until all of it is over.
    if not keyed:
        raise InvariantError(f"effect {effect_id} has no key its tool honours: it cannot be called again")
    if not isfinite(given) or (stored is not None and given < stored):
        raise InvariantError(f"effect {effect_id} may travel until {stored}: that cannot become {given}")


def repeated_since(stage: Stage, now: int, rev: int) -> bool:
    """Whether a call on record at revision `rev` (intended, or unknown) was repeated up to `now`.

    Between the two it may have come to be unknown; only a repetition makes it intended once more.
    """
    return now > rev + (stage is Stage.UNKNOWN)


def check_branch(  # noqa: PLR0917 - one question, asked by two journals
    effect_id: str, source: Stage, target: Stage, branch: BranchState, decision: str, cause: str
) -> None:
    """Refuse a move that the decisions of the branch and of the session do not allow.

    Raises:
        InvariantError: committing what was not adopted, or undoing what was not lost.
    """
    # INVARIANT: I3, an effect commits only by adoption, and is then undone only by its session.
    if target is Stage.COMMITTED and branch is not BranchState.CONFIRMED:
        raise InvariantError(f"effect {effect_id} cannot be committed: its branch is {branch}")
    begins = target is Stage.COMPENSATING and source not in {Stage.COMPENSATING, Stage.STUCK}
    condemned = source is Stage.COMMITTED and cause in CONDEMNED
    if begins and branch is not BranchState.ABORTED and decision != SAGA_ABORTED and not condemned:
        raise InvariantError(
            f"effect {effect_id} cannot be undone: its branch is {branch}",
            hint="what was adopted is taken back only by its session: decide that saga_aborted first",
        )


def check_comp_key(effect_id: str, stored: str | None, given: str | None) -> None:
    """Refuse a second key for the same undo."""
    identifiers((("comp_key", given),))
    # INVARIANT: I6, the key of an undo is minted once; another one could undo twice.
    if stored is not None and given is not None and stored != given:
        raise InvariantError(f"the undo of effect {effect_id} already has another key")
