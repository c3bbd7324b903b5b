"""Where another process has had the conversation in between, what was kept is not believed any more.

A real second process on the same database, SQLite and PostgreSQL; then a second runtime beside the first.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from kept_agents import desk, until

from specflow.journal.database import Database
from specflow.journal.event import EventKind
from specflow.journal.reads import snapshot_of
from specflow.journal.schema import upgrade
from specflow.journal.verify import verify
from specflow.speculation.shelf import Shelf
from specflow.testing.postgres import PostgresServer

OTHER = Path(__file__).with_name("kept_other_process.py")
FRESH, CHANGED = (f"answer: A1 was changed {times} times" for times in (0, 1))
Elsewhere = Callable[..., Awaitable[str]]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of the test's own, ready."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/journal.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    fresh = server.new_database()
    upgrade(Database(fresh))
    return fresh


async def process(url: str, folder: Path, text: str, thread: str = "t") -> str:
    """The conversation goes on with these words in another process; what is answered there."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(OTHER), url, str(folder), thread, text],
        check=True,
        capture_output=True,
        text=True,
    )
    return str(done.stdout)


async def runtime(url: str, folder: Path, text: str, thread: str = "t") -> str:
    """The same in a runtime that shares with ours what one in another process would."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("specflow.runtime._SHELF_OF_THE_PROCESS", Shelf())
        patched.setattr("specflow.runtime._SESSIONS_OF_THE_PROCESS", {})
        async with desk(folder, url=url) as other:
            return await other.ask(text, thread=thread)


@pytest.mark.parametrize(
    ("elsewhere", "asynchronous", "scope"),
    [
        (process, True, "thread"),
        (runtime, True, "thread"),
        (runtime, False, "thread"),
        (runtime, True, "public"),
        (runtime, False, "public"),
    ],
    ids=["process", "async", "sync", "public-async", "public-sync"],
)
async def test_a_write_of_another_process(
    *, url: str, elsewhere: Elsewhere, tmp_path: Path, asynchronous: bool, scope: str
) -> None:
    async with desk(tmp_path, url=url, asynchronous=asynchronous, scope=scope) as one:
        kept = await one.thought_of("A1")
        assert await elsewhere(url, tmp_path, "change A1") == "answer: A1 is changed"
        assert await one.ask("find A1") == CHANGED
        assert one.shop.asked == ["A1", "A1"], "the tool is called anew"
        assert one.life(kept.speculation_id)[1:] == ["kept", "carried", "resolved cancelled elsewhere"]
        assert one.answers() == ["miss"]
        assert one.log.of(EventKind.RESOLVED)[-1].misfire == "stale"
        again = await one.thought_of("B2")
        assert await one.ask("find B2") == "answer: B2 was changed 0 times"
        assert one.life(again.speculation_id)[-1] == "resolved hit", (
            "the conversation is this process's again"
        )
    assert verify(snapshot_of(url)) == ()


async def test_one_that_runs_while_another_process_writes(*, url: str, tmp_path: Path) -> None:
    async with desk(tmp_path, url=url) as one:
        kept = await one.thought_of("A1", running=True)
        await runtime(url, tmp_path, "change A1")
        asking = asyncio.create_task(one.ask("find A1"))
        await until(lambda: len(one.shop.asked) == 2)
        one.shop.open.set()
        assert await asking == CHANGED
        assert one.life(kept.speculation_id)[-1] == "resolved cancelled elsewhere"


async def test_a_write_after_writes_of_its_own(*, url: str, tmp_path: Path) -> None:
    """Then the journal knows sessions of both."""
    async with desk(tmp_path, url=url) as one:
        assert await one.ask("change B2") == "answer: B2 is changed"
        kept = await one.thought_of("A1")
        assert await one.ask("change B2") == "answer: B2 is changed"
        await runtime(url, tmp_path, "change A1")
        assert await one.ask("find A1") == CHANGED
        assert one.life(kept.speculation_id)[-1] == "resolved cancelled elsewhere"


async def test_whatever_another_process_has_written_it_is_lost(*, url: str, tmp_path: Path) -> None:
    """What another write may have changed besides, nobody here can tell."""
    async with desk(tmp_path, url=url) as one:
        kept = await one.thought_of("A1")
        await runtime(url, tmp_path, "change B2")
        assert await one.ask("find A1") == FRESH
        assert one.life(kept.speculation_id)[-1] == "resolved cancelled elsewhere"


@pytest.mark.parametrize(
    ("text", "thread"), [("find A1", "t"), ("chat about A1", "t"), ("change B2", "other")]
)
async def test_what_cannot_have_changed_it_costs_nothing(
    *, url: str, tmp_path: Path, text: str, thread: str
) -> None:
    async with desk(tmp_path, url=url) as one:
        kept = await one.thought_of("A1")
        await runtime(url, tmp_path, text, thread)
        assert await one.ask("find A1") == FRESH
        assert one.life(kept.speculation_id)[-1] == "resolved hit"
