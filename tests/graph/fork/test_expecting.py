"""Ahead of people: the next message of the user, and what an interrupt will be resumed with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

import specflow as sf
from specflow.effects.call import Call
from specflow.errors import ConfigurationError
from specflow.graph.fork.current import current_fork
from specflow.prediction.predictor import TurnContext
from specflow.prediction.result_guess import ResultGuess
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server import CallPlan, Reply

POLICY = """
version: 1
tools:
  look: {effect: read_only, destinations: {host: look.example}}
  pay: {effect: confirmation_required, confirm: host}
"""
CONFIG: Any = {"configurable": {"thread_id": "t"}}


class Reader:
    """Presumes what people will say; notes what it was asked."""

    name = "reader"

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[Call] = []

    async def guess(self, call: Call, context: TurnContext) -> Sequence[ResultGuess]:
        self.asked.append(call)
        value = self.answers.get(call.tool)
        if value is None:
            return []
        return [ResultGuess(value=value, confidence=0.9, predictor=self.name, text="x")]


class Shop:
    """An agent that looks things up and pays, and has a memory."""

    def __init__(
        self, tmp_path: Path, reader: Reader, script: Any, *others: Any, pure: Sequence[str] = ()
    ) -> None:
        self.ran: list[tuple[str, bool]] = []
        self.model = ScriptedChatModel(script=script)

        @tool
        async def look(what: str) -> str:
            """Look something up."""
            self.ran.append(("look", current_fork() is not None))
            return f"{what} is blue"

        @tool
        async def pay(amount: int) -> str:
            """Pay an amount."""
            self.ran.append(("pay", current_fork() is not None))
            return f"paid {amount}"

        (tmp_path / "policy.yaml").write_text(POLICY)
        self.rt = sf.Runtime(
            tmp_path / "policy.yaml",
            tools=[look, pay],
            journal=f"sqlite:///{tmp_path / 'journal.db'}",
            predictors=[],
            result_guessers=[reader],
            telemetry=False,
        )
        agent: Any = create_agent(
            self.model,
            [look, pay],
            middleware=[*others, self.rt.middleware()],
            checkpointer=InMemorySaver(),
        )
        self.agent: Any = self.rt.attach(agent, pure=pure)

    async def until(self, requests: int) -> None:
        for _ in range(5_000):
            if len(self.model.requests) >= requests:
                return
            await asyncio.sleep(0.002)
        raise AssertionError("the fork did not come that far")


def talk(messages: list[dict[str, Any]]) -> Reply:
    last = messages[-1]
    if last["role"] == "tool":
        return Reply(text=f"I see: {last['content']}")
    if last["content"] == "hello":
        return Reply(text="What may I look up?")
    return Reply(calls=(CallPlan("look", {"what": last["content"]}),))


@pytest.mark.parametrize("says", ["the sky", "the sea"])
async def test_what_the_user_will_say_is_prepared(tmp_path: Path, says: str) -> None:
    shop = Shop(tmp_path, Reader(user="the sky"), talk)
    agent, rt = shop.agent, shop.rt

    async def said(text: str) -> Any:
        question = {"messages": [("user", text)]}
        return await agent.ainvoke(question, CONFIG)

    async with rt:
        await said("hello")
        history = len([one async for one in agent.aget_state_history(CONFIG)])
        async with rt.expecting(agent, CONFIG) as reply:
            await shop.until(3)
            assert len([one async for one in agent.aget_state_history(CONFIG)]) == history, "not its thread"
            reply.answered(says)
        answer = await said(says)
    assert answer["messages"][-1].text == f"I see: {says} is blue"
    assert [message.type for message in answer["messages"]] == ["human", "ai", "human", "ai", "tool", "ai"]
    right = says == "the sky"
    assert len(shop.model.requests) == (3 if right else 5)
    assert shop.ran == ([("look", True)] if right else [("look", True), ("look", False)])


def test_what_the_user_will_say_is_prepared_in_a_synchronous_program(tmp_path: Path) -> None:
    shop = Shop(tmp_path, Reader(user="hello"), talk)

    def said(text: str) -> Any:
        return shop.agent.invoke({"messages": [("user", text)]}, CONFIG)

    with shop.rt:
        said("hello")
        with shop.rt.expecting(shop.agent, CONFIG) as reply:
            for _ in range(5_000):
                if len(shop.model.requests) == 2:
                    break
                time.sleep(0.002)
            reply.answered("hello")
        answer = said("hello")
        assert len(shop.model.requests) == 2
        with shop.rt.expecting(shop.agent, CONFIG):
            pass  # they left
    assert answer["messages"][-1].text == "What may I look up?"


async def test_a_user_who_says_nothing_leaves_nothing_behind(tmp_path: Path) -> None:
    shop = Shop(tmp_path, Reader(user="the sky"), talk)
    async with shop.rt:
        await shop.agent.ainvoke({"messages": [("user", "hello")]}, CONFIG)
        before = shop.agent.get_state(CONFIG).values
        async with shop.rt.expecting(shop.agent, CONFIG):
            await shop.until(2)
        assert shop.agent.get_state(CONFIG).values == before
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not left


def buying(messages: list[dict[str, Any]]) -> Reply:
    last = messages[-1]
    if last["role"] == "tool":
        return Reply(text=f"So be it: {last['content']}")
    return Reply(calls=(CallPlan("pay", {"amount": 7}),))


async def test_what_a_person_will_decide_is_prepared_and_nothing_is_paid_early(tmp_path: Path) -> None:
    no = {"decisions": [{"type": "reject", "message": "too dear"}]}
    reader = Reader(person=no)
    asks = HumanInTheLoopMiddleware(interrupt_on={"pay": True})
    shop = Shop(tmp_path, reader, buying, asks, pure=["HumanInTheLoopMiddleware.after_model"])
    async with shop.rt:
        asked = await shop.agent.ainvoke({"messages": [("user", "buy it")]}, CONFIG)
        assert asked["__interrupt__"]
        async with shop.rt.expecting(shop.agent, CONFIG) as decision:
            await shop.until(2)
            assert shop.agent.get_state(CONFIG).interrupts, "the question is still open"
            decision.answered(no)
        answer = await shop.agent.ainvoke(Command(resume=no), CONFIG)
    assert reader.asked[-1].args["asked"][0]["action_requests"][0]["name"] == "pay"
    assert "too dear" in answer["messages"][-1].text
    assert len(shop.model.requests) == 2, "what the model says to a no was known already"
    assert shop.ran == []


async def test_a_presumed_yes_pays_nothing(tmp_path: Path) -> None:
    yes = {"decisions": [{"type": "approve"}]}
    asks = HumanInTheLoopMiddleware(interrupt_on={"pay": True})
    shop = Shop(tmp_path, Reader(person=yes), buying, asks, pure=["HumanInTheLoopMiddleware.after_model"])
    async with shop.rt:
        await shop.agent.ainvoke({"messages": [("user", "buy it")]}, CONFIG)
        forker: Any = shop.rt.host.parts.forker
        async with shop.rt.expecting(shop.agent, CONFIG) as decision:
            while not forker.finished:
                await asyncio.sleep(0.002)
            assert shop.ran == []
            decision.answered(yes)
        answer = await shop.agent.ainvoke(Command(resume=yes), CONFIG)
    assert shop.ran == [("pay", False)]
    assert answer["messages"][-1].text == "So be it: paid 7"


async def test_what_cannot_be_expected_says_so(tmp_path: Path) -> None:
    shop = Shop(tmp_path, Reader(), talk)
    async with shop.rt:
        with pytest.raises(ConfigurationError, match="must be attached"):
            shop.rt.expecting(create_agent(shop.model, []), CONFIG)
        with pytest.raises(ConfigurationError, match="thread_id"):
            shop.rt.expecting(shop.agent, {})
