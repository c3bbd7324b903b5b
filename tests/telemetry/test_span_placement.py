"""Where spans hang: adopted or own roots, nothing made current, contexts handed out on request."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from specflow.journal.event import CallEvent, EventKind
from specflow.telemetry.spans import SpanObserver

Make = Callable[..., Any]
ARGS = {"city": "Lisbon"}


def test_a_current_span_is_adopted(traced: Make) -> None:
    trace = traced()
    tracer = trace.provider.get_tracer("host")
    with tracer.start_as_current_span("host agent") as host:
        trace.story.turn()
        trace.story.launch("weather", ARGS, "spec_1")
        trace.story.withhold("pay", {}, "mode")
        trace.story.turn_over()
        with tracer.start_as_current_span("host tool"):
            trace.story.call("weather", ARGS, "call_1")
            trace.story.call_over("call_1", "hit", "spec_1")
        trace.story.settle()
        assert host.is_recording(), "an adopted span is not ours to end"
    assert not [span for span in trace.spans if span.name.startswith(("invoke_agent", "chat"))]
    host_span = trace.one("host agent")
    assert trace.one("specflow.dispatch").parent_id == host_span.span_id
    assert trace.one("execute_tool weather").parent_id == trace.one("host tool").span_id
    assert [note.name for note in host_span.notes] == ["specflow.withheld"]


def test_calls_without_a_current_span_go_to_the_adopted_trace(traced: Make) -> None:
    trace = traced()
    with trace.provider.get_tracer("host").start_as_current_span("host agent"):
        trace.story.turn()
    trace.story.call("weather", ARGS, "call_1")
    trace.story.call_over("call_1", "miss")
    trace.story.settle()
    assert trace.one("execute_tool weather").parent_id == trace.one("host agent").span_id


def test_a_chat_span_only_where_nobody_else_makes_one(traced: Make) -> None:
    trace = traced(chat=True)
    with trace.provider.get_tracer("host").start_as_current_span("host agent"):
        trace.story.turn(model="m")
        trace.story.turn_over()
        trace.story.settle()
    assert trace.one("chat m").kind == "client"
    trace = traced(chat=False)
    trace.story.turn(model="m")
    trace.story.turn_over()
    trace.story.settle()
    assert [span.name for span in trace.spans] == ["invoke_agent"]


def test_nothing_is_ever_made_current(traced: Make, travel_story: Any) -> None:
    trace = traced()
    seen: list[otel.Span] = []

    class Look:
        def see(self, event: CallEvent) -> None:
            seen.append(otel.get_current_span())

    trace.story.observers = (trace.observer, Look())
    travel_story(trace.story)
    assert len(seen) > 30
    assert set(seen) == {otel.INVALID_SPAN}


def test_sessions_do_not_share_a_root(traced: Make) -> None:
    trace = traced()
    for session in ("ses_a", "ses_b"):
        trace.story.session = session
        trace.story.turn("turn_" + session)
        trace.story.launch("weather", ARGS, "spec_" + session, turn="turn_" + session)
    trace.story.settle()
    assert trace.observer.open_spans > 0, "the other session goes on"
    trace.story.session = "ses_a"
    trace.story.settle()
    assert trace.observer.open_spans == 0
    assert len({span.trace_id for span in trace.spans}) == 2


async def test_the_early_run_is_current_for_the_tool_inside_it(traced: Make) -> None:
    trace = traced()
    tracer = trace.provider.get_tracer("http library")
    trace.story.turn()
    trace.story.launch("weather", ARGS, "spec_1")

    async def early() -> None:
        with trace.observer.attached("spec_1"):
            await asyncio.sleep(0)
            with tracer.start_as_current_span("GET /weather"):
                pass

    await asyncio.create_task(early())
    assert otel.get_current_span() is otel.INVALID_SPAN
    trace.story.run_over("spec_1")
    trace.story.settle()
    assert trace.one("GET /weather").parent_id == trace.one("specflow.run weather").span_id


def test_contexts_and_headers_of_unknown_ids() -> None:
    observer = SpanObserver(TracerProvider(shutdown_on_exit=False))
    assert observer.context_for("nobody") is None
    assert observer.traceparent("nobody") == ""
    with observer.attached("nobody"):
        assert otel.get_current_span() is otel.INVALID_SPAN


def test_traceparent_names_the_span_that_made_the_call(traced: Make) -> None:
    trace = traced()
    trace.story.turn()
    trace.story.launch("weather", ARGS, "spec_1", effect_id="eff_1")
    early = trace.observer.traceparent("spec_1")
    assert early == trace.observer.traceparent("eff_1")
    trace.story.call("weather", ARGS, "call_1")
    real = trace.observer.traceparent("call_1")
    trace.story.settle()
    run, call = trace.one("specflow.run weather"), trace.one("execute_tool weather")
    for header, span in ((early, run), (real, call)):
        assert header.startswith(f"00-{span.trace_id}-{span.span_id}-")
        assert int(header[-2:], 16) & 1, "sampled"


def test_what_is_not_sampled_costs_no_attributes_and_says_so_in_the_header(
    story_class: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[object] = []
    observer = SpanObserver(TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))

    def spy(call: object) -> str:
        hashed.append(call)
        return ""

    monkeypatch.setattr(observer._tracing.content, "args_hash", spy)
    story = story_class(observer)
    story.turn()
    story.launch("weather", ARGS, "spec_1")
    header = observer.traceparent("spec_1")
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", header)
    assert not int(header[-2:], 16) & 1, "not sampled"
    story.call("weather", ARGS, "call_1")
    story.call_over("call_1", "hit", "spec_1")
    story.settle()
    assert hashed == []


def test_lost_endings_cannot_fill_the_memory(traced: Make) -> None:
    trace = traced(limit=16)
    for number in range(200):
        trace.story.turn(f"turn_{number}")
        trace.story.launch("weather", {"n": number}, f"spec_{number}", turn=f"turn_{number}")
    ledger = trace.observer._tracing.ledger
    assert len(ledger) == 16
    assert trace.observer.open_spans <= 16
    trace.story.settle()
    assert len(ledger) == trace.observer.open_spans == 0
    speculations = [span for span in trace.spans if span.name.startswith("specflow.speculate")]
    assert len(speculations) == 200, "what went out of memory was ended, not dropped"


def test_close_ends_what_is_open(traced: Make) -> None:
    trace = traced()
    trace.story.turn()
    trace.story.launch("weather", ARGS, "spec_1")
    trace.observer.close()
    assert trace.observer.open_spans == 0
    assert trace.one("specflow.run weather").attributes["specflow.outcome"] == "lost"


def test_a_broken_provider_is_said_once_and_never_raised(story_class: Any, caplog: Any) -> None:
    class Broken(TracerProvider):
        def get_tracer(self, *args: Any, **kwargs: Any) -> Any:
            class Tracer:
                def start_span(self, *args: Any, **kwargs: Any) -> Any:
                    raise RuntimeError("broken")

            return Tracer()

    story = story_class(SpanObserver(Broken(shutdown_on_exit=False)))
    story.turn()
    story.launch("weather", ARGS, "spec_1")
    story.settle()
    story.emit(EventKind.TURN_STARTED, turn_id="turn_2")
    assert len([record for record in caplog.records if "could not be made" in record.message]) == 1


def test_a_run_from_an_older_checkpoint_says_so_before_its_first_turn(traced: Callable[[], Any]) -> None:
    trace = traced()
    trace.story.emit(EventKind.CONVERSATION_BRANCHED)
    trace.story.turn(model="m")
    trace.story.turn_over()
    trace.story.settle()
    names = [note.name for span in trace.spans for note in span.notes]
    assert names == ["specflow.conversation_branched"]
    assert trace.observer.open_spans == 0
