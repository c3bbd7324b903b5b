"""Tool calls, played with LangGraph's own parts and with specflow's, and all that can be seen of them.

What is compared: the messages, the rest of the state, which nodes ran, the streamed events, what a callback
handler of the user saw, and the exception. Ids that LangGraph makes up are left out.
"""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, NotRequired

from langchain.agents import AgentState, create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command
from pydantic import BaseModel

import specflow as sf
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server import CallPlan, Reply

Call = tuple[str, dict[str, Any]]
COLOURS = ("sync", "async")


class State(MessagesState):
    """What the tools may change, and which nodes ran."""

    mood: NotRequired[str]
    visited: Annotated[list[str], operator.add]


class CustomAgentState(AgentState[Any]):
    mood: NotRequired[str]


@dataclass(kw_only=True)
class Case:
    """`options` go to ToolNode; `through` are the ways in which it is played."""

    tools: Sequence[Any]
    calls: Sequence[Call]
    options: Mapping[str, Any] = field(default_factory=dict)
    store: bool = True
    ids: Sequence[str | None] = ()
    state: Mapping[str, Any] = field(default_factory=dict)


def plain(value: Any) -> Any:
    """A value without what is made up anew in each run."""
    if isinstance(value, BaseMessage):
        told = {"type": value.type, "content": value.content, "extra": value.additional_kwargs}
        for name in ("name", "tool_call_id", "status", "artifact", "tool_calls"):
            if hasattr(value, name):
                told[name] = plain(getattr(value, name))
        return told
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, Command):
        return ("command", plain(value.update), plain(value.goto), value.graph)
    if isinstance(value, BaseModel):
        return (type(value).__name__, plain(value.model_dump()))
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [plain(item) for item in value]
    return value


def told(error: BaseException) -> Any:
    """An exception as its receiver sees it."""
    cause = error.__cause__
    return (
        "raised",
        type(error),
        str(error),
        error.args,
        # LangGraph notes the id of the task.
        [note for note in getattr(error, "__notes__", ()) if not note.startswith("During task")],
        type(cause) if cause else None,
    )


def difference(one: Any, other: Any, path: str = "") -> str:
    """Where two observations part, and how; empty where they do not."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        found = (difference(one[key], other[key], f"{path}.{key}") for key in one)
        return next(filter(None, found), "")
    both = isinstance(one, list | tuple) and isinstance(other, list | tuple)
    if both and len(one) == len(other):
        found = (difference(*pair, f"{path}[{at}]") for at, pair in enumerate(zip(one, other, strict=True)))
        return next(filter(None, found), "")
    return "" if one == other else f"at {path or 'the top'}: {one!r}, without specflow {other!r}"


class Spy(BaseCallbackHandler):
    """What a user's own handler is told of the tools."""

    run_inline = True

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_tool_start(self, serialized: dict[str, Any], input_str: str, **given: Any) -> None:
        metadata = {k: v for k, v in (given["metadata"] or {}).items() if not k.startswith("langgraph_")}
        metadata = {k: v for k, v in metadata.items() if not k.startswith(("checkpoint", "ls_", "lc_"))}
        tags = [tag for tag in given["tags"] or [] if not tag.startswith("seq:")]
        inputs = sorted(given.get("inputs") or {})
        self.seen.append(("start", serialized, given.get("name"), tags, metadata, inputs))

    def on_tool_end(self, output: Any, **given: Any) -> None:
        self.seen.append(("end", plain(output)))

    def on_tool_error(self, error: BaseException, **given: Any) -> None:
        self.seen.append(("error", type(error), str(error)))

    def on_custom_event(self, name: str, data: Any, **given: Any) -> None:
        self.seen.append(("custom", name, plain(data)))


def asking(calls: Sequence[Call], ids: Sequence[str | None] = ()) -> AIMessage:
    """A message of a model that asks for these calls."""
    names = ids or [f"call_{at}" for at in range(len(calls))]
    asked = [
        {"type": "tool_call", "name": name, "args": args, "id": known}
        for (name, args), known in zip(calls, names, strict=True)
    ]
    return AIMessage("", tool_calls=asked, id="asked")


