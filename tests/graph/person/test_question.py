"""Whatever is typed: an answer that is taken fits what was asked, and shows nothing that is hidden."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain.agents.middleware.human_in_the_loop import _decision_schema
from langchain_core.tools import tool
from langgraph.types import Interrupt
from pydantic import TypeAdapter

from specflow.graph.person.dialogue import talk
from specflow.graph.person.question import Question, answer_to, decisions_in, questions

EXAMPLES = 3_000 if os.environ.get("SPECFLOW_NIGHTLY") else 300 if os.environ.get("CI") else 80
SECRET = "4111-secret"


@tool
def pay(amount: float, card: str, note: str = "") -> str:
    """Pay."""
    return "paid"


def approval(
    allowed: tuple[str, ...] = ("approve", "edit", "reject", "respond"), **more: Any
) -> Interrupt[Any]:
    args = {"amount": 3, "card": SECRET, "note": "n"}
    value = {
        "type": "tool_approval",
        "tool_call_id": "1",
        "name": "pay",
        "args": args,
        "description": f"pay wants {SECRET}\n\nTool: pay\nArgs: {json.dumps(args)}",
        **more,
    }
    schema: Any = TypeAdapter(_decision_schema(list(allowed), "pay", pay)).json_schema()  # type: ignore[arg-type]
    return Interrupt(value=value, id="i", response_schema=schema)


def hide(_tool: str) -> tuple[str, ...]:
    return ("args.card",)


def show(_tool: str) -> tuple[str, ...]:
    return ()


def typed(question: Question, *lines: str) -> tuple[Any, str]:
    """The answer after these lines, or None while there is none; and everything that was written."""
    talking = talk(question)
    written = next(talking)
    for line in lines:
        try:
            written += talking.send(line + "\n")
        except StopIteration as end:
            return end.value, written
    return None, written


words = st.one_of(
    st.sampled_from(
        [
            "y",
            "n",
            "e",
            "r",
            "yes",
            "no",
            "edit",
            "",
            " ",
            "y now",
            "n too dear",
            "r by cheque",
            "x",
            "\x1b[2J",
        ]
    ),
    st.sampled_from(
        ['{"amount": 5}', '{"amount": "x"}', "[1]", "e {}", 'e {"card": "new"}', '{"card": null}']
    ),
    st.text(max_size=12).map(lambda text: text.replace("\n", " ").replace("\r", " ")),
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    lines=st.lists(words, max_size=8),
    allowed=st.sets(st.sampled_from(["approve", "edit", "reject", "respond"])),
)
def test_whatever_is_typed_is_decided_rightly(lines: list[str], allowed: set[str]) -> None:
    chosen = tuple(allowed) or ("approve",)
    (question,) = questions(approval(chosen), hide)
    answer, written = typed(question, *lines)
    assert SECRET not in written
    assert "\x1b" not in written
    if answer is None:
        return
    assert answer["type"] in chosen
    check: TypeAdapter[Any] = TypeAdapter(_decision_schema(list(chosen), "pay", pay))  # type: ignore[arg-type]
    check.validate_python(answer)
    if answer["type"] == "approve":
        last = next(line for line in reversed(lines) if line.strip())
        assert any(line.strip().lower() in {"y", "yes", "approve"} for line in lines), last


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    schema=st.sampled_from(
        [
            {"type": "boolean"},
            {"type": "integer", "minimum": 2},
            {"type": "string", "enum": ["a", "b"]},
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
            {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]},
        ]
    ),
    lines=st.lists(
        st.one_of(words, st.sampled_from(["1", "2", "a", "null", '{"x": 1}', '{"x": "1"}'])), max_size=6
    ),
)
def test_a_value_fits_its_schema(schema: dict[str, Any], lines: list[str]) -> None:
    import jsonschema

    answer, written = typed(Question(text="What?\x07", schema=schema), *lines)
    assert "\x07" not in written
    if answer is not None:
        jsonschema.validate(answer, schema)


def test_what_is_left_out_of_an_edit_stays_as_it_is() -> None:
    (question,) = questions(approval(), hide)
    answer, written = typed(question, 'e {"amount": "much"}', "e", '{"amount": 5, "card": "[redacted]"}')
    assert answer["edited_action"] == {"name": "pay", "args": {"amount": 5, "card": SECRET, "note": "n"}}
    assert "amount: does not fit type: number" in written
    assert "pay needs your approval" in written
    given_anew, _ = typed(question, 'e {"card": "other"}')
    assert given_anew["edited_action"]["args"]["card"] == "other"


def test_what_is_not_hidden_is_shown_with_the_reason_once() -> None:
    (question,) = questions(approval(), show)
    _answer, written = typed(question)
    assert written.count("pay wants") == 1
    assert written.count(f'"card": "{SECRET}"') == 1
    assert "[y: yes, n: no, e: edit, r: answer it yourself]" in written


@pytest.mark.parametrize("paths", [("args",), ("args.card.",), ("args.amount", "args.card", "args.note")])
def test_all_arguments_may_be_hidden(paths: tuple[str, ...]) -> None:
    (question,) = questions(approval(), lambda _tool: paths)
    answer, written = typed(question, "e {}")
    assert SECRET not in written
    assert answer["edited_action"]["args"] == {"amount": 3, "card": SECRET, "note": "n"}


def test_lists_and_nested_fields_are_put_back_where_they_were() -> None:
    value = {"cards": [{"number": "1111"}, {"number": "2222"}], "to": "x"}
    (question,) = questions(approval(args=value), lambda _tool: ("args.cards.*.number",))
    assert question.args == {"cards": [{"number": "[redacted]"}, {"number": "[redacted]"}], "to": "x"}
    made = question.edit(
        {"cards": [{"number": "[redacted]"}, {"number": "3333"}, {"number": "4444"}], "to": "y"}
    )
    assert made["edited_action"]["args"] == {
        "cards": [{"number": "1111"}, {"number": "3333"}, {"number": "4444"}],
        "to": "y",
    }
    assert question.edit({"cards": "none"})["edited_action"]["args"] == {"cards": "none", "to": "x"}
    assert value["cards"] == [{"number": "1111"}, {"number": "2222"}]


def test_calls_asked_about_together_are_answered_together() -> None:
    asked = {
        "action_requests": [{"name": "pay", "args": {"card": SECRET}}, {"name": "mail", "args": {"to": "x"}}],
        "review_configs": [
            {"action_name": "pay", "allowed_decisions": ["approve", "reject"]},
            {"action_name": "mail", "allowed_decisions": ["respond"]},
        ],
    }
    both = Interrupt(value=asked, id="i")
    first, second = questions(both, hide)
    assert (first.decisions, second.decisions) == (("approve", "reject"), ("respond",))
    refused, written = typed(first, "e {}", "no")
    assert refused is None
    assert "reason" in written
    refused, _ = typed(first, "no", "")
    told, _ = typed(second, "r", "", "r later")
    assert answer_to(both, [refused, told]) == {
        "decisions": [{"type": "reject"}, {"type": "respond", "message": "later"}]
    }


def test_questions_of_any_other_form() -> None:
    (plain,) = questions(Interrupt(value="Your name?", id="i"), show)
    assert typed(plain, "", "Ada")[0] == "Ada"
    (human,) = questions(Interrupt(value={"step": "s", "question": "Sure?", "show": {}}, id="i"), show)
    assert (human.text, human.show) == ("s: Sure?", None)
    (other,) = questions(Interrupt(value={"n": 1}, id="i", response_schema={"type": "integer"}), show)
    assert typed(other, "one", "1") == (1, typed(other, "one", "1")[1])
    assert '"n": 1' in typed(other)[1]
    long = Question(text="?", show="x" * 9_000)
    assert "more characters" in typed(long)[1]


def test_decisions_are_read_from_the_schema() -> None:
    assert decisions_in(None) == ("approve", "edit", "reject", "respond")
    assert decisions_in({"type": "object"}) == ("approve", "edit", "reject", "respond")
    assert decisions_in(approval(("reject",)).response_schema) == ("reject",)  # type: ignore[arg-type]
    (question,) = questions(approval(("approve", "edit")), show)
    assert question.problems({"type": "reject"}) == ("the decision must be one of: approve, edit",)
    assert question.problems("approve") == ("the decision must be one of: approve, edit",)
    assert question.problems({"type": "edit"}) == ("arguments: 'edited_action' is a required property",)
