"""The spans specflow has started: found by id, ended exactly once, and never more than so many."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext, get_current_span


class Kind(StrEnum):
    """What an entry stands for."""

    SESSION = "session"
    THREAD = "thread"
    TURN = "turn"
    DISPATCH = "dispatch"
    SPECULATION = "speculation"
    RUN = "run"
    CALL = "call"
    CALL_ID = "call_id"
    COMPENSATION = "compensation"
    INTERRUPT = "interrupt"
    EFFECT = "effect"


@dataclass(slots=True, kw_only=True)
class Entry:
    """One span of ours, or a place in somebody else's trace.

    `span` is the span still to be ended, None when it has ended or was never ours. `context` is what
    children are started in; it outlives the span. `waiting`: a person has yet to answer.
    """

    kind: Kind
    ident: str
    session: str
    context: Context
    span: Span | None = None
    tool: str = ""
    waiting: bool = False

    @property
    def span_context(self) -> SpanContext:
        """What a link or a traceparent points at."""
        return get_current_span(self.context).get_span_context()

    def end(self, at: int | None = None) -> None:
        """End the span if it is still open. `at` is nanoseconds since the epoch, None for now."""
        span, self.span = self.span, None
        if span is not None:
            span.end(at)


Key = tuple[Kind, str]


class Ledger:
    """Entries by (kind, id), oldest first. Not thread-safe: its owner holds a lock.

    Args:
        limit: most entries kept; the oldest goes first.
        on_loss: told about an entry whose span is still open when it goes; what it leaves open is ended now.
    """

    def __init__(self, limit: int, on_loss: Callable[[Entry], None]) -> None:
        self._limit = limit
        self._on_loss = on_loss
        self._entries: OrderedDict[Key, Entry] = OrderedDict()
        # Keys in the order they came: a session settles backwards, children before parents.
        self._sessions: dict[str, dict[Key, None]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def open_spans(self) -> int:
        """How many spans are not ended."""
        return sum(entry.span is not None for entry in self._entries.values())

    def get(self, kind: Kind, ident: str) -> Entry | None:
        """The entry of that kind and id, or None."""
        return self._entries.get((kind, ident))

    def find(self, ident: str, *kinds: Kind) -> Entry | None:
        """The entry of that id and the first of `kinds` that has one."""
        for kind in kinds:
            entry = self._entries.get((kind, ident))
            if entry is not None:
                return entry
        return None

    def touch(self, entry: Entry) -> None:
        """Make the entry the youngest: it is in use."""
        key = (entry.kind, entry.ident)
        if key in self._entries:
            self._entries.move_to_end(key)

    def put(self, entry: Entry, *, alias: tuple[Kind, str] | None = None) -> None:
        """Remember the entry, under `alias` in place of its own kind and id if given."""
        key = alias or (entry.kind, entry.ident)
        replaced = self._entries.get(key)
        if replaced is not None and replaced is not entry:
            self._drop(key)
        self._entries[key] = entry
        self._sessions.setdefault(entry.session, {})[key] = None
        while len(self._entries) > self._limit:
            self._drop(next(iter(self._entries)))

    def move(self, entry: Entry, session: str) -> None:
        """Let the entry belong to another session, by each of its names; it rests when that one does."""
        for key in [key for key in self._sessions.get(entry.session, ()) if self._entries.get(key) is entry]:
            del self._sessions[entry.session][key]
            self._sessions.setdefault(session, {})[key] = None
        if not self._sessions.get(entry.session, True):
            del self._sessions[entry.session]
        entry.session = session

    def forget(self, entry: Entry) -> None:
        """Drop an entry that nobody will settle."""
        key = (entry.kind, entry.ident)
        if self._entries.get(key) is entry:
            self._drop(key)

    def settle(self, session: str) -> None:
        """Forget a session; what is still open is ended, the latest first."""
        for key in list(reversed(self._sessions.get(session, {}))):
            self._drop(key)

    def clear(self) -> None:
        """Forget everything; what is still open is ended, the latest first."""
        for key in list(reversed(self._entries)):
            self._drop(key)

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key)
        keys = self._sessions.get(entry.session)
        if keys is not None:
            keys.pop(key, None)
            if not keys:
                del self._sessions[entry.session]
        # An alias points at an entry that has its own key and its own end.
        if key == (entry.kind, entry.ident) and entry.span is not None:
            try:
                self._on_loss(entry)
            finally:
                entry.end()
