"""A tool node fed in every way, and stopped and resumed inside its tools: LangGraph's beside specflow's."""

from __future__ import annotations

import asyncio
import importlib.util
import operator
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import AnyMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph, add_messages
from langgraph.prebuilt import InjectedState, ToolNode
from langgraph.prebuilt.tool_node import ToolCallWithContext
from langgraph.types import Command, Send, interrupt
from pydantic import BaseModel
from typing_extensions import TypedDict

import specflow as sf


def _load(name: str) -> Any:
    """A file beside this one: tests are no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


trial = _load("parity_trial")
KINDS = {"read only": "read_only", "journaled": "confirmation_required, confirm: host"}
Messages = Annotated[list[AnyMessage], add_messages]


@tool
def text(x: int) -> str:
    """Text."""
    return f"text {x}"


@tool
def mood(x: int, state: Annotated[Any, InjectedState]) -> str:
    """What the state is."""
    return f"{x} {type(state).__name__}"


@tool
def asks(x: int) -> str:
    """Ask twice."""
    first = interrupt({"first": x})
    return f"{first} {interrupt({'second': x})}"


@tool
def asks_for_a_number(x: int) -> str:
    """Ask for a number."""
    return f"number {interrupt('how many?', response_schema=int)}"


class Inner(TypedDict):
    said: Annotated[list[str], operator.add]


def _inner() -> Any:
    def ask(state: Inner) -> dict[str, Any]:
        return {"said": [f"asked {interrupt({'inner': state['said'][0]})}"]}

    def end(state: Inner) -> dict[str, Any]:
        return {"said": ["end"]}

    builder = StateGraph(Inner)
    builder.add_node("ask", ask)
    builder.add_node("end", end)
    builder.add_edge(START, "ask")
    builder.add_edge("ask", "end")
    return builder.compile()


INNER = _inner()


@tool
def nested(x: int) -> str:
    """Run a graph that asks."""
    return ", ".join(INNER.invoke({"said": [str(x)]})["said"])


@tool
async def anested(x: int) -> str:
    """Run a graph that asks, asynchronously."""
    return ", ".join((await INNER.ainvoke({"said": [str(x)]}))["said"])


TOOLS = [text, mood, asks, asks_for_a_number, nested, anested]


@pytest.fixture(scope="module", params=KINDS)
def rt(request: Any, tmp_path_factory: Any) -> Iterator[sf.Runtime]:
    folder = tmp_path_factory.mktemp("inputs")
    rows = "\n".join(f"  {item.name}: {{effect: {KINDS[request.param]}}}" for item in TOOLS)
    (folder / "policy.yaml").write_text(f"version: 1\ntools:\n{rows}\n")
    url = f"sqlite:///{folder / 'journal.db'}"
    with sf.Runtime(
        folder / "policy.yaml", tools=TOOLS, journal=url, telemetry=False, durability="process"
    ) as made:
        yield made


class Chat(TypedDict):
    chat: Messages


class Checked(BaseModel):
    messages: Messages
    mood: str = "fine"


@dataclass
class Data:
    messages: Messages = field(default_factory=list)


class Plain(TypedDict):
    messages: Messages


def message() -> Any:
    return trial.asking([("text", {"x": 1}), ("mood", {"x": 2}), ("teleport", {})])


def calls() -> list[Any]:
    return [{**call, "type": "tool_call"} for call in message().tool_calls]


def graph_of(state: Any, node: Any, sent: Any = None) -> Any:
    builder = StateGraph(state)
    builder.add_node("tools", node)
    if sent is None:
        builder.add_edge(START, "tools")
    else:
        builder.add_conditional_edges(START, sent, ["tools"])
    return builder.compile()


def with_context(state: Any) -> list[Send]:
    return [
        Send("tools", ToolCallWithContext(__type="tool_call_with_context", tool_call=call, state=state))
        for call in calls()
    ]


INPUTS: dict[str, tuple[Any, Any, dict[str, Any], Any]] = {
    "dict": (Plain, {"messages": [message()]}, {}, None),
    "list": (Messages, [message()], {}, None),
    "another key": (Chat, {"chat": [message()]}, {"messages_key": "chat"}, None),
    "the wrong key": (Chat, {"chat": [message()]}, {}, None),
    "pydantic": (Checked, {"messages": [message()]}, {}, None),
    "dataclass": (Data, {"messages": [message()]}, {}, None),
    "calls": (Plain, {"messages": [message()]}, {}, lambda _state: [Send("tools", calls())]),
    "calls one by one": (
        Plain,
        {"messages": [message()]},
        {},
        lambda _state: [Send("tools", [call]) for call in calls()],
    ),
    "calls with context": (Plain, {"messages": [message()]}, {}, with_context),
    "nothing": (Plain, {"messages": []}, {}, None),
    "no answer of a model": (Plain, {"messages": [("user", "x")]}, {}, None),
    "no calls": (Plain, {"messages": [("user", "x"), ("ai", "y")]}, {}, None),
    "named": (Plain, {"messages": [message()]}, {"name": "mine", "tags": ["t"]}, None),
}


@pytest.mark.parametrize("colour", trial.COLOURS)
@pytest.mark.parametrize("form", INPUTS)
def test_a_node_is_fed_in_any_way(rt: sf.Runtime, form: str, colour: str) -> None:
    state, given, options, sent = INPUTS[form]
    seen = []
    for make in (ToolNode, rt.tool_node):
        node = make([text, mood], **options)
        events, ended = trial.streamed(graph_of(state, node, sent), given, colour, {})
        if sent is not None:
            events = trial.ordered(events)  # tasks side by side
        seen.append((events, ended, node.name, node.tags, sorted(node.tools_by_name)))
    assert trial.difference(seen[1], seen[0]) == ""


@pytest.mark.parametrize("colour", trial.COLOURS)
def test_a_node_outside_any_graph(rt: sf.Runtime, colour: str) -> None:
    ended = []
    for node in (ToolNode([text, mood]), rt.tool_node([text, mood])):
        try:
            given: Any = {"messages": [message()]}
            done = node.invoke(given) if colour == "sync" else asyncio.run(node.ainvoke(given))
            ended.append(trial.plain(done))
        except Exception as error:
            ended.append(trial.told(error))
    assert trial.difference(ended[1], ended[0]) == ""


ANSWERS: dict[str, list[Any]] = {
    "asks": ["one", "two"],
    "asks_for_a_number": ["none", 7],
    "nested": ["yes"],
    "anested": ["yes"],
}


@pytest.mark.parametrize("handled", [False, True])
@pytest.mark.parametrize("colour", trial.COLOURS)
@pytest.mark.parametrize("name", ANSWERS)
def test_tools_that_ask_are_answered_the_same(rt: sf.Runtime, name: str, colour: str, handled: bool) -> None:
    (asking,) = (item for item in TOOLS if item.name == name)
    seen = []
    for make in (ToolNode, rt.tool_node):
        node = make([asking, text], **({"handle_tool_errors": True} if handled else {}))
        graph = trial.graph_of(node, checkpointer=InMemorySaver())
        config: Any = {"configurable": {"thread_id": f"{make} {name} {colour} {handled}"}}
        question = {"messages": [trial.asking([(name, {"x": 1})])], "visited": []}
        told: list[Any] = []
        for given in (question, *(Command(resume=said) for said in ANSWERS[name])):
            events, ended = trial.streamed(graph, given, colour, config)
            told.append((without_ids(events), ended))
        told.append(graph.get_state(config).next)
        seen.append(told)
    assert trial.difference(seen[1], seen[0]) == ""


def without_ids(events: list[Any]) -> list[Any]:
    """Interrupts by what they ask: their ids are of the run."""
    return [
        (mode, [one.value for one in event["__interrupt__"]])
        if isinstance(event, dict) and "__interrupt__" in event
        else (mode, event)
        for mode, event in events
    ]
