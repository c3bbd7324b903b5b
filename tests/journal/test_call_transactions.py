"""Tools that write where the journal is: one commit with the outcome, or nothing, whatever the tool does."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from specflow.errors import JournalError, SpecflowError, TransactionError
from specflow.journal.approval_operations import AskApproval
from specflow.journal.call_connection import CallConnection, calls_engine
from specflow.journal.call_transactions import _let_go
from specflow.journal.database import Connection, Database
from specflow.journal.record import IN_ITS_ROW, Lease
from specflow.journal.sql import SqlJournal
from specflow.journal.turns import Turns
from specflow.lifecycle import Stage
from specflow.testing.journal_bench import DONE, Bench
from specflow.testing.journal_checks_approvals import question


class Base(DeclarativeBase):
    pass


class Seat(Base):
    __tablename__ = "seats"
    name: Mapped[str] = mapped_column(primary_key=True)
    taken: Mapped[int] = mapped_column(default=0)


class Place:
    """A journal, the user's own table beside it, and an effect that is intended."""

    def __init__(self, url: str, **options: Any) -> None:
        self.engine = sa.create_engine(url, poolclass=sa.NullPool)
        self.journal = SqlJournal.open(url, durability="process", **options)
        Base.metadata.create_all(self.engine)
        self.bench = Bench(journal=self.journal)
        self.lease: Lease
        self.effect_id = ""

    async def intended(self, name: str = "e") -> Any:
        """A transaction for an effect of that name."""
        if not self.effect_id:
            self.lease = await self.bench.lease()
        self.effect_id = await self.bench.start(self.lease, name, verify=IN_ITS_ROW)
        return await self.journal.transaction(self.lease, self.effect_id)

    def seats(self) -> dict[str, int]:
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(Seat.name, Seat.taken)).all()
            return {name: taken for name, taken in rows}  # noqa: C416 - rows are no tuples to mypy

    async def stage(self) -> Stage:
        return await self.bench.stage(self.effect_id)


@pytest.fixture
def place(url: str) -> Iterator[Place]:
    made = Place(url)
    yield made
    made.journal.close()


def take(connection: sa.Connection, name: str = "A1") -> None:
    connection.execute(sa.insert(Seat).values(name=name, taken=1))


async def test_effect_and_outcome_are_one_commit(place: Place) -> None:
    transaction = await place.intended()
    take(transaction.connection)
    assert place.seats() == {}, "nobody sees it before"
    assert await place.stage() is Stage.INTENDED
    assert await transaction.record(DONE)
    assert place.seats() == {"A1": 1}
    assert await place.stage() is Stage.DONE


async def test_what_is_rolled_back_was_never_there(place: Place) -> None:
    transaction = await place.intended()
    take(transaction.connection)
    await transaction.rollback()
    assert (place.seats(), await place.stage()) == ({}, Stage.INTENDED)
    with pytest.raises(TransactionError, match="the call is over"):
        take(transaction.connection)


async def test_what_a_zombie_did_goes_with_its_row(place: Place) -> None:
    transaction = await place.intended()
    if place.journal.database.sqlite:
        # There whoever writes is waited for, so the zombie must not have begun.
        assert await place.journal.take_session(place.lease.session_id, owner="heir", force=True)
        take(transaction.connection)
    else:
        take(transaction.connection)
        assert await place.journal.take_session(place.lease.session_id, owner="heir", force=True)
    with pytest.raises(JournalError, match="taken over by heir"):
        await transaction.record(DONE)
    assert (place.seats(), await place.stage()) == ({}, Stage.INTENDED)


async def test_what_was_settled_meanwhile_is_not_done_either(place: Place) -> None:
    transaction = await place.intended()
    assert await place.journal.record(place.lease, place.effect_id, DONE)
    take(transaction.connection)
    assert not await transaction.record(DONE)
    assert place.seats() == {}


def _session(act: Callable[[Session], None]) -> Callable[[sa.Connection], None]:
    def body(connection: sa.Connection) -> None:
        with Session(bind=connection) as session:
            session.add(Seat(name="B2"))
            session.flush()
            act(session)

    return body


