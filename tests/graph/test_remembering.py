"""A runtime with a file of patterns: what conversations have taught starts the next one's reads early."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

import specflow as sf
from specflow.graph.model_name import name_of
from specflow.journal.event import EventKind
from specflow.prediction.candidate import Candidate
from specflow.prediction.history.patterns import Patterns, PatternsError
from specflow.prediction.predictor import AnyPredictor, TurnContext
from specflow.prediction.sniffer import ReasoningSniffer
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server.reply import CallPlan, Reply
from specflow.testing.scripted_core import EventLog

Script = Callable[[list[dict[str, Any]]], Reply]

POLICY = """version: 1
tools:
  find_customer: {effect: read_only, speculate: now, destinations: {host: shop.example}}
  get_customer: {effect: read_only, speculate: now, destinations: {host: shop.example}}
  close_account: {effect: confirmation_required, confirm: host}
"""


def find_customer(email: str) -> str:
    """Find a customer by e-mail address."""
    return "id_" + email.split("@", maxsplit=1)[0].replace(".", "_") + "_77"


def get_customer(customer_id: str) -> dict[str, Any]:
    """Get a customer's data."""
    return {"customer_id": customer_id, "plan": "gold"}


def close_account(customer_id: str) -> str:
    """Close a customer's account."""
    return f"closed {customer_id}"


TOOLS = [find_customer, get_customer, close_account]


def clerk(messages: list[dict[str, Any]]) -> Reply:
    """Finds the customer, reads the data, closes the account, says so."""
    said = next(message["content"] for message in messages if message["role"] == "user")
    results = [message["content"] for message in messages if message["role"] == "tool"]
    email = said.rsplit(" ", maxsplit=1)[-1]
    steps = [
        CallPlan("find_customer", {"email": email}),
        *(
            CallPlan(name, {"customer_id": results[0]})
            for name in ("get_customer", "close_account")
            if results
        ),
    ]
    return Reply(calls=(steps[len(results)],)) if len(results) < 3 else Reply(text="Done.")


async def serve(rt: sf.Runtime, customers: range, script: Script = clerk) -> None:
    agent = create_agent(ScriptedChatModel(script=script), TOOLS, middleware=[rt.middleware()])
    for number in customers:
        said = f"Please close my account. My email is guest.{1000 + 7 * number}@post.example"
        got = await agent.ainvoke({"messages": [("user", said)]})
        assert got["messages"][-1].text == "Done."


def runtime(folder: Path, log: EventLog, *, predictors: Sequence[AnyPredictor] = ()) -> sf.Runtime:
    return sf.Runtime(
        folder / "policy.yaml",
        tools=TOOLS,
        journal=f"sqlite:///{folder / 'journal.db'}",
        predictors=predictors,
        patterns=folder / "patterns.json",
        observers=[log],
        telemetry=False,
    )


async def test_what_is_learned_outlives_the_runtime(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY, "utf-8")
    first, second = EventLog(), EventLog()
    async with runtime(tmp_path, first) as rt:
        await serve(rt, range(14))
    text = (tmp_path / "patterns.json").read_text()
    assert "post.example" not in text
    assert "1007" not in text
    assert json.loads(text)["tools"].keys() == {"find_customer", "get_customer", "close_account"}
    async with runtime(tmp_path, second) as rt:
        await serve(rt, range(50, 52))
    launched = [event.call.tool for event in second.of(EventKind.LAUNCHED) if event.call]
    assert launched.count("find_customer") == launched.count("get_customer") == 2
    assert "close_account" not in launched
    assert "close_account" not in {e.call.tool for e in second.of(EventKind.PROPOSED) if e.call}
    assert {event.candidate.predictor for event in second.of(EventKind.PROPOSED) if event.candidate} == {
        "history"
    }
    outcomes = second.outcomes()
    assert outcomes["hit"] + outcomes["late"] == 4


def talking_clerk(messages: list[dict[str, Any]]) -> Reply:
    """Says what it is about to do in words that no tool's description has."""
    reply = clerk(messages)
    if not reply.calls or reply.calls[0].name != "find_customer":
        return reply
    email = messages[0]["content"].rsplit(" ", maxsplit=1)[-1]
    return Reply(text=f"Let me check the whereabouts of {email}.", calls=reply.calls)


