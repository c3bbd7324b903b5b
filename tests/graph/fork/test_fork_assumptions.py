"""What forks take from inside LangGraph and LangChain: a test of each says what has moved."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel
from langchain_core.tools import tool
from langchain_core.tracers.context import _configure_hooks
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_config
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from specflow.clock import SystemClock
from specflow.graph import compat
from specflow.graph.fork.adopting import Adopters, is_adopting
from specflow.graph.fork.exchange import Exchange
from specflow.graph.fork.forms import adopting
from specflow.graph.fork.purity import AGENT_FACTORY
from specflow.graph.host import Host
from specflow.journal.memory import MemoryJournal
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server import CallPlan, Reply
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.static_judge import StaticJudge

WHERE = "specflow/graph/compat.py and specflow/graph/fork"
SCRIPT = [Reply(calls=(CallPlan("look", {"x": "1"}),)), Reply(text="done")]


def assume(holds: object, what: str) -> None:
    assert holds, f"{what}: this no longer holds; {WHERE} rely on it, see docs/reference/compatibility.md"


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_the_loop_behind_a_run_is_found_in_the_config(asynchronous: bool) -> None:
    seen: list[Any] = []

    @tool
    def look(x: str) -> str:
        """Look."""
        config = get_config()
        seen.append((compat.running_loop_of(config), compat.run_context(config), config["metadata"]))
        return x

    model = ScriptedChatModel(script=SCRIPT)
    agent: Any = create_agent(model, [look], checkpointer=InMemorySaver(), context_schema=dict)
    config: Any = {"configurable": {"thread_id": "t"}}
    question: Any = {"messages": [("user", "x")]}
    if asynchronous:
        await agent.ainvoke(question, config, context={"user": 7})
    else:
        await asyncio.to_thread(agent.invoke, question, config, context={"user": 7})
    ((loop, context, metadata),) = seen
    assume(loop is not None, "`__pregel_call` holds `schedule_task`, a method of the running loop")
    assume(loop.nodes["tools"] is agent.nodes["tools"], "the loop's nodes are the graph's very nodes")
    assume("messages" in loop.channels, "the loop's channels hold the state of the running step")
    assume(context == {"user": 7}, "`__pregel_runtime` holds the context")
    assume(metadata["langgraph_node"] == "tools", "the metadata names the node")


def test_copies_of_a_graph_share_their_nodes() -> None:
    agent = create_agent(ScriptedChatModel(script=SCRIPT), [])
    copied = agent.with_config(tags=["x"])
    assume(copied.nodes["model"] is agent.nodes["model"], "`with_config` keeps the nodes of a graph")


def test_what_an_entry_graph_is_made_of() -> None:
    agent: Any = create_agent(ScriptedChatModel(script=SCRIPT), [])
    builder = agent.builder
    for name in ("nodes", "edges", "branches", "channels", "input_schema", "state_schema", "_node_defaults"):
        assume(hasattr(builder, name), f"a compiled graph's builder has `{name}`")
    assume((START, "model") in builder.edges, "edges are pairs of names")
    for name in ("error_handler_node", "retry_policy"):
        assume(hasattr(builder.nodes["model"], name), f"nodes have a `{name}`")
    for name in ("error_handler", "retry_policy"):
        assume(hasattr(builder._node_defaults, name), f"defaults have a `{name}`")


def test_where_the_model_node_of_create_agent_is_defined() -> None:
    @tool
    def look(x: str) -> str:
        """Look."""
        return x

    agent: Any = create_agent(ScriptedChatModel(script=SCRIPT), [look])
    node = agent.builder.nodes["model"].runnable
    functions = [node.func, node.afunc]
    assume(all(f.__module__ == AGENT_FACTORY for f in functions), "its functions are the agent factory's")
    assume(type(agent.builder.nodes["tools"].runnable) is ToolNode, "its tool node is a ToolNode")


def test_interrupting_before_a_node_needs_no_checkpointer() -> None:
    ran: list[str] = []
    builder = StateGraph(MessagesState)
    builder.add_node("one", lambda _state: ran.append("one") or {})
    builder.add_node("two", lambda _state: ran.append("two") or {})
    builder.add_edge(START, "one")
    builder.add_edge("one", "two")
    builder.compile(checkpointer=False).invoke({"messages": []}, interrupt_before=["two"])
    assume(ran == ["one"], "`interrupt_before` stops a run without a checkpointer")


async def test_an_empty_interrupt_ends_one_task_and_lets_its_siblings_finish() -> None:
    done: list[str] = []

    async def ends(_state: Any) -> Any:
        compat.end_quietly()

    async def works(_state: Any) -> Any:
        await asyncio.sleep(0.01)
        done.append("works")
        return {}

    builder = StateGraph(MessagesState)
    builder.add_node("ends", ends)
    builder.add_node("works", works)
    builder.add_edge(START, "ends")
    builder.add_edge(START, "works")
    graph = builder.compile(checkpointer=False)
    await graph.ainvoke({"messages": []})
    assume(done == ["works"], "GraphInterrupt(()) ends a task quietly and leaves the others alone")


def test_the_methods_that_talk_to_a_provider() -> None:
    for name in ("_generate", "_agenerate", "_stream", "_astream"):
        parameters = list(inspect.signature(getattr(BaseChatModel, name)).parameters)
        assume(
            parameters == ["self", "messages", "stop", "run_manager", "kwargs"], f"the arguments of `{name}`"
        )
    overridden = type("Streams", (ScriptedChatModel,), {})(script=SCRIPT)
    assume(overridden._should_stream(async_api=True, stream=True), "a model that overrides `_stream` streams")


def test_usage_counters_are_found_among_the_hooks() -> None:
    from langchain_core.callbacks import get_usage_metadata_callback

    with get_usage_metadata_callback() as counter:
        values = [variable.get() for variable, *_rest in _configure_hooks]
        assume(any(value is counter for value in values), "usage counters are in `_configure_hooks`")
        inside = compat.shielded_context().run(lambda: [v.get() for v, *_rest in _configure_hooks])
        assume(not any(inside), "and are gone in a shielded context")


def test_a_configurable_model_is_made_when_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    model = init_chat_model("gpt-4o", model_provider="openai", configurable_fields=("model",))
    assume(type(model) is compat.ConfigurableModel, "`init_chat_model` gives a _ConfigurableModel")
    assume(isinstance(model._model(), ChatOpenAI), "whose `_model` makes the model")

    core = ScriptedCore([], StaticJudge({}), MemoryJournal(SystemClock()))
    made = adopting(Adopters(Exchange(Host(core.parts))), model)
    assert is_adopting(made._model())
    assert is_adopting(made.bind_tools([])._model().bound)


def test_chat_completions_say_that_they_are() -> None:
    plain = ChatOpenAI(model="gpt-4o", api_key="none")  # type: ignore[arg-type]
    assume(compat.forgets_reasoning(plain, {}), "`_use_responses_api` tells the two APIs of OpenAI apart")
    responses = ChatOpenAI(model="gpt-5", api_key="none", use_responses_api=True)  # type: ignore[arg-type]
    assert not compat.forgets_reasoning(responses, {})


def test_the_writer_of_a_node_can_be_exchanged() -> None:
    from langgraph.config import get_stream_writer

    written: list[Any] = []

    def node(_state: Any) -> Any:
        with compat.ambient_writer(written.append):
            get_stream_writer()("in a fork")
        get_stream_writer()("for real")
        return {}

    builder = StateGraph(MessagesState)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    heard = list(builder.compile().stream({"messages": []}, stream_mode="custom"))
    assume((written, heard) == (["in a fork"], ["for real"]), "`__pregel_runtime` holds the stream writer")


def test_context_of_a_thread_reaches_the_loop_it_calls() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nobody")

    async def read() -> str:
        return variable.get()

    async def main() -> str:
        loop = asyncio.get_running_loop()

        def work() -> str:
            variable.set("somebody")
            return asyncio.run_coroutine_threadsafe(read(), loop).result()

        return await asyncio.to_thread(work)

    assume(asyncio.run(main()) == "somebody", "coroutines run in the context of the thread that sends them")
