"""Graphs that ask before they pay: every way to build one, beside every way in which somebody else may ask.

Run as a program, it is the other process: it resumes what a first one has left paused.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import ToolMessage
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command
from pydantic import BaseModel

import specflow as sf
from specflow.graph.workflow.results import StepRejectedError
from specflow.journal.event import EventKind
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server.reply import CallPlan, Reply
from specflow.testing.scripted_core import EventLog

POLICY = """
version: 1
tools:
  pay: {effect: confirmation_required, confirm: ask}
"""
DECISIONS: Mapping[str, dict[str, Any]] = {
    "approve": {"type": "approve"},
    "edit": {"type": "edit"},
    "reject": {"type": "reject", "message": "too dear"},
    "respond": {"type": "respond", "message": "paid cash"},
}
PAID: Mapping[str, list[float]] = {"approve": [5.0], "edit": [3.0], "reject": [], "respond": []}
TOLD = {"approve": "paid 5.0", "edit": "paid 3.0", "reject": "too dear", "respond": "paid cash"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """`kind` of graph, `order` of an agent's middleware, `mode` of LangChain's own, `colour` of the run."""

    kind: str
    order: str = "alone"
    mode: str = ""
    colour: str = "sync"

    @property
    def name(self) -> str:
        return "-".join(part for part in (self.kind, self.order, self.mode, self.colour) if part)

    @property
    def asynchronous(self) -> bool:
        return self.colour == "async"


SCENES = tuple(
    Scene(kind=kind, order=order, mode=mode, colour=colour)
    for colour in ("sync", "async")
    for kind, order, mode in (
        ("agent", "alone", ""),
        ("agent", "specflow first", "per_call"),
        ("agent", "specflow first", "batched"),
        ("agent", "human first", "per_call"),
        ("agent", "human first", "batched"),
        ("graph", "alone", ""),
        ("workflow", "alone", ""),
    )
)


class Trip(BaseModel):
    thread: str


class World:
    """Payments, in a file that all processes share."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "paid.jsonl"

    def paid(self, thread: str) -> list[float]:
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return [line["amount"] for line in map(json.loads, lines) if line["thread"] == thread]

    def tool(self, *, asynchronous: bool) -> StructuredTool:
        def pay(amount: float, thread: str) -> str:
            """Pay an amount."""
            with self.path.open("a") as file:
                file.write(json.dumps({"amount": amount, "thread": thread}) + "\n")
            return f"paid {amount}"

        async def apay(amount: float, thread: str) -> str:
            """Pay an amount."""
            return pay(amount, thread)

        if asynchronous:
            return StructuredTool.from_function(coroutine=apay, name="pay")
        return StructuredTool.from_function(pay)


def script(messages: list[dict[str, Any]]) -> Reply:
    if messages[-1]["role"] == "tool":
        return Reply(text="done")
    return Reply(calls=(CallPlan("pay", {"amount": 5.0, "thread": messages[-1]["content"]}),))


@dataclass(slots=True, kw_only=True)
class Stage:
    """One scene, built."""

    scene: Scene
    app: Any
    runtime: sf.Runtime
    log: EventLog

    def question(self, thread: str) -> dict[str, Any]:
        return {"thread": thread} if self.scene.kind == "workflow" else {"messages": [("user", thread)]}

    def answer(self, interrupts: Any, decision: str, thread: str) -> Command[Any]:
        """To the one interrupt that there is, in its own form."""
        (asked,) = interrupts
        given = dict(DECISIONS[decision])
        if decision == "edit":
            given["edited_action"] = {"name": "pay", "args": {"amount": 3.0, "thread": thread}}
        if self.scene.mode == "batched":
            assert [item["name"] for item in asked.value["action_requests"]] == ["pay"]
            return Command(resume={asked.id: {"decisions": [given]}})
        assert (asked.value["type"], asked.value["name"]) == ("tool_approval", "pay")
        return Command(resume={asked.id: given})

    def told(self, result: Any) -> str:
        """What the model, or the workflow, was told."""
        if self.scene.kind == "workflow":
            return str(result["steps"]["pay"])
        return str([message for message in result["messages"] if isinstance(message, ToolMessage)][-1].text)

    def events(self, thread: str) -> list[str]:
        """What observers heard of the confirmation."""
        kinds = {EventKind.CONFIRMATION_ASKED: "asked", EventKind.CONFIRMATION_ANSWERED: ""}
        mine = (event for event in self.log.events if event.thread == thread)
        return [kinds[event.kind] or event.cause for event in mine if event.kind in kinds]

    def go(self, given: Any, thread: str) -> Any:
        try:
            return self.app.invoke(given, config(thread))
        except StepRejectedError as error:
            return {"steps": {"pay": str(error)}}

    async def ago(self, given: Any, thread: str) -> Any:
        try:
            return await self.app.ainvoke(given, config(thread))
        except StepRejectedError as error:
            return {"steps": {"pay": str(error)}}


