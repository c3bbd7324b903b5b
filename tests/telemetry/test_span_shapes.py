"""Each outcome as a trace, sent by the real SDK over real HTTP and read back from the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from specflow.effects.kind import EffectClass
from specflow.journal.event import EventKind

Make = Callable[..., Any]
ARGS = {"city": "Lisbon"}


def test_hit_joins_call_and_speculation(traced: Make) -> None:
    trace = traced(agent="travel")
    story = trace.story
    story.turn()
    story.launch("weather", ARGS, "spec_1")
    story.tick(0.5)
    story.run_over("spec_1")
    story.turn_over()
    story.call("weather", ARGS, "call_1")
    story.call_over("call_1", "hit", "spec_1", saved=0.5, runway=0.7)
    story.resolve("spec_1", "hit", saved=0.5, runway=0.7)
    story.settle()

    root = trace.one("invoke_agent travel")
    dispatch = trace.one("specflow.dispatch")
    speculate = trace.one("specflow.speculate weather")
    run = trace.one("specflow.run weather")
    call = trace.one("execute_tool weather")
    assert root.parent_id == ""
    assert [root.kind, dispatch.kind, speculate.kind, run.kind, call.kind] == [
        "internal",
        "producer",
        "consumer",
        "internal",
        "internal",
    ]
    assert dispatch.parent_id == root.span_id
    assert speculate.parent_id == dispatch.span_id
    assert run.parent_id == speculate.span_id
    assert call.parent_id == root.span_id
    assert dispatch.start == dispatch.end
    assert run.seconds == pytest.approx(0.5)
    assert [link.span_id for link in call.links] == [run.span_id]
    for span in (speculate, call):
        assert span.attributes["specflow.speculation.id"] == "spec_1"
        assert span.attributes["specflow.outcome"] == "hit"
        assert span.attributes["specflow.saved_time"] == 0.5
        assert span.attributes["specflow.runway"] == 0.7
    assert call.attributes["specflow.args.hash"] == speculate.attributes["specflow.args.hash"]
    assert root.attributes["gen_ai.conversation.id"] == "thread-1"
    assert speculate.attributes["specflow.policy.reasons"] == ["reads-first"]
    assert {span.status for span in trace.spans} == {"unset"}
    assert all("openinference.span.kind" in span.attributes for span in trace.spans)
    assert trace.observer.open_spans == 0


def test_only_the_real_call_counts_as_a_tool(traced: Make, travel_story: Any) -> None:
    trace = traced()
    travel_story(trace.story)
    tools = [
        span.name for span in trace.spans if span.attributes.get("gen_ai.operation.name") == "execute_tool"
    ]
    assert sorted(tools) == [
        "execute_tool book_flight",
        "execute_tool charge_card",
        "execute_tool search_flights",
        "execute_tool weather",
    ]
    named = {span.name for span in trace.spans if "gen_ai.tool.name" in span.attributes}
    assert named == set(tools)
    kinds = [span.name for span in trace.spans if span.attributes["openinference.span.kind"] == "TOOL"]
    assert sorted(kinds) == sorted(tools)


def test_late_adoption_links_to_the_run_that_is_still_going(traced: Make) -> None:
    trace = traced()
    story = trace.story
    story.turn()
    story.launch("weather", ARGS, "spec_1")
    story.turn_over()
    story.tick(1)
    story.call("weather", ARGS, "call_1")
    story.tick(1)
    story.run_over("spec_1")
    story.call_over("call_1", "late", "spec_1", saved=1.0)
    story.resolve("spec_1", "late", saved=1.0)
    story.settle()
    call, run = trace.one("execute_tool weather"), trace.one("specflow.run weather")
    assert run.start < call.start < run.end == call.end
    assert call.attributes["specflow.outcome"] == "late"
    assert [link.span_id for link in call.links] == [run.span_id]


def test_miss_has_no_link(traced: Make) -> None:
    trace = traced()
    trace.story.turn()
    trace.story.turn_over(launched=0)
    trace.story.call("weather", ARGS, "call_1", tool_call_id="call_abc")
    trace.story.call_over("call_1", "miss")
    trace.story.settle()
    call = trace.one("execute_tool weather")
    assert call.links == ()
    assert call.attributes["specflow.outcome"] == "miss"
    assert call.attributes["gen_ai.tool.call.id"] == "call_abc"
    assert not [span for span in trace.spans if span.name == "specflow.dispatch"]


@pytest.mark.parametrize(("outcome", "cause"), [("stale", "written"), ("cancelled", "mismatch")])
def test_what_is_thrown_away_says_why_and_is_no_error(traced: Make, outcome: str, cause: str) -> None:
    trace = traced()
    trace.story.turn()
    trace.story.launch("weather", ARGS, "spec_1")
    trace.story.tick(0.25)
    trace.story.run_over("spec_1", "cancelled" if outcome == "cancelled" else "ok")
    trace.story.turn_over()
    trace.story.resolve("spec_1", outcome, cause, wasted=0.25)
    trace.story.settle()
    speculate = trace.one("specflow.speculate weather")
    assert speculate.attributes["specflow.outcome"] == outcome
    assert speculate.attributes["specflow.cause"] == cause
    assert speculate.attributes["specflow.wasted_time"] == 0.25
    assert {span.status for span in trace.spans} == {"unset"}


def test_an_early_run_that_fails_hurts_nobody(traced: Make) -> None:
    trace = traced()
    trace.story.turn()
    trace.story.launch("weather", ARGS, "spec_1")
    trace.story.run_over("spec_1", "error", error="ValueError: no such city: Lisbon")
    trace.story.resolve("spec_1", "cancelled", "failed")
    trace.story.settle()
    run = trace.one("specflow.run weather")
    assert run.status == "unset"
    assert run.attributes["error.type"] == "ValueError"
    assert run.attributes["specflow.run.outcome"] == "error"
    assert "specflow.outcome" not in run.attributes


def _book(trace: Any) -> None:
    trace.story.turn()
    trace.story.launch("book", {"seat": 1}, "spec_1", effect=EffectClass.COMPENSATABLE, effect_id="eff_1")
    trace.story.run_over("spec_1")
    trace.story.turn_over()
    trace.story.undo("unbook", {"id": 7}, spec="spec_1", effect="eff_1")
    trace.story.tick(0.1)


def test_compensation_is_unset_and_links_to_what_it_undoes(traced: Make) -> None:
    trace = traced()
    _book(trace)
    trace.story.undo_over("compensated", spec="spec_1", effect="eff_1")
    trace.story.resolve("spec_1", "compensated", "mismatch")
    trace.story.settle()
    speculate, undo = trace.one("specflow.speculate book"), trace.one("specflow.compensate unbook")
    assert undo.parent_id == speculate.span_id
    assert [link.span_id for link in undo.links] == [trace.one("specflow.run book").span_id]
    assert undo.links[0].span_id != undo.parent_id
    assert speculate.attributes["specflow.outcome"] == "compensated"
    assert speculate.attributes["specflow.effect.id"] == "eff_1"
    assert {span.status for span in trace.spans} == {"unset"}


def test_only_a_failed_compensation_is_an_error(traced: Make) -> None:
    trace = traced()
    _book(trace)
    trace.story.undo_over("stuck", spec="spec_1", effect="eff_1", error="ConnectError: refused")
    trace.story.resolve("spec_1", "stuck", "mismatch", error="ConnectError: refused")
    trace.story.settle()
    failed = {span.name: span.message for span in trace.spans if span.status == "error"}
    assert failed == {
        "specflow.compensate unbook": "ConnectError",
        "specflow.speculate book": "ConnectError",
    }


def test_a_saga_undoes_a_real_call(traced: Make) -> None:
    from specflow.effects.call import Call
    from specflow.journal.event import EventKind

    trace = traced()
    trace.story.turn()
    trace.story.emit(
        EventKind.CALL_STARTED, call_id="call_1", effect_id="eff_9", call=Call(tool="book", args={})
    )
    trace.story.call_over("call_1", "miss")
    trace.story.undo("unbook", {}, effect="eff_9")
    trace.story.undo_over("compensated", effect="eff_9")
    trace.story.settle()
    undo = trace.one("specflow.compensate unbook")
    assert [link.span_id for link in undo.links] == [trace.one("execute_tool book").span_id]
    assert undo.parent_id == trace.one("invoke_agent").span_id


def test_recovery_elsewhere_links_to_the_header_in_the_journal(traced: Make) -> None:
    trace = traced()
    header = f"00-{'ab' * 16}-{'cd' * 8}-01"
    trace.story.undo("unbook", {}, effect="eff_1", traceparent=header)
    trace.story.undo_over("compensated", effect="eff_1")
    trace.story.settle()
    undo = trace.one("specflow.compensate unbook")
    assert [(link.trace_id, link.span_id) for link in undo.links] == [("ab" * 16, "cd" * 8)]
    assert undo.trace_id != "ab" * 16


@pytest.mark.parametrize("header", ["", "junk", "00-0-0-00", 7, None, f"00-{'0' * 32}-{'0' * 16}-01"])
def test_a_header_that_is_none_makes_no_link(traced: Make, header: object) -> None:
    trace = traced()
    trace.story.undo("unbook", {}, effect="eff_1", traceparent=header)
    trace.story.undo_over("compensated", effect="eff_1")
    trace.story.settle()
    assert trace.one("specflow.compensate unbook").links == ()


def test_a_real_call_that_fails_is_an_error_and_a_refusal_is_not(traced: Make) -> None:
    trace = traced()
    trace.story.turn()
    trace.story.call("weather", ARGS, "call_1")
    trace.story.call_over("call_1", "miss", error="builtins.TimeoutError: Lisbon did not answer")
    trace.story.call("wipe", {}, "call_2")
    trace.story.call_over("call_2", "refused", error="RefusedError: rule no-wiping")
    trace.story.settle()
    assert trace.one("execute_tool weather").status == "error"
    assert trace.one("execute_tool weather").message == "builtins.TimeoutError"
    assert trace.one("execute_tool wipe").status == "unset"
    assert trace.one("execute_tool wipe").attributes["specflow.outcome"] == "refused"


def test_confirmation_answered_in_the_same_run(traced: Make) -> None:
    trace = traced()
    trace.story.turn()
    trace.story.call("pay", {"amount": 5}, "call_1")
    trace.story.ask("pay", {"amount": 5}, "call_1")
    trace.story.tick(3)
    trace.story.answer("pay", {"amount": 5}, "call_1", "approve")
    trace.story.call_over("call_1", "miss")
    trace.story.settle()
    question = trace.one("specflow.interrupt")
    assert question.parent_id == trace.one("execute_tool pay").span_id
    assert question.seconds == pytest.approx(3)
    assert question.attributes["specflow.decision"] == "approve"


def test_confirmation_resumed_later_is_a_new_trace_with_a_link(traced: Make) -> None:
    trace = traced()
    trace.story.turn()
    trace.story.call("pay", {"amount": 5}, "call_1")
    trace.story.ask("pay", {"amount": 5}, "call_1")
    trace.story.settle()
    waiting = {span.name: span for span in trace.spans}
    assert trace.observer.open_spans == 0
    assert waiting["specflow.interrupt"].attributes["specflow.outcome"] == "waiting"
    assert waiting["execute_tool pay"].attributes["specflow.outcome"] == "waiting"
    asked = waiting["specflow.interrupt"]

    trace.receiver.clear()
    trace.story.session = "ses_2"
    trace.story.tick(3600)
    trace.story.call("pay", {"amount": 5}, "call_1")
    trace.story.answer("pay", {"amount": 5}, "call_1", "reject")
    trace.story.call_over("call_1", "refused")
    trace.story.settle()
    answer = trace.one("specflow.interrupt")
    assert answer.trace_id != asked.trace_id
    assert [link.span_id for link in answer.links] == [asked.span_id]
    assert answer.attributes["specflow.decision"] == "reject"
    assert [link.span_id for link in trace.one("execute_tool pay").links] == [asked.span_id]


def test_a_question_that_names_no_session_belongs_to_the_session_of_its_thread(traced: Make) -> None:
    trace = traced()
    trace.story.turn()
    trace.story.session = ""
    trace.story.ask("pay", {"amount": 5}, "call_1")
    trace.story.session = "ses_1"
    trace.story.settle()
    question = trace.one("specflow.interrupt")
    assert question.parent_id == trace.one("invoke_agent").span_id
    assert question.attributes["specflow.outcome"] == "waiting"
    assert trace.observer.open_spans == 0


def test_a_question_that_nothing_is_known_of_begins_no_session(traced: Make) -> None:
    trace = traced()
    trace.story.session = ""
    trace.story.ask("pay", {"amount": 5}, "call_1")
    trace.story.answer("pay", {"amount": 5}, "call_1", "approve")
    assert [span.name for span in trace.spans] == ["specflow.interrupt"]
    assert trace.observer.open_spans == 0


def test_equal_call_ids_of_two_sessions_are_two_calls(traced: Make) -> None:
    trace = traced()
    for session in ("ses_a", "ses_b"):
        trace.story.session = session
        trace.story.call("weather", ARGS, "call_0")
    for session, outcome in (("ses_a", "hit"), ("ses_b", "miss")):
        trace.story.session = session
        trace.story.call_over("call_0", outcome)
        trace.story.settle()
    found = {
        str(span.attributes["specflow.session.id"]): span.attributes["specflow.outcome"]
        for span in trace.spans
        if span.name == "execute_tool weather"
    }
    assert found == {"ses_a": "hit", "ses_b": "miss"}


@pytest.mark.parametrize("error", ["CancelledError: ", "langgraph.errors.GraphInterrupt: (Interrupt(...),)"])
def test_leaving_a_call_on_purpose_is_no_error(traced: Make, error: str) -> None:
    trace = traced()
    trace.story.turn()
    trace.story.call("weather", ARGS, "call_1")
    trace.story.call_over("call_1", "miss", error=error)
    trace.story.settle()
    assert trace.one("execute_tool weather").status == "unset"


def test_recovery_of_a_session_that_ran_elsewhere_leaves_nothing_behind(traced: Make) -> None:
    trace = traced()
    trace.story.undo("unbook", {}, effect="eff_1")
    trace.story.undo_over("compensated", effect="eff_1")
    assert [span.name for span in trace.spans] == ["specflow.compensate unbook"]
    assert len(trace.observer._tracing.ledger) == 0


def test_an_undo_that_could_not_begin_shows_as_failed(traced: Make) -> None:
    trace = traced()
    trace.story.undo_over("stuck", effect="eff_1", error="UnknownToolError: unknown tool 'unbook'")
    undo = trace.one("specflow.compensate unknown")
    assert undo.status == "error"
    assert undo.attributes["specflow.outcome"] == "stuck"
    assert trace.observer.open_spans == 0


def test_withheld_shows_on_the_model_turn(traced: Make) -> None:
    trace = traced()
    trace.story.turn(model="m")
    trace.story.withhold("pay", {"amount": 5}, "policy")
    trace.story.turn_over(launched=0)
    trace.story.settle()
    notes = trace.one("chat m").notes
    assert [note.name for note in notes] == ["specflow.withheld"]
    assert notes[0].attributes["specflow.cause"] == "policy"
    assert notes[0].attributes["specflow.tool"] == "pay"


def test_one_dispatch_per_turn(traced: Make) -> None:
    trace = traced()
    trace.story.turn()
    for number in range(3):
        trace.story.launch("weather", {"n": number}, f"spec_{number}")
    trace.story.turn_over(launched=3)
    trace.story.settle()
    dispatch = trace.one("specflow.dispatch")
    launched = [span for span in trace.spans if span.name == "specflow.speculate weather"]
    assert [span.parent_id for span in launched] == [dispatch.span_id] * 3
    assert "specflow.speculation.id" not in dispatch.attributes
    # Nobody said how these ended: their spans say that too.
    assert {span.attributes["specflow.outcome"] for span in launched} == {"lost"}


def test_a_misfire_says_what_was_wrong(traced: Make) -> None:
    made = traced()
    made.story.turn()
    made.story.launch("look", {"at": 1}, "spec_1")
    made.story.run_over("spec_1", "cancelled")
    made.story.emit(
        EventKind.RESOLVED,
        speculation_id="spec_1",
        outcome="cancelled",
        cause="mismatch",
        misfire="wrong_argument",
    )
    made.story.settle()
    assert made.one("specflow.speculate look").attributes["specflow.misfire"] == "wrong_argument"
    assert "specflow.misfire" not in made.one("specflow.run look").attributes
