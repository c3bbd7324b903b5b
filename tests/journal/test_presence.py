"""The lock that shows that a process lives: held, lost, made good, and never believed for too long."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable

import pytest
import sqlalchemy as sa

from specflow.errors import FencedError, JournalError
from specflow.journal import absence, presence
from specflow.journal.database import Database
from specflow.journal.line import Line
from specflow.journal.record import Lease
from specflow.journal.schema import upgrade
from specflow.journal.sql import SqlJournal
from specflow.journal.transaction import Transaction
from specflow.testing.black_hole import BlackHole
from specflow.testing.journal_bench import Bench
from specflow.testing.postgres import PostgresServer, postgres_server

LONG = 60.0
NOBODY = "another-machine:1:1:x"
"""An owner of whom this machine can know nothing."""

pytestmark = pytest.mark.postgres


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    """A database of the test's own."""
    fresh = postgres.new_database()
    upgrade(Database(fresh))
    return fresh


async def until(condition: Callable[[], bool]) -> None:
    """Wait, generously, for something another thread does."""
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.005)


async def holding(journal: SqlJournal, session_id: str) -> str:
    """The token by which the session says that its owner lives."""
    deadline = time.monotonic() + LONG
    while True:
        row = await journal.session(session_id)
        assert row is not None
        if row.presence and row.presence == journal._token():
            return row.presence
        assert time.monotonic() < deadline, "no lock was taken"
        await asyncio.sleep(0.005)


def on(url: str, sql: str) -> list[tuple[object, ...]]:
    """Run a statement as somebody else."""
    with Database(url).engine.begin() as connection:
        found = connection.exec_driver_sql(sql)
        return [tuple(row) for row in found] if found.returns_rows else []


