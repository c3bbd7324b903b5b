"""The supervisor, looked at from within: what it leaves alone, what it tries again, and what it tells."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from specflow.cli import program, settle
from specflow.clock import SystemClock
from specflow.errors import JournalError, SpecflowError
from specflow.journal.memory import MemoryJournal
from specflow.journal.record import Outcome, SessionRow, VerifyPlan
from specflow.lifecycle import SessionState, Stage
from specflow.settlement import watch
from specflow.settlement.needs import missing_tools
from specflow.settlement.recover import Report, recover, recover_session
from specflow.settlement.watch import News, Notice, Watch
from specflow.testing.doomed_agent import BOOKINGS, TOOLS, _intent
from specflow.testing.journal_bench import DONE
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore

LONG = 60.0


class Place:
    """A journal in memory whose owners are dead when the test says so, and somebody who can settle."""

    def __init__(self, *, tools: bool = True) -> None:
        self.dead: set[str] = set()
        self.journal = MemoryJournal(SystemClock(), is_dead=lambda owner: owner in self.dead)
        world = LedgerWorld()
        self.core = ScriptedCore(TOOLS if tools else [], world.judge(), self.journal, owner="watcher")
        self.told: list[Notice] = []
        self.watch = Watch(
            self.journal,
            self.core.settler,
            self.core.parts.registry,
            owner="watcher",
            tell=self.told.append,
            every=0.001,
        )

    async def booking(self, name: str, *, stage: Stage = Stage.DONE) -> str:
        """A session with one early booking of an owner who is about to die."""
        lease = await self.journal.open_session(f"ses_{name}", thread=name, owner=f"owner {name}")
        intent = _intent(name)
        await self.journal.intend(lease, intent)
        if stage is not Stage.INTENDED:
            await self.journal.record(lease, intent.effect_id, DONE)
        return intent.effect_id

    def dies(self, name: str) -> None:
        self.dead.add(f"owner {name}")

    def news(self) -> list[tuple[str, str]]:
        return [(notice.news.value, notice.session_id) for notice in self.told]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(LONG):
            while not condition():
                await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def bookings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(BOOKINGS, str(tmp_path / "bookings"))
    return tmp_path / "bookings"


@contextlib.asynccontextmanager
async def watching(place: Place) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(place.watch.run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def test_it_recovers_whoever_dies_and_nobody_else() -> None:
    place = Place()
    effects = [await place.booking(name) for name in "abc"]
    async with watching(place):
        place.dies("b")
        await place.until(lambda: bool(place.told))
        place.dies("a")
        await place.until(lambda: len(place.told) == 2)
    assert place.news() == [("recovered", "ses_b"), ("recovered", "ses_a")]
    assert [notice.report for notice in place.told] == [Report(recovered=1, compensated=1)] * 2
    stages = []
    for effect_id in effects:
        row = await place.journal.effect(effect_id)
        assert row is not None
        stages.append(row.stage)
    assert stages == [Stage.COMPENSATED, Stage.COMPENSATED, Stage.DONE]


async def test_what_was_begun_is_finished_when_it_stops() -> None:
    place = Place()
    await place.booking("a")
    place.dies("a")
    go_on = asyncio.Event()
    cancel = place.core.parts.registry.require("cancel")
    assert cancel.runner is not None

    original = place.journal.take_session

    async def slow(*args: Any, **options: Any) -> Any:
        await go_on.wait()
        return await original(*args, **options)

    place.journal.take_session = slow  # type: ignore[method-assign] # slower than it is
    stop = asyncio.Event()
    task = asyncio.create_task(place.watch.run(stop))
    await place.until(lambda: bool(place.watch._at_work))
    stop.set()
    await asyncio.sleep(0.05)
    assert not task.done()
    go_on.set()
    await task
    assert place.news() == [("recovered", "ses_a")]


async def test_without_its_tools_a_session_is_left_alone_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "PAUSES", (0.001, 0.002))
    place = Place(tools=False)
    effect_id = await place.booking("a")
    place.dies("a")
    looks = 0
    original = place.journal.unsettled

    async def counted(session_id: str) -> Any:
        nonlocal looks
        looks += 1
        return await original(session_id)

    place.journal.unsettled = counted  # type: ignore[method-assign] # counts
    async with watching(place):
        await place.until(lambda: looks > 3)
    (notice,) = place.told
    assert (notice.news, notice.session_id) == (News.LEFT, "ses_a")
    assert "cancel" in notice.text
    row = await place.journal.effect(effect_id)
    assert row is not None
    assert row.stage is Stage.DONE, "stuck is for what nobody can do"
    session = await place.journal.session("ses_a")
    assert session is not None
    assert session.owner == "owner a", "another supervisor, with the tools, may have it"


async def test_what_fails_is_told_once_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PAUSES", (0.001, 0.002))
    place = Place()
    await place.booking("a")
    place.dies("a")
    fails = 3
    original = place.journal.abort

    async def sometimes(*args: Any) -> Any:
        nonlocal fails
        if fails:
            fails -= 1
            raise JournalError("the disk is full")
        return await original(*args)

    place.journal.abort = sometimes  # type: ignore[method-assign] # fails at first
    async with watching(place):
        await place.until(lambda: len(place.told) == 2)
    assert place.news() == [("failed", "ses_a"), ("recovered", "ses_a")]
    assert "the disk is full" in place.told[0].text
    session = await place.journal.session("ses_a")
    assert session is not None
    assert session.fence == 5, "given back each time, and taken again"


async def test_what_cannot_be_finished_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PAUSES", (0.001, 0.002))
    place = Place()
    first = await place.booking("a")
    lease = await place.journal.take_session("ses_a", owner="owner a", force=True)
    assert lease is not None
    # Something that builds on the booking, and is stuck: the booking has to wait for an operator.
    building = _intent("b")
    object.__setattr__(building, "depends_on", (first,))
    await place.journal.intend(lease, building)
    await place.journal.record(lease, building.effect_id, Outcome(stage=Stage.UNKNOWN, error="lost"))
    await place.journal.move(lease, building.effect_id, Stage.UNKNOWN, Stage.STUCK, cause="unresolved")
    place.dies("a")
    looks = 0
    original = place.journal.dependents

    async def counted(effect_id: str) -> Any:
        nonlocal looks
        looks += 1
        return await original(effect_id)

    place.journal.dependents = counted  # type: ignore[method-assign] # counts
    async with watching(place):
        await place.until(lambda: looks > 6)
    (notice,) = place.told
    assert notice.report == Report(recovered=1, waiting=1), "told once, however often it is looked at"
    rows = await place.journal.snapshot()
    (session,) = rows.sessions
    assert session.lease_until == 0, "an operator can take it"
    takes = [event for event in rows.events if event.subject == "ses_a" and event.cause == "taken"]
    assert len(takes) == 2, "by the owner, and once by who recovered: nothing is written about what waits"


async def test_what_somebody_else_recovers_is_not_told() -> None:
    place = Place()
    await place.booking("a")
    place.dies("a")
    asked = 0

    async def too_late(*_args: Any, **_options: Any) -> None:
        nonlocal asked
        asked += 1

    place.journal.take_session = too_late  # type: ignore[assignment, method-assign] # somebody was faster
    async with watching(place):
        await place.until(lambda: asked > 3)
    assert place.told == []


async def test_a_database_that_goes_and_comes_back_is_told_once() -> None:
    place = Place()
    gone = 3
    original = place.journal.abandoned_sessions

    async def sometimes() -> tuple[SessionRow, ...]:
        nonlocal gone
        if gone:
            gone -= 1
            raise JournalError("nobody answers")
        return await original()

    place.journal.abandoned_sessions = sometimes  # type: ignore[method-assign] # away at first
    async with watching(place):
        await place.until(lambda: len(place.told) == 2)
    assert place.news() == [("database_gone", ""), ("database_back", "")]
    assert place.told[0].text == "nobody answers"


async def test_what_was_told_is_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place()
    monkeypatch.setattr(watch, "MOST_REMEMBERED", 2)
    for number in range(10):
        for _ in range(2):
            place.watch._once(f"ses_{number}", News.LEFT, "x")
    assert len(place.told) == 10
    assert len(place.watch._told) <= 2


async def test_one_session_that_fails_does_not_keep_the_others() -> None:
    place = Place()
    for name in "abc":
        await place.booking(name)
        place.dies(name)
    original = place.journal.open_branches

    async def failing(session_id: str) -> Any:
        if session_id == "ses_a":
            raise JournalError("not this one")
        return await original(session_id)

    place.journal.open_branches = failing  # type: ignore[method-assign] # one of three
    with pytest.raises(SpecflowError, match="not this one"):
        await recover(place.journal, place.core.settler, owner="me")
    states = {row.session_id: row.state for row in (await place.journal.snapshot()).sessions}
    assert states == {
        "ses_a": SessionState.ACTIVE,
        "ses_b": SessionState.CLOSED,
        "ses_c": SessionState.CLOSED,
    }
    place.journal.open_branches = original  # type: ignore[method-assign] # mended
    report = await recover(place.journal, place.core.settler, owner="next")
    assert report == Report(recovered=1, compensated=1), "it had been given back"


async def test_a_session_that_is_taken_meanwhile_is_held() -> None:
    place = Place()
    await place.booking("a")
    assert await recover_session(place.journal, place.core.settler, "ses_a", owner="me") == Report(held=1)
    assert await recover(place.journal, place.core.settler, owner="me") == Report(held=1)


async def test_needs_are_those_of_what_is_not_at_rest() -> None:
    place = Place(tools=False)
    await place.booking("a", stage=Stage.INTENDED)
    rows = (await place.journal.snapshot()).effects
    assert missing_tools(rows, place.core.parts.registry) == ("cancel",)
    assert missing_tools(rows, Place().core.parts.registry) == ()
    (row,) = rows
    verified = replace(row, undo=None, verify=VerifyPlan(tool="find", arguments={}))
    registry = place.core.parts.registry
    assert missing_tools([verified], registry) == ("find",)
    assert missing_tools([replace(verified, verify=None)], registry) == ()
    done = replace(row, verify=VerifyPlan(tool="find", arguments={}), stage=Stage.DONE)
    assert missing_tools([done], registry) == ("cancel",), "what became of it is known"
    committed, stuck = replace(row, stage=Stage.COMMITTED), replace(row, stage=Stage.STUCK)
    assert missing_tools([committed, stuck], registry) == ()
    assert missing_tools([committed], registry, saga=True) == ("cancel",), "a saga takes back what stands"
    assert missing_tools([stuck], registry, saga=True) == ()


# ------------------------------------------------------------------ the command


def arranged(folder: Path) -> str:
    """The URL of a journal in which a dead process has left a booking."""
    from specflow.journal.sql import SqlJournal

    async def make() -> None:
        journal = SqlJournal.open(url)
        lease = await journal.open_session("ses_1", thread="t", owner="gone")
        intent = _intent("1")
        await journal.intend(lease, intent)
        await journal.record(lease, intent.effect_id, DONE)
        await journal.aclose()

    url = f"sqlite:///{folder}/journal.db"
    asyncio.run(make())
    return url


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_a_line_for_each_session_and_ends_when_told(
    tmp_path: Path, number: signal.Signals, bookings: Path
) -> None:
    url = arranged(tmp_path)
    ending = threading.Thread(target=end_when, args=(bookings, number))
    ending.start()
    tools = "specflow.testing.doomed_agent:TOOLS"
    result = CliRunner().invoke(
        program.app, ["journal", "recover", "--db", url, "--tools", tools, "--watch", "--every", "0.01"]
    )
    ending.join()
    assert result.exit_code == 0, result.output
    assert result.stdout == "session ses_1: recovered, 1 compensated\n"
    assert result.stderr == "watching; 2 tools are known\n"


def end_when(file: Path, number: int) -> None:
    while not file.exists() or b"cancel" not in file.read_bytes():
        threading.Event().wait(0.01)
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("notice", "line", "document"),
    [
        (
            Notice(news=News.RECOVERED, session_id="s", report=Report(compensated=2, stuck=1, waiting=3)),
            "session s: recovered, 2 compensated, 1 stuck, 3 waiting",
            {"news": "recovered", "session": "s", "compensated": 2, "stuck": 1, "waiting": 3},
        ),
        (
            Notice(news=News.LEFT, session_id="s\x1b[2J", text="it needs tools\n"),
            "session s\\x1b[2J: left alone: it needs tools\\x0a",
            {"news": "left", "session": "s\x1b[2J", "why": "it needs tools\n"},
        ),
        (
            Notice(news=News.FAILED, session_id="s", text="why"),
            "session s: could not be recovered now: why",
            {"news": "failed", "session": "s", "why": "why"},
        ),
        (
            Notice(news=News.DATABASE_GONE, text="why"),
            "the database is gone, trying again: why",
            {"news": "database_gone", "why": "why"},
        ),
        (Notice(news=News.DATABASE_BACK), "the database is back", {"news": "database_back"}),
    ],
)
def test_what_is_told_reads_well_for_people_and_programs(
    notice: Notice, line: str, document: dict[str, Any]
) -> None:
    assert settle._line(notice) == line
    assert settle._document(notice) == document
    assert json.loads(json.dumps(document)) == document


def test_a_journal_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(settle.recover)
    result = CliRunner().invoke(app, ["--db", str(tmp_path / "none.db"), "--watch"])
    assert result.exit_code == 2
    assert result.stderr.startswith("specflow: there is no journal at sqlite:///")
    assert result.stderr.count("\n") == 1
