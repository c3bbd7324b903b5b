"""SHARED: an early result that may answer several calls, within its `ttl` and its declared scope.

`session`: calls of the same run. `thread`: runs of the same conversation. `tenant`: runs of the same tenant.
`public`: all runs of this process. Without a `cache` in the policy one result answers one call. What another
process writes is not seen here: that is bounded by the `ttl` alone. But when it has had the conversation that
a read is from, the read is not given to that any more (`follow`).

# INVARIANT: nothing that could tell who asked leaves its session: a tool that is given state of the run never
# runs early, one with redacted fields is not shared further, nor is a result found under other context
# variables than those of who would be given it.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

from specflow.effects.footprint import Keys
from specflow.policy.settings import ToolSettings
from specflow.speculation.freshness import WriteLog, WriteSpan
from specflow.speculation.pending import Speculation

MOST = 4_096
"""Results that are held; the oldest goes first."""

MOST_LINES = 10_000
"""Conversations of which it is known who has had them."""

NEWEST = 8
"""Sessions of a conversation that are remembered."""

UNKNOWN = -1
"""The line of a read whose run has not looked yet."""

MOST_BYTES = 64 << 20
"""Bytes of results that are held when a further read is begun; the oldest goes first."""

_CONFIG = "child_runnable_config"
"""The context variable in which LangChain keeps the run's config; a tool can read it unseen."""

_OF_RUNS = frozenset(
    {"thread_id", "run_id", "checkpoint_ns", "checkpoint_id", "checkpoint_map", "specflow_run_key"}
)
"""What is another one in every run. Whatever else an application put into `configurable` says who asks."""

_OF_FRAMEWORKS = frozenset({"current_context", "specflow_inside"})
"""Context variables that are another one in every run: OpenTelemetry's span, and our own effects."""

_SIMPLE = (str, int, float, bool, bytes, type(None))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Offer:
    """One early read that others may have; by whom it was begun, and where."""

    speculation: Speculation
    session_id: str
    thread: str
    tenant: str
    loop: asyncio.AbstractEventLoop
    context: contextvars.Context

    @property
    def over(self) -> bool:
        """Whether it came to nothing."""
        return self.speculation.came_to_nothing


@dataclass(slots=True, kw_only=True, eq=False)
class _Line:
    """A conversation while this process alone has it: its newest `sessions`."""

    number: int
    sessions: deque[str] = field(default_factory=lambda: deque(maxlen=NEWEST))


