"""The one thread that writes, when the database, the process or the caller lets it down."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from specflow.errors import JournalError
from specflow.journal import batch
from specflow.journal.database import Connection, Database
from specflow.journal.operations import Operation
from specflow.journal.record import PredictionRow
from specflow.journal.schema import prepare
from specflow.journal.session_operations import Renew
from specflow.journal.sql import SqlJournal
from specflow.journal.transaction import Transaction
from specflow.journal.verify import verify
from specflow.journal.writer import MOST_AT_ONCE, Writer
from specflow.lifecycle import Stage
from specflow.testing.journal_bench import DONE, Bench

LONG = 60.0
POSTGRES = pytest.mark.parametrize(
    "url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


class Doing:
    """An operation out of a function; counts how often it was tried."""

    def __init__(self, act: Callable[[Transaction], object]) -> None:
        self.act = act
        self.tries = 0

    def apply(self, tx: Transaction) -> object:
        self.tries += 1
        return self.act(tx)

    def conflict(self, tx: Transaction) -> object:
        raise AssertionError("no constraint is involved")


def writer_of(journal: object) -> Writer:
    assert isinstance(journal, SqlJournal)
    return journal._writer


class Held:
    """A writer kept in the middle of a transaction, so that a queue forms behind it."""

    def __init__(self, journal: object) -> None:
        self.release = threading.Event()
        self._begun = threading.Event()
        self._done = writer_of(journal).ask(Doing(self._hold))

    def _hold(self, tx: Transaction) -> None:
        self._begun.set()
        assert self.release.wait(LONG)

    async def begun(self) -> None:
        assert await asyncio.to_thread(self._begun.wait, LONG)

    async def let_go(self) -> None:
        self.release.set()
        await self._done


def prediction(name: str, outcome: str = "hit") -> PredictionRow:
    return PredictionRow(
        speculation_id=name, session_id="", tool="t", fingerprint="f", predictor="x", confidence=0.5,
        outcome=outcome, cause="", at=0.0,
    )  # fmt: skip


async def test_a_queue_is_written_in_few_transactions_of_bounded_size(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def counting(connection: Connection, operations: list[Operation], now: float) -> list[object]:
        if not isinstance(operations[0], Renew):  # as when the lock that shows our life is taken
            sizes.append(len(operations))
        return batch.execute(connection, operations, now)

    monkeypatch.setattr("specflow.journal.writer.execute", counting)
    bench = Bench(journal=SqlJournal.open(url))
    lease = await bench.lease()
    held = Held(bench.journal)
    await held.begun()
    sizes.clear()
    calls = [asyncio.create_task(bench.start(lease, f"e{index}")) for index in range(MOST_AT_ONCE + 10)]
    await asyncio.sleep(0)
    await held.let_go()
    await asyncio.gather(*calls)
    assert sizes == [MOST_AT_ONCE, 10]
    rows = await bench.rows()
    assert [row.effect_id for row in rows.effects] == [f"{bench.tag}-e{i}" for i in range(MOST_AT_ONCE + 10)]
    assert verify(rows) == ()
    await bench.journal.aclose()


async def test_predictions_ride_in_the_next_transaction_and_the_last_word_counts(url: str) -> None:
    bench = Bench(journal=SqlJournal.open(url))
    lease = await bench.lease()
    held = Held(bench.journal)
    await held.begun()
    for row in (prediction("p"), prediction("q"), prediction("p", "miss")):
        bench.journal.note(row)
    intent = asyncio.create_task(bench.start(lease))
    await asyncio.sleep(0)
    await held.let_go()
    await intent
    found = (await bench.journal.snapshot()).predictions
    assert {row.speculation_id: row.outcome for row in found} == {"p": "miss", "q": "hit"}
    await bench.journal.aclose()


async def test_a_loop_that_ended_before_its_answer_troubles_nobody(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "specflow.journal")
    bench = Bench(journal=SqlJournal.open(url))
    lease = await bench.lease()
    held = Held(bench.journal)
    await held.begun()
    gone = asyncio.new_event_loop()

    async def ask_and_leave() -> None:
        asking = asyncio.ensure_future(bench.start(lease, "orphan"))
        await asyncio.sleep(0)
        asking.cancel()

    await asyncio.to_thread(gone.run_until_complete, ask_and_leave())
    gone.close()
    mine = asyncio.create_task(bench.start(lease, "mine"))
    await asyncio.sleep(0)
    await held.let_go()
    await mine
    assert await bench.stage(f"{bench.tag}-orphan") is Stage.INTENDED, "what was asked for is written"
    assert "closed before the journal answered" in caplog.text
    await bench.journal.aclose()


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Another process in the middle of a write."""
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


@SQLITE
async def test_a_locked_file_is_an_error_for_each_who_waits_and_then_works_again(url: str) -> None:
    bench = Bench(journal=SqlJournal.open(url, busy_seconds=0.05))
    lease = await bench.lease()
    with locked(url):
        answers = await asyncio.gather(
            *(bench.start(lease, f"e{index}") for index in range(3)), return_exceptions=True
        )
    assert {type(answer) for answer in answers} == {JournalError}
    assert len({id(answer) for answer in answers}) == 3, "each has a traceback of its own"
    assert all("locked by another process" in str(answer) for answer in answers)
    assert (await bench.rows()).effects == ()
    assert await bench.start(lease, "e0")
    await bench.journal.aclose()


