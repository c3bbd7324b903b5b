"""Queries of one statement need no transaction; those of several see one state."""

from __future__ import annotations

import inspect

from specflow.journal.database import Database
from specflow.journal.reads import Queries
from specflow.journal.sql import SqlJournal
from specflow.testing.journal_bench import Bench


class Counting:
    """A transaction that finds nothing, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def fetch(self, *_statement: object) -> list[object]:
        self.asked += 1
        return []


def test_those_of_several_statements_are_known(url: str) -> None:
    queries = Queries(Database(url))
    several = set()
    for name, query in inspect.getmembers(queries, inspect.ismethod):
        counting = Counting()
        anything = [str] * (len(inspect.signature(query).parameters) - 1)
        if not name.startswith("_"):
            query(counting, *anything)
        if counting.asked > 1:
            several.add(name)
    assert several == Queries.SEVERAL


async def test_looking_and_reading_take_turns_on_one_connection(url: str) -> None:
    journal = SqlJournal.open(url)
    lease = await Bench(journal=journal).lease()
    for _ in range(3):
        assert await journal.session(lease.session_id) is not None
        assert [row.session_id for row in (await journal.snapshot()).sessions] == [lease.session_id]
        assert await journal.effect("nothing") is None
    await journal.aclose()


def test_a_snapshot_is_of_one_moment(url: str) -> None:
    database = Database(url)
    SqlJournal.open(url).close()
    reading, writing = database.connect(), database.connect()
    insert = (
        "INSERT INTO sf_session (session_id, thread, tenant, owner, fence, lease_until, state, decision, "
        "created_at) VALUES ('s{0}', 't', '', 'o', 1, 0, 'active', '', 0)"
    )
    count = "SELECT count(*) FROM sf_session"

    def write(number: int) -> None:
        writing.begin(0.0).raw(insert.format(number))
        writing.commit()

    looking = reading.look()
    for expected in range(3):
        looking.raw(count)
        assert looking.rows()[0][0] == expected, "each look sees what is there by now"
        write(expected)
    reading.rollback()
    seen = reading.read()
    for later in range(3, 6):
        seen.raw(count)
        assert seen.rows()[0][0] == 3, "all of a read see the same"
        write(later)
    reading.rollback()
    again = reading.look()
    again.raw(count)
    assert again.rows()[0][0] == 6
    reading.close()
    writing.close()
