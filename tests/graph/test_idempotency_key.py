"""The parameter that takes the idempotency key is specflow's to fill, whoever named it, whatever is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain_core.tools import InjectedToolArg, tool

import specflow as sf
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server.reply import CallPlan, Reply
from specflow.testing.scripted_core import EventLog

POLICY = """
version: 1
tools:
  book:
    effect: compensatable
    speculate: now
    predictors: [partial_call]
    idempotency_key: request_id
    writes: ["seat:{args.seat}"]
    compensate: {tool: cancel, with: {request_id: key}, tolerates_missing: true}
  cancel: {effect: confirmation_required, compensator_for: [book]}
"""


@pytest.mark.parametrize("hidden", [True, False], ids=["injected", "plain"])
async def test_a_key_the_model_sends_does_not_count(tmp_path: Path, hidden: bool) -> None:
    keys: list[str] = []

    def body(seat: str, request_id: str = "") -> str:
        """Book a seat."""
        keys.append(request_id)
        return f"booked {seat}"

    if hidden:
        body.__annotations__["request_id"] = Annotated[str, InjectedToolArg]
    book = tool("book")(body)

    @tool
    def cancel(request_id: str) -> str:
        """Cancel what was booked under the request."""
        return "cancelled"

    def script(messages: list[dict[str, Any]]) -> Reply:
        if messages[-1]["role"] == "tool":
            return Reply(text=messages[-1]["content"])
        args = {"seat": "A1", "request_id": "chosen by the model"}
        return Reply(calls=(CallPlan("book", args), CallPlan("book", {**args, "seat": "B2"})))

    log = EventLog()
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    async with sf.Runtime(
        policy, tools=[book, cancel], journal=f"sqlite:///{tmp_path / 'j.db'}", observers=[log]
    ) as rt:
        model = ScriptedChatModel(script=script, delay=0.002)
        agent = create_agent(model, [book], middleware=[rt.middleware()])
        await agent.ainvoke({"messages": [("user", "book")]})
        rows = (await rt.journal.snapshot()).effects
    assert sorted(keys) == sorted(row.idem_key for row in rows)
    assert len(set(keys)) == 2
    assert "chosen by the model" not in keys
    assert all(set(row.args) == {"seat"} for row in rows)
    assert log.outcomes()["hit"] + log.outcomes()["late"] == 2
