"""What generated agents seldom show: which of two equals is taken, and what a user's own observers hear."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.config import get_store, get_stream_writer
from langgraph.store.memory import InMemoryStore

import specflow as sf
from specflow.effects.registry import ToolRegistry
from specflow.graph.tools import specs_of
from specflow.journal.memory import MemoryJournal
from specflow.policy.load import loads
from specflow.speculation.model_calls import ModelCalls
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.lossless.case import Agent, Ask, Case, Guess, Manner, Run, Step, Talk
from specflow.testing.lossless.prove import hold
from specflow.testing.model_server.reply import CallPlan, Reply
from specflow.testing.proof import LoopOrZero
from specflow.testing.scripted_core import EventLog

POLICY = "version: 1\ntools:\n  search: {effect: read_only, speculate: now}\n"
PONDER = "Hmm, let me think about that a little more. " * 8


class _Nobody:
    """A branch that is never lost."""

    lost = False

    def own(self, item: object, end: Callable[[str], object]) -> None:
        """Nothing ends with it."""

    def disown(self, item: object) -> None:
        """As above."""


async def first_registered() -> None:
    """Of equal model calls the first registered is adopted, though the other one was finished first."""
    calls = ModelCalls()
    long, short = calls.begin("what next?", _Nobody()), calls.begin("what next?", _Nobody())
    assert long is not None
    assert short is not None
    short.add("yes")
    short.finish()
    long.add("it depends")
    assert calls.adopt("what next?") is long


class _Heard(BaseCallbackHandler):
    def __init__(self) -> None:
        self.calls: list[str] = []

    def on_tool_start(self, serialized: Any, input_str: str, **_: Any) -> None:
        self.calls.append(f"tool {input_str}")

    def on_chain_start(self, serialized: Any, inputs: Any, **options: Any) -> None:
        if options.get("name") == "inner":
            self.calls.append(f"inner {inputs}")


async def _told(*, early: bool) -> tuple[Any, ...]:
    """What the user's own callbacks, stream, store and usage say of one run, and what was guessed in it."""
    inner, log = RunnableLambda(lambda query: f"found {query}").with_config(run_name="inner"), EventLog()
    helper = ScriptedChatModel(script=lambda _messages: Reply(text="fine"), model="helper")

    @tool
    async def search(query: str) -> str:
        """Search the web for a query."""
        await asyncio.sleep(0.02)
        await helper.ainvoke("is that a good query?")
        found = await inner.ainvoke(query)
        get_stream_writer()({"searched": query})
        get_store().put(("searched",), query, {"by": "search"})
        return str(found)

    def script(messages: list[dict[str, Any]]) -> Reply:
        if messages[-1]["role"] == "tool":
            return Reply(text=f"answer: {messages[-1]['content']}")
        wrong = f'I will call search with query "puppies". {PONDER}'
        right = f'No, I will call search with query "kittens". {PONDER}'
        return Reply(reasoning=wrong + right, calls=(CallPlan("search", {"query": "kittens"}),))

    model, heard, store = ScriptedChatModel(script=script, delay=0.001), _Heard(), InMemoryStore()
    usage = UsageMetadataCallbackHandler()
    policy = loads(POLICY, tools=ToolRegistry(specs_of([search])))
    async with sf.Runtime(
        policy,
        tools=[search],
        journal=MemoryJournal(LoopOrZero()),
        mode="on" if early else "off",
        observers=[log],
        telemetry=False,
    ) as rt:
        agent = create_agent(model, [search], middleware=[rt.middleware()], store=store)
        question = {"messages": [("user", "find kittens")]}
        custom, answer = [], ""
        async for mode, part in agent.astream(
            question, {"callbacks": [heard, usage]}, stream_mode=["custom", "values"]
        ):
            if mode == "custom":
                custom.append(part)
            else:
                last = part["messages"][-1]
                answer = last.text if isinstance(last, AIMessage) else answer
    stored = sorted(item.key for item in store.search(("searched",)))
    guessed = sum(event.outcome != "" for event in log.events) if early else 0
    return answer, heard.calls, custom, stored, usage.usage_metadata, guessed


async def nothing_leaks() -> None:
    """A wrong guess is not heard of in the user's callbacks, stream, store or usage."""
    *sequential, _ = await _told(early=False)
    *speculative, guessed = await _told(early=True)
    assert guessed, "nothing was guessed, so nothing is shown"
    assert speculative == sequential


async def shared_buffer() -> None:
    """A real call is not made while an early read runs that uses the same buffer."""

    def scan(cell: str) -> Ask:
        return Ask(tool="scan", args={"area": "p0", "cell": cell})

    guesses = (Guess(at=0.0, what="other", ask=scan("C")), Guess(at=0.0, what="right"))
    step = Step(options=((scan("B"),),), guesses=guesses, think=0.0)
    talk = Talk(thread="talk", agents=(Agent(name="main", area="p0", runs=(Run(steps=(step,)),)),))
    manners = {"scan": Manner(ttl=5.0)}
    for seed in range(20):
        # On a thread, as the case is played on a loop of its own.
        await asyncio.to_thread(hold, Case(seed=seed, talks=(talk,), manners=manners, step_seconds=0.01))


CHECKS = {check.__name__: check for check in (first_registered, nothing_leaks, shared_buffer)}
