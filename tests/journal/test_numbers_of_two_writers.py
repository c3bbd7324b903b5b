"""Two processes write in one session at the same time: each number is given once.

PostgreSQL locks the session's row and finds the newest number in one statement. Whoever had to wait for the
lock has the number from before the wait, because the row itself did not change.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from specflow.clock import SystemClock
from specflow.journal import batch, operations
from specflow.journal.batch import execute
from specflow.journal.database import Connection, Database
from specflow.journal.memory import MemoryJournal
from specflow.journal.operations import Operation
from specflow.journal.record import Lease
from specflow.journal.schema import prepare
from specflow.journal.session_operations import OpenSession
from specflow.journal.transaction import Transaction
from specflow.testing.journal_bench import Bench

pytestmark = pytest.mark.postgres
BENCH = Bench(journal=MemoryJournal(SystemClock()), tag="x")  # for its intents only


@pytest.fixture
def database(postgres_url: str) -> Database:
    database = Database(postgres_url, durability="process")
    prepare(database, create=True)
    return database


@pytest.fixture
def writers(database: Database) -> Iterator[list[Connection]]:
    made = [database.connect() for _ in range(3)]
    yield made
    for one in made:
        one.rollback()
        one.close()


def opened(connection: Connection, session_id: str) -> Lease:
    operation = OpenSession(session_id=session_id, thread="t", owner="me", tenant="", lease_seconds=60.0)
    (lease,) = execute(connection, [operation], 0.0)
    assert isinstance(lease, Lease)
    return lease


def intend(lease: Lease, name: str) -> Operation:
    return operations.intend(lease, BENCH.intent(f"{lease.session_id} {name}"))


def write(connection: Connection, operation: Operation) -> None:
    """Begin to write: the session is locked until the commit."""
    tx = connection.begin(1.0)
    operation.apply(tx)
    tx.write_events()


def commit_once_waited_for(writer: Connection, database: Database) -> threading.Thread:
    """Commit as soon as somebody waits for one of the locks."""

    def run() -> None:
        with database.engine.connect() as watching:
            for _ in range(3_000):
                waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()"
                if watching.exec_driver_sql(waiting).scalar_one():
                    break
                watching.rollback()
                time.sleep(0.01)
        writer.commit()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_number_is_given_once_although_the_lock_was_waited_for(
    database: Database, writers: Sequence[Connection]
) -> None:
    first, second, _ = writers
    lease = opened(first, "waits once")
    write(first, intend(lease, "a"))
    committing = commit_once_waited_for(first, database)
    assert execute(second, [intend(lease, "b")], 1.0) == [2]
    committing.join()


def test_also_when_it_had_to_be_waited_for_again(
    database: Database, writers: Sequence[Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = writers
    lease = opened(first, "waits twice")
    write(first, intend(lease, "a"))
    committing = [commit_once_waited_for(first, database)]
    begin, begun = batch._begin, []

    def beginning(connection: Connection, todo: Sequence[Operation], now: float) -> Transaction:
        begun.append(begin(connection, todo, now))
        if len(begun) == 2:
            # It begins anew; and again somebody else was quicker.
            committing[0].join()
            write(third, intend(lease, "c"))
            committing.append(commit_once_waited_for(third, database))
        return begun[-1]

    monkeypatch.setattr(batch, "_begin", beginning)
    assert execute(second, [intend(lease, "b"), intend(lease, "d")], 1.0) == [3, 4]
    assert len(begun) == 2
    for thread in committing:
        thread.join()
