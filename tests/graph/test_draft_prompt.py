"""What a draft model is shown: the conversation as messages, the same for the same; it grows at its end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    convert_to_openai_messages,
)

from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.graph.draft.call_question import TASK, functions_of, question, question_in_text
from specflow.graph.draft.rebuilt import BEFORE, rebuilt
from specflow.graph.history import history_of
from specflow.prediction.predictor import HistoryItem, PastCall, TurnContext
from specflow.prediction.transcript import shortened, sound_args, transcript

TOOLS = ToolRegistry([ToolSpec(name="look", description="Look."), ToolSpec(name="book")])
WIDE = 1_000_000

# Lone surrogates too: models and tools return what they like.
TEXTS = st.text(st.characters(), max_size=20)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.floats(allow_nan=True), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
ARGS = st.dictionaries(st.sampled_from("abc"), JSON, max_size=3)


def result(tool: str, args: dict[str, Any], text: str, *, failed: bool = False) -> HistoryItem:
    return HistoryItem(
        role="tool", text=text, call=PastCall(tool=tool, args=args, result=text, failed=failed)
    )


SAID = st.builds(HistoryItem, role=st.sampled_from(["user", "assistant", "system", "odd"]), text=TEXTS)
RESULTS = st.builds(
    result, st.sampled_from(["look", "book", "", "mcp:a/b", "né"]), ARGS, TEXTS, failed=st.booleans()
)
HISTORIES = st.lists(st.one_of(SAID, RESULTS, RESULTS), max_size=12)


def wire(messages: Sequence[BaseMessage]) -> list[str]:
    """Each message in the bytes in which an OpenAI-compatible provider gets it."""
    return [json.dumps(message) for message in convert_to_openai_messages(messages)]


@settings(deadline=None, max_examples=150)
@given(HISTORIES, HISTORIES)
def test_what_is_said_later_is_added_at_the_end(before: list[HistoryItem], more: list[HistoryItem]) -> None:
    shown, later = wire(rebuilt(TASK, before, most=WIDE)), wire(rebuilt(TASK, [*before, *more], most=WIDE))
    if not shown:
        return
    goes_on = before[-1].role == "assistant" or before[-1].call is not None
    if goes_on and more and more[0].call is not None:
        # Further results of the agent's last message: they belong to it, and it alone is written anew.
        last = max(at for at, text in enumerate(shown) if json.loads(text)["role"] != "tool")
        assert later[:last] == shown[:last]
    else:
        assert later[: len(shown)] == shown


@settings(deadline=None, max_examples=150)
@given(HISTORIES, HISTORIES)
def test_the_same_holds_in_text(before: list[HistoryItem], more: list[HistoryItem]) -> None:
    lines = transcript(before, most=WIDE)
    assert list(transcript([*before, *more], most=WIDE))[: len(lines)] == lines


@settings(deadline=None, max_examples=150)
@given(HISTORIES)
def test_every_call_stands_with_its_result_and_every_message_can_be_sent(history: list[HistoryItem]) -> None:
    messages = rebuilt(TASK, history, most=WIDE)
    for text in wire(messages):
        text.encode("utf-8")
    ids: list[str | None] = []
    open_ids: list[str | None] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            assert message.tool_call_id == open_ids.pop(0), "each result follows its call, in their order"
        else:
            assert not open_ids, "no call is without a result"
        if isinstance(message, AIMessage):
            open_ids = [call["id"] for call in message.tool_calls]
            ids += open_ids
            assert message.text or open_ids, "no message is empty"
    assert not open_ids
    assert len(set(ids)) == len(ids)
    assert all(one is not None and len(one) == 9 and one.isalnum() for one in ids)
    if messages:
        assert isinstance(messages[0], SystemMessage), "the instructions come first"
        assert [type(one) for one in messages].count(SystemMessage) == 1
        assert isinstance(messages[1], HumanMessage)
    shown = sum(isinstance(one, ToolMessage) for one in messages)
    assert shown == sum(item.call is not None and item.call.tool in {"look", "book"} for item in history)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 4)), max_size=40), st.integers(1_000, 3_000))
def test_of_a_long_conversation_the_end_is_shown_and_no_call_loses_its_result(
    sizes: list[tuple[int, int]], most: int
) -> None:
    history: list[HistoryItem] = []
    for number, (size, calls) in enumerate(sizes):
        text = f"{number} " + "x" * size
        history.append(HistoryItem(role="assistant" if calls else "user", text=text))
        history += [result("look", {"a": number}, text) for _ in range(calls)]
    whole, shown = (wire(rebuilt(TASK, history, most=one)) for one in (WIDE, most))
    # A text has a quarter at most: compare with the same texts.
    cut = wire(rebuilt(TASK, [shortened(item, most // 4) for item in history], most=WIDE))
    body = [text for text in shown[1:] if BEFORE not in text]
    assert body == cut[len(cut) - len(body) :]
    assert not body or json.loads(body[0])["role"] != "tool"
    assert sum(len(text) for text in body) < most + 400 * len(body)
    if sum(size for size, _ in sizes) < 200 and len(sizes) < 4:
        assert len(shown) == len(whole)


def test_the_beginning_stays_for_many_messages_when_a_long_conversation_grows() -> None:
    history = [HistoryItem(role="user", text=f"{number:04} " + "x" * 95) for number in range(400)]
    begins = [wire(rebuilt(TASK, history[:length], most=4_000))[1] for length in range(100, 400)]
    # Half of 4,000 characters are twenty such messages.
    assert len(set(begins)) <= 300 // 20 + 1


def test_it_is_the_conversation_that_the_agent_had() -> None:
    asked = [
        SystemMessage("You sell flights."),
        HumanMessage("To Oslo"),
        AIMessage(
            "Let me look.",
            tool_calls=[
                {"name": "look", "args": {"b": 1, "a": "Oslo"}, "id": "x-1"},
                {"name": "look", "args": {"a": "Bergen"}, "id": "x-2"},
            ],
        ),
        ToolMessage("one", tool_call_id="x-1", name="look"),
        ToolMessage("none", tool_call_id="x-2", name="look", status="error"),
        AIMessage("There is one."),
        HumanMessage("Take it"),
    ]
    system, *rest = rebuilt(TASK, history_of(asked), most=WIDE)
    assert system.text == f"{TASK}\n\nYou sell flights."
    expected = convert_to_openai_messages(asked[1:])
    for message, number in ((expected[1]["tool_calls"][0], 0), (expected[1]["tool_calls"][1], 1)):
        message["id"] = expected[2 + number]["tool_call_id"] = f"call{number:05}"
    expected[1]["tool_calls"][0]["function"]["arguments"] = '{"a": "Oslo", "b": 1}'
    got = convert_to_openai_messages(rest)
    for message in (*got, *expected):
        for call in message.get("tool_calls", ()):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    assert got == expected
    assert rest[3].status == "error"  # type: ignore[attr-defined] # it is a ToolMessage


def test_who_does_not_begin_is_told_so_and_a_call_without_a_proper_name_is_a_line_of_text() -> None:
    _, first, second = rebuilt(TASK, [HistoryItem(role="assistant", text="Hello")], most=WIDE)
    assert (first.text, second.text) == (BEFORE, "Hello")
    _, line = rebuilt(TASK, [result("no such name!", {"a": 1}, "done")], most=WIDE)
    assert json.loads(line.text) == {"call": {"tool": "no such name!", "args": {"a": 1}}, "result": "done"}


def test_there_may_be_nothing_to_go_on_from() -> None:
    calls = [result("look", {}, "x" * 900) for _ in range(9)]
    for history in (
        [],
        [HistoryItem(role="system", text="Be kind.")],
        [HistoryItem(role="assistant")],
        calls,
    ):
        assert question(TurnContext(tools=TOOLS, history=history), most=1_000) is None
    assert question_in_text([], TurnContext(tools=TOOLS), most=1_000) is None


def test_arguments_that_are_too_long_or_no_json_are_left_out() -> None:
    assert sound_args({"a": float("nan")}) == {}
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert sound_args(deep) == {}
    short = shortened(result("look", {"a": "y" * 100}, "z" * 100), 50).call
    assert short is not None
    assert short.args == {"...": "108 characters that are not shown"}
    assert short.result == "z" * 50 + "... (50 more characters)"


def test_the_key_tells_questions_apart() -> None:
    def key(*history: HistoryItem) -> str:
        asked = question(TurnContext(tools=TOOLS, history=history), most=WIDE)
        assert asked is not None
        return asked.key

    hello, there = HistoryItem(role="user", text="hello"), HistoryItem(role="user", text="there")
    keys = {
        key(hello),
        key(there),
        key(hello, there),
        key(there, hello),
        key(HistoryItem(role="user", text="hellothere")),
        key(hello, result("look", {"a": 1}, "there")),
        key(hello, result("look", {"a": 2}, "there")),
        key(hello, HistoryItem(role="assistant", text="there")),
    }
    assert len(keys) == 8
    assert key(result("look", {"a": 1, "b": 2.0}, "x")) == key(result("look", {"b": 2, "a": 1}, "x"))


def test_in_text_the_tools_stand_before_the_conversation() -> None:
    asked = question_in_text(
        functions_of(TOOLS),
        TurnContext(tools=TOOLS, history=[HistoryItem(role="user", text="hello")]),
        most=WIDE,
    )
    assert asked is not None
    system, rest = asked.messages
    lines = system.text.split("\n")
    assert [json.loads(line)["name"] for line in lines[-2:]] == ["look", "book"]
    assert json.loads(rest.text.split("\n")[1]) == {"role": "user", "text": "hello"}
