"""Reading the invariants off the rows. Pure: what it finds, it found in the snapshot.

I10 (a recorded outcome is returned, the tool not called) and I12 (recovering twice is recovering once)
are about what a process does, and cannot be read off rows; tests hold them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from specflow.journal.claims import clashes
from specflow.journal.record import BranchRow, EffectRow, EventRow, SessionRow, Snapshot
from specflow.journal.rules import NEVER_EARLY
from specflow.lifecycle import BRANCH_MOVES, MOVES, RESTING, START, BranchState, SessionState, Stage

CHECKED = ("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I11", "I13", "I14", "I15")
"""Invariants that rows can break."""

_EFFECT_MOVES = {(str(source), str(target)) for source, targets in MOVES.items() for target in targets}
_BRANCH_MOVES = {(str(a), str(b)) for a, targets in BRANCH_MOVES.items() for b in targets}
_BRANCH_STATES, _SESSION_STATES = frozenset(BranchState), frozenset(SessionState)
_SESSION_MOVES = {("active", "active"), ("active", "closed"), ("closed", "active")}

_LEGAL: Mapping[str, tuple[set[tuple[str, str]], Collection[str]]] = {
    "effect": (_EFFECT_MOVES, START),
    "branch": (_BRANCH_MOVES, {BranchState.OPEN, BranchState.CONFIRMED}),
    "session": (_SESSION_MOVES, {SessionState.ACTIVE}),
}
"""By kind: the moves, and the states it may be born in."""


def _kind(state: str) -> str:
    """What an event is about: no state belongs to two kinds."""
    if state in _SESSION_STATES:
        return "session"
    return "branch" if state in _BRANCH_STATES else "effect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One broken invariant; `rows` are the ids of the rows that show it."""

    invariant: str
    rows: tuple[str, ...]
    message: str


