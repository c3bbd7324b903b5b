"""Traces that real programs wrote of a real agent: LangChain's tracer for LangSmith, and specflow itself."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_core.tracers.langchain import LangChainTracer
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import specflow as sf
from specflow.telemetry.spans import SpanObserver
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server.reply import CallPlan, Reply
from specflow.traces.formats import Format

PONDER = "Hmm, let me think about that a little more. " * 8


@tool
async def search(query: str) -> str:
    """Search the web for a query."""
    await asyncio.sleep(0.01)
    return f"gefunden: {query} ✈"


def searching(messages: list[dict[str, Any]]) -> Reply:
    if messages[-1]["role"] == "tool":
        return Reply(text="done")
    return Reply(
        text="I look twice.",
        reasoning=f'I will call search with query "kittens". {PONDER}',
        calls=tuple(CallPlan("search", {"query": query}, id=query) for query in ("kittens", "cats")),
    )


class Kept:
    """Takes what LangChain's tracer would send to LangSmith."""

    tracing_queue = None

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []

    def create_run(self, **_run: Any) -> None:
        pass

    def update_run(self, run_id: Any = None, **run: Any) -> None:
        self.runs.append({"id": run_id, **run})


async def test_what_langchain_sends_to_langsmith(kit: Any, tmp_path: Path) -> None:
    kept = Kept()
    tracer = LangChainTracer(client=kept, project_name="p")  # type: ignore[arg-type]  # all that it asks of a client
    model = ScriptedChatModel(script=searching, delay=0.001)
    agent: Any = create_agent(model, [search], system_prompt="Be brief.")
    for words in ("find kittens", "find more"):
        await agent.ainvoke(
            {"messages": [("user", words)]},
            config={"callbacks": [tracer], "configurable": {"thread_id": words}},
        )
    lines = [json.dumps(run, default=str) for run in kept.runs]
    runs, reading = kit.read(kit.write(tmp_path / "export.jsonl", lines))
    assert reading.formats[str(tmp_path / "export.jsonl")] is Format.LANGSMITH
    assert (reading.notes.left_out, reading.notes.odd["orphans"]) == (0, 0)
    assert [run.task_id for run in runs] == ["find kittens", "find more"]
    run = runs[0]
    assert [turn.role for turn in run.turns] == ["system", "user", "assistant", "assistant"]
    first, last = run.answers
    assert first.reasoning.strip().startswith('I will call search with query "kittens".')
    assert (first.content, last.content) == ("I look twice.", "done")
    assert [call.args for call in first.calls] == [{"query": "kittens"}, {"query": "cats"}]
    assert [result.content for result in first.results] == ["gefunden: kittens ✈", "gefunden: cats ✈"]
    assert all(result.seconds is not None and result.seconds >= 0.01 for result in first.results)
    assert first.gen_s is not None
    assert last.gen_s is not None
    assert first.gen_s > last.gen_s > 0
    assert run.tools[0]["parameters"]["required"] == ["query"]


@pytest.mark.parametrize("capture", [True, False])
async def test_spans_of_specflow(kit: Any, tmp_path: Path, capture: bool) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    (tmp_path / "p.yaml").write_text(
        "version: 1\ntools:\n"
        "  search: {effect: read_only, speculate: now, destinations: {host: web.example}}\n"
    )
    observer = SpanObserver(provider, capture=capture)
    async with sf.Runtime(
        tmp_path / "p.yaml",
        tools=[search],
        journal=f"sqlite:///{tmp_path / 'journal.db'}",
        observers=[observer],
        telemetry=False,
    ) as rt:
        model = ScriptedChatModel(script=searching, delay=0.001)
        agent: Any = create_agent(model, [search], middleware=[rt.middleware()])
        await agent.ainvoke({"messages": [("user", "find kittens")]})
    lines = [MessageToDict(encode_spans([span])) for span in exporter.get_finished_spans()]
    runs, reading = kit.read(kit.write(tmp_path / "spans.jsonl", lines))
    if not capture:
        assert runs == []
        assert "the arguments of 'search' were not recorded" in reading.notes.broken[0].message
        return
    (run,) = runs
    first, last = run.answers
    assert [call.args for call in first.calls] == [{"query": "kittens"}, {"query": "cats"}]
    assert [result.content for result in first.results] == [
        '"gefunden: kittens \u2708"',
        '"gefunden: cats \u2708"',
    ]
    assert first.gen_s is not None
    assert first.gen_s > 0.05
    assert last.calls == ()
    assert (first.content, first.reasoning, run.tools) == ("", "", ())
