"""The spans of early reads that outlive their run: open as long as they wait, and ended exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

import specflow as sf
from specflow.journal.event import EventKind
from specflow.prediction.sniffer import ReasoningSniffer
from specflow.speculation.shelf import Shelf
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server.reply import CallPlan, Reply
from specflow.testing.span_tree import ReceivedSpan

POLICY = "version: 1\ntools:\n  search: {effect: read_only, cache: {ttl: %s, scope: thread}}\n"
PONDER = "Hmm, let me think about that a little more. " * 8
ARGS = {"query": "kittens"}


def thinking(messages: list[dict[str, Any]]) -> Reply:
    """In the first run it only thinks of the search; in the next one it makes it."""
    if messages[-1]["role"] == "tool":
        return Reply(text="done")
    if messages[-1]["content"] == "think":
        return Reply(reasoning=f'I will call search with query "kittens". {PONDER}', text="later")
    return Reply(calls=(CallPlan("search", ARGS),))


@tool
async def search(query: str) -> str:
    """Search the web for a query."""
    return f"found {query}"


class Agent:
    """Two runs of one conversation, whose spans go to `trace`."""

    def __init__(self, trace: Any, folder: Path, ttl: str = "60s") -> None:
        trace.observer._tracing._stamp = None  # the machine's clock: the runtime has its own
        (folder / "policy.yaml").write_text(POLICY % ttl)
        self.ledger = trace.observer._tracing.ledger
        self.rt = sf.Runtime(
            folder / "policy.yaml",
            tools=[search],
            journal=f"sqlite:///{folder / 'journal.db'}",
            predictors=[ReasoningSniffer()],
            durability="process",
            observers=[trace.observer],
            telemetry=False,
        )
        model = ScriptedChatModel(script=thinking, delay=0.001)
        self.graph: Any = create_agent(
            model, [search], middleware=[self.rt.middleware()], checkpointer=InMemorySaver()
        )

    async def ask(self, text: str) -> None:
        config = {"configurable": {"thread_id": "t1"}}
        await self.graph.ainvoke({"messages": [("user", text)]}, config)

    def kept(self) -> set[str]:
        """Whose the entries of the ledger are, when no session is at work."""
        assert all(owner.startswith("kept:") for owner in self.ledger._sessions)
        return set(self.ledger._sessions)


@pytest.fixture(autouse=True)
def shelf_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another test left open in this process, by design no early read is trusted beside."""
    monkeypatch.setattr("specflow.runtime._SHELF_OF_THE_PROCESS", Shelf())


def names(trace: Any) -> list[str]:
    return [span.name for span in trace.spans]


def notes(span: ReceivedSpan) -> list[str]:
    return [note.name for note in span.notes]


async def test_one_that_is_adopted_in_the_next_run(traced: Callable[..., Any], tmp_path: Path) -> None:
    trace = traced()
    one = Agent(trace, tmp_path)
    async with one.rt:
        await one.ask("think")
        while "specflow.run search" not in names(trace):
            await asyncio.sleep(0.005)
        root = trace.one("invoke_agent")
        assert "specflow.speculate search" not in names(trace), "it is open"
        assert (trace.observer.open_spans, len(one.kept())) == (1, 1)
        await one.ask("find")
        assert one.kept() == set()
        assert (trace.observer.open_spans, len(one.ledger)) == (0, 0)
    speculate, run = trace.one("specflow.speculate search"), trace.one("specflow.run search")
    call = trace.one("execute_tool search")
    assert speculate.trace_id == root.trace_id != call.trace_id, "it belongs to the run that began it"
    assert speculate.start < root.end < speculate.end
    assert notes(speculate) == ["specflow.kept"]
    assert [(link.trace_id, link.span_id) for link in call.links] == [(run.trace_id, run.span_id)]
    assert call.attributes["specflow.outcome"] == speculate.attributes["specflow.outcome"] == "hit"
    assert call.attributes["specflow.speculation.id"] == speculate.attributes["specflow.speculation.id"]
    assert call.attributes["specflow.session.id"] != speculate.attributes["specflow.session.id"]
    assert not [span for span in trace.spans if span.status == "error"], trace.receiver.tree()


async def test_one_that_nobody_wants_in_time(traced: Callable[..., Any], tmp_path: Path) -> None:
    trace = traced()
    one = Agent(trace, tmp_path, ttl="300ms")
    async with one.rt:
        await one.ask("think")
        while "specflow.speculate search" not in names(trace):
            await asyncio.sleep(0.005)
        assert (trace.observer.open_spans, len(one.ledger)) == (0, 0)
    speculate = trace.one("specflow.speculate search")
    assert notes(speculate) == ["specflow.kept"]
    told = {name: speculate.attributes[f"specflow.{name}"] for name in ("outcome", "cause")}
    assert told == {"outcome": "cancelled", "cause": "expired"}
    assert trace.one("invoke_agent").end < speculate.end


async def test_one_that_is_left_when_the_runtime_is_closed(
    traced: Callable[..., Any], tmp_path: Path
) -> None:
    trace = traced()
    one = Agent(trace, tmp_path)
    async with one.rt:
        await one.ask("think")
        assert len(one.kept()) == 1
    assert (trace.observer.open_spans, len(one.ledger)) == (0, 0)
    assert trace.one("specflow.speculate search").attributes["specflow.cause"] == "shutdown"


def test_one_that_still_runs_when_its_session_is_at_rest(traced: Callable[..., Any]) -> None:
    trace = traced()
    story, ledger = trace.story, trace.observer._tracing.ledger
    story.turn()
    story.launch("search", ARGS, "spec_1")
    story.launch("search", {"query": "dogs"}, "spec_2")
    story.run_over("spec_2")
    story.turn_over()
    for spec in ("spec_1", "spec_2"):
        story.emit(EventKind.KEPT, speculation_id=spec)
    story.settle()
    assert set(ledger._sessions) == {"kept:spec_1", "kept:spec_2"}
    story.tick(1)
    story.run_over("spec_1")
    story.session = "ses_2"
    story.turn("turn_2")
    story.emit(EventKind.CARRIED, speculation_id="spec_1")
    story.resolve("spec_2", "cancelled", "expired", kept=1.0)
    assert set(ledger._sessions) == {"ses_2"}
    story.emit(EventKind.KEPT, speculation_id="spec_1")  # that run did not want it, either
    story.settle()
    assert set(ledger._sessions) == {"kept:spec_1"}
    story.resolve("spec_1", "cancelled", "shutdown", kept=1.0)
    assert (len(ledger), trace.observer.open_spans) == (0, 0)
    spans = [span for span in trace.spans if span.name == "specflow.speculate search"]
    assert sorted(map(notes, spans)) == [["specflow.kept"], ["specflow.kept", "specflow.kept"]]