def locks(url: str) -> int:
    ((count,),) = on(
        url,
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = "
        "(SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    assert isinstance(count, int)
    return count


def lose(url: str, token: str) -> None:
    """End the server process that holds the lock, as a failing network would."""
    number = int(token.partition("/")[2])
    on(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
        f"AND classid = {number >> 32} AND objid = {number & 0xFFFFFFFF}",
    )


@pytest.fixture
async def two(url: str) -> AsyncIterator[tuple[SqlJournal, SqlJournal]]:
    """A journal with a session of an owner elsewhere, and a journal on another machine."""
    one, other = SqlJournal.open(url), SqlJournal.open(url)
    yield one, other
    await one.aclose()
    await other.aclose()


async def test_a_process_that_holds_nothing_needs_no_lock(url: str) -> None:
    journal = SqlJournal.open(url)
    assert await journal.active_sessions() == ()
    assert locks(url) == 0
    lease = await journal.open_session("s", thread="t", owner=NOBODY)
    await holding(journal, "s")
    assert locks(url) == 1
    for number in range(5):
        await journal.open_session(f"more-{number}", thread="t", owner=NOBODY)
    assert locks(url) == 1, "one for each journal, not for each session"
    assert {row.presence for row in await journal.active_sessions()} == {journal._token()}
    await journal.close_session(lease)
    await journal.aclose()
    assert journal._token() == ""
    await until(lambda: locks(url) == 0)


async def test_who_holds_the_lock_is_left_alone(two: tuple[SqlJournal, SqlJournal]) -> None:
    one, other = two
    await one.open_session("s", thread="t", owner=NOBODY)
    await holding(one, "s")
    assert await other.abandoned_sessions() == ()
    assert await other.take_session("s", owner="heir") is None


async def test_a_lock_that_is_lost_is_taken_again_and_nobody_is_taken_over(
    url: str, two: tuple[SqlJournal, SqlJournal], caplog: pytest.LogCaptureFixture
) -> None:
    one, _other = two
    # So patient that a slow machine cannot make a dead one of the living.
    patient = SqlJournal.open(url, absence_seconds=LONG)
    lease = await one.open_session("s", thread="t", owner=NOBODY)
    before = await holding(one, "s")
    lose(url, before)
    taking = asyncio.create_task(patient.take_session("s", owner="thief"))
    await until(lambda: one._token() not in {"", before})
    after = await holding(one, "s")
    assert after != before, "a lock once lost never comes back"
    assert "the lock that shows that this process lives is lost" in caplog.text
    assert await patient.abandoned_sessions() == ()
    assert await one.decide_session(lease, "completed"), "the session is still ours"
    taking.cancel()
    await patient.aclose()


async def test_a_lock_that_stays_away_gives_the_session_away(
    url: str, monkeypatch: pytest.MonkeyPatch, two: tuple[SqlJournal, SqlJournal]
) -> None:
    one, other = two
    lease = await one.open_session("s", thread="t", owner=NOBODY)
    token = await holding(one, "s")

    def refuse(_database: Database) -> Line:
        raise JournalError("the network is down")

    monkeypatch.setattr(presence, "Line", refuse)
    lose(url, token)
    taken: list[Lease | None] = []
    while not any(taken):
        taken.append(await other.take_session("s", owner="heir"))
        assert len(taken) < 10_000
    assert taken[-1] is not None
    assert taken[-1].fence == 2
    with pytest.raises(FencedError, match="taken over by heir"):
        await one.decide_session(lease, "completed")
    await other.close_session(taken[-1])


async def test_the_dead_are_missed_first_and_taken_then(url: str, postgres: PostgresServer) -> None:
    journal = SqlJournal.open(url, absence_seconds=0.5)
    on(
        url,
        "INSERT INTO sf_session (session_id, thread, tenant, owner, fence, lease_until, state, decision, "
        "created_at, presence) SELECT 's', 't', '', 'o', 1, extract(epoch from clock_timestamp()) + 1000, "
        f"'active', '', 0, {absence.SERVER} || '/12345'",
    )
    (row,) = await journal.abandoned_sessions()
    assert row.session_id == "s"
    started = time.monotonic()
    lease = await journal.take_session("s", owner="heir")
    assert lease is not None
    assert time.monotonic() - started > 0.1, "it was given the time to connect again"
    await journal.aclose()


async def test_the_lock_of_another_run_of_the_server_says_nothing() -> None:
    with postgres_server() as server:
        url = server.new_database()
        upgrade(Database(url))
        one = SqlJournal.open(url)
        other = SqlJournal.open(url)
        await one.open_session("s", thread="t", owner=NOBODY)
        before = await holding(one, "s")
        # Dies with the server, so that nobody takes the lock again.
        one._writer._presence.close()  # type: ignore[union-attr] # PostgreSQL has one
        await asyncio.to_thread(server.stop, "immediate")
        await asyncio.to_thread(server.start)
        row = await other.session("s")
        assert row is not None
        assert row.presence == before
        assert await other.abandoned_sessions() == (), "its lease still runs, and that is all that is known"
        assert await other.take_session("s", owner="heir") is None
        # And a lease that ended while nobody could renew it does not count at once.
        on(url, "UPDATE sf_session SET lease_until = 1")
        age = "extract(epoch from clock_timestamp() - pg_postmaster_start_time())::float8"
        while not await other.abandoned_sessions():
            await asyncio.sleep(0.01)
        ((seconds,),) = on(url, f"SELECT {age}")
        assert isinstance(seconds, float)
        assert seconds >= absence.YOUNG_SECONDS
        assert await other.take_session("s", owner="heir")
        await one.aclose()
        await other.aclose()


async def test_behind_a_connection_pool_only_leases_count(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "specflow.journal")
    # A pool announces a number of its own, not that of the server's process.
    monkeypatch.setattr(Line, "process", property(lambda _line: 0))
    journal = SqlJournal.open(url)
    await journal.open_session("s", thread="t", owner=NOBODY)
    await until(lambda: "behind a connection pool" in caplog.text)
    thread = journal._writer._presence._thread  # type: ignore[union-attr] # PostgreSQL has one
    await until(lambda: not thread.is_alive())
    assert journal._token() == ""
    assert locks(url) == 0
    (row,) = await journal.active_sessions()
    assert row.presence == ""
    assert await journal.abandoned_sessions() == ()
    await journal.aclose()


async def test_a_session_that_somebody_writes_in_is_not_waited_for(
    url: str, two: tuple[SqlJournal, SqlJournal]
) -> None:
    one, other = two
    await one.open_session("s", thread="t", owner=NOBODY)
    await holding(one, "s")
    on(url, "UPDATE sf_session SET lease_until = 1")
    with Database(url).engine.connect() as writing:
        writing.execute(sa.text("SELECT 1 FROM sf_session FOR UPDATE"))
        assert await other.take_session("s", owner="heir") is None
        writing.rollback()
    assert await other.take_session("unknown", owner="heir") is None


class Stopped:
    """An operation in whose middle the process is stopped, for a while."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.begun, self.woken = threading.Event(), threading.Event()
        self.tries = 0

    def apply(self, tx: Transaction) -> None:
        self.tries += 1
        tx.guard(self.lease)
        self.begun.set()
        assert self.woken.wait(LONG)
        tx.raw("UPDATE sf_session SET thread = 'written by a zombie'")

    def conflict(self, tx: Transaction) -> None:
        raise AssertionError


async def test_the_server_ends_a_transaction_whose_process_was_stopped_in_it(url: str) -> None:
    zombie, other = SqlJournal.open(url, lease_seconds=1.0), SqlJournal.open(url)
    lease = await zombie.open_session("s", thread="t", owner=NOBODY)
    stopped = Stopped(lease)
    writing = asyncio.ensure_future(zombie._writer.ask(stopped))
    await until(stopped.begun.is_set)
    taken = None
    while taken is None:  # its row is locked until the server has ended the transaction
        taken = await other.take_session("s", owner="heir")
        await asyncio.sleep(0.01)
    assert taken.fence == 2
    stopped.woken.set()
    with pytest.raises(FencedError):
        await writing
    assert stopped.tries > 1, "nothing was written: it was tried again, and refused"
    row = await other.session("s")
    assert row is not None
    assert row.thread == "t"
    await zombie.aclose()
    await other.aclose()


async def test_a_journal_behind_a_black_hole_says_so(url: str) -> None:
    with BlackHole.before(url) as hole:
        through = f"{hole.through(url)}?connect_timeout=2"
        cut_off, other = SqlJournal.open(through, lease_seconds=1.0), SqlJournal.open(url)
        bench = Bench(journal=cut_off)
        lease = await bench.lease(owner=NOBODY)
        await holding(cut_off, lease.session_id)
        assert await bench.stage(await bench.start(lease, "before"))
        hole.swallow()
        # Both would wait for ever: as far as the driver knows, the network is well.
        writing = asyncio.create_task(bench.start(lease, "lost"))
        reading = asyncio.create_task(cut_off.effect("x"))
        taken = None
        while taken is None:
            taken = await other.take_session(lease.session_id, owner="heir")
            await asyncio.sleep(0.01)
        hole.heal()
        answers = await asyncio.gather(writing, reading, return_exceptions=True)
        assert isinstance(answers[0], JournalError)
        # A question is asked again, on a new connection; which may have come to be in the hole as well.
        assert answers[1] is None or isinstance(answers[1], JournalError)
        with pytest.raises(FencedError):
            await bench.start(lease, "late")
        rows = await Bench(journal=other, tag=bench.tag).rows()
        assert [row.effect_id for row in rows.effects] == [f"{bench.tag}-before"]
        await other.aclose()
        await cut_off.aclose()


FORKING = """
import asyncio, os, sys, time
from specflow.journal.sql import SqlJournal
async def main():
    journal = SqlJournal.open(sys.argv[1])
    await journal.open_session("s", thread="t", owner="another-machine:1:1:x")
    while not (await journal.session("s")).presence:
        await asyncio.sleep(0.01)
    child = os.fork()
    if child == 0:
        time.sleep(600)
        os._exit(0)
    print(child, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


async def test_a_child_that_outlives_its_parent_does_not_keep_the_lock(url: str) -> None:
    parent = subprocess.Popen([sys.executable, "-c", FORKING, url], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(await asyncio.to_thread(parent.stdout.readline))
    other = SqlJournal.open(url)
    try:
        assert await other.abandoned_sessions() == ()
        parent.kill()
        taken = None
        deadline = time.monotonic() + 20.0  # well before the lease ends
        while taken is None:
            taken = await other.take_session("s", owner="heir")
            assert time.monotonic() < deadline, "the child keeps the connection open"
            await asyncio.sleep(0.01)
        os.kill(child, 0)
    finally:
        os.kill(child, signal.SIGKILL)
        parent.kill()
        parent.wait()
        parent.stdout.close()
    await other.aclose()
