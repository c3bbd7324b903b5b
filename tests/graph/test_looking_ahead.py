"""Predictors that foresee, and guesses of results, in ordinary agents: the same messages, in fewer waits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.types import Command

import specflow as sf
from specflow.effects.call import Call
from specflow.graph.history import history_of
from specflow.graph.tools import spec_of
from specflow.journal.event import EventKind
from specflow.prediction.last_values import FunctionGuess
from specflow.prediction.predictor import TurnContext
from specflow.speculation.turn import result_item
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.foreseeing import Foreseeing, in_order, last_call
from specflow.testing.model_server.reply import CallPlan, Reply
from specflow.testing.scripted_core import EventLog

POLICY = """version: 1
tools:
  search: {effect: read_only, speculate: now, destinations: {host: search.example}}
"""
WORDS = ("cats", "dogs", "owls")
PLAN = [Call(tool="search", args={"query": word}) for word in WORDS]


def one_after_the_other(messages: list[dict[str, Any]]) -> Reply:
    """Searches for every word, and then says what it found."""
    found = [message["content"] for message in messages if message["role"] == "tool"]
    if len(found) == len(WORDS):
        return Reply(text=" ".join(found))
    return Reply(text="hm. " * 20, calls=(CallPlan("search", {"query": WORDS[len(found)]}),))


class Desk:
    """One slow search that counts."""

    def __init__(self, *, asynchronous: bool, seconds: float = 0.2) -> None:
        self.searched: list[str] = []
        self.running = self.most = 0
        if asynchronous:

            @tool
            async def search(query: str) -> dict[str, Any]:
                """Search for a query."""
                self.running += 1
                self.most = max(self.most, self.running)
                await asyncio.sleep(seconds)
                self.running -= 1
                self.searched.append(query)
                return {"found": query}

        else:

            @tool
            def search(query: str) -> dict[str, Any]:
                """Search for a query."""
                self.searched.append(query)
                return {"found": query}

        self.search = search


def texts(messages: Sequence[Any]) -> list[str]:
    return [message.text for message in messages]


async def test_a_chain_runs_ahead_of_an_agent(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY, "utf-8")
    desk, log = Desk(asynchronous=True, seconds=0.001), EventLog()
    # Thinks for hundreds of times as long as a search takes.
    model = ScriptedChatModel(script=one_after_the_other, delay=0.02)
    predictor = Foreseeing(in_order(PLAN), 1.0)
    async with sf.Runtime(
        tmp_path / "policy.yaml",
        tools=[desk.search],
        journal=f"sqlite:///{tmp_path / 'j.db'}",
        predictors=[predictor],
        observers=[log],
        telemetry=False,
    ) as rt:
        agent = create_agent(model, [desk.search], middleware=[rt.middleware()])
        got = await agent.ainvoke({"messages": [("user", "go")]})
    bare = create_agent(ScriptedChatModel(script=one_after_the_other), [Desk(asynchronous=True).search])
    wanted = await bare.ainvoke({"messages": [("user", "go")]})
    assert texts(got["messages"]) == texts(wanted["messages"])
    assert desk.searched == list(WORDS), "each once, in the order of the chain"
    launched = log.of(EventKind.LAUNCHED)
    assert {event.facts["depth"] for event in launched} >= {0, 1}
    # What a predictor was shown of an early result is what the model was shown of it later.
    shown = {str(item.history[-1].call): item.history[-1].text for item in predictor.asked if last_call(item)}
    later = history_of(got["messages"])
    assert shown == {str(item.call): item.text for item in later if item.call is not None}


async def test_a_guessed_result_runs_ahead_of_an_agent(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY, "utf-8")
    desk, log, model = Desk(asynchronous=True), EventLog(), ScriptedChatModel(script=one_after_the_other)

    def after(context: TurnContext) -> Sequence[Call]:
        return in_order(PLAN)(context) if last_call(context) else ()

    guesser = FunctionGuess("search", lambda call, context: {"found": call.args["query"]}, confidence=1.0)
    async with sf.Runtime(
        tmp_path / "policy.yaml",
        tools=[desk.search],
        journal=f"sqlite:///{tmp_path / 'j.db'}",
        predictors=[Foreseeing(after, 1.0)],
        result_guessers=[guesser],
        observers=[log],
        telemetry=False,
    ) as rt:
        agent = create_agent(model, [desk.search], middleware=[rt.middleware()])
        got = await agent.ainvoke({"messages": [("user", "go")]})
    assert got["messages"][-1].text == " ".join(f'{{"found": "{word}"}}' for word in WORDS)
    assert sorted(desk.searched) == sorted(WORDS)
    assert desk.most > 1, "the next search ran beside the one that was pending"
    decided = [event.outcome for event in log.of(EventKind.BRANCH_DECIDED)]
    assert "confirmed" in decided
    outcomes = log.outcomes()
    assert outcomes["hit"] + outcomes["late"] == 2


def test_synchronous_agents_look_ahead_too(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY, "utf-8")
    desk, log, model = Desk(asynchronous=False), EventLog(), ScriptedChatModel(script=one_after_the_other)
    with sf.Runtime(
        tmp_path / "policy.yaml",
        tools=[desk.search],
        journal=f"sqlite:///{tmp_path / 'j.db'}",
        predictors=[Foreseeing(in_order(PLAN), 1.0)],
        observers=[log],
        telemetry=False,
    ) as rt:
        agent = create_agent(model, [desk.search], middleware=[rt.middleware()])
        got = agent.invoke({"messages": [("user", "go")]})
    assert got["messages"][-1].text == " ".join(f'{{"found": "{word}"}}' for word in WORDS)
    assert sorted(desk.searched) == sorted(WORDS)


RESULTS = [
    "plain text",
    {"a": 1, "ø": [1.5, None, True]},
    ["one", {"type": "text", "text": "two"}],
    [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}],
    [1, 2],
    7,
    None,
    {1, 2},
    b"bytes",
    ToolMessage("said by the tool itself", tool_call_id="id"),
]


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
async def test_a_result_is_rendered_as_langchain_shows_it_to_the_model(result: Any) -> None:
    @tool
    async def give() -> Any:
        """Give it."""
        return result

    message = await give.ainvoke({"type": "tool_call", "name": "give", "args": {}, "id": "id"})
    asked = AIMessage("", tool_calls=[{"name": "give", "args": {}, "id": "id"}])
    (item,) = [item for item in history_of([HumanMessage("go"), asked, message]) if item.role == "tool"]
    text = spec_of(give).render(result)
    assert item == result_item(Call(tool="give"), text)


async def test_content_beside_an_artifact_is_what_the_model_sees() -> None:
    @tool(response_format="content_and_artifact")
    async def give() -> Any:
        """Give it."""
        return {"shown": 1}, object()

    spec = spec_of(give)
    assert spec.render(({"shown": 1}, object())) == '{"shown": 1}'
    assert spec.render([1, 2, 3]) == "[1, 2, 3]", "what stands in the place of an answer is its data"
    with pytest.raises(ValueError, match="unpack"):
        spec.render((1, 2, 3))


def test_what_is_no_message_cannot_be_rendered() -> None:
    @tool
    def give() -> Any:
        """Give it."""
        return Command(update={})

    with pytest.raises(TypeError, match="no message"):
        spec_of(give).render(Command(update={}))


def test_what_langchain_makes_of_results_is_still_where_it_was() -> None:
    """The canary of a private import."""
    from specflow.graph.compat import formatted

    assert isinstance(formatted("text"), ToolMessage)