async def test_the_words_that_announce_a_call_are_learned_and_no_word_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY, "utf-8")

    async def said_by_the_sniffer(customers: range, sniffer: ReasoningSniffer) -> list[str]:
        log = EventLog()
        async with runtime(tmp_path, log, predictors=[sniffer]) as rt:
            await serve(rt, customers, talking_clerk)
        candidates = [event.candidate for event in log.of(EventKind.PROPOSED)]
        return [one.call.tool for one in candidates if one is not None and one.predictor == "sniffer"]

    assert await said_by_the_sniffer(range(4), ReasoningSniffer()) == ["find_customer"]
    text = (tmp_path / "patterns.json").read_text()
    assert "whereabout" in text
    assert "post.example" not in text
    assert await said_by_the_sniffer(range(50, 52), ReasoningSniffer()) == ["find_customer"] * 2
    assert await said_by_the_sniffer(range(60, 62), ReasoningSniffer(learns=False)) == []


async def test_a_file_that_lies_makes_nothing_start_that_may_not(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY, "utf-8")
    lies = Patterns()
    for conversation in range(100):
        lies.triggers.learn(["check", "whereabout", "check whereabout"], "close_account", conversation)
    lies.save(tmp_path / "patterns.json")
    log = EventLog()
    async with runtime(tmp_path, log, predictors=[ReasoningSniffer()]) as rt:
        await serve(rt, range(6), talking_clerk)
    assert "close_account" not in {event.call.tool for event in log.of(EventKind.LAUNCHED) if event.call}
    assert "close_account" not in {event.call.tool for event in log.of(EventKind.PROPOSED) if event.call}


class Whose:
    """Notes for whom, and by which model, it is asked to foresee."""

    name = "whose"

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []

    async def foresee(self, context: TurnContext) -> Sequence[Candidate]:
        self.seen.append((context.tenant, context.user, context.model))
        return ()


@pytest.mark.parametrize("name", ["user_id", "langgraph_auth_user_id"])
async def test_predictors_are_told_for_whom_and_by_which_model(tmp_path: Path, name: str) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY, "utf-8")
    whose = Whose()
    model = ScriptedChatModel(script=lambda _messages: Reply(text="Done."))
    rt = sf.Runtime(
        tmp_path / "policy.yaml",
        tools=TOOLS,
        journal=f"sqlite:///{tmp_path / 'journal.db'}",
        predictors=[whose],
        tenant="harbour",
        telemetry=False,
    )
    async with rt:
        agent = create_agent(model, TOOLS, middleware=[rt.middleware()])
        asked = {"messages": [("user", "hello")]}
        await agent.ainvoke(asked, {"configurable": {name: "liv"}})
        await agent.ainvoke(asked)
    assert whose.seen == [("harbour", "liv", name_of(model)), ("harbour", "", name_of(model))]


def test_the_name_of_a_model_is_found_in_any_form() -> None:
    model = ChatOpenAI(model="some-model", api_key=SecretStr("none"))
    assert name_of(model) == "some-model"
    assert name_of(model.bind_tools([find_customer])) == "some-model"
    assert name_of(model.with_retry()) == "some-model"
    # A configurable model without a default is none yet, and says so by raising.
    assert not name_of(init_chat_model(configurable_fields=("model",)))
    assert not name_of(object())
    assert not name_of(None)


def test_a_broken_file_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY, "utf-8")
    (tmp_path / "patterns.json").write_text("{}")
    with pytest.raises(PatternsError, match="no patterns"):
        runtime(tmp_path, EventLog())


def test_a_file_that_cannot_be_written_hurts_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY, "utf-8")
    rt = sf.Runtime(
        tmp_path / "policy.yaml",
        tools=TOOLS,
        journal=f"sqlite:///{tmp_path / 'journal.db'}",
        patterns=tmp_path / "nowhere" / "patterns.json",
        telemetry=False,
    )
    with caplog.at_level(logging.WARNING, logger="specflow"):
        rt.close()
    assert "patterns could not be written" in caplog.text
