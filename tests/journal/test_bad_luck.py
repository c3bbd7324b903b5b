"""What goes wrong around a journal: one clear line for the user, and nothing lost that was confirmed.

The table in docs/explanation/bad-luck.md says the same in words. Other tests have the rest of it: a locked
file and a full disk (test_writer), a newer database (test_sql_opening), a server that crashes, a network that
swallows (test_presence, tests/settlement/test_take_over).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from specflow.clock import SystemClock
from specflow.errors import FencedError, JournalError
from specflow.journal.database import Database
from specflow.journal.owner import owner_id
from specflow.journal.sql import SqlJournal
from specflow.journal.verify import verify
from specflow.settlement.recover import recover
from specflow.testing.doomed_agent import BOOKINGS, TOOLS, written_down
from specflow.testing.journal_bench import DONE, Bench
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.takeover import agent

SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
NOBODY = "another-machine:1:1:x"


@pytest.fixture
async def bench(url: str) -> AsyncIterator[Bench]:
    journal = SqlJournal.open(url)
    yield Bench(journal=journal)
    await journal.aclose()


# ------------------------------------------------------------------ the file


@SQLITE
@pytest.mark.parametrize("how", ["moved", "replaced"])
async def test_a_file_that_is_gone_is_noticed_and_one_that_is_back_goes_on(
    bench: Bench, tmp_path: Path, how: str
) -> None:
    file, aside = tmp_path / "journal.db", tmp_path / "aside.db"
    lease = await bench.lease()
    effect_id = await bench.start(lease)
    file.rename(aside)
    if how == "replaced":
        shutil.copy(aside, file)
    # SQLite itself would go on, in a file that nobody can find.
    with pytest.raises(JournalError, match=r"was moved, deleted or replaced .*nothing was written"):
        await bench.journal.record(lease, effect_id, DONE)
    if how == "moved":
        with pytest.raises(JournalError, match="was moved, deleted or replaced"):
            await bench.journal.effect(effect_id)
        assert not file.exists(), "reading does not make a new one"
    aside.replace(file)
    assert await bench.journal.record(lease, effect_id, DONE)
    assert verify(await bench.rows()) == ()


async def test_a_directory_that_is_changed_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bench = Bench(journal=SqlJournal.open("sqlite:///relative.db"))
    lease = await bench.lease()
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert await bench.start(lease)
    await bench.journal.aclose()


CHILD = """
import asyncio, os, resource, sys
from specflow.errors import JournalError
from specflow.journal.database import Database
from specflow.journal.sql import SqlJournal
from specflow.testing.journal_bench import Bench
async def main():
    if sys.argv[2] == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
    Database(sys.argv[1])  # imports what this user may read, and the next may not
    if sys.argv[2] == "read-only" and os.geteuid() == 0:
        os.seteuid(65534)  # permissions do not bind root
    try:
        bench = Bench(journal=SqlJournal.open(sys.argv[1]), tag="child")
        lease = await bench.lease()
        for number in range(1000):
            print(await bench.start(lease, f"e{number}", args={"text": "x" * 5000}), flush=True)
    except JournalError as error:
        print(error, file=sys.stderr)
asyncio.run(main())
"""


def in_a_child(url: str, trouble: str) -> tuple[list[str], str]:
    """What a process in trouble was promised, and the first line it complains with."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, url, trouble], capture_output=True, text=True, check=False, timeout=60
    )
    assert "Traceback" not in done.stderr
    return done.stdout.split(), done.stderr.splitlines()[0]


@SQLITE
@pytest.mark.skipif(os.name != "posix", reason="limits of a process")
async def test_a_file_that_may_not_grow_keeps_what_was_promised(bench: Bench, url: str) -> None:
    await bench.lease()
    promised, complaint = in_a_child(url, "full")
    assert promised, "something fitted"
    assert "cannot be read or written" in complaint
    assert "nothing was written" in complaint
    rows = await Bench(journal=bench.journal, tag="child").rows()
    assert [row.effect_id for row in rows.effects] == promised
    assert verify(await bench.journal.snapshot()) == ()


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that others may reach; those of pytest are private."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)
        Path(name).chmod(0o700)


