"""Which session of a conversation was opened last is told by the journal's numbers, and by no clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from specflow.journal.database import Database
from specflow.journal.memory import MemoryJournal
from specflow.journal.port import Journal
from specflow.journal.prune import prune
from specflow.journal.sql import SqlJournal
from specflow.testing.manual_clock import ManualClock

EPOCH = 1_700_000_000.0


@pytest.fixture
async def ahead(url: str) -> AsyncIterator[SqlJournal]:
    """Of a process whose clock is a minute ahead."""
    journal = SqlJournal.open(url, clock=ManualClock(epoch=EPOCH + 60))
    yield journal
    await journal.aclose()


@pytest.fixture
async def behind(url: str) -> AsyncIterator[SqlJournal]:
    """Of a process on another machine, on the same database."""
    journal = SqlJournal.open(url, clock=ManualClock(epoch=EPOCH))
    yield journal
    await journal.aclose()


async def newest(journal: Journal) -> str | None:
    row = await journal.newest_session("t")
    return row and row.session_id


async def test_clocks_that_differ_decide_nothing(ahead: SqlJournal, behind: SqlJournal) -> None:
    await ahead.open_session("z", thread="t", owner="me")
    await behind.open_session("a", thread="t", owner="other")
    assert [await newest(journal) for journal in (ahead, behind)] == ["a", "a"]
    await ahead.open_session("b", thread="t", owner="me")
    await behind.open_session("c", thread="t", owner="other")
    assert [await newest(journal) for journal in (ahead, behind)] == ["c", "c"]
    rows = (await ahead.snapshot()).sessions
    assert [row.session_id for row in rows] == ["a", "c", "b", "z"], "by the clocks it is another"


async def test_a_clock_that_stands_still_decides_nothing(behind: SqlJournal) -> None:
    for journal in (behind, MemoryJournal(ManualClock())):
        names = ["m", "z", "a", "k"]
        # The writer may put all of them into one transaction.
        await asyncio.gather(*(journal.open_session(name, thread="t", owner="me") for name in names))
        assert len({row.created_at for row in await journal.active_sessions("t")}) == 1
        assert await newest(journal) == "k"


async def test_what_was_pruned_was_not_there(url: str, behind: SqlJournal) -> None:
    for name in ("b", "a"):
        lease = await behind.open_session(name, thread="t", owner="me")
    await behind.close_session(lease)
    assert prune(url, older_than_days=1, now=EPOCH + 1e6).sessions == 1
    assert await newest(behind) == "b"
    await behind.open_session("a", thread="t", owner="me")
    assert await newest(behind) == "a", "no number is given twice"


async def test_a_session_without_its_events_counts_as_the_oldest(url: str, behind: SqlJournal) -> None:
    for name in ("a", "b"):
        await behind.open_session(name, thread="t", owner="me")
    with Database(url).engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM sf_event WHERE session_id = 'b'"))
    assert await newest(behind) == "a"