def graph_of(node: Any, *, nested: bool = False, **compiled: Any) -> Any:
    """The tool node between others; `nested`: all of it as a node of another graph."""

    def marks(name: str) -> Callable[[Any], Any]:
        return lambda _state: {"visited": [name]}

    builder = StateGraph(State)
    builder.add_node("tools", node)
    builder.add_node("after", marks("after"))
    builder.add_node("elsewhere", marks("elsewhere"))
    builder.add_edge(START, "tools")
    builder.add_edge("tools", "after")
    if not nested:
        return builder.compile(**compiled)
    outer = StateGraph(State)
    outer.add_node("child", builder.compile())
    outer.add_node("outside", marks("outside"))
    outer.add_edge(START, "child")
    outer.add_edge("child", END)
    return outer.compile(**compiled)


def streamed(graph: Any, given: Any, colour: str, config: Mapping[str, Any], **options: Any) -> Any:
    """All that a run streams and ends with, sync or async, or how it fails."""
    said: list[Any] = []
    modes = ["updates", "custom", "values"]

    async def run() -> None:
        async for mode, event in graph.astream(given, config, stream_mode=modes, **options):
            said.append((mode, plain(event)))

    try:
        if colour == "async":
            asyncio.run(run())
        else:
            for mode, event in graph.stream(given, config, stream_mode=modes, **options):
                said.append((mode, plain(event)))
    except Exception as error:  # it is what is compared
        return said, told(error)
    return said, "ended"


def playing(case: Case, colour: str, make: Callable[..., Any], *, nested: bool = False) -> Any:
    """The case in a hand-built graph whose tool node `make` makes."""
    spy = Spy()
    store = InMemoryStore() if case.store else None
    if store is not None:
        store.put(("things",), "one", {"a": 1})
    node = make(list(case.tools), **case.options)
    graph = graph_of(node, nested=nested, store=store)
    config = {
        "callbacks": [spy],
        "tags": ["mine"],
        "recursion_limit": 12,
        "metadata": {"who": "ada"},
        "configurable": {"user": "ada"},
    }
    given = {"messages": [asking(case.calls, case.ids)], "visited": [], **case.state}
    ended = streamed(graph, given, colour, config, context={"tenant": "t1"})
    return ended, ordered(spy.seen)


def ordered(seen: list[Any]) -> list[Any]:
    """Tools of one message run side by side: only what is seen counts, not its order."""
    return sorted(seen, key=repr)


def agent_plays(case: Case, colour: str, middleware: Sequence[Any], **options: Any) -> Any:
    """The case in an agent of `create_agent`, whose model asks for the calls and repeats what it was told."""

    def script(messages: list[dict[str, Any]]) -> Reply:
        if messages[-1]["role"] == "tool":
            return Reply(text=f"answer: {messages[-1]['content']}")
        return Reply(calls=tuple(CallPlan(name, args) for name, args in case.calls))

    store = InMemoryStore()
    store.put(("things",), "one", {"a": 1})
    spy = Spy()
    agent = create_agent(
        ScriptedChatModel(script=script),
        list(case.tools),
        middleware=list(middleware),
        store=store if case.store else None,
        state_schema=CustomAgentState,
        **options,
    )
    config = {
        "callbacks": [spy],
        "tags": ["mine"],
        "recursion_limit": 12,
        "metadata": {"who": "ada"},
        "configurable": {"user": "ada"},
    }
    ended = streamed(agent, {"messages": [("user", "go")]}, colour, config, context={"tenant": "t1"})
    return ended, ordered(spy.seen)


def around(rt: sf.Runtime, tools: Sequence[Any], **options: Any) -> ToolNode:
    """A ToolNode of the user's own making, with specflow about its calls."""
    wrappers = {"wrap_tool_call": rt.wrap_tool_call, "awrap_tool_call": rt.awrap_tool_call}
    return ToolNode(tools, **wrappers, **options)
