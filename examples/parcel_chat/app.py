"""The chat: one tool, a policy, one middleware, a checkpointer. What a carrier would write."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.memory import InMemorySaver

import specflow as sf
from specflow.journal.event import Observer

from .parcels import Parcels

POLICY = Path(__file__).with_name("policy.yaml")
SYSTEM = (
    "You help people who wait for a parcel. Ask whether a neighbour has taken it in before you tell them "
    "where it is."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the agent said, and the seconds that its user waited: in all, and of these for tools."""

    text: str
    seconds: float
    for_tools: float


def tools_of(parcels: Parcels) -> list[BaseTool]:
    """What the agent may call."""

    @sf.read_only
    @tool
    async def find_parcel(order_id: Annotated[str, "order number, such as 1234"]) -> dict[str, Any]:
        """Find the parcel of an order."""
        return await parcels.find(order_id)

    return [find_parcel]


def agent_of(model: BaseChatModel, tools: list[BaseTool], rt: sf.Runtime) -> Any:
    """An ordinary agent that remembers its conversations."""
    return create_agent(
        model, tools, system_prompt=SYSTEM, middleware=[rt.middleware()], checkpointer=InMemorySaver()
    )


async def chat(
    messages: Sequence[str],
    *,
    model: BaseChatModel,
    parcels: Parcels,
    journal: str,
    user_types: Callable[[], Awaitable[object]],
    mode: str = "on",
    observers: Iterable[Observer] = (),
) -> list[Answer]:
    """One conversation; each message is a run of the agent, on the same thread.

    `user_types` is what goes on between an answer and the next message.
    """
    tools, answers = tools_of(parcels), list[Answer]()
    thread: Any = {"configurable": {"thread_id": "parcel"}}
    async with sf.Runtime(POLICY, tools=tools, journal=journal, mode=mode, observers=observers) as rt:
        agent = agent_of(model, tools, rt)
        for number, message in enumerate(messages):
            if number:
                await user_types()
            answers.append(await _answer(agent, message, thread))
    return answers


async def _answer(agent: Any, message: str, thread: Any) -> Answer:
    began = last = time.monotonic()
    text, for_tools = "", 0.0
    async for update in agent.astream({"messages": [("user", message)]}, thread, stream_mode="updates"):
        now = time.monotonic()
        if "tools" in update:
            for_tools += now - last
        if "model" in update:
            text = str(update["model"]["messages"][-1].text)
        last = now
    return Answer(text=text, seconds=time.monotonic() - began, for_tools=for_tools)