def config(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


def build(scene: Scene, folder: Path, saver: Any) -> Stage:
    """The graph of the scene, with a runtime of its own on the folder's journal."""
    policy = folder / "policy.yaml"
    if not policy.exists():
        policy.write_text(POLICY)
    log = EventLog()
    tool = World(folder).tool(asynchronous=scene.asynchronous)
    journal = f"sqlite:///{folder / 'journal.db'}"
    options: dict[str, Any] = {"durability": "process", "telemetry": False, "observers": [log]}
    if scene.kind == "workflow":
        flow = sf.Workflow("shop", policy=str(policy), state=Trip)
        flow.call("pay", tool, amount=5.0, thread=flow.state.thread)
        app = flow.compile(journal=journal, checkpointer=saver, **options)
        return Stage(scene=scene, app=app, runtime=app.specflow, log=log)
    rt = sf.Runtime(policy, tools=[tool], journal=journal, **options)
    model = ScriptedChatModel(script=script, delay=0.0)
    if scene.kind == "agent":
        stack: list[Any] = [rt.middleware()]
        if scene.order != "alone":
            human = HumanInTheLoopMiddleware(interrupt_on={"pay": True}, interrupt_mode=scene.mode)  # type: ignore[arg-type]  # one of the two
            stack.insert(0 if scene.order == "human first" else 1, human)
        app = create_agent(model, [tool], middleware=stack, checkpointer=saver)
        return Stage(scene=scene, app=app, runtime=rt, log=log)
    bound = model.bind_tools([tool])

    async def acall(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    def call(state: MessagesState) -> dict[str, Any]:
        return {"messages": [bound.invoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("model", rt.model_node(acall if scene.asynchronous else call))
    builder.add_node("tools", rt.tool_node([tool]))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", rt.fan_out, ["tools", END])
    builder.add_edge("tools", "model")
    return Stage(scene=scene, app=builder.compile(checkpointer=saver), runtime=rt, log=log)


@contextmanager
def stages(folder: Path) -> Iterator[list[Stage]]:
    """Every synchronous scene, on one SQLite saver."""
    with ExitStack() as stack:
        saver = stack.enter_context(SqliteSaver.from_conn_string(str(folder / "state.db")))
        yield [
            (stage, stack.enter_context(stage.runtime))[0]
            for stage in (build(scene, folder, saver) for scene in SCENES if not scene.asynchronous)
        ]


@asynccontextmanager
async def astages(folder: Path) -> AsyncIterator[list[Stage]]:
    """Every asynchronous scene, on one SQLite saver."""
    async with AsyncExitStack() as stack:
        saver = await stack.enter_async_context(AsyncSqliteSaver.from_conn_string(str(folder / "astate.db")))
        found = [build(scene, folder, saver) for scene in SCENES if scene.asynchronous]
        for stage in found:
            await stack.enter_async_context(stage.runtime)
        yield found


def thread_of(stage: Stage, decision: str) -> str:
    return f"{stage.scene.name}-{decision}"


def resume_all(folder: Path) -> dict[str, Any]:
    """Answer every run that another process has left paused; what came of each, by its thread."""
    found: dict[str, Any] = {}
    with stages(folder) as ready:
        for stage in ready:
            for decision in DECISIONS:
                thread = thread_of(stage, decision)
                interrupts = stage.app.get_state(config(thread)).interrupts
                answer = stage.answer(interrupts, decision, thread)
                told = stage.told(stage.go(answer, thread))
                found[thread] = {"told": told, "events": stage.events(thread)}

    async def others() -> None:
        async with astages(folder) as ready:
            for stage in ready:
                for decision in DECISIONS:
                    thread = thread_of(stage, decision)
                    interrupts = (await stage.app.aget_state(config(thread))).interrupts
                    answer = stage.answer(interrupts, decision, thread)
                    told = stage.told(await stage.ago(answer, thread))
                    found[thread] = {"told": told, "events": stage.events(thread)}

    asyncio.run(others())
    return found


if __name__ == "__main__":
    json.dump(resume_all(Path(sys.argv[1])), sys.stdout)
