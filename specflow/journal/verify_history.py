"""The invariants that only the order of events can break: what was decided, undone and written after what."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from specflow.journal.record import EffectRow, EventRow
from specflow.journal.rules import CONDEMNED, SAGA_ABORTED
from specflow.journal.verify_rows import Rows, Violation, violation
from specflow.lifecycle import TERMINAL, BranchState, SessionState, Stage

_BEGINS = frozenset({Stage.COMPENSATING, Stage.STUCK})
"""What is in one of these has been begun to be undone before."""


def saga_decided(rows: Rows, session_id: str) -> int | None:
    """When the session was decided to take back what it committed, as an event number."""
    for event in rows.events("session", session_id):
        if event.cause == "decided" and event.facts.get("decision") == SAGA_ABORTED:
            return event.seq
    return None


def _undo_is_decided_first(rows: Rows) -> Iterator[Violation]:
    """Each undo has its reason on record before it: the lost branch, the session's saga, or the orphan."""
    for effect in rows.effects.values():
        for event in rows.events("effect", effect.effect_id):
            if event.target != Stage.COMPENSATING or event.source in _BEGINS:
                continue
            if event.source == Stage.COMMITTED and event.cause in CONDEMNED:
                continue
            lost = rows.first(effect.branch_id, BranchState.ABORTED)
            saga = saga_decided(rows, effect.session_id)
            if any(decided is not None and decided < event.seq for decided in (lost, saga)):
                continue
            confirmed = rows.first(effect.branch_id, BranchState.CONFIRMED) is not None
            message = f"{effect.tool} was {event.source}, and undone before that was decided"
            yield violation("I3" if confirmed else "I4", message, effect.effect_id, effect.branch_id)


def _saga_is_carried_through(rows: Rows) -> Iterator[Violation]:
    for effect in rows.effects.values():
        session = rows.session(effect)
        if session is None or session.state is not SessionState.CLOSED or session.decision != SAGA_ABORTED:
            continue
        if effect.stage is Stage.COMMITTED:
            message = f"{effect.tool} is committed in a session that took back everything"
            yield violation("I3", message, effect.effect_id, effect.session_id)


def _nobody_guesses(rows: Rows) -> Iterator[Violation]:
    """Whoever was not there can know an outcome only by asking, or by repeating it under its key."""
    for effect in rows.effects.values():
        branch = rows.branch(effect)
        kept = branch is not None and branch.state is BranchState.CONFIRMED
        if effect.verify is not None or (effect.keyed and kept):
            continue
        events = rows.events("effect", effect.effect_id)
        for event in events:
            known = event.source == Stage.UNKNOWN and event.target in {Stage.DONE, Stage.FAILED}
            if known and event.fence > events[0].fence:
                message = f"{effect.tool} was unknown and is called {event.target}, though nobody can tell"
                yield violation("I4", message, effect.effect_id)


def _undo_order(rows: Rows) -> Iterator[Violation]:
    for row in rows.snapshot.dependencies:
        above = rows.events("effect", row.effect_id)
        for event in rows.events("effect", row.needs_id):
            # The condemned are all marked at once, and then undone in order; an operator may settle by hand.
            begins = event.target == Stage.COMPENSATING and event.cause not in CONDEMNED
            ends = (event.source, event.target) == (Stage.COMPENSATING, Stage.COMPENSATED)
            stage = _stage_at(above, event.seq)
            if (begins or ends) and stage is not None and stage not in TERMINAL:
                message = f"an effect was undone while one that builds on it was {stage}"
                yield violation("I5", message, row.needs_id, row.effect_id)
                break


def _stage_at(events: list[EventRow], seq: int) -> str | None:
    """The stage an effect was in when that event came; None when there was no such effect yet."""
    return next((event.target for event in reversed(events) if event.seq < seq), None)


def _tries_are_counted(rows: Rows) -> Iterator[Violation]:
    for effect in rows.effects.values():
        tries = sum(event.target == Stage.COMPENSATING for event in rows.events("effect", effect.effect_id))
        if tries != effect.attempts:
            message = f"{effect.attempts} tries of its undo are counted, {tries} are on record"
            yield violation("I7", message, effect.effect_id)


def _rows_belong_together(rows: Rows) -> Iterator[Violation]:
    for effect in rows.effects.values():
        if _belongs(rows, effect):
            continue
        yield violation(
            "I7", f"{effect.tool} is not in a branch of its session", effect.effect_id, effect.branch_id
        )


def _belongs(rows: Rows, effect: EffectRow) -> bool:
    branch = rows.branch(effect)
    return branch is not None and branch.session_id == effect.session_id and rows.session(effect) is not None


def _fences_grow(rows: Rows) -> Iterator[Violation]:
    highest: dict[str, int] = {}
    for event in sorted(rows.snapshot.events, key=lambda event: event.seq):
        if event.fence < highest.get(event.session_id, 0):
            yield violation("I8", f"event {event.seq} has an old fence {event.fence}", event.subject)
        highest[event.session_id] = max(event.fence, highest.get(event.session_id, 0))
    for session_id, fence in highest.items():
        session = rows.sessions.get(session_id)
        # Whoever takes a session over says so: there is no fence without an event.
        if session is not None and session.fence != fence:
            yield violation("I8", f"its fence is {session.fence}, its events come to {fence}", session_id)


def _decisions_stay(rows: Rows) -> Iterator[Violation]:
    for branch in rows.branches.values():
        decisions = [
            event for event in rows.events("branch", branch.branch_id) if event.target != BranchState.OPEN
        ]
        if len(decisions) > 1:
            yield violation("I9", f"decided {len(decisions)} times", branch.branch_id)
        elif decisions and decisions[0].fence != branch.decided_fence:
            message = f"decided under fence {decisions[0].fence}, the row says {branch.decided_fence}"
            yield violation("I9", message, branch.branch_id)
    for session in rows.sessions.values():
        said = {
            event.cause if event.target == SessionState.CLOSED else str(event.facts.get("decision"))
            for event in rows.events("session", session.session_id)
            if event.target == SessionState.CLOSED or event.cause == "decided"
        }
        if len(said) > 1 or said - {session.decision}:
            yield violation("I9", "its decision was changed", session.session_id)


def _branches_wait(rows: Rows) -> Iterator[Violation]:
    for branch in rows.branches.values():
        confirmed = rows.first(branch.branch_id, BranchState.CONFIRMED)
        if branch.parent_id is None or confirmed is None:
            continue
        before = rows.first(branch.parent_id, BranchState.CONFIRMED)
        if before is None or before > confirmed:
            message = "a branch was confirmed before the one above it"
            yield violation("I14", message, branch.branch_id, branch.parent_id)


HISTORY: tuple[Callable[[Rows], Iterator[Violation]], ...] = (
    _undo_is_decided_first,
    _saga_is_carried_through,
    _nobody_guesses,
    _undo_order,
    _tries_are_counted,
    _rows_belong_together,
    _fences_grow,
    _decisions_stay,
    _branches_wait,
)
"""The rules, each over all rows."""
