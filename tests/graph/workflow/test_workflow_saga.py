"""`on_failure="compensate"`: whatever way a workflow fails, what its steps committed is taken back, once."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

import specflow as sf
from specflow.errors import ConflictError
from specflow.graph.workflow.results import StepRejectedError
from specflow.journal.sql import SqlJournal
from specflow.journal.verify import verify

POLICY = """
version: 1
tools:
  hotel: {effect: compensatable, compensate: {tool: leave, with: {name: args.name}}}
  book: {effect: compensatable, compensate: {tool: cancel, with: {flight: args.flight}}}
  cancel: {effect: confirmation_required, confirm: host, compensator_for: [book]}
  leave: {effect: confirmation_required, confirm: host, compensator_for: [hotel]}
  pay: {effect: confirmation_required, confirm: ask}
  breaks: {effect: read_only}
"""


class Office:
    def __init__(self) -> None:
        self.log: list[str] = []
        self.broken = True

    def tools(self) -> dict[str, Any]:
        async def hotel(name: str) -> str:
            """Take a room."""
            self.log.append(f"hotel {name}")
            return name

        async def leave(name: str) -> str:
            """Give the room back."""
            self.log.append(f"leave {name}")
            return name

        async def book(flight: str) -> str:
            """Book a flight."""
            self.log.append(f"book {flight}")
            return flight

        async def cancel(flight: str) -> str:
            """Cancel a flight."""
            self.log.append(f"cancel {flight}")
            return flight

        async def pay(amount: int) -> str:
            """Pay."""
            self.log.append(f"pay {amount}")
            return "paid"

        async def breaks(seconds: float) -> str:
            """Breaks, after a while."""
            await asyncio.sleep(seconds)
            if self.broken:
                raise OSError("the line is down")
            return "fine"

        return {tool.__name__: tool for tool in (hotel, leave, book, cancel, pay, breaks)}


class Scene:
    def __init__(self, folder: Path, *, ask: bool = False, seconds: float = 0.0, breaks: bool = True) -> None:
        self.office = Office()
        tools = self.office.tools()
        file = folder / "policy.yaml"
        file.write_text(POLICY)
        self.journal = f"sqlite:///{folder / 'journal.db'}"
        flow = sf.Workflow(
            "trip", policy=file, tools=[tools["cancel"], tools["leave"]], on_failure="compensate"
        )
        room = flow.call("room", tools["hotel"], name="Ritz")
        seat = flow.call("seat", tools["book"], flight="F1", after=room)
        last = seat
        if ask:
            last = flow.call("paid", tools["pay"], amount=7, after=seat)
        if breaks:
            flow.call("line", tools["breaks"], seconds=seconds, after=last)
        self.saver = InMemorySaver()
        self.flow = flow
        self.config: Any = {"configurable": {"thread_id": "t"}}

    def compile(self) -> Any:
        return self.flow.compile(
            journal=self.journal, checkpointer=self.saver, durability="process", telemetry=False
        )

    async def clean(self) -> None:
        """Everything on record is at rest, and keeps every rule."""
        journal = SqlJournal.open(self.journal)
        try:
            rows = await journal.snapshot()
            assert verify(rows) == ()
            assert {row.state.value for row in rows.sessions} == {"closed"}
        finally:
            await journal.aclose()


UNDONE = ["hotel Ritz", "book F1", "cancel F1", "leave Ritz"]


async def test_a_step_that_fails(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    app = scene.compile()
    async with app.specflow:
        with pytest.raises(OSError, match="line is down"):
            await app.ainvoke({}, scene.config)
        assert scene.office.log == UNDONE
    await scene.clean()


async def test_without_it_everything_stays(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.flow.on_failure = "keep"
    app = scene.compile()
    async with app.specflow:
        with pytest.raises(OSError, match="line is down"):
            await app.ainvoke({}, scene.config)
        assert scene.office.log == UNDONE[:2]
        scene.office.broken = False
        out = await app.ainvoke(None, scene.config)
        assert out["steps"]["line"]["value"] == "fine"
        assert scene.office.log == UNDONE[:2]
    await scene.clean()


async def test_a_person_who_says_no(tmp_path: Path) -> None:
    scene = Scene(tmp_path, ask=True, breaks=False)
    app = scene.compile()
    async with app.specflow:
        await app.ainvoke({}, scene.config)
        assert scene.office.log == UNDONE[:2]
        with pytest.raises(StepRejectedError):
            await app.ainvoke(Command(resume={"type": "reject"}), scene.config)
        assert scene.office.log == UNDONE
    await scene.clean()


async def test_a_person_who_says_no_to_another_process(tmp_path: Path) -> None:
    scene = Scene(tmp_path, ask=True, breaks=False)
    first = scene.compile()
    async with first.specflow:
        await first.ainvoke({}, scene.config)
    second = scene.compile()
    async with second.specflow:
        with pytest.raises(StepRejectedError):
            await second.ainvoke(Command(resume={"type": "reject"}), scene.config)
    assert scene.office.log == UNDONE
    await scene.clean()


async def test_a_failure_after_the_yes_takes_back_what_can_be_and_shows_the_rest(tmp_path: Path) -> None:
    scene = Scene(tmp_path, ask=True)
    app = scene.compile()
    async with app.specflow:
        await app.ainvoke({}, scene.config)
        with pytest.raises(OSError, match="line is down"):
            await app.ainvoke(Command(resume={"type": "approve"}), scene.config)
        assert scene.office.log == ["hotel Ritz", "book F1", "pay 7", "cancel F1", "leave Ritz"]
        stuck = [row.tool for row in (await app.specflow.journal.snapshot()).effects if row.stage == "stuck"]
        assert stuck == ["pay"], "nothing undoes a payment: an operator is told"


async def test_a_run_that_is_cancelled(tmp_path: Path) -> None:
    scene = Scene(tmp_path, seconds=60)
    app = scene.compile()
    async with app.specflow:
        run = asyncio.create_task(app.ainvoke({}, scene.config))
        while "book F1" not in scene.office.log:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert scene.office.log == UNDONE
    await scene.clean()


async def test_what_was_taken_back_does_not_go_on_but_can_be_begun_anew(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    app = scene.compile()
    async with app.specflow:
        with pytest.raises(OSError, match="line is down"):
            await app.ainvoke({}, scene.config)
        scene.office.broken = False
        with pytest.raises(ConflictError, match=r"taken back as a whole .*start it again"):
            await app.ainvoke(None, scene.config)
        assert scene.office.log == UNDONE
        out = await app.ainvoke({}, scene.config)
        assert out["steps"]["line"]["value"] == "fine"
        assert scene.office.log == [*UNDONE, "hotel Ritz", "book F1"]
    await scene.clean()


def test_synchronous_runs_are_taken_back_too(tmp_path: Path) -> None:
    log: list[str] = []

    def book(flight: str) -> str:
        """Book a flight."""
        log.append(f"book {flight}")
        return flight

    def cancel(flight: str) -> str:
        """Cancel a flight."""
        log.append(f"cancel {flight}")
        return flight

    def fails(flight: str) -> str:
        raise OSError(f"no {flight}")

    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    flow = sf.Workflow("trip", policy=file, tools=[cancel], on_failure="compensate")
    seat = flow.call("seat", book, flight="F1")
    flow.step("more", fails, flight=seat)
    app = flow.compile(journal=f"sqlite:///{tmp_path / 'j.db'}", telemetry=False, durability="process")
    with app.specflow, pytest.raises(OSError, match="no F1"):
        app.invoke({})
    assert log == ["book F1", "cancel F1"]


PROGRAM = """
import asyncio, os, signal, sqlite3, sys
import specflow as sf
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
folder, doing = sys.argv[1], sys.argv[2]
world = sqlite3.connect(f"{folder}/world.db", isolation_level=None)
world.execute("create table if not exists did (what text)")
def note(what): world.execute("insert into did values (?)", (what,))
async def book(flight: str) -> str:
    "Book."
    note(f"book {flight}")
    return flight
