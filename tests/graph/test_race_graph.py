"""An early read that hangs for ever, in a real graph: the run goes on with a call of its own."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_core.tools import tool

import specflow as sf
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server.reply import CallPlan, Reply
from specflow.testing.scripted_core import EventLog

POLICY = "version: 1\ntools:\n  search: {effect: read_only, speculate: now}\n"
PONDER = "Hmm, let me think about that a little more. " * 8
QUESTION = {"messages": [("user", "find kittens")]}


def searching(messages: list[dict[str, Any]]) -> Reply:
    if messages[-1]["role"] == "tool":
        return Reply(text=f"answer: {messages[-1]['content']}")
    return Reply(
        reasoning=f'I will call search with query "kittens". {PONDER}',
        calls=(CallPlan("search", {"query": "kittens"}),),
    )


def runtime(tmp_path: Path, tools: list[Any], log: EventLog) -> sf.Runtime:
    (tmp_path / "policy.yaml").write_text(POLICY)
    rt = sf.Runtime(
        tmp_path / "policy.yaml",
        tools=tools,
        journal=f"sqlite:///{tmp_path / 'journal.db'}",
        observers=[log],
        durability="process",
    )
    for _ in range(20):
        rt.host.parts.durations.saw("search", 0.01)
    return rt


async def test_an_asynchronous_run_overtakes_a_hanging_guess(tmp_path: Path) -> None:
    tries: list[str] = []

    @tool
    async def search(query: str) -> str:
        """Search the web for a query."""
        tries.append(query)
        if len(tries) == 1:
            await asyncio.Event().wait()
        return f"found {query}"

    log, model = EventLog(), ScriptedChatModel(script=searching, delay=0.001)
    async with runtime(tmp_path, [search], log) as rt:
        agent = create_agent(model, [search], middleware=[rt.middleware()])
        got = await agent.ainvoke(QUESTION)
    assert got["messages"][-1].content == "answer: found kittens"
    assert tries == ["kittens", "kittens"]
    assert log.outcomes()["miss"] == 1


def test_a_synchronous_run_overtakes_a_hanging_guess_on_its_own_thread(tmp_path: Path) -> None:
    threads: list[threading.Thread] = []
    release = threading.Event()

    @tool
    def search(query: str) -> str:
        """Search the web for a query."""
        threads.append(threading.current_thread())
        if len(threads) == 1:
            release.wait()
        return f"found {query}"

    log, model = EventLog(), ScriptedChatModel(script=searching, delay=0.001)
    with runtime(tmp_path, [search], log) as rt:
        agent = create_agent(model, [search], middleware=[rt.middleware()])
        got = agent.invoke(QUESTION)
        assert got["messages"][-1].content == "answer: found kittens"
        assert len(threads) == 2
        release.set()
    assert log.outcomes()["miss"] == 1