@pytest.mark.skipif(os.name != "posix", reason="permissions of a file")
@pytest.mark.parametrize("directory", [0o777, 0o555])
async def test_a_read_only_file_is_said_to_be_one(place: Path, directory: int) -> None:
    file = place / "journal.db"
    journal = SqlJournal.open(f"sqlite:///{file}")
    await journal.open_session("s", thread="t", owner="o")
    await journal.aclose()
    file.chmod(0o444)
    place.chmod(directory)
    promised, complaint = in_a_child(f"sqlite:///{file}", "read-only")
    assert promised == []
    assert "is read-only" in complaint
    assert "write permission to the file and its directory" in complaint


@pytest.mark.skipif(os.name != "posix", reason="permissions of a file")
def test_a_place_where_one_may_not_look_is_said_to_be_one(place: Path) -> None:
    (place / "below").mkdir()
    place.chmod(0o000)
    promised, complaint = in_a_child(f"sqlite:///{place}/below/journal.db", "read-only")
    assert promised == []
    assert "cannot be opened" in complaint
    assert "check that this user may read and write there" in complaint


# ------------------------------------------------------------------ the clock


class Jumping(SystemClock):
    """This process's idea of the time, far off in either direction."""

    def __init__(self) -> None:
        self.off = 0.0

    def wall(self) -> float:
        return super().wall() + self.off


async def test_leases_do_not_care_what_time_a_process_thinks_it_is(url: str) -> None:
    clock = Jumping()
    mine, other = SqlJournal.open(url, clock=clock), SqlJournal.open(url, clock=Jumping())
    lease = await mine.open_session("s", thread="t", owner=NOBODY)
    for clock.off in (1e6, -1e6):
        assert await other.abandoned_sessions() == ()
        assert await other.take_session("s", owner="thief") is None
        assert await mine.decide_session(lease, "completed")
        later = await mine.open_session(f"s{clock.off}", thread="t", owner=NOBODY)
        row, first = await other.session(later.session_id), await other.session("s")
        assert row is not None
        assert first is not None
        assert abs(row.lease_until - first.lease_until) < 60, "both by the database's clock"
        assert verify(await other.snapshot()) == ()
    await mine.aclose()
    await other.aclose()


def jump(url: str, seconds: float) -> None:
    """The database's clock jumps: seen from it, every lease ends that much later, or earlier."""
    with Database(url).engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE sf_session SET lease_until = lease_until - ({seconds})")


async def test_a_jump_of_the_databases_clock_never_lets_two_write(bench: Bench, url: str) -> None:
    lease = await bench.lease(owner=NOBODY)
    effect_id = await bench.start(lease)
    other = SqlJournal.open(url)
    jump(url, 3600.0)
    # All leases seem to have ended. Whoever takes the session has it, and the one before is refused.
    while (heir := await other.take_session(lease.session_id, owner="heir")) is None:
        await asyncio.sleep(0.05)  # a server that was just started gives owners some seconds
    with pytest.raises(FencedError, match="was taken over by heir"):
        await bench.journal.record(lease, effect_id, DONE)
    assert await other.record(heir, effect_id, DONE)
    assert verify(await bench.rows()) == ()
    await other.aclose()


async def test_a_clock_that_jumps_back_does_not_hide_the_dead(bench: Bench, url: str, tmp_path: Path) -> None:
    with agent(url, tmp_path / "bookings", sessions=1, effects=1) as dying:
        jump(url, -1e6)
        dying.kill()
        dying.rest()
        while (heir := await bench.journal.take_session("ses_a_0", owner="heir")) is None:
            await asyncio.sleep(0.01)
        assert heir.fence == 2


# ------------------------------------------------------------------ two at once


async def test_two_that_recover_at_the_same_moment_share_the_work(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BOOKINGS, str(tmp_path / "bookings"))
    with agent(url, tmp_path / "bookings", sessions=6, effects=3) as dying:
        dying.kill()
        dying.rest()
    journals = [SqlJournal.open(url) for _ in range(4)]
    reports = []
    while sum(report.recovered for report in reports) < 6:
        reports += await asyncio.gather(
            *(
                recover(
                    journal,
                    ScriptedCore(TOOLS, LedgerWorld().judge(), journal, clock=SystemClock()).settler,
                    owner=owner_id(),
                )
                for journal in journals
            )
        )
    assert sum(report.recovered for report in reports) == 6, "each by one of them"
    assert sum(report.compensated for report in reports) == 18
    cancelled = [key for what, key, _at in written_down(tmp_path / "bookings") if what == "cancel"]
    assert len(cancelled) == len(set(cancelled)) == 18
    rows = await journals[0].snapshot()
    assert verify(rows) == ()
    assert {row.fence for row in rows.sessions} == {2}
    for journal in journals:
        await journal.aclose()
