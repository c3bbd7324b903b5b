"""When two model calls count as the same: what a provider is sent, and nothing that is kept beside it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    convert_to_openai_messages,
)
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from specflow.graph.fork.model_key import Unlike, model_key
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server.reply import Reply

SCRIPTED = ScriptedChatModel(script=[Reply(text="x")])
OPENAI = ChatOpenAI(model="gpt-4o", api_key=SecretStr("x"))
RESPONSES = ChatOpenAI(model="gpt-5", api_key=SecretStr("x"), use_responses_api=True)


def key(messages: list[BaseMessage], model: Any = SCRIPTED, **arguments: Any) -> str:
    return model_key(model, "stream", messages, None, arguments)


def asking(identity: str = "a", args: dict[str, Any] | None = None, **more: Any) -> AIMessage:
    call = {"name": "weather", "args": args or {"city": "Rome", "unit": "C"}, "id": identity}
    return AIMessage(**{"content": "", "tool_calls": [call], **more})


def talk(message: AIMessage) -> list[BaseMessage]:
    asked = message.tool_calls[0]["id"]
    return [HumanMessage("Rome", id="h"), message, ToolMessage("sunny", tool_call_id=asked, id="t")]


BASE = talk(asking())


@pytest.mark.parametrize(
    "same",
    [
        asking("another-id"),
        asking(id="message-id"),
        asking(usage_metadata={"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}),
        asking(response_metadata={"model_name": "x", "id": "resp_9"}),
        asking(content=[{"type": "text", "text": "", "index": 3}]),
        asking(additional_kwargs={"tool_calls": [{"id": "a", "type": "function"}]}),
    ],
)
def test_what_is_not_sent_does_not_count(same: AIMessage) -> None:
    assert key(talk(same)) == key(BASE)


@pytest.mark.parametrize(
    "other",
    [
        asking(args={"unit": "C", "city": "Rome"}),
        asking(args={"city": "Oslo", "unit": "C"}),
        asking(content="Let me look."),
        asking(name="bot"),
        asking(additional_kwargs={"reasoning_content": "hmm"}),
        asking(content=[{"type": "thinking", "thinking": "hmm", "signature": "sig"}]),
        asking(content=[{"type": "reasoning", "id": "rs_1", "encrypted_content": "enc"}]),
        asking(content=[{"type": "image_url", "image_url": "data:"}]),
    ],
)
def test_what_is_sent_counts(other: AIMessage) -> None:
    assert key(talk(other)) != key(BASE)


def test_reasoning_counts_only_where_it_is_sent_back() -> None:
    thought = talk(asking(additional_kwargs={"reasoning_content": "hmm"}))
    block = talk(asking(content=[{"type": "reasoning", "id": "rs_1", "encrypted_content": "enc"}]))
    for said in (thought, block):
        assert key(said, OPENAI) == key(BASE, OPENAI)
        assert key(said, RESPONSES) != key(BASE, RESPONSES)
    returning = OPENAI.model_copy()
    object.__setattr__(returning, "__class__", type("Other", (ChatOpenAI,), {"__module__": "elsewhere"}))
    assert key(thought, returning) != key(BASE, returning), "a provider of its own may be sent it"


def test_which_answer_belongs_to_which_call_counts() -> None:
    calls = [{"name": "weather", "args": {}, "id": name} for name in ("a", "b")]
    message = AIMessage("", tool_calls=calls)
    one = [message, ToolMessage("sun", tool_call_id="a"), ToolMessage("rain", tool_call_id="b")]
    other = [message, ToolMessage("sun", tool_call_id="b"), ToolMessage("rain", tool_call_id="a")]
    assert key(one) != key(other)
    failed = [message, ToolMessage("sun", tool_call_id="a", status="error"), one[2]]
    assert key(failed) != key(one)


def test_settings_arguments_and_manner_count() -> None:
    assert key(BASE, OPENAI) != key(BASE, OPENAI.model_copy(update={"temperature": 1.0}))
    assert key(BASE, OPENAI) != key(BASE, OPENAI.model_copy(update={"openai_api_base": "http://elsewhere"}))
    other_key = ChatOpenAI(model="gpt-4o", api_key=SecretStr("y"))
    assert key(BASE, OPENAI) != key(BASE, other_key), "an account of its own"
    assert key(BASE, OPENAI) == key(BASE, ChatOpenAI(model="gpt-4o", api_key=SecretStr("x")))
    assert key(BASE, tools=[{"name": "a"}]) != key(BASE, tools=[{"name": "b"}])
    assert key(BASE) != model_key(SCRIPTED, "whole", BASE, None, {})
    assert key(BASE) != model_key(SCRIPTED, "stream", BASE, ["."], {})
    assert key(BASE, SCRIPTED) == key(BASE, SCRIPTED.model_copy(update={"tags": ["x"], "callbacks": []}))


def test_what_cannot_be_compared_has_no_key() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(Unlike):
        key(BASE, strange=cycle)


TEXTS = st.text(max_size=6)
CALLS = st.lists(st.builds(dict, name=TEXTS, args=st.dictionaries(TEXTS, TEXTS, max_size=2)), max_size=2)


@st.composite
def conversations(draw: st.DrawFn) -> list[BaseMessage]:
    """Whatever can stand in a conversation of a text model, with ids that say nothing."""
    said: list[BaseMessage] = [SystemMessage(draw(TEXTS))]
    for turn in range(draw(st.integers(0, 3))):
        said.append(HumanMessage(draw(TEXTS), id=draw(TEXTS)))
        calls = [call | {"id": f"{turn}-{nth}"} for nth, call in enumerate(draw(CALLS))]
        said.append(AIMessage(draw(TEXTS), tool_calls=calls, id=draw(TEXTS)))
        said.extend(ToolMessage(draw(TEXTS), tool_call_id=str(call["id"])) for call in calls)
    return said


@given(conversations(), conversations())
def test_keys_are_equal_exactly_when_a_provider_is_sent_the_same(
    one: list[BaseMessage], other: list[BaseMessage]
) -> None:
    """Ids are by turn and position here, so that LangChain's own conversion is the measure."""
    sent = convert_to_openai_messages(one), convert_to_openai_messages(other)
    assert (key(one) == key(other)) == (sent[0] == sent[1])


@given(conversations(), st.text(min_size=1, max_size=4))
def test_renamed_calls_and_messages_are_the_same(said: list[BaseMessage], suffix: str) -> None:
    renamed: list[BaseMessage] = []
    for message in said:
        update: dict[str, Any] = {"id": suffix}
        if isinstance(message, AIMessage):
            update["tool_calls"] = [call | {"id": f"{call['id']}{suffix}"} for call in message.tool_calls]
        if isinstance(message, ToolMessage):
            update["tool_call_id"] = message.tool_call_id + suffix
        renamed.append(message.model_copy(update=update))
    assert key(renamed) == key(said)
