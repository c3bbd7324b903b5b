"""An ordinary agent with and without specflow: the same messages, the same world, sooner."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

import specflow as sf
from specflow.journal.event import EventKind
from specflow.journal.verify import verify
from specflow.speculation.canary import Canary
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server.reply import CallPlan, Reply
from specflow.testing.scripted_core import EventLog

POLICY = """
version: 1
tools:
  search: {effect: read_only, speculate: now}
  slow_search: {effect: read_only, speculate: now}
  who_am_i: {effect: read_only, speculate: now}
  pay: {effect: confirmation_required, confirm: ask}
  wipe: {effect: deny}
"""
PONDER = "Hmm, let me think about that a little more. " * 8
USER = contextvars.ContextVar("user", default="nobody")


class Desk:
    """Tools that count their calls, in both colours."""

    def __init__(self) -> None:
        self.searched: list[str] = []
        self.paid: list[float] = []
        self.wiped = 0
        self.threads: set[str] = set()

    def tools(self, *, asynchronous: bool) -> list[Any]:
        @tool
        def pay(amount: float) -> str:
            """Pay an amount."""
            self.paid.append(amount)
            return f"paid {amount}"

        @tool
        def wipe() -> str:
            """Wipe everything."""
            self.wiped += 1
            return "gone"

        if asynchronous:

            @tool
            async def search(query: str) -> str:
                """Search the web for a query."""
                await asyncio.sleep(0.05)
                self.searched.append(query)
                return f"found {query}"

        else:

            @tool
            def search(query: str) -> str:
                """Search the web for a query."""
                time.sleep(0.05)
                self.searched.append(query)
                self.threads.add(threading.current_thread().name)
                return f"found {query}"

        return [search, pay, wipe]


def searching(messages: list[dict[str, Any]]) -> Reply:
    """Searches for the last word of the user, then answers with what it found."""
    if messages[-1]["role"] == "tool":
        return Reply(text=f"answer: {messages[-1]['content']}")
    word = next(m["content"] for m in messages if m["role"] == "user").split()[-1]
    return Reply(
        reasoning=f'I will call search with query "{word}". {PONDER}',
        calls=(CallPlan("search", {"query": word}),),
    )


def model_of(script: Any, **options: Any) -> ScriptedChatModel:
    return ScriptedChatModel(script=script, **{"delay": 0.001, **options})


def graph_of(kind: str, rt: sf.Runtime | None, model: Any, tools: list[Any], *, asynchronous: bool) -> Any:
    """The same agent, made in either way, with or without specflow."""
    if kind == "create_agent":
        return create_agent(
            model, tools, middleware=[rt.middleware()] if rt else [], checkpointer=InMemorySaver()
        )
    bound = model.bind_tools(tools)

    async def acall(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    def call(state: MessagesState) -> dict[str, Any]:
        return {"messages": [bound.invoke(state["messages"])]}

    node: Callable[..., Any] = acall if asynchronous else call
    builder = StateGraph(MessagesState)
    from langgraph.prebuilt import ToolNode, tools_condition

    builder.add_node("model", rt.model_node(node) if rt else node)
    builder.add_node("tools", rt.tool_node(tools) if rt else ToolNode(tools))
    builder.add_edge(START, "model")
    if rt:
        builder.add_conditional_edges("model", rt.fan_out, ["tools", END])
    else:
        builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=InMemorySaver())


def plain(messages: list[BaseMessage]) -> list[tuple[Any, ...]]:
    """What must be equal: types, texts, calls, which call an answer belongs to."""
    ids: dict[str | None, int] = {}
    seen: list[tuple[Any, ...]] = []
    for message in messages:
        calls = [
            (ids.setdefault(call["id"], len(ids)), call["name"], call["args"])
            for call in getattr(message, "tool_calls", [])
        ]
        answered = ids.get(message.tool_call_id) if isinstance(message, ToolMessage) else None
        seen.append((message.type, message.text, calls, answered))
    return seen


def runtime(tmp_path: Path, tools: list[Any], log: EventLog | None = None, **options: Any) -> sf.Runtime:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    return sf.Runtime(
        policy,
        tools=tools,
        journal=f"sqlite:///{tmp_path / 'journal.db'}",
        observers=[log] if log else [],
        **{"durability": "process", **options},
    )


@pytest.mark.parametrize("kind", ["create_agent", "StateGraph"])
@pytest.mark.parametrize("mode", ["on", "shadow", "off", "canary:100%"])
@pytest.mark.parametrize("reasoning", ["field", "inline", "blocks"])
async def test_async_agents_say_the_same_with_specflow(
    tmp_path: Path, kind: str, mode: str, reasoning: str
) -> None:
    expected, log = Desk(), EventLog()
    model = model_of(searching, reasoning=reasoning)
    question = {"messages": [("user", "find kittens")]}
    bare = graph_of(kind, None, model, expected.tools(asynchronous=True), asynchronous=True)
    wanted = await bare.ainvoke(question, {"configurable": {"thread_id": "1"}})
    desk = Desk()
    tools = desk.tools(asynchronous=True)
    async with runtime(tmp_path, tools, log, mode=mode) as rt:
        graph = graph_of(kind, rt, model, tools, asynchronous=True)
        got = await graph.ainvoke(question, {"configurable": {"thread_id": "1"}})
        assert verify(await rt.journal.snapshot()) == ()
    assert plain(got["messages"]) == plain(wanted["messages"])
    assert desk.searched == ["kittens"], "started once, whether early or not"
    if mode in {"on", "canary:100%"}:
        assert log.outcomes()["hit"] + log.outcomes()["late"] == 1


@pytest.mark.parametrize("kind", ["create_agent", "StateGraph"])
@pytest.mark.parametrize("mode", ["on", "off"])
def test_sync_agents_say_the_same_with_specflow(tmp_path: Path, kind: str, mode: str) -> None:
    expected, log = Desk(), EventLog()
    model = model_of(searching)
    question = {"messages": [("user", "find kittens")]}
    bare = graph_of(kind, None, model, expected.tools(asynchronous=False), asynchronous=False)
    wanted = bare.invoke(question, {"configurable": {"thread_id": "1"}})
    desk = Desk()
    tools = desk.tools(asynchronous=False)
    with runtime(tmp_path, tools, log, mode=mode) as rt:
        graph = graph_of(kind, rt, model, tools, asynchronous=False)
        got = graph.invoke(question, {"configurable": {"thread_id": "1"}})
    assert plain(got["messages"]) == plain(wanted["messages"])
    assert desk.searched == ["kittens"]
    if mode == "on":
        assert log.outcomes()["hit"] + log.outcomes()["late"] == 1


async def test_fifty_runs_at_once_get_their_own_answers(tmp_path: Path) -> None:
    desk, log = Desk(), EventLog()
    tools = desk.tools(asynchronous=True)
    async with runtime(tmp_path, tools, log) as rt:
        agent = create_agent(model_of(searching), tools, middleware=[rt.middleware()])
        results = await asyncio.gather(
            *(agent.ainvoke({"messages": [("user", f"find k{number}")]}) for number in range(50))
        )
    for number, result in enumerate(results):
        assert result["messages"][-1].text == f"answer: found k{number}"
    assert sorted(desk.searched) == sorted(f"k{number}" for number in range(50))


def paying(messages: list[dict[str, Any]]) -> Reply:
    if messages[-1]["role"] == "tool":
        return Reply(text=f"told: {messages[-1]['content']}")
    return Reply(reasoning="I will call pay now.", calls=(CallPlan("pay", {"amount": 5.0}),))


@pytest.mark.parametrize("kind", ["create_agent", "StateGraph"])
@pytest.mark.parametrize(
    ("decision", "paid", "told"),
    [
        ({"type": "approve"}, [5.0], "paid 5.0"),
        ({"type": "edit", "edited_action": {"name": "pay", "args": {"amount": 3.0}}}, [3.0], "paid 3.0"),
        ({"type": "reject", "message": "too dear"}, [], "too dear"),
        ({"type": "respond", "message": "I paid cash"}, [], "I paid cash"),
    ],
)
async def test_a_person_decides(
    tmp_path: Path, kind: str, decision: dict[str, Any], paid: list[float], told: str
) -> None:
    desk, log = Desk(), EventLog()
    tools = desk.tools(asynchronous=True)
    config: RunnableConfig = {"configurable": {"thread_id": "1"}}
    async with runtime(tmp_path, tools, log) as rt:
        graph = graph_of(kind, rt, model_of(paying), tools, asynchronous=True)
        paused = await graph.ainvoke({"messages": [("user", "pay")]}, config)
        (asked,) = paused["__interrupt__"]
        assert asked.value["type"] == "tool_approval"
        assert asked.value["args"] == {"amount": 5.0}
        assert desk.paid == [], "nothing is paid before the answer"
        done = await graph.ainvoke(Command(resume={asked.id: decision}), config)
        assert verify(await rt.journal.snapshot()) == ()
    assert desk.paid == paid
    assert told in done["messages"][-1].text
    assert [event.cause for event in log.of(EventKind.CONFIRMATION_ANSWERED)] == [decision["type"]]
    assert len(log.of(EventKind.CONFIRMATION_ASKED)) == 1


def test_a_person_decides_in_a_sync_run(tmp_path: Path) -> None:
    desk = Desk()
    tools = desk.tools(asynchronous=False)
    config: RunnableConfig = {"configurable": {"thread_id": "1"}}
    with runtime(tmp_path, tools) as rt:
        agent = graph_of("create_agent", rt, model_of(paying), tools, asynchronous=False)
        paused = agent.invoke({"messages": [("user", "pay")]}, config)
        assert desk.paid == []
        agent.invoke(Command(resume={paused["__interrupt__"][0].id: {"type": "approve"}}), config)
    assert desk.paid == [5.0]


async def test_a_resume_in_another_process_does_not_pay_twice(tmp_path: Path) -> None:
    """The checkpoint from before the payment is resumed again, with a new runtime on the same journal."""
    desk, saver = Desk(), InMemorySaver()
    tools = desk.tools(asynchronous=True)
    config: RunnableConfig = {"configurable": {"thread_id": "1"}}

    def agent_of(rt: sf.Runtime) -> Any:
        return create_agent(model_of(paying), tools, middleware=[rt.middleware()], checkpointer=saver)

    async with runtime(tmp_path, tools) as rt:
        agent = agent_of(rt)
        paused = await agent.ainvoke({"messages": [("user", "pay")]}, config)
        before = await agent.aget_state(config)
        resume = Command(resume={paused["__interrupt__"][0].id: {"type": "approve"}})
        await agent.ainvoke(resume, config)
    assert desk.paid == [5.0]
    async with runtime(tmp_path, tools) as rt:
        agent = agent_of(rt)
        again = await agent.ainvoke(resume, before.config)
        if "__interrupt__" in again:
            resume = Command(resume={again["__interrupt__"][0].id: {"type": "approve"}})
            again = await agent.ainvoke(resume, config)
    assert desk.paid == [5.0], "the recorded payment is given back, not made again"
    assert "paid 5.0" in again["messages"][-1].text


async def test_a_denied_tool_is_not_run_and_the_model_is_told(tmp_path: Path) -> None:
    def wiping(messages: list[dict[str, Any]]) -> Reply:
        if messages[-1]["role"] == "tool":
            return Reply(text=f"told: {messages[-1]['content']}")
        return Reply(calls=(CallPlan("wipe"),))

    desk = Desk()
    tools = desk.tools(asynchronous=True)
    async with runtime(tmp_path, tools) as rt:
        agent = create_agent(model_of(wiping), tools, middleware=[rt.middleware()])
        done = await agent.ainvoke({"messages": [("user", "wipe it")]})
    assert desk.wiped == 0
    assert "policy denies" in done["messages"][-1].text


async def test_a_model_that_dies_takes_its_early_work_with_it(tmp_path: Path) -> None:
    def dying(messages: list[dict[str, Any]]) -> Reply:
        return Reply(reasoning=f'I will call search with query "x". {PONDER}', die_after=60)

    desk, log = Desk(), EventLog()
    tools = desk.tools(asynchronous=True)
    async with runtime(tmp_path, tools, log) as rt:
        agent = create_agent(model_of(dying), tools, middleware=[rt.middleware()])
        with pytest.raises(Exception, match=r"cut|scripted|connection"):
            await agent.ainvoke({"messages": [("user", "find x")]})
    launched = log.of(EventKind.LAUNCHED)
    assert len(log.of(EventKind.RESOLVED)) == len(launched) == 1
    assert log.of(EventKind.TURN_ENDED)[0].cause == "model_error"


async def test_early_tools_see_the_users_values_and_none_of_the_runs_machinery(tmp_path: Path) -> None:
    seen: list[tuple[str, str, bool]] = []

    @tool
    async def who_am_i(question: str) -> str:
        """Say who asks the question."""
        from langgraph.config import get_config

        config = get_config()
        inside = any(name.startswith("__pregel_") for name in config["configurable"])
        seen.append((USER.get(), config["configurable"].get("user_id", "?"), inside))
        return USER.get()

    def asking(messages: list[dict[str, Any]]) -> Reply:
        if messages[-1]["role"] == "tool":
            return Reply(text=messages[-1]["content"])
        return Reply(
            reasoning=f'I will call who_am_i with question "me". {PONDER}',
            calls=(CallPlan("who_am_i", {"question": "me"}),),
        )

    class Spy(BaseCallbackHandler):
        starts = 0

        def on_tool_start(self, *args: Any, **kwargs: Any) -> None:
            self.starts += 1

    spy, log = Spy(), EventLog()
    USER.set("ada")
    async with runtime(tmp_path, [who_am_i], log) as rt:
        agent = create_agent(model_of(asking), [who_am_i], middleware=[rt.middleware()])
        done = await agent.ainvoke(
            {"messages": [("user", "who")]}, {"configurable": {"user_id": "u7"}, "callbacks": [spy]}
        )
    assert log.outcomes()["hit"] == 1
    assert seen == [("ada", "u7", False)]
    assert done["messages"][-1].text == "ada"
    assert spy.starts == 1, "the real call is seen once, the early one is no phantom run"


async def test_a_tool_that_interrupts_is_not_answered_early(tmp_path: Path) -> None:
    answers: list[str] = []

    @tool
    async def search(query: str) -> str:
        """Search the web for a query, asking the user which site."""
        site = interrupt({"which": query})
        answers.append(site)
        return f"{query} on {site}"

    config: RunnableConfig = {"configurable": {"thread_id": "1"}}
    async with runtime(tmp_path, [search]) as rt:
        agent = create_agent(
            model_of(searching), [search], middleware=[rt.middleware()], checkpointer=InMemorySaver()
        )
        paused = await agent.ainvoke({"messages": [("user", "find kittens")]}, config)
        assert paused["__interrupt__"][0].value == {"which": "kittens"}
        done = await agent.ainvoke(Command(resume="pets.example"), config)
    assert answers == ["pets.example"]
    assert done["messages"][-1].text == "answer: kittens on pets.example"


async def test_streaming_shows_the_same_events(tmp_path: Path) -> None:
    async def kinds(graph: Any) -> list[str]:
        wanted = {"on_tool_start", "on_tool_end", "on_chat_model_start", "on_chat_model_end"}
        question = {"messages": [("user", "find kittens")]}
        stream = graph.astream_events(question, {"configurable": {"thread_id": "1"}}, version="v2")
        return [f"{event['event']} {event['name']}" async for event in stream if event["event"] in wanted]

    model = model_of(searching)
    tools = Desk().tools(asynchronous=True)
    bare = await kinds(create_agent(model, tools, checkpointer=InMemorySaver()))
    async with runtime(tmp_path, tools) as rt:
        with_specflow = await kinds(
            create_agent(model, tools, middleware=[rt.middleware()], checkpointer=InMemorySaver())
        )
    assert with_specflow == bare


async def test_a_model_that_does_not_stream_works_without_speculation(tmp_path: Path) -> None:
    desk, log = Desk(), EventLog()
    tools = desk.tools(asynchronous=True)
    async with runtime(tmp_path, tools, log) as rt:
        agent = create_agent(model_of(searching, disable_streaming=True), tools, middleware=[rt.middleware()])
        done = await agent.ainvoke({"messages": [("user", "find kittens")]})
    assert isinstance(done["messages"][-1], AIMessage)
    assert done["messages"][-1].text == "answer: found kittens"
    assert log.of(EventKind.LAUNCHED) == []


def test_the_start_up_line_says_what_will_happen(tmp_path: Path) -> None:
    with runtime(tmp_path, Desk().tools(asynchronous=True)) as rt:
        line = str(rt)
    assert line == "3 tools: 1 early, 2 held (pay: confirmation, wipe: deny); mode: on"


async def test_the_runtime_says_which_tool_has_diverged_and_an_operator_reinstates_it(tmp_path: Path) -> None:
    async with runtime(tmp_path, Desk().tools(asynchronous=True)) as rt:
        rt.host.parts.demotions.diverged("search")
        assert "3 tools: 0 early, 3 held (search: diverged, " in str(rt)
        assert rt.reinstate("search")
        assert not rt.reinstate("search")
        assert "3 tools: 1 early" in str(rt)


@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize("group", ["canary", "control"])
async def test_in_the_control_group_of_a_canary_nobody_is_asked(
    tmp_path: Path, group: str, asynchronous: bool
) -> None:
    desk, log = Desk(), EventLog()
    tools = desk.tools(asynchronous=asynchronous)
    half = Canary(share=0.5)
    thread = next(name for name in map(str, range(1000)) if half.group("", name, "") == group)
    config: RunnableConfig = {"configurable": {"thread_id": thread}}
    async with runtime(tmp_path, tools, log, mode="canary:50%") as rt:
        graph = graph_of("create_agent", rt, model_of(paying), tools, asynchronous=asynchronous)
        question = {"messages": [("user", "pay")]}
        got = await (
            graph.ainvoke(question, config)
            if asynchronous
            else asyncio.to_thread(graph.invoke, question, config)
        )
    assert ("__interrupt__" in got) is (group == "canary")
    assert desk.paid == ([] if group == "canary" else [5.0])
    assert {event.group for event in log.events} == {group}


async def test_both_groups_of_a_canary_answer_the_same(tmp_path: Path) -> None:
    desk, log = Desk(), EventLog()
    tools = desk.tools(asynchronous=True)
    async with runtime(tmp_path, tools, log, mode="canary:50%") as rt:
        agent = create_agent(model_of(searching), tools, middleware=[rt.middleware()])
        results = await asyncio.gather(
            *(
                agent.ainvoke(
                    {"messages": [("user", f"find k{number}")]}, {"configurable": {"thread_id": str(number)}}
                )
                for number in range(20)
            )
        )
    assert [result["messages"][-1].text for result in results] == [
        f"answer: found k{number}" for number in range(20)
    ]
    assert len(desk.searched) == 20
    ended = {(event.group, event.outcome) for event in log.of(EventKind.CALL_ENDED)}
    assert ("control", "miss") in ended
    assert not {("control", "hit"), ("control", "late")} & ended
    assert {("canary", "hit"), ("canary", "late")} & ended
