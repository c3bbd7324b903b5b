"""Use that nobody meant: wrapped twice, a running loop around a synchronous run, cancelled anywhere."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command

import specflow as sf
from specflow.journal.event import EventKind
from specflow.journal.verify import verify
from specflow.lifecycle import Stage
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server import CallPlan, Reply
from specflow.testing.scripted_core import EventLog

POLICY = """
version: 1
tools:
  search: {effect: read_only, speculate: now}
  pay: {effect: confirmation_required, confirm: ask}
  book:
    effect: compensatable
    speculate: now
    predictors: [partial_call]
    compensate: {tool: cancel, with: {seat: args.seat}, tolerates_missing: true}
  cancel: {effect: confirmation_required, confirm: host, compensator_for: [book]}
"""


class Desk:
    def __init__(self) -> None:
        self.log: list[str] = []

    def tools(self) -> list[Any]:
        @tool
        def search(query: str) -> str:
            """Search the web for a query."""
            self.log.append(f"search {query}")
            return f"found {query}"

        @tool
        def pay(amount: float) -> str:
            """Pay an amount."""
            self.log.append(f"pay {amount}")
            return f"paid {amount}"

        @tool
        async def book(seat: str) -> str:
            """Book a seat."""
            self.log.append(f"book {seat}")
            return f"booked {seat}"

        @tool
        async def cancel(seat: str) -> str:
            """Cancel the booking of a seat."""
            self.log.append(f"cancel {seat}")
            return "cancelled"

        return [search, pay, book, cancel]


def runtime(folder: Path, tools: list[Any], log: EventLog | None = None, name: str = "journal") -> sf.Runtime:
    folder.mkdir(exist_ok=True)
    policy = folder / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    return sf.Runtime(
        policy,
        tools=tools,
        journal=f"sqlite:///{folder / name}.db",
        observers=[log] if log else [],
        telemetry=False,
        durability="process",
    )


def asking(name: str, args: dict[str, Any]) -> ScriptedChatModel:
    (value,) = args.values()
    said = (
        f'I will call {name} with {next(iter(args))} "{value}". '
        + "Hmm, let me think about that a little more. " * 8
    )

    def script(messages: list[dict[str, Any]]) -> Reply:
        if messages[-1]["role"] == "tool":
            return Reply(text=f"answer: {messages[-1]['content']}")
        return Reply(reasoning=said, calls=(CallPlan(name, args),))

    return ScriptedChatModel(script=script, delay=0.001)


def graph_of(model_node: Any, tool_node: Any, fan_out: Any) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("model", model_node)
    builder.add_node("tools", tool_node)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", fan_out, ["tools", END])
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=InMemorySaver())


def run(graph: Any, given: Any, *, asynchronous: bool) -> Any:
    config: Any = {"configurable": {"thread_id": "1"}}
    if asynchronous:
        return asyncio.run(graph.ainvoke(given, config))
    return graph.invoke(given, config)


QUESTION: Any = {"messages": [("user", "go")]}


# ---------------------------------------------------------------------- twice


@pytest.mark.parametrize("same_runtime", [True, False])
def test_the_middleware_twice_is_refused_by_langchain(tmp_path: Path, same_runtime: bool) -> None:
    tools = Desk().tools()
    with runtime(tmp_path / "a", tools) as one, runtime(tmp_path / "b", tools) as other:
        second = one if same_runtime else other
        with pytest.raises(AssertionError, match="duplicate middleware"):
            create_agent(
                asking("search", {"query": "x"}), tools, middleware=[one.middleware(), second.middleware()]
            )


@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize("name", ["search", "pay"])
def test_one_runtime_twice_is_one_runtime(tmp_path: Path, name: str, asynchronous: bool) -> None:
    desk, log = Desk(), EventLog()
    known = desk.tools()
    tools = known[:2]
    args: dict[str, Any] = {"query": "x"} if name == "search" else {"amount": 5.0}
    model = asking(name, args)

    async def acall(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    def call(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    with runtime(tmp_path, known, log) as rt:
        node = rt.tool_node(tools, wrap_tool_call=rt.wrap_tool_call, awrap_tool_call=rt.awrap_tool_call)
        model_node = rt.model_node(rt.model_node(acall if asynchronous else call))
        graph = graph_of(model_node, node, rt.fan_out)
        done = run(graph, QUESTION, asynchronous=asynchronous)
        if name == "pay":
            (question,) = done["__interrupt__"]
            answer = Command(resume={question.id: {"type": "approve"}})
            done = run(graph, answer, asynchronous=asynchronous)
    assert isinstance(done["messages"][-2], ToolMessage)
    assert desk.log == (["search x"] if name == "search" else ["pay 5.0"])
    launched = len(log.of(EventKind.LAUNCHED))
    assert launched == (1 if name == "search" else 0), "the model was listened to once"
    assert len(log.of(EventKind.CONFIRMATION_ASKED)) == (name == "pay")


@pytest.mark.parametrize("asynchronous", [True, False])
def test_two_runtimes_about_one_call_are_refused(tmp_path: Path, asynchronous: bool) -> None:
    desk = Desk()
    tools = desk.tools()

    def call(state: MessagesState) -> dict[str, Any]:
        return {"messages": [asking("search", {"query": "x"}).invoke(state["messages"])]}

    with runtime(tmp_path / "a", tools) as one, runtime(tmp_path / "b", tools) as other:
        with pytest.raises(sf.ConfigurationError, match="two runtimes stand about this model node"):
            one.model_node(other.model_node(call))
        node = one.tool_node(
            tools[:1], wrap_tool_call=other.wrap_tool_call, awrap_tool_call=other.awrap_tool_call
        )
        graph = graph_of(one.model_node(call), node, one.fan_out)
        with pytest.raises(sf.ConfigurationError, match="two runtimes stand about the calls of search"):
            run(graph, QUESTION, asynchronous=asynchronous)
        agent = create_agent(asking("search", {"query": "x"}), tools[:1], middleware=[one.middleware()])
        assert run(agent, QUESTION, asynchronous=asynchronous)["messages"][-1].text == "answer: found x"
    assert "search x" in desk.log


# ---------------------------------------------------------------------- a loop that runs already


@pytest.mark.parametrize("way", ["create_agent", "StateGraph"])
@pytest.mark.parametrize("name", ["search", "pay"])
async def test_a_synchronous_run_inside_a_running_loop(tmp_path: Path, way: str, name: str) -> None:
    """As in a notebook: the cell's thread has a loop that runs, and `agent.invoke` is called in it."""
    desk, log = Desk(), EventLog()
    known = desk.tools()
    tools = known[:2]
    args: dict[str, Any] = {"query": "x"} if name == "search" else {"amount": 5.0}
    model = asking(name, args)

    def call(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    async with runtime(tmp_path, known, log) as rt:
        graph = (
            create_agent(model, tools, middleware=[rt.middleware()], checkpointer=InMemorySaver())
            if way == "create_agent"
            else graph_of(rt.model_node(call), rt.tool_node(tools), rt.fan_out)
        )
        config: Any = {"configurable": {"thread_id": "1"}}
        done = graph.invoke(QUESTION, config)
        if name == "pay":
            (question,) = done["__interrupt__"]
            done = graph.invoke(Command(resume={question.id: {"type": "approve"}}), config)
        assert verify(await rt.journal.snapshot()) == ()
    assert done["messages"][-1].text == ("answer: found x" if name == "search" else "answer: paid 5.0")
    assert desk.log == (["search x"] if name == "search" else ["pay 5.0"])
    if name == "search":
        assert log.outcomes()["hit"] + log.outcomes()["late"] == 1
    else:
        asked, made = log.of(EventKind.CONFIRMATION_ASKED), log.of(EventKind.CALL_STARTED)
        assert [event.call_id for event in asked] == [event.call_id for event in made]


# ---------------------------------------------------------------------- cancelled


async def test_cancelled_at_any_step_nothing_goes_on(tmp_path: Path) -> None:
    """At every turn of the loop that a whole run takes, one run is cancelled there."""
    desk = Desk()
    tools = desk.tools()
    model = asking("book", {"seat": "A1"})
    model.delay = 0.0
    before = set(asyncio.all_tasks())
    threads = set(threading.enumerate())
    async with runtime(tmp_path, tools) as rt:
        agent = create_agent(model, tools, middleware=[rt.middleware()])

        async def turns(most: int) -> int:
            """How many turns of the loop the run took before it ended, or was cancelled."""
            running = asyncio.ensure_future(agent.ainvoke(QUESTION))
            taken = 0
            while not running.done() and taken < most:
                await asyncio.sleep(0)
                taken += 1
            running.cancel()
            await asyncio.wait({running})
            return taken

        whole = await turns(10**9)
        for step in range(0, whole, max(1, whole // 40)):
            await turns(step)
    rest = {task for task in asyncio.all_tasks() - before if not task.done()}
    assert rest == set(), "nothing is left running"
    new = {thread.name for thread in set(threading.enumerate()) - threads if thread.is_alive()}
    assert {name for name in new if name.startswith("specflow")} <= {"specflow"}
    async with runtime(tmp_path, tools) as again:
        snapshot = await again.journal.snapshot()
    assert verify(snapshot) == ()
    committed = sum(row.stage is Stage.COMMITTED for row in snapshot.effects)
    assert desk.log.count("book A1") - desk.log.count("cancel A1") == committed
    assert committed >= 1


def test_tool_node_of_nobody(tmp_path: Path) -> None:
    """A ToolNode outside any graph: LangGraph's own refusal, not one of ours."""
    tools = Desk().tools()[:1]
    call = {"type": "tool_call", "name": "search", "args": {"query": "x"}, "id": "1"}
    with runtime(tmp_path, Desk().tools()) as rt:
        ended = []
        for node in (ToolNode(tools), rt.tool_node(tools)):
            try:
                ended.append(node.invoke([call])["messages"][0].content)
            except Exception as error:
                ended.append((type(error), str(error)))
    assert ended[0] == ended[1]