@SQLITE
async def test_a_lease_that_cannot_be_renewed_is_reported_and_tried_again(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    journal = SqlJournal.open(url, busy_seconds=0.05, lease_seconds=0.3)
    lease = await journal.open_session("s", thread="t", owner="o")
    with locked(url):
        for _ in range(3000):
            if "Renew failed" in caplog.text:
                break
            await asyncio.sleep(0.01)
    assert "locked by another process" in caplog.text
    assert writer_of(journal)._renewals.held == (lease,), "it is still ours to renew"
    assert await journal.decide_session(lease, "completed")
    await journal.aclose()


@SQLITE
async def test_a_full_disk_loses_nothing_that_was_confirmed(url: str) -> None:
    bench = Bench(journal=SqlJournal.open(url))
    lease = await bench.lease()
    effect_id = await bench.start(lease, "first")

    async def pages(most: int) -> None:
        await writer_of(bench.journal).ask(Doing(lambda tx: tx.raw(f"PRAGMA max_page_count = {most}")))

    # SQLite then answers as it does when the disk has no room: from some page on, or right away.
    await pages(1)
    big = {"text": "x" * 100_000}
    answers = await asyncio.gather(
        bench.start(lease, "big", args=big), bench.start(lease, "bigger", args=big), return_exceptions=True
    )
    assert all(isinstance(answer, JournalError) and "full disk" in str(answer) for answer in answers), answers
    assert [row.effect_id for row in (await bench.rows()).effects] == [effect_id]
    await pages(1_000_000)
    assert await bench.journal.record(lease, effect_id, DONE)
    assert await bench.start(lease, "big", args=big)
    assert verify(await bench.rows()) == ()
    await bench.journal.aclose()


KILL_ME = "SELECT pg_terminate_backend(pg_backend_pid())"


@POSTGRES
async def test_a_connection_lost_before_the_commit_is_made_again_once(url: str) -> None:
    bench = Bench(journal=SqlJournal.open(url))
    lease = await bench.lease()
    first = True

    def break_once(tx: Transaction) -> str:
        nonlocal first
        if first:
            first = False
            tx.raw(KILL_ME)
        return "done"

    once = Doing(break_once)
    assert await writer_of(bench.journal).ask(once) == "done"
    assert once.tries == 2, "nothing had been written: it may be tried again"
    always = Doing(lambda tx: tx.raw(KILL_ME))
    with pytest.raises(JournalError):
        await writer_of(bench.journal).ask(always)
    assert always.tries == 2, "but not for ever"
    assert await bench.start(lease)
    await bench.journal.aclose()


@POSTGRES
async def test_a_commit_whose_answer_was_lost_is_not_tried_again(url: str) -> None:
    bench = Bench(journal=SqlJournal.open(url))
    lease = await bench.lease()
    with Database(url).engine.begin() as other:
        other.exec_driver_sql(
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS "
            f"'BEGIN PERFORM 1 FROM ({KILL_ME}) AS gone; RETURN NULL; END'"
        )
        # Deferred: it strikes when the commit is on its way.
        other.exec_driver_sql(
            "CREATE CONSTRAINT TRIGGER die AFTER UPDATE ON sf_session DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION die()"
        )
    deciding = Doing(lambda tx: tx.raw("UPDATE sf_session SET decision = 'completed'"))
    with pytest.raises(JournalError):
        await writer_of(bench.journal).ask(deciding)
    assert deciding.tries == 1, "it may have been written: to repeat it is not the journal's to decide"
    assert await bench.start(lease), "the next write finds a new connection"
    with Database(url).engine.begin() as other:
        other.exec_driver_sql("DROP TRIGGER die ON sf_session")
    await bench.journal.aclose()


async def test_a_child_of_fork_touches_nothing_of_its_parents(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a real child sees is tested with a real fork; this is the same, measured.
    journal = SqlJournal.open(url)
    lease = await journal.open_session("s", thread="t", owner="o")
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: -1)
        with pytest.raises(JournalError, match=r"before os\.fork"):
            await journal.decide_session(lease, "completed")
        with pytest.raises(JournalError, match=r"before os\.fork"):
            journal.note(prediction("p"))
        with pytest.raises(JournalError, match=r"before os\.fork"):
            await journal.effect("e")
        journal.close()
    assert await journal.decide_session(lease, "completed")
    await journal.aclose()


async def test_a_query_that_fails_does_not_spoil_the_next(url: str) -> None:
    bench = Bench(journal=SqlJournal.open(url))
    effect_id = await bench.start(await bench.lease())
    with Database(url).engine.begin() as other:
        other.exec_driver_sql("ALTER TABLE sf_prediction RENAME TO elsewhere")
    with pytest.raises(JournalError, match="sf_prediction"):
        await bench.journal.snapshot()
    assert await bench.stage(effect_id) is Stage.INTENDED
    await bench.journal.aclose()


def test_closing_after_the_interpreter_has_ended_the_threads_is_quiet(url: str) -> None:
    database = Database(url)
    prepare(database, create=True)
    journal = SqlJournal.open(url)
    asyncio.run(journal.effect("x"))
    # At its end Python shuts executors down before it calls what is registered for the end.
    journal._reader._executor.shutdown()
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        asyncio.run(journal.effect("x"))
    journal._reader._let_go()