MISUSES: dict[str, Callable[[Any], object]] = {
    "commit": lambda connection: connection.commit(),
    "rollback": lambda connection: connection.rollback(),
    "close": lambda connection: connection.close(),
    "with": lambda connection: connection.__exit__(None, None, None),
    "begin": lambda connection: connection.begin(),
    "two phases": lambda connection: connection.begin_twophase(),
    "detach": lambda connection: connection.detach(),
    "the driver": lambda connection: connection.connection,
    "its transaction": lambda connection: connection.get_transaction().commit(),
    "its transaction, back": lambda connection: connection.get_transaction().rollback(),
    "isolation": lambda connection: connection.execution_options(isolation_level="AUTOCOMMIT"),
    "text": lambda connection: connection.execute(sa.text("COMMIT")),
    "text, back": lambda connection: connection.exec_driver_sql("/* so */ rollback"),
    "a session": _session(lambda session: session.rollback()),
    "a row of the journal": lambda connection: connection.execute(
        sa.text("UPDATE sf_effect SET stage = 'done'")
    ),
    "a table of the journal": lambda connection: connection.execute(sa.text('DROP TABLE "sf_event"')),
}


@pytest.mark.parametrize("misuse", MISUSES.values(), ids=MISUSES)
async def test_what_would_end_it_is_refused_and_spoils_it(
    place: Place, misuse: Callable[[Any], object]
) -> None:
    transaction = await place.intended()
    take(transaction.connection)
    with pytest.raises(TransactionError) as first:
        misuse(transaction.connection)
    with pytest.raises(TransactionError):
        take(transaction.connection, "C3")
    with pytest.raises(TransactionError) as last:
        await transaction.record(DONE)
    assert last.value.message == first.value.message, "the tool may have swallowed it"
    assert (place.seats(), await place.stage()) == ({}, Stage.INTENDED)


async def test_savepoints_and_sessions_work_as_ever(place: Place) -> None:
    transaction = await place.intended()
    connection = transaction.connection
    take(connection)
    with pytest.raises(sa.exc.IntegrityError), connection.begin_nested():
        take(connection)
    with Session(bind=connection) as session:
        session.add_all([Seat(name="B2"), Seat(name="C3")])
        session.commit()
        with session.begin_nested() as inner:
            session.add(Seat(name="D4"))
            inner.rollback()
        assert session.scalar(sa.select(sa.func.count()).select_from(Seat)) == 3
    connection.execute(sa.insert(Seat), [{"name": f"E{number}"} for number in range(3)])
    assert connection.scalar(sa.text("SELECT count(*) FROM sf_effect")) is not None, "reading is allowed"
    assert await transaction.record(DONE)
    assert place.seats() == {"A1": 1, "B2": 0, "C3": 0, "E0": 0, "E1": 0, "E2": 0}


async def test_an_error_that_the_tool_swallows_is_not_swallowed(place: Place) -> None:
    transaction = await place.intended()
    connection = transaction.connection
    take(connection)
    # PostgreSQL's transaction is spoilt by any error, SQLite's by one that asks for it.
    twice = "INSERT INTO seats VALUES ('A1', 1)"
    if place.journal.database.sqlite:
        twice = twice.replace("INSERT", "INSERT OR ROLLBACK")
    with pytest.raises(sa.exc.IntegrityError):
        connection.execute(sa.text(twice))
    if place.journal.database.sqlite:
        with pytest.raises(TransactionError, match="rolled the transaction back"):
            take(connection, "B2")  # it would be a transaction of its own
    with pytest.raises(TransactionError):
        await transaction.record(DONE)
    assert (place.seats(), await place.stage()) == ({}, Stage.INTENDED)


async def test_what_the_commit_refuses_is_not_there(place: Place) -> None:
    with place.engine.begin() as setup:
        setup.exec_driver_sql(
            "CREATE TABLE guests (seat VARCHAR REFERENCES seats DEFERRABLE INITIALLY DEFERRED)"
        )
    transaction = await place.intended()
    transaction.connection.exec_driver_sql("INSERT INTO guests VALUES ('nowhere')")
    with pytest.raises(JournalError):
        await transaction.record(DONE)
    assert await place.stage() is Stage.INTENDED


