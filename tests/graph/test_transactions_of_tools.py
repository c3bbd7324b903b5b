"""Tools that write in the journal's own database: early, for real, undone, and without specflow."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from langchain.agents import create_agent
from langchain_core.tools import BaseTool, tool

import specflow as sf
from specflow.clock import SystemClock
from specflow.journal.memory import MemoryJournal
from specflow.lifecycle import Stage
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server.reply import CallPlan, Reply

POLICY = """
version: 1
tools:
  reserve:
    effect: compensatable
    speculate: now
    predictors: [partial_call]
    transaction: db
    writes: ["seat:{args.seat}"]
    compensate: {tool: release, with: {seat: args.seat}}
  release: {effect: confirmation_required, compensator_for: [reserve], transaction: db}
"""
RESERVE = sa.text("UPDATE seats SET taken = taken + 1 WHERE name = :seat")
RELEASE = sa.text("UPDATE seats SET taken = taken - 1 WHERE name = :seat")


class Seats:
    """A table beside the journal, and the tools that write in it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = sa.create_engine(url, poolclass=sa.NullPool)
        self.given: list[Any] = []
        self.failing: list[Exception] = []
        with self.engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE seats (name TEXT PRIMARY KEY, taken INTEGER)")
            connection.exec_driver_sql("INSERT INTO seats VALUES ('A1', 0), ('B2', 0)")

    def taken(self) -> dict[str, int]:
        with self.engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT name, taken FROM seats WHERE taken != 0")
            return {name: taken for name, taken in rows}  # noqa: C416 - rows are no tuples to mypy

    def write(self, statement: sa.TextClause, seat: str, db: sa.Connection | None) -> str:
        self.given.append(db)
        if db is None:
            # Without specflow: a transaction of its own.
            with self.engine.begin() as connection:
                connection.execute(statement, {"seat": seat})
        else:
            db.execute(statement, {"seat": seat})
        if self.failing:
            raise self.failing.pop()
        return f"{seat} is yours"

    def tools(self, kind: str) -> list[BaseTool]:
        def reserve_now(seat: str, db: sf.Transaction = None) -> str:
            """Reserve a seat."""
            return self.write(RESERVE, seat, db)

        async def reserve_soon(seat: str, db: sf.Transaction = None) -> str:
            """Reserve a seat."""
            return await asyncio.to_thread(self.write, RESERVE, seat, db)

        @tool
        def release(seat: str, db: sf.Transaction = None) -> str:
            """Give a seat back."""
            return self.write(RELEASE, seat, db)

        return [tool("reserve")(reserve_now if kind == "sync" else reserve_soon), release]


@pytest.fixture
def seats(tmp_path: Path) -> Seats:
    return Seats(f"sqlite:///{tmp_path}/app.db")


def asking_for(*wanted: str) -> Any:
    def script(messages: list[dict[str, Any]]) -> Reply:
        if messages[-1]["role"] == "tool":
            return Reply(text="; ".join(m["content"] for m in messages if m["role"] == "tool"))
        return Reply(calls=tuple(CallPlan("reserve", {"seat": seat}) for seat in wanted))

    return script


def runtime(tmp_path: Path, seats: Seats, tools: list[Any], **options: Any) -> sf.Runtime:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    return sf.Runtime(policy, tools=tools, **{"journal": seats.url, "durability": "process", **options})


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("mode", ["on", "shadow"])
async def test_a_seat_is_reserved_once(tmp_path: Path, seats: Seats, kind: str, mode: str) -> None:
    tools = seats.tools(kind)
    async with runtime(tmp_path, seats, tools, mode=mode) as rt:
        model = ScriptedChatModel(script=asking_for("A1", "B2"), delay=0.002)
        agent = create_agent(model, tools[:1], middleware=[rt.middleware()])
        answer = await agent.ainvoke({"messages": [("user", "go")]})
        rows = (await rt.journal.snapshot()).effects
    assert answer["messages"][-1].content == "A1 is yours; B2 is yours"
    assert seats.taken() == {"A1": 1, "B2": 1}
    assert None not in seats.given
    assert {row.stage for row in rows} == {Stage.COMMITTED}
    assert all(row.in_journal and set(row.args) == {"seat"} for row in rows), "the model sees no transaction"


