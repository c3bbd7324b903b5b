"""What `verify` asks a snapshot, and how it says what it found."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from specflow.journal.record import BranchRow, EffectRow, EventRow, SessionRow, Snapshot
from specflow.lifecycle import BranchState, SessionState

_BRANCH_STATES, _SESSION_STATES = frozenset(BranchState), frozenset(SessionState)


def kind_of(state: str) -> str:
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


class Rows:
    """The snapshot, ready for questions."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.sessions = {row.session_id: row for row in snapshot.sessions}
        self.branches = {row.branch_id: row for row in snapshot.branches}
        self.effects = {row.effect_id: row for row in snapshot.effects}
        self._events: dict[tuple[str, str], list[EventRow]] = defaultdict(list)
        for event in sorted(snapshot.events, key=lambda event: event.seq):
            self._events[kind_of(event.target), event.subject].append(event)

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
        events = self.events(kind_of(target), subject)
        return next((event.seq for event in events if event.target == target), None)


def violation(invariant: str, message: str, *rows: str) -> Violation:
    """One finding, with the ids of the rows that show it."""
    return Violation(invariant=invariant, rows=rows, message=message)