async def test_a_body_left_behind_writes_nothing_more(place: Place) -> None:
    """A thread cannot be cancelled: it meets the end of its transaction at its next statement."""
    transaction = await place.intended()
    begun, errors = threading.Event(), []

    def body() -> None:
        for number in range(1_000_000):
            try:
                take(transaction.connection, f"S{number}")
            except (SpecflowError, sa.exc.SQLAlchemyError) as error:
                errors.append(error)
                return
            begun.set()

    thread = threading.Thread(target=body)
    thread.start()
    await asyncio.to_thread(begun.wait)
    await transaction.rollback()
    await asyncio.to_thread(thread.join)
    assert len(errors) == 1
    assert place.seats() == {}
    assert await place.journal.record(place.lease, place.effect_id, DONE), "the journal goes on"


async def test_a_statement_that_takes_long_is_interrupted(place: Place) -> None:
    transaction = await place.intended()
    if place.journal.database.sqlite:
        forever = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    else:
        forever = "SELECT pg_sleep(3600)"
    connection = transaction.connection
    take(connection)
    work = asyncio.ensure_future(asyncio.to_thread(lambda: connection.exec_driver_sql(forever).all()))
    await asyncio.sleep(0)
    await transaction.rollback()
    with pytest.raises((sa.exc.SQLAlchemyError, TransactionError)):
        await work
    assert place.seats() == {}


async def test_the_journal_waits_for_a_body_and_goes_on(place: Place) -> None:
    transaction = await place.intended()
    take(transaction.connection)
    others = [asyncio.ensure_future(place.bench.start(place.lease, f"other{one}")) for one in range(3)]
    await asyncio.sleep(0)
    assert await transaction.record(DONE)
    assert len(await asyncio.gather(*others)) == 3
    assert place.seats() == {"A1": 1}


async def test_calls_take_turns_on_sqlite(tmp_path: Path) -> None:
    place = Place(f"sqlite:///{tmp_path}/journal.db")
    first = await place.intended("first")
    effect_id = await place.bench.start(place.lease, "second", verify=IN_ITS_ROW)
    given_up = asyncio.ensure_future(place.journal.transaction(place.lease, effect_id))
    waiting = asyncio.ensure_future(place.journal.transaction(place.lease, effect_id))
    await asyncio.sleep(0)
    given_up.cancel()
    take(first.connection, "A1")
    assert not waiting.done()
    assert await first.record(DONE)
    second = await waiting
    take(second.connection, "B2")
    assert await second.record(DONE)
    assert given_up.cancelled()
    assert place.seats() == {"A1": 1, "B2": 1}
    await place.journal.aclose()


async def test_a_turn_is_not_lost_with_who_was_cancelled() -> None:
    for steps in range(4):
        turns = Turns()
        await turns.take()
        one, two = asyncio.ensure_future(turns.take()), asyncio.ensure_future(turns.take())
        await asyncio.sleep(0)
        turns.give()
        for _ in range(steps):
            await asyncio.sleep(0)
        one.cancel()
        await asyncio.wait({one})
        if not one.cancelled():
            assert not two.done()
            turns.give()
        await two


async def test_who_keeps_sqlite_for_long_loses_it(tmp_path: Path) -> None:
    """Everybody else who writes would fail otherwise."""
    place = Place(f"sqlite:///{tmp_path}/journal.db", busy_seconds=0.5)
    transaction = await place.intended()
    take(transaction.connection)

    async def dawdle() -> None:
        while True:
            transaction.connection.exec_driver_sql("SELECT 1")
            await asyncio.sleep(0.01)

    with pytest.raises(TransactionError, match="was open for"):
        await dawdle()
    with pytest.raises(TransactionError, match="was open for"):
        await transaction.record(DONE)
    assert (place.seats(), await place.stage()) == ({}, Stage.INTENDED)
    await place.journal.aclose()


