"""Spans from events: the trace a person reads to see what ran early, what it saved and what was undone.

    invoke_agent -> chat
                 -> specflow.dispatch -> specflow.speculate -> specflow.run, specflow.compensate
                 -> execute_tool (link to the adopted run), specflow.interrupt

Every span gets its parent by `context=`; none is ever made current by an event, so none can leak to
the caller. The journal is the truth; a lost span loses nothing else.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import TracerProvider

from specflow.journal.event import CallEvent, EventKind
from specflow.telemetry.content import Content, Redact
from specflow.telemetry.handlers import HANDLERS
from specflow.telemetry.ledger import Kind
from specflow.telemetry.tracing import Tracing, header

log = logging.getLogger("specflow")
_living: weakref.WeakSet[SpanObserver] = weakref.WeakSet()


def close_all() -> None:
    """End the open spans of every observer in the process; for its end."""
    for observer in list(_living):
        observer.close()


class SpanObserver:
    """Makes spans of events. Thread-safe; never raises; remembers at most `limit` spans.

    Args:
        tracer_provider: where spans go; None is the global provider, also one that is set later.
        agent: the agent's name, for the root span where specflow makes it.
        redact: paths hidden from exported arguments and results, from the policy.
        capture: whether arguments and results are exported; None asks the environment variable
            `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`.
        chat: whether to make a `chat` span per model turn; None makes one exactly where specflow made
            the root span, that is, where no other instrumentation seems to be at work.
        limit: most spans (open, or ended and still needed as parents) kept in memory.
        stamp: nanoseconds since the epoch of an event; None is the machine's clock.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        *,
        agent: str = "",
        redact: Redact = (),
        capture: bool | None = None,
        hash_key: bytes | None = None,
        chat: bool | None = None,
        limit: int = 8192,
        stamp: Callable[[CallEvent], int] | None = None,
    ) -> None:
        self._lock = threading.RLock()
        self._complained = False
        _living.add(self)
        self._tracing = Tracing(
            tracer_provider,
            agent=agent,
            content=Content(redact, capture=capture, hash_key=hash_key),
            chat=chat,
            limit=limit,
            stamp=stamp,
        )

    def see(self, event: CallEvent) -> None:
        """Start, end or annotate spans for the event."""
        try:
            with self._lock:
                HANDLERS[EventKind(event.kind)](self._tracing, event)
        except Exception:
            if not self._complained:
                self._complained = True
                log.exception("a span for %s could not be made; said once", getattr(event, "kind", "?"))

    @property
    def open_spans(self) -> int:
        """How many spans are started and not ended."""
        with self._lock:
            return self._tracing.ledger.open_spans

    def context_for(self, speculation_id: str) -> Context | None:
        """The context of the early run (of the speculation, before its run has started), or None.

        Opaque to the caller: hand it to `attached`, or to OpenTelemetry.
        """
        with self._lock:
            entry = self._tracing.ledger.find(speculation_id, Kind.RUN, Kind.SPECULATION)
            return entry.context if entry is not None else None

    @contextmanager
    def attached(self, speculation_id: str) -> Iterator[None]:
        """Make the early run's span current, for what the tool's own code records inside it.

        Wrap the tool's execution in the task that runs it; never hold it across a `yield` to a caller.
        """
        context = self.context_for(speculation_id)
        if context is None:
            yield
            return
        token = otel_context.attach(context)
        try:
            yield
        finally:
            otel_context.detach(token)

    def traceparent(self, ident: str) -> str:
        """The W3C `traceparent` of a speculation, real call or effect, for the journal; "" when unknown."""
        with self._lock:
            entry = self._tracing.ledger.find(
                ident, Kind.COMPENSATION, Kind.RUN, Kind.SPECULATION, Kind.CALL_ID, Kind.EFFECT
            )
            return header(entry.span_context) if entry is not None else ""

    def close(self) -> None:
        """End every span that is still open, as lost; for the end of the process."""
        # The thread that holds the lock may be the one that a signal handler has interrupted.
        if not self._lock.acquire(timeout=1.0):
            return
        try:
            self._tracing.ledger.clear()
        finally:
            self._lock.release()
