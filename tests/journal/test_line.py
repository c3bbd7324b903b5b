"""A line to the server on which nothing waits for ever, the thread that listens to it, and who is missed."""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.errors import JournalError
from specflow.journal import absence, presence
from specflow.journal import line as lines
from specflow.journal.absence import Absences
from specflow.journal.database import Database
from specflow.journal.line import Line, LineClosed
from specflow.journal.presence import Presence
from specflow.journal.schema import upgrade
from specflow.journal.sql import SqlJournal
from specflow.testing.postgres import PostgresServer

LONG = 60.0

pytestmark = pytest.mark.postgres


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    """A database of the test's own."""
    fresh = postgres.new_database()
    upgrade(Database(fresh))
    return fresh


@pytest.fixture
def line(url: str) -> Iterator[Line]:
    made = Line(Database(url))
    yield made
    made.close()


def test_a_line_answers_in_texts(line: Line) -> None:
    assert line.ask("SELECT 1, NULL, 'ä' UNION ALL SELECT 2, 'b', ''", within=LONG) == [
        ("1", "", "ä"),
        ("2", "b", ""),
    ]
    assert line.ask("SET application_name = 'x'", within=LONG) == []
    ((process,),) = line.ask("SELECT pg_backend_pid()", within=LONG)
    assert int(process) == line.process


def test_a_line_survives_a_statement_that_is_refused(line: Line) -> None:
    with pytest.raises(JournalError, match='refused a statement: ERROR:  relation "nowhere"'):
        line.ask("SELECT 1; SELECT * FROM nowhere", within=LONG)


def test_a_line_waits_only_so_long(line: Line) -> None:
    with pytest.raises(JournalError, match="did not answer in time"):
        line.ask("SELECT pg_sleep(600)", within=0.05)


def test_a_line_is_hung_up_in_the_middle_of_an_answer(line: Line) -> None:
    waiting = threading.Timer(0.1, line.hang_up)
    waiting.start()
    with pytest.raises(LineClosed):
        line.ask("SELECT pg_sleep(600)", within=LONG)
    waiting.join()
    line.close()
    line.hang_up()


def test_a_line_hears_that_the_server_ends_it(url: str, line: Line) -> None:
    line.listen(0.0)
    with Database(url).engine.begin() as other:
        other.exec_driver_sql(f"SELECT pg_terminate_backend({line.process})")
    with pytest.raises(JournalError):
        listen_to_the_end(line)


def listen_to_the_end(line: Line) -> None:
    for _ in range(100):  # first come the server's last words
        line.listen(LONG)


def test_a_child_closes_its_copies_and_only_those(monkeypatch: pytest.MonkeyPatch) -> None:
    # What a real child does is tested with a real fork; this is the same, measured.
    inherited, closed_already, own = (
        os.open("/dev/null", os.O_RDONLY),
        10**6,
        os.open("/dev/null", os.O_RDONLY),
    )
    monkeypatch.setattr(lines, "_open", {inherited, closed_already})
    lines._forget_in_child()
    os.fstat(own)
    os.close(own)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(inherited)
    assert lines._open == set()


async def test_only_a_transaction_that_waits_too_long_is_cut(url: str) -> None:
    database = Database(url)
    connection = database.connect()
    database.cut(0.0)
    tx = connection.begin(0.0)
    database.cut(LONG)
    tx.raw("SELECT 1")
    waiting = asyncio.create_task(asyncio.to_thread(tx.raw, "SELECT pg_sleep(600)"))
    while not waiting.done():
        database.cut(0.05)
        await asyncio.sleep(0.01)
    assert isinstance(waiting.exception(), database.driver_error)
    assert connection.lost
    database.cut(0.0)
    connection.close()
    database.cut(0.0)


async def test_a_new_lock_after_closing_changes_nothing(url: str) -> None:
    journal = SqlJournal.open(url)
    await journal.aclose()
    journal._writer._nudge()
    assert journal._writer._queue.empty()


def test_a_line_to_nowhere_is_explained() -> None:
    with pytest.raises(JournalError, match="does not accept connections"):
        Line(Database("postgresql://postgres@127.0.0.1:1/x?connect_timeout=5"))


def test_what_was_closed_before_it_began_does_not_begin(url: str) -> None:
    never = Presence(Database(url), lambda: None)
    never.close()
    never.start()
    assert never._thread.ident is None
    assert never.token == ""


def test_closing_in_the_middle_of_connecting(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connecting, go_on = threading.Event(), threading.Event()

    def slow(database: Database) -> Line:
        connecting.set()
        assert go_on.wait(LONG)
        return Line(database)

    monkeypatch.setattr(presence, "Line", slow)
    monkeypatch.setattr(presence, "PATIENCE", 0.01)
    shown = Presence(Database(url), lambda: pytest.fail("nobody wants it any more"))
    shown.start()
    assert connecting.wait(LONG)
    shown.close()
    go_on.set()
    shown._thread.join(LONG)
    assert not shown._thread.is_alive()
    assert shown.token == ""


def test_it_tries_again_more_and_more_slowly(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries = 0
    got = threading.Event()

    def sometimes(database: Database) -> Line:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise JournalError("not now")
        return Line(database)

    monkeypatch.setattr(presence, "Line", sometimes)
    shown = Presence(Database(url), got.set)
    shown.start()
    shown.start()
    assert got.wait(LONG)
    assert tries == 4
    assert shown.token
    assert "lost" not in caplog.text, "what was never held is not lost"
    shown.close()
    shown.close()
    assert shown.token == ""


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 10)), max_size=20), st.floats(0, 5))
def test_who_is_missed_long_enough_is_dead_and_stays_so(
    looks: list[tuple[str, float]], seconds: float
) -> None:
    now = 0.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: now)
        absences, first = Absences(seconds), {}
        for token, later in looks:
            now += later
            since = first.setdefault(token, now)
            remaining = absences.remaining(token)
            assert remaining == max(0.0, since + seconds - now)


def test_the_memory_of_the_missing_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(absence, "_MOST", 3)
    absences = Absences(1000.0)
    for _ in range(10):
        assert absences.remaining(secrets.token_hex()) > 0
    assert len(absences._since) <= 3
