"""Two agents of one process, each with a runtime of its own, and one early read for both."""

from __future__ import annotations

import asyncio
import contextvars
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool

import specflow as sf
from specflow.speculation.shelf import Shelf
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server.reply import CallPlan, Reply
from specflow.testing.scripted_core import EventLog

PONDER = "Hmm, let me think about that a little more. " * 8
QUESTION = {"messages": [("user", "find kittens")]}
USER: contextvars.ContextVar[str] = contextvars.ContextVar("user")


@pytest.fixture(autouse=True)
def shelf_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another test left open in this process, by design no early read is trusted beside."""
    monkeypatch.setattr("specflow.runtime._SHELF_OF_THE_PROCESS", Shelf())


def searching(messages: list[dict[str, Any]]) -> Reply:
    if messages[-1]["role"] == "tool":
        return Reply(text=f"answer: {messages[-1]['content']}")
    return Reply(
        reasoning=f'I will call search with query "kittens". {PONDER}',
        calls=(CallPlan("search", {"query": "kittens"}),),
    )


def runtime(tmp_path: Path, tools: list[Any], log: EventLog, scope: str, tenant: str) -> sf.Runtime:
    (tmp_path / "policy.yaml").write_text(
        f"version: 1\ntools:\n  search: {{effect: read_only, cache: {{ttl: 60s, scope: {scope}}}}}\n"
    )
    return sf.Runtime(
        tmp_path / "policy.yaml",
        tools=tools,
        journal=f"sqlite:///{tmp_path / 'journal.db'}",
        observers=[log],
        durability="process",
        tenant=tenant,
    )


@pytest.mark.parametrize(
    ("scope", "users", "asked"),
    [("public", ("ada", "ada"), 1), ("public", ("ada", "bob"), 2), ("tenant", ("ada", "ada"), 2)],
    ids=["public", "users", "tenant"],
)
@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize("where", ["context variable", "config"])
async def test_tenants_share_what_is_public_and_no_user_gets_anothers(
    *, tmp_path: Path, scope: str, users: tuple[str, str], asked: int, where: str, asynchronous: bool
) -> None:
    queries: list[str] = []

    if asynchronous:

        @tool
        async def search(query: str) -> str:
            """Search the web for a query."""
            queries.append(query)
            return f"found {query}"

    else:

        @tool
        def search(query: str) -> str:
            """Search the web for a query."""
            queries.append(query)
            return f"found {query}"

    log, model = EventLog(), ScriptedChatModel(script=searching, delay=0.001)
    for tenant, user in zip(("t", "u"), users, strict=True):
        USER.set(user if where == "context variable" else "")
        config: RunnableConfig = {"configurable": {"thread_id": tenant}}
        if where == "config":
            config["configurable"]["user_id"] = user
        async with runtime(tmp_path, [search], log, scope, tenant) as rt:
            agent = create_agent(model, [search], middleware=[rt.middleware()])
            got = await (
                agent.ainvoke(QUESTION, config)
                if asynchronous
                else asyncio.to_thread(agent.invoke, QUESTION, config)
            )
        assert got["messages"][-1].content == "answer: found kittens"
    assert len(queries) == asked
