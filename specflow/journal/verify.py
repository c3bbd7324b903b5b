"""Reading the invariants off the rows. Pure: what it finds, it found in the snapshot.

I10 (a recorded outcome is returned, the tool not called) and I12 (recovering twice is recovering once)
are about what a process does, and cannot be read off rows; tests hold them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import pairwise

from specflow.journal.claims import clashes
from specflow.journal.consuming import misused
from specflow.journal.record import EventRow, Snapshot
from specflow.journal.rules import NEVER_EARLY
from specflow.journal.verify_history import HISTORY
from specflow.journal.verify_pairs import pairs_hold_together
from specflow.journal.verify_repeats import repetitions_are_on_record
from specflow.journal.verify_rows import Rows, Violation, violation
from specflow.lifecycle import BRANCH_MOVES, MOVES, RESTING, START, BranchState, SessionState, Stage

__all__ = ["CHECKED", "Violation", "verify"]

CHECKED = (
    "I1",
    "I2",
    "I3",
    "I4",
    "I5",
    "I6",
    "I7",
    "I8",
    "I9",
    "I11",
    "I13",
    "I14",
    "I15",
    "I16",
    "I17",
    "I18",
)
"""Invariants that rows can break."""

_EFFECT_MOVES = {(str(source), str(target)) for source, targets in MOVES.items() for target in targets}
_BRANCH_MOVES = {(str(a), str(b)) for a, targets in BRANCH_MOVES.items() for b in targets}
_SESSION_MOVES = {("active", "active"), ("active", "closed"), ("closed", "active")}

_LEGAL: Mapping[str, tuple[set[tuple[str, str]], Collection[str]]] = {
    "effect": (_EFFECT_MOVES, START),
    "branch": (_BRANCH_MOVES, {BranchState.OPEN, BranchState.CONFIRMED}),
    "session": (_SESSION_MOVES, {SessionState.ACTIVE}),
}
"""By kind: the moves, and the states it may be born in."""


def verify(snapshot: Snapshot) -> tuple[Violation, ...]:
    """Every violation of an invariant that the rows show; empty when all is well."""
    rows = Rows(snapshot)
    return tuple(found for rule in _RULES for found in rule(rows))


def _intents_come_first(rows: Rows) -> Iterator[Violation]:
    for effect in rows.effects.values():
        events = rows.events("effect", effect.effect_id)
        if not events or events[0].source != "" or events[0].target not in set(START):
            yield violation("I1", f"{effect.tool} has no intent", effect.effect_id)


def _closed_is_at_rest(rows: Rows) -> Iterator[Violation]:
    closed = {row.session_id for row in rows.sessions.values() if row.state is SessionState.CLOSED}
    for branch in rows.branches.values():
        if branch.session_id in closed and branch.state is BranchState.OPEN:
            yield violation("I2", "a branch of a closed session is undecided", branch.branch_id)
    for effect in rows.effects.values():
        if effect.session_id in closed and effect.stage not in RESTING:
            yield violation("I2", f"{effect.tool} is {effect.stage} in a closed session", effect.effect_id)


def _adopted_is_kept(rows: Rows) -> Iterator[Violation]:
    adopters = Counter(row.adopted_by for row in rows.effects.values() if row.adopted_by is not None)
    for effect in rows.effects.values():
        branch = rows.branch(effect)
        confirmed = branch is not None and branch.state is BranchState.CONFIRMED
        if (effect.adopted_by is not None) != confirmed:
            yield violation(
                "I3", f"{effect.tool}: adopted and confirmed disagree", effect.effect_id, effect.branch_id
            )
        if effect.adopted_by is not None and adopters[effect.adopted_by] > 1:
            yield violation("I3", "one real call adopted several effects", effect.effect_id)
        if effect.stage is Stage.COMMITTED and not confirmed:
            yield violation("I3", f"{effect.tool} is committed, its branch is not", effect.effect_id)


def _aborted_is_undone(rows: Rows) -> Iterator[Violation]:
    undone = {Stage.COMPENSATED, Stage.FAILED, Stage.DROPPED, Stage.STUCK}
    for effect in rows.effects.values():
        branch, session = rows.branch(effect), rows.session(effect)
        if branch is None or branch.state is not BranchState.ABORTED:
            continue
        closed = session is not None and session.state is SessionState.CLOSED
        if effect.stage is Stage.COMMITTED or (closed and effect.stage not in undone):
            yield violation(
                "I4", f"{effect.tool} is {effect.stage}, its branch was aborted", effect.effect_id
            )


def _undone_once(rows: Rows) -> Iterator[Violation]:
    keys = Counter(row.comp_key for row in rows.effects.values() if row.comp_key is not None)
    for effect in rows.effects.values():
        if effect.comp_key is not None and keys[effect.comp_key] > 1:
            yield violation("I6", "two effects share the key of their undo", effect.effect_id)
        times = sum(event.target == Stage.COMPENSATED for event in rows.events("effect", effect.effect_id))
        if times > 1:
            yield violation("I6", f"{effect.tool} was undone {times} times", effect.effect_id)


def _chains(rows: Rows) -> Iterator[Violation]:
    subjects: list[tuple[str, str, str]] = [
        *(("effect", row.effect_id, row.stage.value) for row in rows.effects.values()),
        *(("branch", row.branch_id, row.state.value) for row in rows.branches.values()),
        *(("session", row.session_id, row.state.value) for row in rows.sessions.values()),
    ]
    for kind, subject, state in subjects:
        trouble = _broken(rows.events(kind, subject), state, *_LEGAL[kind])
        if trouble:
            yield violation("I7", trouble, subject)
    for effect in rows.effects.values():
        if len(rows.events("effect", effect.effect_id)) != effect.rev:
            yield violation("I7", f"revision {effect.rev} does not count its events", effect.effect_id)
    for kind, subject in sorted(rows.subjects - {(kind, subject) for kind, subject, _ in subjects}):
        yield violation("I7", f"there are events of a {kind} that is not there", subject)


def _broken(
    events: Iterable[EventRow], state: str, moves: set[tuple[str, str]], births: Collection[str]
) -> str:
    path = [(event.source, event.target) for event in events]
    if not path:
        return "no event tells how it came to be"
    if path[0][0] != "" or path[0][1] not in births:
        return f"its first event is {path[0][0] or 'nothing'} to {path[0][1]}"
    for before, after in pairwise(path):
        if before[1] != after[0] or after not in moves:
            return f"it went {after[0]} to {after[1]} after {before[0] or 'nothing'} to {before[1]}"
    return "" if path[-1][1] == state else f"it is {state}, its last event says {path[-1][1]}"


def _confirmed_before_called(rows: Rows) -> Iterator[Violation]:
    for effect in rows.effects.values():
        called = rows.first(effect.effect_id, Stage.INTENDED)
        if effect.effect not in NEVER_EARLY or called is None:
            continue
        confirmed = rows.first(effect.branch_id, BranchState.CONFIRMED)
        if confirmed is None or confirmed > called:
            yield violation(
                "I11", f"{effect.tool} needs a confirmation and was called under an open branch",
                effect.effect_id, effect.branch_id,
            )  # fmt: skip


def _stuck_says_why(rows: Rows) -> Iterator[Violation]:
    for effect in rows.effects.values():
        events = rows.events("effect", effect.effect_id)
        if effect.stage is Stage.STUCK and not (effect.error or (events and events[-1].cause)):
            yield violation("I13", f"{effect.tool} is stuck and nothing says why", effect.effect_id)


def _readers_wait(rows: Rows) -> Iterator[Violation]:
    for row in rows.snapshot.dependencies:
        reader, writer = rows.effects.get(row.effect_id), rows.effects.get(row.needs_id)
        if reader is None or writer is None:
            yield violation(
                "I14", "one of these builds on the other, and is not there", row.effect_id, row.needs_id
            )
            continue
        confirmed = rows.first(reader.branch_id, BranchState.CONFIRMED)
        before = rows.first(writer.branch_id, BranchState.CONFIRMED)
        if confirmed is not None and (before is None or before > confirmed):
            yield violation(
                "I14", "an effect was confirmed before the one it builds on", row.effect_id, row.needs_id
            )


def _claims_keep_apart(rows: Rows) -> Iterator[Violation]:
    for one, other in clashes(rows.snapshot):
        message = f"two sessions hold {one.resource} and {other.resource} at the same time"
        yield violation("I15", message, one.effect_id, other.effect_id)


def _approvals_cover(rows: Rows) -> Iterator[Violation]:
    for row in rows.snapshot.approvals:
        if row.effect_id is not None:
            for message in misused(row, rows.effects.get(row.effect_id)):
                yield violation("I17", message, row.approval_id, row.effect_id)


_RULES: tuple[Callable[[Rows], Iterator[Violation]], ...] = (
    _intents_come_first,
    _closed_is_at_rest,
    _adopted_is_kept,
    _aborted_is_undone,
    _undone_once,
    _chains,
    _confirmed_before_called,
    _stuck_says_why,
    _readers_wait,
    _claims_keep_apart,
    pairs_hold_together,
    _approvals_cover,
    repetitions_are_on_record,
    *HISTORY,
)