def test_a_synchronous_run_does_the_same(tmp_path: Path, seats: Seats) -> None:
    tools = seats.tools("sync")
    with runtime(tmp_path, seats, tools) as rt:
        model = ScriptedChatModel(script=asking_for("A1", "B2"), delay=0.0)
        agent = create_agent(model, tools[:1], middleware=[rt.middleware()])
        answer = agent.invoke({"messages": [("user", "go")]})
    assert answer["messages"][-1].content == "A1 is yours; B2 is yours"
    assert seats.taken() == {"A1": 1, "B2": 1}


async def test_what_raises_was_never_there(tmp_path: Path, seats: Seats) -> None:
    tools = seats.tools("async")
    seats.failing = [ValueError("after its statement")]
    async with runtime(tmp_path, seats, tools, mode="shadow") as rt:
        model = ScriptedChatModel(script=asking_for("A1"), delay=0.0)
        agent = create_agent(model, tools[:1], middleware=[rt.middleware()])
        with pytest.raises(ValueError, match="after its statement"):
            await agent.ainvoke({"messages": [("user", "go")]})
        rows = (await rt.journal.snapshot()).effects
    assert [row.stage for row in rows] == [Stage.FAILED], "and that is certain"
    assert seats.taken() == {}


async def test_without_specflow_the_tool_is_on_its_own(tmp_path: Path, seats: Seats) -> None:
    tools = seats.tools("async")
    async with runtime(tmp_path, seats, tools, mode="off") as rt:
        model = ScriptedChatModel(script=asking_for("A1"), delay=0.0)
        agent = create_agent(model, tools[:1], middleware=[rt.middleware()])
        await agent.ainvoke({"messages": [("user", "go")]})
    assert await tools[0].ainvoke({"seat": "B2"}) == "B2 is yours"
    assert seats.given == [None, None]
    assert seats.taken() == {"A1": 1, "B2": 1}


async def test_a_tool_in_a_transaction_calls_no_other_that_writes(tmp_path: Path, seats: Seats) -> None:
    """Its intent would wait for the transaction, which waits for the tool."""
    inner = seats.tools("async")[0]
    agents: list[Any] = []

    @tool("release")
    async def release(seat: str, db: sf.Transaction = None) -> str:
        """Ask another agent."""
        assert db is not None
        db.execute(RELEASE, {"seat": seat})
        answer = await agents[0].ainvoke({"messages": [("user", "go")]})
        return str(answer["messages"][-1].content)

    def script(messages: list[dict[str, Any]]) -> Reply:
        if messages[-1]["role"] == "tool":
            return Reply(text=messages[-1]["content"])
        return Reply(calls=(CallPlan("release", {"seat": "A1"}),))

    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY.replace("compensator_for: [reserve],", "confirm: host,"), encoding="utf-8")
    async with sf.Runtime(policy, tools=[inner, release], journal=seats.url, predictors=[]) as rt:
        model = ScriptedChatModel(script=asking_for("B2"), delay=0.0)
        agents.append(create_agent(model, [inner], middleware=[rt.middleware()]))
        outer = create_agent(
            ScriptedChatModel(script=script, delay=0.0), [release], middleware=[rt.middleware()]
        )
        with pytest.raises(sf.ConflictError, match="inside the transaction of another call"):
            await outer.ainvoke({"messages": [("user", "go")]})
    assert seats.taken() == {}


def test_a_journal_in_memory_is_refused_at_once(tmp_path: Path, seats: Seats) -> None:
    with pytest.raises(sf.ConfigurationError, match="release, reserve: `transaction` needs an SQL journal"):
        runtime(tmp_path, seats, seats.tools("sync"), journal=MemoryJournal(SystemClock()))


def test_the_source_may_say_it_as_well(tmp_path: Path, seats: Seats) -> None:
    reserve, release = seats.tools("sync")
    marked = sf.compensatable(undo="release", transaction="db")(reserve)
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\ntools: {release: {effect: confirmation_required}}\n", encoding="utf-8")
    with sf.Runtime(policy, tools=[marked, release], journal=seats.url) as rt:
        spec = rt.registry.require("reserve")
        assert rt.policy.settings(spec).transaction == "db"
        assert spec.hidden == {"db"}
        assert not spec.injected, "it may run early"
        assert set(spec.properties) == {"seat"}
