"""How a span is started, linked, failed and placed under its parent: what all handlers share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import specflow
from specflow.journal.event import CallEvent
from specflow.telemetry import names
from specflow.telemetry.content import Content, error_type
from specflow.telemetry.describe import describe, of_ids, of_place
from specflow.telemetry.ledger import Entry, Kind, Ledger

_PROPAGATOR = TraceContextTextMapPropagator()
_KEPT_QUESTIONS = 1024


def header(context: SpanContext) -> str:
    """The W3C `traceparent` of a span context; "" for an invalid one."""
    if not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def parse(traceparent: object) -> SpanContext | None:
    """The span context a `traceparent` names, or None for anything else."""
    if not isinstance(traceparent, str) or not traceparent:
        return None
    found = trace.get_current_span(_PROPAGATOR.extract({"traceparent": traceparent}, Context()))
    context = found.get_span_context()
    return context if context.is_valid else None


class Tracing:
    """The tracer, the ledger and the settings of one `SpanObserver`. Not thread-safe."""

    def __init__(
        self,
        provider: TracerProvider | None,
        *,
        agent: str,
        content: Content,
        chat: bool | None,
        limit: int,
        stamp: Callable[[CallEvent], int] | None,
    ) -> None:
        version = getattr(specflow, "__version__", "")
        self.tracer = trace.get_tracer(names.INSTRUMENTATION, version, provider, names.SCHEMA_URL)
        self.content = content
        self.ledger = Ledger(limit, self._lose)
        self._agent = agent
        self._chat = chat
        self._stamp = stamp
        self._now: int | None = None
        # Questions outlive their session: the answer may come hours later, under a new one.
        self._asked: OrderedDict[tuple[str, str], SpanContext] = OrderedDict()

    def at(self, event: CallEvent) -> int | None:
        """The event's time in nanoseconds since the epoch; None lets the SDK read its clock."""
        self._now = self._stamp(event) if self._stamp is not None else None
        return self._now

    def start(
        self,
        event: CallEvent,
        kind: Kind,
        ident: str,
        name: str,
        parent: Context,
        *,
        role: str,
        span_kind: SpanKind = SpanKind.INTERNAL,
        tool: str = "",
        session: str = "",
    ) -> Entry:
        """Start a span under `parent`, remember it, and return its entry. `role` is OpenInference's."""
        span = self.tracer.start_span(name, context=parent, kind=span_kind, start_time=self.at(event))
        entry = Entry(
            kind=kind,
            ident=ident,
            session=session or self.owner(event),
            context=trace.set_span_in_context(span, parent),
            span=span,
            tool=tool,
        )
        if span.is_recording():
            # The event that happens to start a root or a dispatch is one of many under it.
            shared = kind is Kind.SESSION or kind is Kind.DISPATCH
            describe(span, {names.OPENINFERENCE_KIND: role}, of_place(event) if shared else of_ids(event))
            if kind is Kind.DISPATCH and event.turn_id:
                span.set_attribute(names.TURN_ID, event.turn_id)
        self.ledger.put(entry)
        return entry

    def recording(self, entry: Entry | None) -> Span | None:
        """The entry's open span if building attributes for it is worth the time."""
        span = entry.span if entry is not None else None
        return span if span is not None and span.is_recording() else None

    def link(self, span: Span | None, target: SpanContext | None, parent: Context, kind: str) -> None:
        """Link to `target`, unless that is nothing or the span's own parent."""
        if span is None or target is None or not target.is_valid:
            return
        if target.span_id != trace.get_current_span(parent).get_span_context().span_id:
            span.add_link(target, {names.LINK_KIND: kind})

    def fail(self, span: Span, error: str) -> None:
        """Set ERROR. The text of an error may quote arguments: by default only its type goes out."""
        span.set_status(Status(StatusCode.ERROR, self.content.message(error) or error_type(error)))

    def owner(self, event: CallEvent) -> str:
        """The session whose end ends the event's spans. An event without one belongs to its thread's."""
        if event.session_id:
            return event.session_id
        live = self.ledger.get(Kind.THREAD, event.thread)
        return live.session if live is not None else f"thread:{event.thread}"

    def scoped(self, event: CallEvent) -> str:
        """The call's id in its session: ids such as `call_0` come again in every run."""
        return f"{self.owner(event)}/{event.call_id}"

    def session(self, event: CallEvent, *, make: bool = True) -> Entry:
        """The session's place in a trace: the span current where it was first seen, else our own root.

        Without `make`, and for an event that names no session, a session that is not known is not begun.
        """
        owner = self.owner(event)
        found = self.ledger.get(Kind.SESSION, owner)
        if found is not None:
            self.ledger.touch(found)
            return found
        current = otel_context.get_current()
        entry = Entry(kind=Kind.SESSION, ident=owner, session=owner, context=current)
        if not make or not event.session_id:
            return entry
        if trace.get_current_span(current).get_span_context().is_valid:
            self.ledger.put(entry)
        else:
            entry = self._root(event, current)
        self.ledger.put(entry, alias=(Kind.THREAD, event.thread))
        return entry

    def _root(self, event: CallEvent, current: Context) -> Entry:
        agent = names.shown(self._agent or str(event.facts.get("agent") or ""))
        name = f"{names.OPERATION_INVOKE_AGENT} {agent}" if agent else names.OPERATION_INVOKE_AGENT
        entry = self.start(event, Kind.SESSION, event.session_id, name, current, role="AGENT")
        span = self.recording(entry)
        if span is not None:
            span.set_attribute(names.GEN_AI_OPERATION_NAME, names.OPERATION_INVOKE_AGENT)
            if agent:
                span.set_attribute(names.GEN_AI_AGENT_NAME, agent)
        self.resumed(span, event.facts, current)
        return entry

    def place(self, event: CallEvent, *, make: bool = True) -> Context:
        """The caller's own context if it is in a trace, else the session's."""
        session = self.session(event, make=make)
        current = otel_context.get_current()
        return current if trace.get_current_span(current).get_span_context().is_valid else session.context

    def resumed(self, span: Span | None, facts: Mapping[str, Any], parent: Context) -> None:
        """Link to the span of another process that the fact `traceparent` names."""
        self.link(span, parse(facts.get("traceparent")), parent, "resumed")

    def makes_chat(self, session: Entry) -> bool:
        """Whether the session's model turns get a span of ours."""
        return session.span is not None if self._chat is None else self._chat

    def remember_question(self, event: CallEvent, context: SpanContext) -> None:
        """Keep what a later answer links to."""
        key = event.thread, event.call_id
        self._asked[key] = context
        self._asked.move_to_end(key)
        while len(self._asked) > _KEPT_QUESTIONS:
            self._asked.popitem(last=False)

    def question(self, event: CallEvent) -> SpanContext | None:
        """The span of an earlier question about the call, if this process asked it."""
        return self._asked.get((event.thread, event.call_id))

    def answered(self, event: CallEvent) -> None:
        """The question needs nobody's memory any more."""
        self._asked.pop((event.thread, event.call_id), None)

    def _lose(self, entry: Entry) -> None:
        """A span nobody ended: at the end of its session, or because there were too many."""
        span = self.recording(entry)
        if span is not None and entry.kind is not Kind.SESSION and entry.kind is not Kind.TURN:
            span.set_attribute(names.OUTCOME, names.OUTCOME_WAITING if entry.waiting else names.OUTCOME_LOST)
        entry.end(self._now)
