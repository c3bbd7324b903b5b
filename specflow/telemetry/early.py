"""Events of early work: dispatch, speculation, run, resolution, compensation."""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from specflow.journal.event import CallEvent
from specflow.telemetry import names
from specflow.telemetry.describe import describe, of_branch, of_call, of_candidate, of_ending, of_verdict
from specflow.telemetry.ledger import Entry, Kind
from specflow.telemetry.tracing import Tracing


def launched(tracing: Tracing, event: CallEvent) -> None:
    call = event.candidate.call if event.candidate is not None else event.call
    tool = names.shown(call.tool) if call is not None else "unknown"
    entry = tracing.start(
        event,
        Kind.SPECULATION,
        event.speculation_id,
        f"{names.SPAN_SPECULATE} {tool}",
        _dispatched(tracing, event),
        role="CHAIN",
        span_kind=SpanKind.CONSUMER,
        tool=tool,
    )
    if event.effect_id:
        tracing.ledger.put(entry, alias=(Kind.EFFECT, event.effect_id))
    span = tracing.recording(entry)
    if span is None:
        return
    describe(span, of_branch(event))
    if call is not None:
        describe(span, of_call(call, tracing.content))
    if event.candidate is not None:
        describe(span, of_candidate(event.candidate))
    if event.verdict is not None:
        describe(span, of_verdict(event.verdict))


def _dispatched(tracing: Tracing, event: CallEvent) -> Context:
    """The turn's dispatch span, made by the first launch and ended at once."""
    # A launch whose turn was lost belongs to its session.
    ident = event.turn_id or f"session:{event.session_id}"
    known = tracing.ledger.get(Kind.DISPATCH, ident)
    if known is None:
        turn = tracing.ledger.get(Kind.TURN, event.turn_id)
        parent = turn.context if turn is not None else tracing.session(event).context
        known = tracing.start(
            event,
            Kind.DISPATCH,
            ident,
            names.SPAN_DISPATCH,
            parent,
            role="CHAIN",
            span_kind=SpanKind.PRODUCER,
        )
        known.end(tracing.at(event))
    return known.context


def run_started(tracing: Tracing, event: CallEvent) -> None:
    # Often on a background task, whose current span is none of ours: only the id says whose run it is.
    parent = tracing.ledger.get(Kind.SPECULATION, event.speculation_id)
    if parent is None:
        return
    entry = tracing.start(
        event,
        Kind.RUN,
        event.speculation_id,
        f"{names.SPAN_RUN} {parent.tool}",
        parent.context,
        role="CHAIN",
        tool=parent.tool,
        session=parent.session,
    )
    span = tracing.recording(entry)
    if span is not None:
        span.set_attribute(names.TOOL, parent.tool)
    if event.effect_id:
        tracing.ledger.put(entry, alias=(Kind.EFFECT, event.effect_id))


def run_ended(tracing: Tracing, event: CallEvent) -> None:
    entry = tracing.ledger.get(Kind.RUN, event.speculation_id)
    if entry is None:
        return
    span = tracing.recording(entry)
    if span is not None:
        ending = of_ending(event)
        # `specflow.outcome` is how the speculation was resolved; this is only how the run went. An
        # early run that fails hurts nobody, so it is no ERROR: the real call runs again.
        outcome = ending.pop(names.OUTCOME, None)
        if outcome is not None:
            ending[names.RUN_OUTCOME] = outcome
        result = (
            tracing.content.result(entry.tool, event.facts["result"]) if "result" in event.facts else None
        )
        if result is not None:
            ending[names.GEN_AI_TOOL_CALL_RESULT] = result
        describe(span, ending)
    entry.end(tracing.at(event))


def kept(tracing: Tracing, event: CallEvent) -> None:
    """It outlives its run: its spans are not that session's any more, which is about to be at rest."""
    _move(tracing, event, _keeper(event))
    entry = tracing.ledger.get(Kind.SPECULATION, event.speculation_id)
    span = None if entry is None else tracing.recording(entry)
    if span is not None:
        span.add_event(names.EVENT_KEPT, {}, tracing.at(event))


def carried(tracing: Tracing, event: CallEvent) -> None:
    """A later run of its conversation has it, and ends with it."""
    _move(tracing, event, event.session_id)


def _move(tracing: Tracing, event: CallEvent, session: str) -> None:
    for kind in (Kind.SPECULATION, Kind.RUN):
        entry = tracing.ledger.get(kind, event.speculation_id)
        if entry is not None:
            tracing.ledger.move(entry, session)


def _keeper(event: CallEvent) -> str:
    """What keeps its spans while no session does."""
    return f"kept:{event.speculation_id}"


def resolved(tracing: Tracing, event: CallEvent) -> None:
    entry = tracing.ledger.get(Kind.SPECULATION, event.speculation_id)
    if entry is None:
        return
    _end(tracing, entry, event)
    if event.facts.get("kept"):
        # No session will come to rest with it.
        tracing.ledger.settle(_keeper(event))


def compensation_started(tracing: Tracing, event: CallEvent) -> None:
    _compensation(tracing, event)


def _compensation(tracing: Tracing, event: CallEvent) -> Entry:
    ident = event.speculation_id or event.effect_id
    speculation = tracing.ledger.get(Kind.SPECULATION, event.speculation_id)
    ran = tracing.ledger.find(event.speculation_id, Kind.RUN) or tracing.ledger.get(
        Kind.EFFECT, event.effect_id
    )
    tool = names.shown(event.call.tool) if event.call is not None else "unknown"
    parent = speculation.context if speculation is not None else tracing.place(event, make=False)
    entry = tracing.start(
        event,
        Kind.COMPENSATION,
        ident,
        f"{names.SPAN_COMPENSATE} {tool}",
        parent,
        role="CHAIN",
        tool=tool,
        session=speculation.session if speculation is not None else "",
    )
    span = tracing.recording(entry)
    if span is None:
        return entry
    if ran is not None:
        tracing.link(span, ran.span_context, parent, "undoes")
    else:
        # Recovery in another process: the journal kept the header of the span that made the call.
        tracing.resumed(span, event.facts, parent)
    if event.call is not None:
        describe(span, of_call(event.call, tracing.content))
    return entry


def compensation_ended(tracing: Tracing, event: CallEvent) -> None:
    entry = tracing.ledger.get(Kind.COMPENSATION, event.speculation_id or event.effect_id)
    if entry is None:
        if event.outcome != names.OUTCOME_STUCK:
            return
        # It failed before it could begin, for want of a compensator: that must show all the same.
        entry = _compensation(tracing, event)
    _end(tracing, entry, event)
    if tracing.ledger.get(Kind.SESSION, entry.session) is None:
        # Recovery of a session that this process never ran, and will not settle.
        tracing.ledger.forget(entry)


def _end(tracing: Tracing, entry: Entry, event: CallEvent) -> None:
    span = tracing.recording(entry)
    if span is not None:
        describe(span, of_ending(event))
        if event.outcome == names.OUTCOME_STUCK:
            tracing.fail(span, event.error or "CompensationFailed")
    entry.end(tracing.at(event))
