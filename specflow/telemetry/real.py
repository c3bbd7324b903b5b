"""Events of the calls the model really made: the one `execute_tool` span of each, and its confirmation."""

from __future__ import annotations

from specflow.journal.event import CallEvent
from specflow.telemetry import names
from specflow.telemetry.content import error_type
from specflow.telemetry.describe import describe, of_call, of_ending, of_ids, of_verdict
from specflow.telemetry.ledger import Entry, Kind
from specflow.telemetry.tracing import Tracing

# By these a run is left on purpose: cancelled, waiting for a person, or gone to another graph.
_PASSING = frozenset({"CancelledError", "GraphInterrupt", "GraphBubbleUp", "NodeInterrupt", "ParentCommand"})


def call_started(tracing: Tracing, event: CallEvent) -> None:
    tool = names.shown(event.call.tool) if event.call is not None else "unknown"
    parent = tracing.place(event)
    entry = tracing.start(
        event,
        Kind.CALL,
        tracing.scoped(event),
        f"{names.OPERATION_EXECUTE_TOOL} {tool}",
        parent,
        role="TOOL",
        tool=tool,
    )
    # For `traceparent`, which is asked by the bare id, and soon.
    tracing.ledger.put(entry, alias=(Kind.CALL_ID, event.call_id))
    if event.effect_id:
        tracing.ledger.put(entry, alias=(Kind.EFFECT, event.effect_id))
    span = tracing.recording(entry)
    if span is None:
        return
    tracing.link(span, tracing.question(event), parent, "question")
    tracing.resumed(span, event.facts, parent)
    call_id = event.facts.get("tool_call_id")
    describe(
        span,
        {
            names.GEN_AI_OPERATION_NAME: names.OPERATION_EXECUTE_TOOL,
            names.GEN_AI_TOOL_NAME: tool,
            names.GEN_AI_TOOL_TYPE: "function",
            names.GEN_AI_TOOL_CALL_ID: names.shown(str(call_id or event.call_id), 128),
        },
    )
    if event.call is not None:
        describe(span, of_call(event.call, tracing.content))
    if event.verdict is not None:
        describe(span, of_verdict(event.verdict))


def call_ended(tracing: Tracing, event: CallEvent) -> None:
    entry = tracing.ledger.get(Kind.CALL, tracing.scoped(event))
    if entry is None:
        return
    span = tracing.recording(entry)
    if span is not None:
        describe(span, of_ids(event), of_ending(event))
        adopted = tracing.ledger.find(event.speculation_id, Kind.RUN, Kind.SPECULATION)
        if event.speculation_id and adopted is not None:
            tracing.link(span, adopted.span_context, entry.context, "adopted")
        result = (
            tracing.content.result(entry.tool, event.facts["result"]) if "result" in event.facts else None
        )
        if result is not None:
            span.set_attribute(names.GEN_AI_TOOL_CALL_RESULT, result)
        # A refusal is the policy at work, not a failure.
        passing = error_type(event.error).rpartition(".")[2] in _PASSING
        if event.error and event.outcome != "refused" and not passing:
            tracing.fail(span, event.error)
    entry.end(tracing.at(event))


def confirmation_asked(tracing: Tracing, event: CallEvent) -> None:
    _interrupt(tracing, event)


def _interrupt(tracing: Tracing, event: CallEvent) -> Entry:
    tool = names.shown(event.call.tool) if event.call is not None else ""
    call = tracing.ledger.get(Kind.CALL, tracing.scoped(event))
    parent = call.context if call is not None else tracing.place(event)
    entry = tracing.start(
        event, Kind.INTERRUPT, tracing.scoped(event), names.SPAN_INTERRUPT, parent, role="CHAIN", tool=tool
    )
    span = tracing.recording(entry)
    if span is not None:
        tracing.link(span, tracing.question(event), parent, "question")
        tracing.resumed(span, event.facts, parent)
        if event.call is not None:
            describe(span, of_call(event.call, tracing.content))
    entry.waiting = True
    if call is not None:
        call.waiting = True
    tracing.remember_question(event, entry.span_context)
    return entry


def confirmation_answered(tracing: Tracing, event: CallEvent) -> None:
    # Usually the question's span ended when its run came to rest; the answer then gets its own, linked.
    entry = tracing.ledger.get(Kind.INTERRUPT, tracing.scoped(event))
    if entry is None or entry.span is None:
        entry = _interrupt(tracing, event)
    span = tracing.recording(entry)
    if span is not None and event.cause:
        span.set_attribute(names.DECISION, names.shown(event.cause))
    entry.end(tracing.at(event))
    tracing.answered(event)
    call = tracing.ledger.get(Kind.CALL, tracing.scoped(event))
    if call is not None:
        call.waiting = False
