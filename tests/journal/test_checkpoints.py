"""SQLite's write-ahead log is brought back beside the writer, and never grows without end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from specflow.journal import checkpoints
from specflow.journal.checkpoints import COMMITS, OPERATIONS, Checkpoints
from specflow.journal.database import LOG_PAGES, Connection, Database
from specflow.journal.schema import prepare
from specflow.journal.sql import SqlJournal
from specflow.journal.verify import verify
from specflow.testing.journal_bench import DONE, Bench

PAGE = 4096


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path}/journal.db")
    prepare(database, create=True)
    return database


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def log_of(database: Database) -> Path:
    assert database.file is not None
    return database.file.with_name(database.file.name + "-wal")


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    """It stays open during the test: SQLite ends the log with the last connection."""
    connection = database.connect()
    connection.transaction().raw("CREATE TABLE big (text TEXT)")
    yield connection
    connection.close()


def write(connection: Connection, pages: int) -> None:
    """At least so many pages, in one transaction."""
    tx = connection.begin(0.0)
    for _ in range(pages):
        tx.raw(f"INSERT INTO big VALUES (hex(zeroblob({PAGE // 2})))")
    connection.commit()


def pages_in_file(database: Database) -> int:
    assert database.file is not None
    return database.file.stat().st_size // PAGE


def test_nothing_is_started_for_a_journal_that_writes_little(database: Database) -> None:
    work = Checkpoints(database)
    work.committed(OPERATIONS - 1)
    for _ in range(COMMITS - 2):
        work.committed(0)
    assert "specflow-checkpoint" not in names()
    work.close()


@pytest.mark.parametrize("commits", [[OPERATIONS], [1] * COMMITS], ids=["much at once", "often"])
def test_the_log_is_copied_into_the_file(
    database: Database, connection: Connection, commits: list[int]
) -> None:
    before = pages_in_file(database)
    write(connection, 50)
    assert pages_in_file(database) == before, "only the log has them"
    work = Checkpoints(database)
    for operations in commits:
        work.committed(operations)
    assert "specflow-checkpoint" in names()
    work.close()
    assert pages_in_file(database) >= before + 50
    assert "specflow-checkpoint" not in names()


def test_an_interpreter_that_ends_starts_no_thread_for_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    work = Checkpoints(database)
    with monkeypatch.context() as ending:
        ending.setattr(threading.Thread, "start", refused)
        work.committed(OPERATIONS)
    work.close()
    work.committed(OPERATIONS)
    assert "specflow-checkpoint" in names(), "it is tried again"
    work.close()


def test_a_checkpoint_that_fails_is_left_to_the_commits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "specflow.journal")
    nowhere = Database(f"sqlite:///{tmp_path}/no/such/folder/journal.db")
    work = Checkpoints(nowhere)
    work.committed(OPERATIONS)
    work.committed(OPERATIONS)
    work.close()
    assert caplog.text.count("is left to the next commit") == 2, "and the thread goes on"


def test_commits_end_what_a_checkpoint_could_not(database: Database, connection: Connection) -> None:
    for _ in range(2 * LOG_PAGES // 100):
        write(connection, 100)
    limit = PAGE * (LOG_PAGES + 3 * 100)
    assert log_of(database).stat().st_size < limit, "the log starts anew"


async def test_a_journal_under_load_keeps_its_log_short_and_everything_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "OPERATIONS", 8)
    monkeypatch.setattr(checkpoints, "COMMITS", 4)
    journal = SqlJournal.open(f"sqlite:///{tmp_path}/journal.db", durability="process")
    bench = Bench(journal=journal)
    lease = await bench.lease()
    for index in range(40):
        assert await journal.record(lease, await bench.start(lease, f"e{index}"), DONE)
    assert "specflow-checkpoint" in names()
    assert verify(await bench.rows()) == ()
    await journal.aclose()
    assert "specflow-checkpoint" not in names()
    again = Bench(journal=SqlJournal.open(f"sqlite:///{tmp_path}/journal.db"), tag=bench.tag)
    assert len((await again.rows()).effects) == 40
    await again.journal.aclose()
