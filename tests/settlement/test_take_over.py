"""Processes that die, hang or are cut off, and others that undo what they left. All of them are real.

How long it takes is printed (`pytest -s`), and measured by `specflow bench takeover`.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from specflow.journal.absence import SERVER
from specflow.journal.database import Database
from specflow.journal.reads import snapshot_of
from specflow.journal.record import Snapshot
from specflow.journal.schema import prepare, upgrade
from specflow.journal.sql import SqlJournal
from specflow.journal.verify import verify
from specflow.lifecycle import RESTING, SessionState, Stage
from specflow.testing.black_hole import BlackHole
from specflow.testing.doomed_agent import written_down
from specflow.testing.postgres import PostgresServer, postgres, postgres_server
from specflow.testing.takeover import Program, agent, recovered, supervisor

__all__ = ["postgres"]

SESSIONS, EFFECTS = 3, 4
POSTGRES = pytest.mark.parametrize(
    "url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of the test's own, ready."""
    if request.param == "sqlite":
        file = f"sqlite:///{tmp_path}/journal.db"
        prepare(Database(file), create=True)
        return file
    server: PostgresServer = request.getfixturevalue("postgres")
    fresh = server.new_database()
    upgrade(Database(fresh))
    return fresh


@pytest.fixture
def bookings(tmp_path: Path) -> Path:
    return tmp_path / "bookings"


def told(what: str, seconds: float) -> None:
    print(f"\n{what}: {1e3 * seconds:.0f} ms", end="", file=sys.stderr)


def all_undone(url: str, bookings: Path) -> Snapshot:
    """Every booking is cancelled, once, and the journal agrees."""
    counts = Counter((what, key) for what, key, _at in written_down(bookings))
    booked = {key for what, key in counts if what == "book"}
    cancelled = {key for what, key in counts if what == "cancel"}
    assert booked <= cancelled, f"{len(booked - cancelled)} bookings were not undone"
    assert set(counts.values()) <= {1}, "something was done twice"
    rows = snapshot_of(url)
    assert verify(rows) == ()
    assert {row.state for row in rows.sessions} == {SessionState.CLOSED}
    assert all(row.stage in RESTING and row.stage is not Stage.STUCK for row in rows.effects)
    return rows


def test_after_a_kill_everything_is_undone_by_another_process(url: str, bookings: Path) -> None:
    with supervisor(url, bookings) as watching:
        for name in ("first", "second"):
            with agent(url, bookings, name=name, sessions=SESSIONS, effects=EFFECTS) as dying:
                died = dying.kill()
                at, said = recovered(watching, SESSIONS)
            told(f"undone after a kill ({url.partition(':')[0]})", at - died)
            assert sum(line["compensated"] for line in said) == SESSIONS * EFFECTS
            assert {line["session"] for line in said} == {f"ses_{name}_{n}" for n in range(SESSIONS)}
        watching.send(signal.SIGTERM)
        assert watching.rest() == []
        assert watching.code == 0
    rows = all_undone(url, bookings)
    assert len(rows.effects) == 2 * SESSIONS * EFFECTS


@POSTGRES
def test_who_lives_is_left_alone(url: str, bookings: Path) -> None:
    with (
        agent(url, bookings, name="living", go_on=True) as living,
        supervisor(url, bookings) as watching,
        agent(url, bookings, name="dying", sessions=1) as dying,
    ):
        dying.kill()
        _at, said = recovered(watching, 1)
        assert said[0]["session"] == "ses_dying_0"
        for _ in range(5):
            living.hear("done")
        watching.send(signal.SIGINT)
        assert watching.rest() == []
    assert {what for what, key, _ in written_down(bookings) if "living" in key} == {"book"}


@POSTGRES
def test_who_is_cut_off_is_undone_when_its_lease_ends_and_writes_nothing_later(
    url: str, bookings: Path
) -> None:
    with supervisor(url, bookings) as watching, BlackHole.before(url) as hole:
        through = f"{hole.through(url)}?connect_timeout=2"
        with agent(through, bookings, lease=1.0, sessions=SESSIONS, go_on=True) as cut_off:
            cut_off.hear("done")
            hole.swallow()
            cut = time.monotonic()
            at, _said = recovered(watching, SESSIONS)
            told("undone after a partition, lease 1 s", at - cut)
            rows = all_undone(url, bookings)
            hole.heal()
            # It is told so when it comes back: first that its connection is gone, then whose the session is.
            refused = [line for line in cut_off.rest() if "refused" in line]
            assert refused[-1]["refused"] == "fenced"
            assert "was taken over by" in refused[-1]["why"]
            assert cut_off.code == 0
    assert all_undone(url, bookings).events == rows.events, "what came late changed nothing"


def test_a_zombie_writes_nothing_and_calls_nothing(url: str, bookings: Path) -> None:
    with (
        supervisor(url, bookings) as watching,
        agent(url, bookings, lease=1.0, sessions=SESSIONS, effects=EFFECTS, on_signal=True) as zombie,
    ):
        stopped = zombie.send(signal.SIGSTOP)
        at, said = recovered(watching, SESSIONS)
        told("undone after a stop, lease 1 s", at - stopped)
        assert sum(line["compensated"] for line in said) == SESSIONS * EFFECTS
        before = written_down(bookings)
        zombie.send(signal.SIGUSR1)  # it wakes with something to do
        zombie.send(signal.SIGCONT)
        (line,) = zombie.rest()
        assert line["refused"] == "fenced"
        assert "was taken over by" in line["why"]
    assert written_down(bookings) == before
    all_undone(url, bookings)