async def test_a_lost_answer_to_the_commit_leaves_it_to_the_row(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    transaction = await place.intended()
    take(transaction.connection)
    commit = Connection.commit

    def lost(self: Connection) -> None:
        commit(self)
        raise self.database.engine.dialect.loaded_dbapi.OperationalError("the connection was closed")

    monkeypatch.setattr(Connection, "commit", lost)
    with pytest.raises(JournalError):
        await transaction.record(DONE)
    monkeypatch.undo()
    assert (place.seats(), await place.stage()) == ({"A1": 1}, Stage.DONE)


async def test_with_the_journal_its_transactions_end(place: Place) -> None:
    transaction = await place.intended()
    take(transaction.connection)
    await place.journal.aclose()
    with pytest.raises(TransactionError, match="the journal was closed"):
        take(transaction.connection, "B2")
    with pytest.raises(JournalError, match="closed"):
        await transaction.record(DONE)
    with pytest.raises(JournalError, match="closed"):
        await place.journal.transaction(place.lease, place.effect_id)
    await transaction.rollback()
    assert place.seats() == {}


async def test_options_of_a_connection_are_its_own_and_statements_may_have_no_parameters(
    place: Place,
) -> None:
    transaction = await place.intended()
    connection = transaction.connection
    assert connection.execution_options(no_parameters=True) is connection
    connection.exec_driver_sql("INSERT INTO seats (name, taken) VALUES ('A%%1', 1)".replace("%%", "%"))
    assert await transaction.record(DONE)
    assert place.seats() == {"A%1": 1}


def test_a_connection_of_no_call_is_sqlalchemys_own(tmp_path: Path) -> None:
    """The server is met once before the first call: what SQLAlchemy asks it then is nobody's statement."""
    engine = calls_engine(sa.make_url(f"sqlite:///{tmp_path}/plain.db"), {})
    with engine.connect() as connection:
        connection.execute(sa.text("CREATE TABLE t (n INTEGER)"))
        connection.commit()
        connection.execute(sa.text("INSERT INTO t VALUES (:n)"), [{"n": 1}, {"n": 2}])
        connection.rollback()
        assert connection.scalar(sa.text("SELECT count(*) FROM t")) == 0
    unbound = CallConnection.__new__(CallConnection)
    unbound._scope = None
    unbound.check()  # while SQLAlchemy makes it, before it stands for a call


async def test_a_connection_that_nobody_waits_for_is_closed(tmp_path: Path) -> None:
    closed: list[str] = []

    class Opened:
        def close(self) -> None:
            closed.append("closed")

    loop = asyncio.get_running_loop()
    cancelled, failed, opened = loop.create_future(), loop.create_future(), loop.create_future()
    cancelled.cancel()
    failed.set_exception(OSError("no connection"))
    opened.set_result(Opened())
    for job in (cancelled, failed, opened):
        _let_go(job)
    assert closed == ["closed"]


async def test_a_turn_goes_past_those_whose_loop_has_ended() -> None:
    turns = Turns()
    await turns.take()

    async def wait_for_it() -> None:
        waiting = asyncio.ensure_future(turns.take())
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.stop)
        await waiting

    def elsewhere() -> None:
        loop = asyncio.new_event_loop()
        with contextlib.suppress(RuntimeError):
            loop.run_until_complete(wait_for_it())
        for task in asyncio.all_tasks(loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # a loop that ends so leaves them
        loop.close()

    await asyncio.to_thread(elsewhere)
    next_one = asyncio.ensure_future(turns.take())
    await asyncio.sleep(0)
    turns.give()
    await next_one


def test_a_question_that_somebody_else_has_put_meanwhile_is_theirs(tmp_path: Path) -> None:
    place = Place(f"sqlite:///{tmp_path}/journal.db")
    row = question(place.bench)
    connection = Database(f"sqlite:///{tmp_path}/journal.db").connect()
    tx = connection.begin(0.0)
    assert AskApproval(row=row).apply(tx) == row
    later = dataclasses.replace(row, shown="another text", shown_hash="other")
    assert AskApproval(row=later).conflict(tx) == row
    connection.commit()
    connection.close()
    place.journal.close()
