"""A real LangGraph agent with a sync tool under the seeded loop: nothing in it waits for a real thread."""

import asyncio
import operator
from typing import Annotated, TypedDict

from langgraph.graph import END, START, StateGraph

from specflow.testing.explore import explore, observe


class State(TypedDict):
    seen: Annotated[list, operator.add]


def graph():
    async def slow(state):
        await asyncio.sleep(30)
        return {"seen": ["slow"]}

    def sync(state):
        return {"seen": ["sync"]}

    builder = StateGraph(State)
    builder.add_node("slow", slow)
    builder.add_node("sync", sync)
    builder.add_edge(START, "slow")
    builder.add_edge(START, "sync")
    builder.add_edge(["slow", "sync"], END)
    return builder.compile()


async def ask():
    result = await graph().ainvoke({"seen": []})
    assert result["seen"] == ["slow", "sync"]
    return asyncio.get_running_loop().time()


def test_a_graph_with_sync_and_async_nodes_runs_in_virtual_time():
    seen = observe(ask(), seed=1)
    assert seen.error is None
    assert seen.result == 30


def test_its_schedules_can_be_explored():
    report = explore(ask, schedules=20)
    assert report.failed_seeds == ()
    assert report.distinct > 1