@pytest.mark.postgres
async def test_a_crash_of_the_server_loses_nothing_that_was_promised(bookings: Path) -> None:
    with postgres_server() as server, ExitStack() as stack:
        url = server.new_database()
        upgrade(Database(url))
        watching = stack.enter_context(supervisor(url, bookings))
        working = stack.enter_context(agent(url, bookings, go_on=True, sessions=SESSIONS))
        for _ in range(2):
            working.hear("done")
            await asyncio.to_thread(server.stop, "immediate")
            watching.hear("news")  # it says so once, and goes on trying
            working.hear("refused")
            await asyncio.to_thread(server.start)
            line = watching.hear("news")[1]
            assert line["news"] == "database_back", "and recovers nobody: the owner lives"
            working.hear("done")  # by itself
            while not shown(url, SESSIONS):
                await asyncio.sleep(0.01)
        working.kill()
        recovered(watching, SESSIONS)
        promised = {line["done"] for line in working.rest() if "done" in line}
        rows = all_undone(url, bookings)
        assert promised <= {row.effect_id for row in rows.effects}
        # Of each it was promised that its outcome is known: none had to be guessed.
        done = {event.subject for event in rows.events if event.target == Stage.DONE}
        assert promised <= done


def shown(url: str, sessions: int) -> bool:
    """Whether the owner of so many sessions is known to live, in this run of the server."""
    query = f"SELECT count(*) FROM sf_session WHERE split_part(presence, '/', 1) = {SERVER}"
    with Database(url).engine.connect() as connection:
        return connection.exec_driver_sql(query).scalar() == sessions


@POSTGRES
def test_many_supervisors_undo_everything_once(url: str, bookings: Path) -> None:
    with ExitStack() as stack:
        watching = [stack.enter_context(supervisor(url, bookings)) for _ in range(2)]
        dying = [stack.enter_context(agent(url, bookings, name=f"a{n}", sessions=3)) for n in range(2)]
        for program in dying:
            program.kill()
        wait_until_closed(url)
        for program in watching:
            program.send(signal.SIGTERM)
        said = [line for program in watching for line in program.rest()]
        recovering = Counter(line["session"] for line in said if line["news"] == "recovered")
        assert recovering == {f"ses_a{n}_{m}": 1 for n in range(2) for m in range(3)}
    rows = all_undone(url, bookings)
    assert {row.fence for row in rows.sessions} == {2}, "each was taken over once"


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_supervisor_that_dies_is_recovered_by_the_next(url: str, bookings: Path) -> None:
    with agent(url, bookings, sessions=2, effects=60) as dying:
        with supervisor(url, bookings) as first:
            dying.kill()
            deadline = time.monotonic() + 60
            while not any(what == "cancel" for what, _key, _at in written_down(bookings)):
                assert time.monotonic() < deadline
                time.sleep(0.001)
            first.kill()
            first.rest()
        with supervisor(url, bookings):
            wait_until_closed(url)
    counts = Counter(what for what, _key, _at in written_down(bookings))
    assert counts["book"] == 120
    # An undo whose answer was lost is done again under its own key: at least once, as it says.
    assert 120 <= counts["cancel"] <= 122
    rows = snapshot_of(url)
    assert verify(rows) == ()
    assert {row.stage for row in rows.effects} == {Stage.COMPENSATED}
    assert {row.fence for row in rows.sessions} <= {2, 3}


def wait_until_closed(url: str) -> None:
    deadline = time.monotonic() + 60
    while not all(row.state is SessionState.CLOSED for row in snapshot_of(url).sessions):
        assert time.monotonic() < deadline, snapshot_of(url).sessions
        time.sleep(0.02)


@POSTGRES
async def test_a_supervisor_is_taken_over_while_it_recovers(url: str, bookings: Path) -> None:
    """What it holds is held like anybody's: by lock and lease."""
    with agent(url, bookings, sessions=1, effects=200) as dying, supervisor(url, bookings) as first:
        dying.kill()
        journal = SqlJournal.open(url)
        fence = 1
        while fence == 1:
            row = await journal.session("ses_a_0")
            assert row is not None
            fence = row.fence
        first.send(signal.SIGSTOP)
        assert await journal.take_session("ses_a_0", owner="heir") is None
        lease = await journal.take_session("ses_a_0", owner="heir", force=True)
        assert lease is not None
        first.send(signal.SIGCONT)
        first.send(signal.SIGTERM)
        lines: list[dict[str, Any]] = first.rest()
        assert first.code == 0
        assert [line for line in lines if line["news"] == "recovered"] == [], "it is somebody else's now"
        counts = Counter(key for what, key, _at in written_down(bookings) if what == "cancel")
        assert set(counts.values()) <= {1}
        await journal.aclose()


@pytest.mark.parametrize(
    "text",
    [
        "import sys; sys.exit('out of luck')",
        "import os, time; os.close(1); time.sleep(0.3); exit('out of luck')",
    ],
    ids=["at once", "later than it ends to speak"],
)
def test_a_program_says_what_went_wrong(bookings: Path, text: str) -> None:
    with Program("-c", text, bookings=bookings) as program:
        with pytest.raises(AssertionError, match="out of luck"):
            program.hear("ready")
        assert program.rest() == []
