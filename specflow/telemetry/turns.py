"""Events of a model's turn and of a session's end: the root, the chat span, what was withheld."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.trace import SpanKind

from specflow.journal.event import CallEvent
from specflow.telemetry import names
from specflow.telemetry.content import seconds
from specflow.telemetry.describe import describe, of_candidate, of_ending, of_facts, of_verdict
from specflow.telemetry.ledger import Entry, Kind
from specflow.telemetry.tracing import Tracing


def turn_started(tracing: Tracing, event: CallEvent) -> None:
    parent = tracing.place(event)
    if not tracing.makes_chat(tracing.session(event)):
        tracing.ledger.put(
            Entry(kind=Kind.TURN, ident=event.turn_id, session=event.session_id, context=parent)
        )
        return
    model = names.shown(str(event.facts.get("model") or ""))
    name = f"{names.OPERATION_CHAT} {model}" if model else names.OPERATION_CHAT
    entry = tracing.start(
        event, Kind.TURN, event.turn_id, name, parent, role="LLM", span_kind=SpanKind.CLIENT
    )
    # Speculation stands beside the model's span, not under it: it outlives the model's turn.
    entry.context = parent
    span = tracing.recording(entry)
    if span is not None:
        wanted = {
            "model": names.GEN_AI_REQUEST_MODEL,
            "provider": names.GEN_AI_PROVIDER_NAME,
            "tools": names.TURN_TOOLS,
        }
        describe(span, {names.GEN_AI_OPERATION_NAME: names.OPERATION_CHAT}, of_facts(event.facts, wanted))


def turn_ended(tracing: Tracing, event: CallEvent) -> None:
    entry = tracing.ledger.get(Kind.TURN, event.turn_id)
    if entry is None:
        return
    span = tracing.recording(entry)
    if span is not None:
        wanted = {"calls": names.TURN_CALLS, "launched": names.TURN_LAUNCHED}
        describe(span, of_ending(event), of_facts(event.facts, wanted))
    entry.end(tracing.at(event))


def withheld(tracing: Tracing, event: CallEvent) -> None:
    turn = tracing.ledger.get(Kind.TURN, event.turn_id)
    session = tracing.ledger.get(Kind.SESSION, tracing.owner(event))
    # Our own span if there is one; else the adopted one, which belongs to others but is where to look.
    span = tracing.recording(turn) or tracing.recording(session)
    if span is None and turn is not None:
        span = trace.get_current_span(turn.context)
    if span is None or not span.is_recording():
        return
    attributes = of_ending(event)
    if event.effect_id:
        attributes[names.EFFECT_ID] = event.effect_id
    call = event.call or (event.candidate.call if event.candidate is not None else None)
    if call is not None:
        attributes[names.TOOL] = names.shown(call.tool)
    if event.candidate is not None:
        attributes.update(of_candidate(event.candidate))
    if event.verdict is not None:
        attributes.update(of_verdict(event.verdict))
    span.add_event(names.EVENT_WITHHELD, attributes, tracing.at(event))


def conversation_branched(tracing: Tracing, event: CallEvent) -> None:
    """Comes before the first turn of its run: the session may have no span yet."""
    context = tracing.place(event)
    span = tracing.recording(tracing.ledger.get(Kind.SESSION, tracing.owner(event)))
    span = span or trace.get_current_span(context)
    if span.is_recording():
        span.add_event(names.EVENT_CONVERSATION_BRANCHED, {}, tracing.at(event))


def settled(tracing: Tracing, event: CallEvent) -> None:
    try:
        tracing.at(event)
        span = tracing.recording(tracing.ledger.get(Kind.SESSION, event.session_id))
        for fact in event.facts if span is not None else ():
            value = seconds(event.facts, fact)
            if span is not None and value is not None:
                span.set_attribute(names.SETTLED_PREFIX + names.shown(fact), value)
    finally:
        # INVARIANT: once a session is at rest, no span of it is open.
        tracing.ledger.settle(event.session_id)
        tracing.ledger.settle(f"thread:{event.thread}")
