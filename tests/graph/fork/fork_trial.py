"""One agent over one model server, run with and without forks, and all that its user can see."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_core.callbacks import (
    BaseCallbackHandler,
    adispatch_custom_event,
    dispatch_custom_event,
    get_usage_metadata_callback,
)
from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.config import get_config, get_store, get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.store.memory import InMemoryStore

import specflow as sf
from specflow.effects.call import Call
from specflow.graph.fork.current import current_fork
from specflow.graph.nodes import fan_out
from specflow.prediction.predictor import TurnContext
from specflow.prediction.result_guess import ResultGuess
from specflow.testing.model_server import CallPlan, ModelServer, Reply
from specflow.testing.scripted_core import EventLog

POLICY = """
version: 1
tools:
  weather: {effect: read_only, destinations: {host: weather.example}}
  advice: {effect: read_only, destinations: {host: advice.example}}
  news: {effect: read_only, destinations: {host: news.example}}
  pay: {effect: confirmation_required, confirm: host}
"""
TENANT = contextvars.ContextVar("tenant", default="nobody")
PATIENCE = 20.0
"""Seconds a pending call waits for a fork to come where the test wants it, before the test fails."""

Messages = list[dict[str, Any]]


class Guesser:
    """Presumes one value for every call of `weather`."""

    name = "test"

    def __init__(self, value: str | None) -> None:
        self.value = value

    async def guess(self, call: Call, context: TurnContext) -> Sequence[ResultGuess]:
        if call.tool != "weather" or self.value is None:
            return []
        return [ResultGuess(value=self.value, confidence=0.9, predictor=self.name)]


def two_tools(messages: Messages) -> Reply:
    """Asks for the weather, then for advice about it, then says what it heard."""
    heard = [m["content"] for m in messages if m["role"] == "tool"]
    if not heard:
        return Reply(text="Let me look. ", calls=(CallPlan("weather", {"city": "Rome"}),))
    if len(heard) == 1:
        return Reply(calls=(CallPlan("advice", {"about": heard[0]}),))
    return Reply(text="So: " + " / ".join(map(str, heard)))


@dataclass
class World:
    """The tools, and what they saw; `early` and `real` name the tools that ran in a fork, and outside."""

    until: Callable[[], bool] = lambda: True
    early: list[str] = field(default_factory=list)
    real: list[str] = field(default_factory=list)
    seen: list[tuple[str, ...]] = field(default_factory=list)

    def note(self, name: str) -> None:
        (self.real if current_fork() is None else self.early).append(name)
        configurable = get_config().get("configurable") or {}
        self.seen.append(
            (name, TENANT.get(), str(configurable.get("thread_id")), str(configurable.get("user")))
        )

    def wait(self) -> Iterator[None]:
        """Until the fork is where it should be."""
        end = time.monotonic() + PATIENCE
        while current_fork() is None and not self.until() and time.monotonic() < end:
            yield

    def tools(self, *, asynchronous: bool) -> list[Any]:
        if asynchronous:

            @tool
            async def weather(city: str) -> str:
                """The weather of a city."""
                self.note("weather")
                for _ in self.wait():
                    await asyncio.sleep(0.002)
                return f"sunny in {city}"

            @tool
            async def advice(about: str) -> str:
                """What to wear."""
                self.note("advice")
                get_stream_writer()({"progress": about})
                await adispatch_custom_event("thinking", {"about": about})
                await get_store().aput(("advice",), about, {"given": True})
                return f"a hat, as it is {about}"

        else:

            @tool
            def weather(city: str) -> str:
                """The weather of a city."""
                self.note("weather")
                for _ in self.wait():
                    time.sleep(0.002)
                return f"sunny in {city}"

            @tool
            def advice(about: str) -> str:
                """What to wear."""
                self.note("advice")
                get_stream_writer()({"progress": about})
                dispatch_custom_event("thinking", {"about": about})
                get_store().put(("advice",), about, {"given": True})
                return f"a hat, as it is {about}"

        return [weather, advice]


class Heard(BaseCallbackHandler):
    """What a handler of the user is told, in order, with the payload but without ids and times."""

    run_inline = True

    def __init__(self) -> None:
        self.log: list[Any] = []
        self._lock = threading.Lock()

    def _say(self, *what: Any) -> None:
        with self._lock:
            self.log.append(what)

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self._say("model", [m.text for m in messages[0]])

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self._say("token", token)

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self._say("said", response.generations[0][0].text)

    def on_tool_start(self, serialized: Any, input_str: str, **kwargs: Any) -> None:
        self._say("tool", serialized.get("name"))

    def on_tool_end(self, output: Any, **kwargs: Any) -> None:
        self._say("answer", output.text)

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        self._say("custom", name, data)

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self._say("chain", kwargs.get("name"))

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self._say("chain end")


@dataclass
class Seen:
    """All that the user of a graph can see of one run."""

    messages: list[Any]
    tokens: list[str]
    custom: list[Any]
    usage: dict[str, Any]
    heard: list[Any]
    bound: list[Any]
    checkpoints: list[Any]
    stored: list[str]
    who: list[tuple[str, ...]]


def plain(messages: list[BaseMessage]) -> list[Any]:
    ids: dict[Any, int] = {}
    shown = []
    for message in messages:
        calls = [
            (ids.setdefault(c["id"], len(ids)), c["name"], c["args"])
            for c in getattr(message, "tool_calls", [])
        ]
        answers = ids.get(message.tool_call_id) if isinstance(message, ToolMessage) else None
        shown.append((message.type, message.text, calls, answers, getattr(message, "usage_metadata", None)))
    return shown


def graph_of(kind: str, rt: sf.Runtime | None, model: Any, tools: list[Any], **options: Any) -> Any:
    """The same agent, made in any way, with or without specflow."""
    asynchronous = options.pop("asynchronous")
    if kind == "create_agent":
        return create_agent(model, tools, middleware=[rt.middleware()] if rt else [], **options)
    bound = (rt.model(model) if rt else model).bind_tools(tools)

    async def acall(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    def call(state: MessagesState) -> dict[str, Any]:
        return {"messages": [bound.invoke(state["messages"])]}

    node: Callable[..., Any] = acall if asynchronous else call
    builder = StateGraph(MessagesState)
    builder.add_node("model", rt.model_node(node) if rt else node)
    builder.add_node("tools", rt.tool_node(tools) if rt else ToolNode(tools))
    builder.add_edge(START, "model")
    if kind == "fan_out":
        builder.add_conditional_edges("model", rt.fan_out if rt else fan_out, ["tools", END])
    else:
        builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", "model")
    return builder.compile(**options)


@dataclass
class Trial:
    """One run of one agent over one model server."""

    kind: str = "create_agent"
    asynchronous: bool = True
    guess: str | None = "sunny in Rome"
    specflow: bool = True
    script: Any = two_tools
    fork_requests: int = 2
    """How many requests of a fork the pending call waits for."""
    world: World = field(default_factory=World)
    log: EventLog = field(default_factory=EventLog)
    events: str = ""
    """Run through `astream_events` of that version; what it tells is in `told`."""
    told: list[Any] = field(default_factory=list)
    requests: int = 0
    adopted: dict[str, int] = field(default_factory=dict)

    async def run(self, tmp_path: Path, saver: str = "memory") -> Seen:
        heard, bound, store = Heard(), Heard(), InMemoryStore()
        with ModelServer(self.script) as server:
            model = ChatOpenAI(
                model="m",
                base_url=server.url,
                api_key="none",
                max_retries=0,
                stream_usage=True,  # type: ignore[arg-type]
            )
            if self.specflow and self.guess is not None:
                self.world.until = lambda: len(server.requests) > self.fork_requests
            tools = self.world.tools(asynchronous=self.asynchronous)
            rt = self._runtime(tmp_path, tools) if self.specflow else None
            options: dict[str, Any] = {"asynchronous": self.asynchronous, "store": store}
            async with _saver(saver, tmp_path, asynchronous=self.asynchronous) as checkpointer:
                graph = graph_of(self.kind, rt, model, tools, checkpointer=checkpointer, **options)
                graph = graph.with_config(callbacks=[bound])
                if rt is not None:
                    rt.attach(graph)
                config = {"configurable": {"thread_id": "t", "user": "ada"}, "callbacks": [heard]}
                TENANT.set("acme")
                with get_usage_metadata_callback() as usage:
                    run = self._arun if self.asynchronous else self._run
                    tokens, custom = await run(graph, config)
                state = await graph.aget_state(config) if self.asynchronous else graph.get_state(config)
                history = (
                    [one async for one in graph.aget_state_history(config)]
                    if self.asynchronous
                    else list(graph.get_state_history(config))
                )
            if rt is not None:
                self._count(rt)
                if self.asynchronous:
                    await rt.aclose()
                else:
                    await asyncio.to_thread(rt.close)
            self.requests = len(server.requests)
            assert server.differences == []
        return Seen(
            messages=plain(state.values["messages"]),
            tokens=tokens,
            custom=custom,
            usage={name: dict(used) for name, used in usage.usage_metadata.items()},
            heard=heard.log,
            bound=bound.log,
            checkpoints=[(one.next, len(one.values.get("messages", [])), one.metadata) for one in history],
            stored=[item.key for item in store.search(("advice",))],
            who=sorted(set(self.world.seen)),
        )

    def _runtime(self, tmp_path: Path, tools: list[Any]) -> sf.Runtime:
        policy = tmp_path / "policy.yaml"
        policy.write_text(POLICY)
        return sf.Runtime(
            policy,
            tools=tools,
            journal=f"sqlite:///{tmp_path / 'journal.db'}",
            observers=[self.log],
            predictors=[],
            result_guessers=[Guesser(self.guess)],
            telemetry=False,
        )

    def _count(self, rt: sf.Runtime) -> None:
        for session in sessions_of(rt):
            for what, number in session.model_calls.seen.items():
                self.adopted[what] = self.adopted.get(what, 0) + number

    async def _arun(self, graph: Any, config: Any) -> tuple[list[str], list[Any]]:
        tokens, custom = [], []
        question = {"messages": [("user", "Rome")]}
        if self.events == "v2":
            async for event in graph.astream_events(question, config, version="v2"):
                chunk = event["data"].get("chunk")
                self.told.append((event["event"], event["name"], getattr(chunk, "text", None)))
            return [], []
        if self.events == "v3":
            async for event in await graph.astream_events(question, config, version="v3"):
                self.told.append((event["method"], shape_of(event.get("params", {}).get("data"))))
            return [], []
        async for mode, what in graph.astream(question, config, stream_mode=["messages", "custom"]):
            (custom if mode == "custom" else tokens).append(what if mode == "custom" else what[0].text)
        return tokens, custom

    async def _run(self, graph: Any, config: Any) -> tuple[list[str], list[Any]]:
        def work() -> tuple[list[str], list[Any]]:
            tokens, custom = [], []
            question = {"messages": [("user", "Rome")]}
            for mode, what in graph.stream(question, config, stream_mode=["messages", "custom"]):
                (custom if mode == "custom" else tokens).append(what if mode == "custom" else what[0].text)
            return tokens, custom

        return await asyncio.to_thread(work)


def shape_of(data: Any) -> Any:
    """What an event says, without ids, times and objects."""
    if isinstance(data, dict):
        unlike = {
            "id",
            "message_id",
            "run_id",
            "checkpoint_ns",
            "langgraph_checkpoint_ns",
            "langgraph_triggers",
        }
        return {name: shape_of(value) for name, value in data.items() if name not in unlike}
    if isinstance(data, list | tuple):
        return [shape_of(item) for item in data]
    return data if isinstance(data, str | int | float | bool | None) else type(data).__name__


def sessions_of(rt: sf.Runtime) -> list[Any]:
    """Every session of every loop's coordinator that is open."""
    return [
        session
        for coordinator in rt.host._coordinators.values()
        for session in coordinator._sessions._open.values()
    ]


class _saver:  # noqa: N801 - used as a function
    def __init__(self, kind: str, tmp_path: Path, *, asynchronous: bool) -> None:
        self._kind, self._path, self._asynchronous = kind, tmp_path / "checkpoints.db", asynchronous

    async def __aenter__(self) -> BaseCheckpointSaver[Any]:
        if self._kind == "memory":
            self._open: Any = None
            return InMemorySaver()
        if self._asynchronous:
            self._open = AsyncSqliteSaver.from_conn_string(str(self._path))
            return await self._open.__aenter__()  # type: ignore[no-any-return]
        self._open = SqliteSaver.from_conn_string(str(self._path))
        return self._open.__enter__()  # type: ignore[no-any-return]

    async def __aexit__(self, *error: object) -> None:
        if self._open is not None and self._asynchronous:
            await self._open.__aexit__(None, None, None)
        elif self._open is not None:
            self._open.__exit__(None, None, None)
