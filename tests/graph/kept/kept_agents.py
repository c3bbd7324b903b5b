"""Agents of that shop in graphs of several forms, over real HTTP, with a checkpointer and an event log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from kept_shop import POLICY, Shop, script
from langchain.agents import create_agent
from langchain_core.tools import BaseTool
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

import specflow as sf
from specflow.graph.reasoning import ReasoningChatOpenAI
from specflow.journal.event import CallEvent, EventKind, Observer
from specflow.prediction.sniffer import ReasoningSniffer
from specflow.speculation.coordinator import Coordinator
from specflow.speculation.session import Session, SessionKey
from specflow.testing.model_server import ModelServer
from specflow.testing.scripted_core import EventLog

FORMS = ("create_agent", "StateGraph")
"""`helper` beside these: agents of both forms in one graph, the first for thoughts in a sub-graph of it."""


@dataclass
class Desk:
    """One runtime with its agent; `ask` is one run. Sessions are at rest when it returns."""

    rt: sf.Runtime
    agent: Any
    log: EventLog
    shop: Shop
    asynchronous: bool

    @property
    def coordinator(self) -> Coordinator:
        """That of the loop on which the runs are."""
        return self.rt.host.coordinator(None if self.asynchronous else self.rt.host.background.loop)

    async def ask(self, text: str, *, thread: str = "t", **configurable: Any) -> str:
        """The last words of the agent."""
        config: Any = {"configurable": {"thread_id": thread, **configurable}}
        question: Any = {"messages": [("user", text)]}
        if self.asynchronous:
            done = await self.agent.ainvoke(question, config)
        else:
            done = await asyncio.to_thread(self.agent.invoke, question, config)
        return str(done["messages"][-1].text)

    async def thought_of(self, order: str, *, running: bool = False, **more: Any) -> CallEvent:
        """A run that announces the read, and does not make it: it is kept, finished or `running`."""
        before = len(self.log.of(EventKind.KEPT))
        if running:
            self.shop.open.clear()
        assert await self.ask(f"think of {order}", **more) == "Later, maybe."
        assert len(self.log.of(EventKind.KEPT)) == before + 1, self.log.of(EventKind.WITHHELD)
        await until(lambda: order in self.shop.asked)
        if not running:
            await until(lambda: len(self.log.of(EventKind.RUN_ENDED)) == len(self.log.of(EventKind.LAUNCHED)))
        return self.log.of(EventKind.KEPT)[-1]

    def life(self, speculation_id: str) -> list[str]:
        """What has become of an early read."""
        return [
            f"{event.kind} {event.outcome} {event.cause}".strip()
            for event in self.log.events
            if event.speculation_id == speculation_id and event.kind in LIFE
        ]

    def answers(self) -> list[str]:
        """How the calls of `look_up` were answered."""
        ended = self.log.of(EventKind.CALL_ENDED)
        return [event.outcome for event in ended if event.call is not None and event.call.tool == "look_up"]

    def session(self, thread: str = "t") -> Session:
        """The session that the conversation has now."""
        return self.coordinator.session(SessionKey(thread=thread))

    def kept(self) -> int:
        """How many reads wait for a next run."""
        return len(self.coordinator._sessions._kept)


LIFE = (EventKind.LAUNCHED, EventKind.KEPT, EventKind.CARRIED, EventKind.RESOLVED)


async def until(condition: Callable[[], object]) -> None:
    """Wait for what other threads and tasks do."""
    while not condition():
        await asyncio.sleep(0.005)


@asynccontextmanager
async def model() -> AsyncIterator[ReasoningChatOpenAI]:
    """Over HTTP, with clients of its own: LangChain keeps those it makes until it has too many."""
    clients: dict[str, Any] = {"http_client": httpx.Client(), "http_async_client": httpx.AsyncClient()}
    with ModelServer(script) as server:
        yield ReasoningChatOpenAI(base_url=server.url, api_key="none", model="scripted", **clients)  # type: ignore[arg-type]  # a str will do
        assert server.differences == []
    clients["http_client"].close()
    await clients["http_async_client"].aclose()


@asynccontextmanager
async def desk(
    folder: Path,
    form: str = "create_agent",
    *,
    asynchronous: bool = True,
    scope: str = "thread",
    ttl: str = "60s",
    url: str = "",
    saver: BaseCheckpointSaver[Any] | None = None,
    observers: tuple[Observer, ...] = (),
    partial: bool = False,
) -> AsyncIterator[Desk]:
    """A runtime, closed at the end, when nothing is kept any more. Calls that are being written are started
    early only with `partial`: else a call that is not announced is made by the real run.
    """
    shop, log = Shop(folder), EventLog()
    policy = folder / "policy.yaml"
    policy.write_text(POLICY.format(ttl=ttl, scope=scope))
    tools = shop.tools(asynchronous=asynchronous)
    async with model() as said:
        rt = sf.Runtime(
            policy,
            tools=tools,
            journal=url or f"sqlite:///{folder / 'journal.db'}",
            observers=[log, *observers],
            predictors=None if partial else [ReasoningSniffer()],
            telemetry=False,
            durability="process",
        )
        async with rt:
            agent = _graph(form, rt, said, tools, saver or InMemorySaver(), asynchronous=asynchronous)
            made = Desk(rt=rt, agent=agent, log=log, shop=shop, asynchronous=asynchronous)
            yield made
            coordinator = made.coordinator
            shop.open.set()
        assert len(coordinator._sessions._kept) == 0
    launched = [event.speculation_id for event in log.of(EventKind.LAUNCHED)]
    resolved = [event.speculation_id for event in log.of(EventKind.RESOLVED)]
    assert sorted(launched) == sorted(resolved), "every speculation ends exactly once"


def _graph(
    form: str,
    rt: sf.Runtime,
    said: ReasoningChatOpenAI,
    tools: list[BaseTool],
    saver: BaseCheckpointSaver[Any],
    *,
    asynchronous: bool,
) -> Any:
    if form == "create_agent":
        return create_agent(said, tools, middleware=[rt.middleware()], checkpointer=saver)
    bound = said.bind_tools(tools)

    async def acall(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    def call(state: MessagesState) -> dict[str, Any]:
        return {"messages": [bound.invoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("model", rt.model_node(acall if asynchronous else call))
    builder.add_node("tools", rt.tool_node(tools))
    builder.add_conditional_edges("model", rt.fan_out)
    builder.add_edge("tools", "model")
    if form == "StateGraph":
        builder.add_edge(START, "model")
    else:
        thinker = form.removeprefix("helper ")
        builder.add_node("helper", create_agent(said, tools, middleware=[rt.middleware()]))

        def who(state: MessagesState) -> str:
            return "helper" if str(state["messages"][-1].text).startswith(thinker) else "model"

        builder.add_conditional_edges(START, who, ["helper", "model"])
    return builder.compile(checkpointer=saver)
