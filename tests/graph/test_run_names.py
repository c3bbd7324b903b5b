"""Runs without a thread: an address is used again, a name never."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.runtime import RunControl

import specflow as sf
from specflow.graph.run_names import FEWEST, RunNames

POLICY = "version: 1\ntools:\n  pay: {effect: confirmation_required, confirm: host}\n"


def test_an_address_that_is_used_again_gets_another_name() -> None:
    names = RunNames()
    addresses, given = [], []
    for _ in range(20 * FEWEST):
        control = RunControl()
        addresses.append(id(control))
        given.append(names.of(control))
        assert names.of(control) == given[-1]
        del control
    assert len(set(addresses)) < len(addresses), "otherwise nothing was tried here"
    assert len(set(given)) == len(given)
    assert len(names) <= FEWEST, "what nobody else has is forgotten"


def test_a_run_that_lasts_keeps_its_name() -> None:
    names = RunNames()
    lasting = [RunControl() for _ in range(FEWEST)]
    given = [names.of(control) for control in lasting]
    for _ in range(20 * FEWEST):
        names.of(RunControl())
    assert [names.of(control) for control in lasting] == given


def test_the_same_request_in_another_run_is_another_call(tmp_path: Path) -> None:
    """Some servers number their answers with three digits; and a history may be kept elsewhere."""
    paid: list[float] = []

    @tool
    def pay(amount: float) -> str:
        """Pay an amount."""
        paid.append(amount)
        return f"paid {amount}"

    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    call = {"type": "tool_call", "name": "pay", "args": {"amount": 5.0}, "id": "call_0"}

    def call_model(state: MessagesState) -> dict[str, Any]:
        if isinstance(state["messages"][-1], ToolMessage):
            return {"messages": [AIMessage("done", id="chatcmpl-124")]}
        return {"messages": [AIMessage("", tool_calls=[call], id="chatcmpl-123")]}

    url = f"sqlite:///{tmp_path / 'journal.db'}"
    with sf.Runtime(policy, tools=[pay], journal=url, telemetry=False, durability="process") as rt:
        builder = StateGraph(MessagesState)
        builder.add_node("model", rt.model_node(call_model))
        builder.add_node("tools", rt.tool_node([pay]))
        builder.add_edge(START, "model")
        builder.add_conditional_edges("model", rt.fan_out, ["tools", END])
        builder.add_edge("tools", "model")
        graph = builder.compile()
        for _ in range(30):
            done = graph.invoke({"messages": [("user", "pay")]})
            assert done["messages"][-2].content == "paid 5.0"
    assert len(paid) == 30