class _Rows:
    """The snapshot, ready for questions."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.sessions = {row.session_id: row for row in snapshot.sessions}
        self.branches = {row.branch_id: row for row in snapshot.branches}
        self.effects = {row.effect_id: row for row in snapshot.effects}
        self._events: dict[tuple[str, str], list[EventRow]] = defaultdict(list)
        for event in sorted(snapshot.events, key=lambda event: event.seq):
            self._events[_kind(event.target), event.subject].append(event)

    def events(self, kind: str, subject: str) -> list[EventRow]:
        """What happened to one `session`, `branch` or `effect`, in order."""
        return self._events.get((kind, subject), [])

    @property
    def subjects(self) -> set[tuple[str, str]]:
        """Everything that something happened to, with its kind."""
        return set(self._events)

    def branch(self, effect: EffectRow) -> BranchRow | None:
        return self.branches.get(effect.branch_id)

    def session(self, effect: EffectRow) -> SessionRow | None:
        return self.sessions.get(effect.session_id)

    def first(self, subject: str, target: str) -> int | None:
        """When the subject first came to `target`, as an event number."""
        events = self.events(_kind(target), subject)
        return next((event.seq for event in events if event.target == target), None)

    def last(self, subject: str, target: str) -> int | None:
        """When the subject last came to `target`."""
        events = reversed(self.events(_kind(target), subject))
        return next((event.seq for event in events if event.target == target), None)


def verify(snapshot: Snapshot) -> tuple[Violation, ...]:
    """Every violation of an invariant that the rows show; empty when all is well."""
    rows = _Rows(snapshot)
    return tuple(violation for rule in _RULES for violation in rule(rows))


def _violation(invariant: str, message: str, *rows: str) -> Violation:
    return Violation(invariant=invariant, rows=rows, message=message)


def _intents_come_first(rows: _Rows) -> Iterator[Violation]:
    for effect in rows.effects.values():
        events = rows.events("effect", effect.effect_id)
        if not events or events[0].source != "" or events[0].target not in set(START):
            yield _violation("I1", f"{effect.tool} has no intent", effect.effect_id)


def _closed_is_at_rest(rows: _Rows) -> Iterator[Violation]:
    closed = {row.session_id for row in rows.sessions.values() if row.state is SessionState.CLOSED}
    for branch in rows.branches.values():
        if branch.session_id in closed and branch.state is BranchState.OPEN:
            yield _violation("I2", "a branch of a closed session is undecided", branch.branch_id)
    for effect in rows.effects.values():
        if effect.session_id in closed and effect.stage not in RESTING:
            yield _violation("I2", f"{effect.tool} is {effect.stage} in a closed session", effect.effect_id)


def _adopted_is_kept(rows: _Rows) -> Iterator[Violation]:
    adopters = Counter(row.adopted_by for row in rows.effects.values() if row.adopted_by is not None)
    for effect in rows.effects.values():
        branch, session = rows.branch(effect), rows.session(effect)
        confirmed = branch is not None and branch.state is BranchState.CONFIRMED
        if (effect.adopted_by is not None) != confirmed:
            yield _violation(
                "I3", f"{effect.tool}: adopted and confirmed disagree", effect.effect_id, effect.branch_id
            )
        if effect.adopted_by is not None and adopters[effect.adopted_by] > 1:
            yield _violation("I3", "one real call adopted several effects", effect.effect_id)
        if effect.stage is Stage.COMMITTED and not confirmed:
            yield _violation("I3", f"{effect.tool} is committed, its branch is not", effect.effect_id)
        decided = session is not None and session.decision
        if decided == "completed" and any(map(_undoes_kept, rows.events("effect", effect.effect_id))):
            yield _violation(
                "I3", f"{effect.tool} was committed, and undone without a saga", effect.effect_id
            )


def _undoes_kept(event: EventRow) -> bool:
    # An orphan is a committed effect that the resumed run never asked for again.
    taken_back = (event.source, event.target) == (Stage.COMMITTED, Stage.COMPENSATING)
    return taken_back and not event.cause.startswith("orphan")


def _aborted_is_undone(rows: _Rows) -> Iterator[Violation]:
    undone = {Stage.COMPENSATED, Stage.FAILED, Stage.DROPPED, Stage.STUCK}
    for effect in rows.effects.values():
        branch, session = rows.branch(effect), rows.session(effect)
        if branch is None or branch.state is not BranchState.ABORTED:
            continue
        closed = session is not None and session.state is SessionState.CLOSED
        if effect.stage is Stage.COMMITTED or (closed and effect.stage not in undone):
            yield _violation(
                "I4", f"{effect.tool} is {effect.stage}, its branch was aborted", effect.effect_id
            )


def _undo_order(rows: _Rows) -> Iterator[Violation]:
    for row in rows.snapshot.dependencies:
        undone = rows.last(row.effect_id, Stage.COMPENSATED)
        started = rows.first(row.needs_id, Stage.COMPENSATING)
        begun = rows.first(row.effect_id, Stage.COMPENSATING)
        if started is not None and begun is not None and (undone is None or started < undone):
            yield _violation(
                "I5", "an effect was undone before one that builds on it", row.needs_id, row.effect_id
            )


def _undone_once(rows: _Rows) -> Iterator[Violation]:
    keys = Counter(row.comp_key for row in rows.effects.values() if row.comp_key is not None)
    for effect in rows.effects.values():
        if effect.comp_key is not None and keys[effect.comp_key] > 1:
            yield _violation("I6", "two effects share the key of their undo", effect.effect_id)
        times = sum(event.target == Stage.COMPENSATED for event in rows.events("effect", effect.effect_id))
        if times > 1:
            yield _violation("I6", f"{effect.tool} was undone {times} times", effect.effect_id)


def _chains(rows: _Rows) -> Iterator[Violation]:
    subjects: list[tuple[str, str, str]] = [
        *(("effect", row.effect_id, row.stage.value) for row in rows.effects.values()),
        *(("branch", row.branch_id, row.state.value) for row in rows.branches.values()),
        *(("session", row.session_id, row.state.value) for row in rows.sessions.values()),
    ]
    for kind, subject, state in subjects:
        trouble = _broken(rows.events(kind, subject), state, *_LEGAL[kind])
        if trouble:
            yield _violation("I7", trouble, subject)
    for effect in rows.effects.values():
        if len(rows.events("effect", effect.effect_id)) != effect.rev:
            yield _violation("I7", f"revision {effect.rev} does not count its events", effect.effect_id)
    for kind, subject in sorted(rows.subjects - {(kind, subject) for kind, subject, _ in subjects}):
        yield _violation("I7", f"there are events of a {kind} that is not there", subject)


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


def _fences_grow(rows: _Rows) -> Iterator[Violation]:
    highest: dict[str, int] = {}
    for event in sorted(rows.snapshot.events, key=lambda event: event.seq):
        if event.fence < highest.get(event.session_id, 0):
            yield _violation("I8", f"event {event.seq} has an old fence {event.fence}", event.subject)
        highest[event.session_id] = max(event.fence, highest.get(event.session_id, 0))
    for session_id, fence in highest.items():
        session = rows.sessions.get(session_id)
        if session is not None and session.fence < fence:
            yield _violation("I8", f"fence {session.fence} went back from {fence}", session_id)


def _decisions_stay(rows: _Rows) -> Iterator[Violation]:
    for branch in rows.branches.values():
        decisions = [
            event for event in rows.events("branch", branch.branch_id) if event.target != BranchState.OPEN
        ]
        if len(decisions) > 1:
            yield _violation("I9", f"decided {len(decisions)} times", branch.branch_id)
    for session in rows.sessions.values():
        endings = {
            event.cause for event in rows.events("session", session.session_id) if event.target == "closed"
        }
        if len(endings) > 1 or endings - {session.decision}:
            yield _violation("I9", "its decision was changed", session.session_id)


def _confirmed_before_called(rows: _Rows) -> Iterator[Violation]:
    for effect in rows.effects.values():
        called = rows.first(effect.effect_id, Stage.INTENDED)
        if effect.effect not in NEVER_EARLY or called is None:
            continue
        confirmed = rows.first(effect.branch_id, BranchState.CONFIRMED)
        if confirmed is None or confirmed > called:
            yield _violation(
                "I11", f"{effect.tool} needs a confirmation and was called under an open branch",
                effect.effect_id, effect.branch_id,
            )  # fmt: skip


def _stuck_says_why(rows: _Rows) -> Iterator[Violation]:
    for effect in rows.effects.values():
        events = rows.events("effect", effect.effect_id)
        if effect.stage is Stage.STUCK and not (effect.error or (events and events[-1].cause)):
            yield _violation("I13", f"{effect.tool} is stuck and nothing says why", effect.effect_id)


def _readers_wait(rows: _Rows) -> Iterator[Violation]:
    for row in rows.snapshot.dependencies:
        reader, writer = rows.effects.get(row.effect_id), rows.effects.get(row.needs_id)
        if reader is None or writer is None:
            yield _violation(
                "I14", "one of these builds on the other, and is not there", row.effect_id, row.needs_id
            )
            continue
        confirmed = rows.first(reader.branch_id, BranchState.CONFIRMED)
        before = rows.first(writer.branch_id, BranchState.CONFIRMED)
        if confirmed is not None and (before is None or before > confirmed):
            yield _violation(
                "I14", "an effect was confirmed before the one it builds on", row.effect_id, row.needs_id
            )


def _claims_keep_apart(rows: _Rows) -> Iterator[Violation]:
    for one, other in clashes(rows.snapshot):
        message = f"two sessions hold {one.resource} and {other.resource} at the same time"
        yield _violation("I15", message, one.effect_id, other.effect_id)


_RULES: tuple[Callable[[_Rows], Iterator[Violation]], ...] = (
    _intents_come_first,
    _closed_is_at_rest,
    _adopted_is_kept,
    _aborted_is_undone,
    _undo_order,
    _undone_once,
    _chains,
    _fences_grow,
    _decisions_stay,
    _confirmed_before_called,
    _stuck_says_why,
    _readers_wait,
    _claims_keep_apart,
)