async def cancel(flight: str) -> str:
    "Cancel."
    if doing == "die-undoing": os.kill(os.getpid(), signal.SIGKILL)
    note(f"cancel {flight}")
    return flight
async def last(flight: str) -> str:
    if doing == "die": os.kill(os.getpid(), signal.SIGKILL)
    raise OSError("the line is down")
flow = sf.Workflow("trip", policy=f"{folder}/policy.yaml", tools=[cancel], on_failure="compensate")
one = flow.call("one", book, flight="F1")
two = flow.call("two", book, flight="F2", after=one)
flow.step("last", last, flight=two)
async def main():
    async with AsyncSqliteSaver.from_conn_string(f"{folder}/saver.db") as saver:
        app = flow.compile(journal=f"sqlite:///{folder}/journal.db", checkpointer=saver, telemetry=False)
        config = {"configurable": {"thread_id": "t"}}
        if doing == "recover":
            await app.specflow.recover()
        else:
            try:
                given = {} if doing.startswith("die") else None
                await app.ainvoke(given, config, durability="sync")
            except OSError as error:
                note("failed")
        await app.specflow.aclose()
asyncio.run(main())
"""


@pytest.mark.parametrize(("first", "then"), [("die", "resume"), ("die-undoing", "recover")])
def test_also_after_a_crash(tmp_path: Path, first: str, then: str) -> None:
    """Killed before it fails, resumed, and failing then; or killed while it takes back, and recovered."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    def run(doing: str) -> int:
        command = [sys.executable, str(program), str(tmp_path), doing]
        return subprocess.run(command, check=False, timeout=100, env={**os.environ}).returncode

    assert run(first) == -signal.SIGKILL
    assert run(then) == 0
    world = sqlite3.connect(tmp_path / "world.db")
    did = [row[0] for row in world.execute("select what from did")]
    world.close()
    undone = ["cancel F2", "cancel F1"]
    assert did == ["book F1", "book F2", *undone, *(["failed"] if then == "resume" else [])]
