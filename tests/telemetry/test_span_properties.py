"""Whatever is lost, doubled or out of order: nothing raises, nothing stays open, nothing grows."""

from __future__ import annotations

import itertools
import logging
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace as otel
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.journal.event import CallEvent, EventKind
from specflow.policy.verdict import Reason, Speculate, Verdict
from specflow.prediction.candidate import Candidate
from specflow.telemetry.metrics import MetricObserver
from specflow.telemetry.spans import SpanObserver

SESSIONS = ("ses_1", "ses_2", "")
THREADS = ("", "thread-1", "\ud800thread")
ids = st.sampled_from(["", "a", "b", "c"])
hostile = st.text(max_size=80) | st.sampled_from(["\x00", "\ud800", "x" * 5000, "specflow.run {tool}"])
outcomes = st.sampled_from(["", "hit", "late", "miss", "stale", "stuck", "compensated", "refused", "ok"])
facts = st.dictionaries(
    st.sampled_from(
        ["saved", "wasted", "runway", "calls", "tools", "model", "traceparent", "result", "agent"]
    ),
    st.none() | st.booleans() | st.integers() | st.floats() | hostile | st.binary(max_size=4),
    max_size=4,
)
calls = st.builds(
    lambda tool, value: Call(tool=tool, args={"q": value}),
    hostile,
    st.text(max_size=10).filter(lambda text: text.isascii()) | st.integers(),
)
verdicts = st.just(
    Verdict(
        effect=EffectClass.READ_ONLY,
        speculate=Speculate.NOW,
        reasons=(Reason(code="r", message="m"),),
        policy_hash="00",
    )
)
events = st.builds(
    CallEvent,
    kind=st.sampled_from(EventKind),
    at=st.floats(min_value=0, max_value=100),
    session_id=st.sampled_from(SESSIONS),
    thread=st.sampled_from(THREADS),
    turn_id=ids,
    speculation_id=ids,
    call_id=ids,
    effect_id=ids,
    call=st.none() | calls,
    candidate=st.none()
    | st.builds(Candidate, call=calls, confidence=st.floats(), predictor=hostile, tainted=st.booleans()),
    verdict=st.none() | verdicts,
    outcome=outcomes,
    cause=hostile,
    error=hostile,
    facts=facts,
)


class Refused(logging.Handler):
    """What the exporter could not encode."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def provider() -> tuple[TracerProvider, Counter[str], InMemorySpanExporter]:
    counts: Counter[str] = Counter()
    exporter = InMemorySpanExporter()

    class Processor(SimpleSpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            counts["started"] += 1

        def on_end(self, span: ReadableSpan) -> None:
            counts["ended"] += 1
            super().on_end(span)

    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(Processor(exporter))
    return made, counts, exporter


@pytest.mark.filterwarnings("ignore")  # the SDK warns of attribute values that it leaves out
@settings(max_examples=120, deadline=None)
@given(stream=st.lists(events, max_size=60), capture=st.booleans(), limit=st.sampled_from([4, 64, 8192]))
def test_any_order_or_loss_of_events_never_raises_and_never_leaks(
    stream: Sequence[CallEvent], capture: bool, limit: int
) -> None:
    spans, counts, exporter = provider()
    observer = SpanObserver(spans, capture=capture, limit=limit)
    meter = MetricObserver(limit=limit)
    for event in stream:
        observer.see(event)
        meter.see(event)
        assert observer.open_spans <= limit
        assert otel.get_current_span() is otel.INVALID_SPAN
    # What names no session ends with any session of its thread.
    for session, thread in itertools.product(SESSIONS, THREADS):
        observer.see(CallEvent(kind=EventKind.SETTLED, at=101, session_id=session, thread=thread))
    assert observer.open_spans == 0
    assert len(observer._tracing.ledger) == 0
    assert counts["started"] == counts["ended"]
    assert not observer._complained
    assert not meter._complained
    finished = exporter.get_finished_spans()
    refused = Refused()
    logging.getLogger("opentelemetry.exporter.otlp.proto.common._internal").addHandler(refused)
    try:
        encode_spans(finished).SerializeToString()  # a bad name or status raises, and loses the whole batch
    finally:
        logging.getLogger("opentelemetry.exporter.otlp.proto.common._internal").removeHandler(refused)
    assert refused.messages == [], "a bad attribute is left out, with a traceback in the log"
    for span in finished:
        assert len(span.name) < 100
        assert span.name.isprintable()
        assert span.context is not None
        parent = span.parent.span_id if span.parent is not None else None
        assert all(link.context.span_id not in {parent, span.context.span_id} for link in span.links)


def test_threads_share_one_observer(story_class: Any, travel_story: Any) -> None:
    spans, counts, exporter = provider()
    observer = SpanObserver(spans)

    def run(number: int) -> None:
        story = story_class(observer, session=f"ses_{number}")
        original = story.emit

        def emit(kind: EventKind, **fields: Any) -> None:
            for name in ("turn_id", "speculation_id", "call_id", "effect_id"):
                if fields.get(name):
                    fields[name] = f"{fields[name]}/{number}"
            original(kind, **fields)

        story.emit = emit
        for _ in range(20):
            travel_story(story)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts["started"] == counts["ended"] == 6 * 20 * 17
    assert observer.open_spans == 0
    traces: dict[int, set[str]] = {}
    for span in exporter.get_finished_spans():
        assert span.context is not None
        assert span.attributes is not None
        traces.setdefault(span.context.trace_id, set()).add(str(span.attributes["specflow.session.id"]))
    assert len(traces) == 6 * 20
    assert all(len(sessions) == 1 for sessions in traces.values())
