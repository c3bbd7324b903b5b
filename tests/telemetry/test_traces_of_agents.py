"""Traces of real agents on the real runtime: what the core emits is what the spans expect."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from opentelemetry import trace as otel

import specflow as sf
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server.reply import CallPlan, Reply
from specflow.testing.span_tree import ReceivedSpan

POLICY = """
version: 1
tools:
  search: {effect: read_only, speculate: now}
  pay: {effect: confirmation_required, confirm: ask}
"""
PONDER = "Hmm, let me think about that a little more. " * 8


def searching(messages: list[dict[str, Any]]) -> Reply:
    if messages[-1]["role"] == "tool":
        return Reply(text="done")
    return Reply(
        reasoning=f'I will call search with query "kittens". {PONDER}',
        calls=(CallPlan("search", {"query": "kittens"}),),
    )


def paying(messages: list[dict[str, Any]]) -> Reply:
    if messages[-1]["role"] == "tool":
        return Reply(text="done")
    return Reply(reasoning=PONDER, calls=(CallPlan("pay", {"amount": 5.0}),))


@tool
async def search(query: str) -> str:
    """Search the web for a query."""
    await asyncio.sleep(0.01)
    return f"found {query}"


@tool
async def pay(amount: float) -> str:
    """Pay an amount."""
    return f"paid {amount}"


def runtime(folder: Path, observer: Any) -> sf.Runtime:
    (folder / "policy.yaml").write_text(POLICY, encoding="utf-8")
    # Its own observer, not the global provider's: tests share a process.
    return sf.Runtime(
        folder / "policy.yaml",
        tools=[search, pay],
        journal=f"sqlite:///{folder / 'journal.db'}",
        durability="process",
        observers=[observer],
        telemetry=False,
    )


def by_name(spans: list[ReceivedSpan]) -> dict[str, list[ReceivedSpan]]:
    found: dict[str, list[ReceivedSpan]] = {}
    for span in spans:
        found.setdefault(span.name, []).append(span)
    return found


@pytest.mark.parametrize("hosted", [False, True], ids=["own root", "adopted root"])
async def test_an_adopted_call(traced: Callable[..., Any], tmp_path: Path, hosted: bool) -> None:
    trace = traced()
    trace.observer._tracing._stamp = None  # the machine's clock: the runtime has its own
    tracer = trace.provider.get_tracer("host")
    host = tracer.start_as_current_span("host") if hosted else contextlib.nullcontext()
    with host:
        async with runtime(tmp_path, trace.observer) as rt:
            model = ScriptedChatModel(script=searching, delay=0.001)
            agent: Any = create_agent(model, [search], middleware=[rt.middleware()])
            await agent.ainvoke({"messages": [("user", "find kittens")]})
        assert (otel.get_current_span() is not otel.INVALID_SPAN) is hosted
    assert trace.observer.open_spans == 0, trace.receiver.tree()
    found = by_name(trace.spans)
    assert len({span.trace_id for span in trace.spans}) == 1, trace.receiver.tree()
    (root,) = found["host" if hosted else "invoke_agent"]
    assert ("chat" in found) is not hosted
    (dispatch,), (speculate,) = found["specflow.dispatch"], found["specflow.speculate search"]
    (run,), (call,) = found["specflow.run search"], found["execute_tool search"]
    assert dispatch.parent_id == call.parent_id == root.span_id
    assert speculate.parent_id == dispatch.span_id
    assert run.parent_id == speculate.span_id
    assert [link.span_id for link in call.links] == [run.span_id]
    assert call.attributes["specflow.outcome"] == speculate.attributes["specflow.outcome"]
    assert call.attributes["specflow.outcome"] in {"hit", "late"}
    assert call.attributes["specflow.speculation.id"] == speculate.attributes["specflow.speculation.id"]
    assert not [span for span in trace.spans if span.status == "error"]


async def test_a_confirmation(traced: Callable[..., Any], tmp_path: Path) -> None:
    trace = traced()
    trace.observer._tracing._stamp = None
    config: Any = {"configurable": {"thread_id": "t1"}}
    async with runtime(tmp_path, trace.observer) as rt:
        model = ScriptedChatModel(script=paying, delay=0.001)
        agent: Any = create_agent(model, [pay], middleware=[rt.middleware()], checkpointer=InMemorySaver())
        paused = await agent.ainvoke({"messages": [("user", "pay")]}, config)
        assert paused["__interrupt__"]
        await agent.ainvoke(Command(resume={"type": "approve"}), config)
    assert trace.observer.open_spans == 0, trace.receiver.tree()
    questions = by_name(trace.spans)["specflow.interrupt"]
    assert [q.attributes.get("specflow.decision") for q in questions][-1] == "approve"
    assert len(by_name(trace.spans)["execute_tool pay"]) == 1
    assert not [span for span in trace.spans if span.status == "error"], trace.receiver.tree()


async def test_results_leave_the_process_on_request_and_without_what_the_policy_redacts(
    traced: Callable[..., Any], tmp_path: Path
) -> None:
    @tool(response_format="content_and_artifact")
    async def look_up(query: str) -> tuple[str, dict[str, str]]:
        """Look a query up."""
        return f"found {query}", {"title": query, "secret": "s3cret"}

    for capture in (True, False):
        trace = traced(redact=("result.secret",), capture=capture)
        trace.observer._tracing._stamp = None
        folder = tmp_path / str(capture)
        folder.mkdir()
        (folder / "policy.yaml").write_text(
            "version: 1\ntools:\n  look_up: {effect: read_only, speculate: now}\n", encoding="utf-8"
        )
        script = [
            Reply(
                reasoning=f'I will call look_up with query "kittens". {PONDER}',
                calls=(CallPlan("look_up", {"query": "kittens"}),),
            ),
            Reply(text="done"),
        ]
        async with sf.Runtime(
            folder / "policy.yaml",
            tools=[look_up],
            journal=f"sqlite:///{folder / 'journal.db'}",
            durability="process",
            observers=[trace.observer],
            telemetry=False,
        ) as rt:
            agent: Any = create_agent(
                ScriptedChatModel(script=script, delay=0.001), [look_up], middleware=[rt.middleware()]
            )
            await agent.ainvoke({"messages": [("user", "find kittens")]})
        spans = by_name(trace.spans)
        shown = {
            span.attributes.get("gen_ai.tool.call.result")
            for name in ("execute_tool look_up", "specflow.run look_up")
            for span in spans[name]
        }
        assert shown == ({'{"secret":"[redacted]","title":"kittens"}'} if capture else {None})
        assert "s3cret" not in repr(trace.spans)
