"""Calls of tools that nobody has seen called: by names and looks of parameters, seldom, and never a write."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.prediction.candidate import Candidate
from specflow.prediction.history.cold import BREADTH, PRIOR
from specflow.prediction.history.patterns import Patterns
from specflow.prediction.history.predictor import HistoryPredictor
from specflow.prediction.history.tables import ENOUGH
from specflow.prediction.predictor import HistoryItem, PastCall, TurnContext
from specflow.prediction.words import word_set

S: dict[str, Any] = {"type": "string"}
CABINS = ["basic economy", "economy", "business"]


def tool(name: str, **properties: Any) -> ToolSpec:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return ToolSpec(name=name, parameters=parameters)


TOOLS = ToolRegistry(
    [
        tool("get_order", order_id=S),
        tool("find_invoice", invoice={"type": "string", "pattern": "^INV-[0-9]{4}$"}),
        tool("find_customer", email=S),
        tool(
            "list_fares", cabin={"type": "string", "enum": CABINS}, date={"type": "string", "format": "date"}
        ),
        tool("cancel_order", order_id=S),
        tool("get_weather"),
    ]
)


def user(text: str) -> HistoryItem:
    return HistoryItem(role="user", text=text)


def past(name: str, args: dict[str, Any], result: Any) -> HistoryItem:
    text = json.dumps(result)
    return HistoryItem(role="tool", text=text, call=PastCall(tool=name, args=args, result=text))


def foresee(history: Sequence[HistoryItem], **options: Any) -> list[Candidate]:
    predictor = HistoryPredictor(**options)
    return list(asyncio.run(predictor.foresee(TurnContext(tools=TOOLS, history=tuple(history)))))


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([user("Where is my order A-10432?")], ['get_order({"order_id":"A-10432"})']),
        (
            [user("I am a customer, my email is ada@post.example.")],
            ['find_customer({"email":"ada@post.example"})'],
        ),
        (
            [user("Which fares are there in basic economy on 2026-12-12?")],
            ['list_fares({"cabin":"basic economy","date":"2026-12-12"})'],
        ),
        (
            [
                user("And my order?"),
                past("find_customer", {"email": "a@b.c"}, {"orders": [{"order_id": "A-77"}]}),
            ],
            ['get_order({"order_id":"A-77"})'],
        ),
        ([user("Hello, I need help.")], []),
        ([], []),
    ],
)
def test_what_is_called_so_and_looks_so_is_proposed(history: list[HistoryItem], expected: list[str]) -> None:
    found = foresee(history)
    assert [repr(one.call) for one in found][:1] == expected
    assert all(0 < one.confidence <= PRIOR for one in found)
    assert "cancel_order" not in {one.call.tool for one in found}
    assert foresee(history, cold=False) == []


def test_of_two_that_suit_alike_each_is_half_as_likely() -> None:
    def told(*orders: str) -> list[Candidate]:
        result = {"orders": [{"order_id": order} for order in orders]}
        return foresee([user("And my order?"), past("find_customer", {"email": "a@b.c"}, result)])

    (one,), both = told("A-77"), told("A-77", "A-78")
    assert {two.call.args["order_id"] for two in both} == {"A-77", "A-78"}
    assert all(two.confidence == pytest.approx(one.confidence / sum_of(one), rel=1e-3) for two in both)


def sum_of(one: Candidate) -> float:
    """What two calls as good as this one come to, where one alone would be as likely as can be."""
    return max(1.0, 2 * one.confidence / PRIOR)


def test_a_value_that_the_schema_refuses_is_not_proposed() -> None:
    assert foresee([user("The invoice is INV-12345678.")]) == []
    assert [repr(one.call) for one in foresee([user("The invoice is INV-1234.")])] == [
        'find_invoice({"invoice":"INV-1234"})'
    ]


def test_what_is_answered_already_is_not_asked_again() -> None:
    asked = user("Where is my order A-10432?")
    assert foresee([asked, past("get_order", {"order_id": "A-10432"}, {"state": "sent"})]) == []


def test_it_ends_when_the_tool_is_seen() -> None:
    patterns = Patterns()
    history = [user("Where is my order A-10432?")]
    context = TurnContext(tools=TOOLS, history=tuple(history))
    predictor = HistoryPredictor(patterns)
    predictor.listen(context)
    assert {one.evidence for one in asyncio.run(predictor.foresee(context))} == {
        "its parameters are called, and look, like what was said"
    }
    history.append(past("get_order", {"order_id": "A-10432"}, {"state": "sent"}))
    predictor.listen(TurnContext(tools=TOOLS, history=tuple(history)))
    history.append(user("And order A-10433?"))
    later = TurnContext(tools=TOOLS, history=tuple(history))
    predictor.listen(later)
    found = asyncio.run(predictor.foresee(later))
    assert not [one for one in found if one.call.tool == "get_order" and one.evidence.startswith("its param")]


def test_a_tool_that_was_shown_often_and_never_called_is_not_proposed() -> None:
    predictor = HistoryPredictor()
    asked = TurnContext(tools=TOOLS, history=(user("Where is my order A-10432?"),))

    def guesses(patterns: Patterns) -> list[str]:
        again = HistoryPredictor(Patterns.from_json(patterns.as_json()))
        return [one.call.tool for one in asyncio.run(again.foresee(asked))]

    for number in range(ENOUGH):
        assert guesses(predictor.patterns) == ["get_order"] or number % 20
        begun = (user(f"Hello, I am number {number}."),)
        for history in (begun, (*begun, HistoryItem(role="assistant", text="Yes?"), user("Bye."))):
            predictor.listen(TurnContext(tools=TOOLS, history=history))
    assert guesses(predictor.patterns) == []
    # Another schema makes another tool of it.
    predictor.patterns.adapt(ToolRegistry([tool("get_order", order_id=S, verbose=S)]))
    predictor.patterns.adapt(TOOLS)
    assert guesses(predictor.patterns) == ["get_order"]


WORDS = st.sampled_from(
    sorted(
        word_set(
            "order A-10432 INV-1234 INV-12 invoice email ada@post.example economy basic business 2026-12-12"
        )
    )
)
TEXTS = st.lists(WORDS, max_size=12).map(" ".join)
ITEMS = st.one_of(
    st.builds(HistoryItem, role=st.sampled_from(["user", "assistant", "system"]), text=TEXTS),
    st.builds(
        past,
        st.sampled_from(["get_order", "find_customer", "other"]),
        st.dictionaries(st.sampled_from(["order_id", "email", "x"]), TEXTS, max_size=2),
        st.dictionaries(st.sampled_from(["order_id", "invoice", "date", "cabin"]), TEXTS, max_size=3),
    ),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(ITEMS, max_size=8))
def test_nothing_is_invented_and_everything_fits(history: list[HistoryItem]) -> None:
    found = foresee(history)
    text = " ".join(f"{item.text} {item.call.args if item.call else ''}" for item in history)
    assert len(found) <= BREADTH
    assert len({one.call for one in found}) == len(found)
    for one in found:
        spec = TOOLS.require(one.call.tool)
        assert not spec.problems(one.call.args)
        assert one.call.tool != "cancel_order"
        assert 0 < one.confidence <= PRIOR
        assert all(str(value) in text or value in CABINS for value in one.call.args.values())