class Shelf:
    """What all sessions of a process offer each other, with all their writes. Safe from any thread."""

    def __init__(self) -> None:
        self._offers: OrderedDict[Speculation, Offer] = OrderedDict()
        self._off: set[Speculation] = set()
        """What is not offered any more, and may still be adopted by who has it already."""
        self._writes = WriteLog()
        self._lines: OrderedDict[tuple[str, str], _Line] = OrderedDict()
        self._numbers = count(1)
        self._lock = threading.RLock()

    # As a log of writes: every session tells it of its own.

    def begin(self, span: WriteSpan, now: float) -> None:
        """Some session begins a write, on the running loop.

        When that loop goes without telling of an end, it is a change from outside, which `ttl` bounds.
        """
        loop = weakref.ref(asyncio.get_running_loop())
        span.lives = lambda: (known := loop()) is not None and not known.is_closed()
        with self._lock:
            self._off = {item for item in self._off if not _settled(item)}
            # INVARIANT: a write is remembered while a read that it may have made stale can be adopted.
            starts = [item.started for item in (*self._offers, *self._off)]
            self._writes.forget_before(min([now, *starts]))
            self._writes.add(span)

    def met(self, keys: Keys, since: float, own: WriteSpan | None) -> bool:
        """Whether a read met a write of any session."""
        with self._lock:
            return self._writes.met(keys, since, own=own)

    # As a shelf

    def offer(self, offer: Offer) -> None:
        """An early read is under way that others may have."""
        with self._lock:
            self._offers[offer.speculation] = offer
            while len(self._offers) > MOST:
                self._drop(next(iter(self._offers)))
            held = 0
            for item in reversed(tuple(self._offers)):
                held += item.size
                if item.size and held > MOST_BYTES:
                    self._drop(item)

    def take(
        self, key: str, *, settings: ToolSettings, session_id: str, thread: str, tenant: str, now: float
    ) -> list[Offer]:
        """What may answer a call of that key, the first registered first; `settings` are the asker's."""
        with self._lock:
            for item, offer in tuple(self._offers.items()):
                if offer.over or now - item.started > (item.settings.ttl or 0.0) or self._stale(item):
                    self._drop(item)
            found = [offer for item, offer in self._offers.items() if item.key == key]
        if settings.ttl is None:
            return []
        return [
            offer
            for offer in found
            if now - offer.speculation.started <= settings.ttl
            and _within(offer, settings, session_id, thread, tenant)
            and (offer.speculation.finished is not None or offer.loop is asyncio.get_running_loop())
        ]

    @contextmanager
    def awaited(self, item: Speculation) -> Iterator[None]:
        """While somebody waits for what it says."""
        with self._lock:
            item.waited_for += 1
        try:
            yield
        finally:
            with self._lock:
                item.waited_for -= 1

    def follow(self, thread: str, tenant: str, *, newest: str, session_id: str) -> int:
        """A session of the conversation is about to do something; `newest` is the one opened last, as the
        journal has it. Returns the number of the conversation's line, which is another one whenever that
        was not known here: then another process has had the conversation, and may have written.

        What was begun on another line is not offered to the conversation any more.
        """
        with self._lock:
            line = self._lines.pop((tenant, thread), None)
            if line is None or newest not in line.sessions:
                line = _Line(number=next(self._numbers))
            # Most sessions never come into the journal: what is the last one there must not be forgotten.
            line.sessions.extend((newest, session_id))
            self._lines[tenant, thread] = line
            if len(self._lines) > MOST_LINES:
                self._lines.popitem(last=False)
            for item, offer in tuple(self._offers.items()):
                old = item.line not in {UNKNOWN, line.number}
                if old and (offer.tenant, offer.thread) == (tenant, thread):
                    self._drop(item)
            return line.number

    def withdraw(self, item: Speculation) -> None:
        """It is not offered any more."""
        with self._lock:
            if item in self._offers:
                self._drop(item)

    def _drop(self, item: Speculation) -> None:
        del self._offers[item]
        if not _settled(item):
            self._off.add(item)

    def _stale(self, item: Speculation) -> bool:
        return self._writes.met(item.footprint, item.started, own=item.span)


def _settled(item: Speculation) -> bool:
    """Whether nobody takes it for fresh any more: it was adopted or lost, and nobody waits for it."""
    return item.decided.is_set() and not item.waited_for


def shareable(speculation: Speculation) -> bool:
    """Whether others may have it at all."""
    settings = speculation.settings
    own = speculation.runner is speculation.tool.runner  # and not one that a fork has made for itself
    return not speculation.writes and settings.ttl is not None and own and speculation.span is None


def outlives(speculation: Speculation) -> bool:
    """Whether others may have it beyond its own run."""
    settings = speculation.settings
    return shareable(speculation) and settings.outlives_run and not settings.redact


def _within(offer: Offer, settings: ToolSettings, session_id: str, thread: str, tenant: str) -> bool:
    """INVARIANT: the scopes of both sides allow it, of who has begun it and of who asks."""
    if offer.session_id == session_id:
        return True
    theirs = offer.speculation.settings
    scopes = {theirs.scope, settings.scope}
    if "session" in scopes or theirs.redact or settings.redact:
        return False
    if scopes != {"public"} and offer.tenant != tenant:
        return False
    if "thread" in scopes and (not thread or offer.thread != thread):
        return False
    return same_context(offer.context, contextvars.copy_context())


def same_context(one: contextvars.Context, other: contextvars.Context) -> bool:
    """Whether a tool could tell them apart: a web framework keeps the user in such variables."""
    variables = {variable for variable in (*one, *other) if variable.name not in _OF_FRAMEWORKS}
    return all(
        _alike(_told(one.get(variable)), _told(other.get(variable)))
        if variable.name == _CONFIG
        else _equal(one.get(variable), other.get(variable))
        for variable in variables
    )


def _told(config: object) -> Mapping[str, object]:
    """What the run's config says about who asks."""
    said = config.get("configurable") if isinstance(config, Mapping) else None
    if not isinstance(said, Mapping):
        return {}
    kept = {str(name): value for name, value in said.items() if name not in _OF_RUNS}
    return {name: value for name, value in kept.items() if not name.startswith("__pregel")}


def _alike(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)


def _equal(one: object, other: object) -> bool:
    return one is other or (isinstance(one, _SIMPLE) and type(one) is type(other) and one == other)
