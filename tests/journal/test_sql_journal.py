"""What only a journal in a database can do: outlive its process, and be shared."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from specflow.errors import FencedError, InvariantError, JournalError
from specflow.journal import batch, rules
from specflow.journal.database import Connection, Database, Durability
from specflow.journal.operations import Operation
from specflow.journal.owner import owner_id
from specflow.journal.record import Lease, Outcome, PredictionRow
from specflow.journal.schema import upgrade
from specflow.journal.session_operations import Renew
from specflow.journal.sql import SqlJournal
from specflow.journal.transaction import Transaction
from specflow.journal.trouble import explain
from specflow.journal.verify import verify
from specflow.lifecycle import Stage
from specflow.testing.journal_bench import DONE, Bench
from specflow.testing.journal_checks_repeats import unknown
from specflow.testing.postgres import postgres_server


async def until(condition: Callable[[], bool]) -> None:
    """Wait, generously, for something another thread does."""
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never happened")


async def test_it_is_all_there_after_a_restart(url: str) -> None:
    first = Bench(journal=SqlJournal.open(url))
    lease = await first.lease(owner=owner_id())
    effect_id = await first.start(lease)
    await first.journal.record(lease, effect_id, DONE)
    rows = await first.rows()
    await first.journal.aclose()
    second = Bench(journal=SqlJournal.open(url), tag=first.tag)
    again = await second.rows()
    assert (again.effects, again.branches, again.events) == (rows.effects, rows.branches, rows.events)
    assert again.sessions[0].lease_until == 0, "closing gives the lease back"
    taken = await second.journal.take_session(lease.session_id, owner="heir")
    assert taken is not None
    assert await second.start(taken, "next")
    row = await second.journal.effect(f"{first.tag}-next")
    assert row is not None
    assert row.seq == 2
    await second.journal.aclose()


CHILD = """
import asyncio, sys
from specflow.journal.owner import owner_id
from specflow.journal.sql import SqlJournal
from specflow.testing.journal_bench import DONE, Bench
from specflow.testing.journal_checks_repeats import unknown
async def main():
    bench = Bench(journal=SqlJournal.open(sys.argv[1], durability=sys.argv[2]), tag="child")
    lease = await bench.lease(owner=owner_id())
    first = await bench.start(lease, "a")
    await bench.journal.record(lease, first, DONE)
    await bench.start(lease, "b")
    print("written", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.mark.parametrize("durability", ["process", "power"])
async def test_what_was_confirmed_survives_a_kill(url: str, durability: Durability) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, url, durability], stdout=subprocess.PIPE)
    assert child.stdout is not None
    journal = SqlJournal.open(url)
    try:
        assert await asyncio.to_thread(child.stdout.readline) == b"written\n"
        assert await journal.take_session("child-s", owner=owner_id()) is None, "its owner lives"
        os.kill(child.pid, signal.SIGKILL)
        await until(lambda: is_gone(child.pid))
        # Seen to be dead before anybody has reaped it, and long before its lease ends.
        lease = await journal.take_session("child-s", owner=owner_id())
        assert lease is not None
        assert lease.fence == 2
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    stages = [row.stage for row in await journal.unsettled("child-s")]
    assert stages == [Stage.INTENDED, Stage.DONE]
    assert verify(await journal.snapshot()) == ()
    await journal.aclose()


def is_gone(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


async def test_a_lease_ends_by_the_clock_of_the_database(url: str) -> None:
    one, other = SqlJournal.open(url, lease_seconds=600), SqlJournal.open(url, lease_seconds=0.2)
    long = await one.open_session("long", thread="t", owner="not-a-process")
    assert await other.take_session("long", owner="b") is None
    short = await other.open_session("short", thread="t", owner="not-a-process")
    # Nobody renews a lease whose journal is gone, as after a power cut.
    other._writer._renewals.drop([short])
    taken: list[Lease] = []
    for _ in range(1000):
        lease = await one.take_session("short", owner="b")
        if lease is not None:
            taken.append(lease)
            break
        await asyncio.sleep(0.02)
    assert [lease.fence for lease in taken] == [2]
    assert await one.take_session("long", owner="b") is None
    assert long.fence == 1
    await one.aclose()
    await other.aclose()


async def test_an_idle_journal_keeps_its_leases(url: str) -> None:
    mine, other = SqlJournal.open(url, lease_seconds=0.6), SqlJournal.open(url)
    await mine.open_session("s", thread="t", owner="not-a-process")
    (before,) = await other.active_sessions("t")
    renewed = 0.0
    for _ in range(1500):
        (row,) = await other.active_sessions("t")
        renewed = row.lease_until - before.lease_until
        if renewed > 1.0:
            break
        await asyncio.sleep(0.02)
    assert renewed > 1.0
    await mine.aclose()
    await other.aclose()


async def test_renewal_finds_out_that_the_session_was_taken(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    mine, thief = SqlJournal.open(url, lease_seconds=0.3), SqlJournal.open(url)
    lease = await mine.open_session("s", thread="t", owner="me")
    stolen = await thief.take_session("s", owner="thief", force=True)
    assert stolen is not None
    await until(lambda: "taken over" in caplog.text)
    assert mine._writer._renewals.held == ()
    with pytest.raises(FencedError):
        await mine.decide_session(lease, "completed")
    await thief.close_session(stolen)
    await mine.aclose()
    await thief.aclose()


async def test_two_processes_share_a_lease_without_losing_a_number(url: str) -> None:
    one, other = Bench(journal=SqlJournal.open(url)), Bench(journal=SqlJournal.open(url))
    lease = await one.lease()
    calls = [bench.journal.intend(lease, bench.intent(f"e{i}")) for i in range(20) for bench in (one, other)]
    numbers = await asyncio.gather(*calls)
    assert sorted(numbers) == list(range(1, 41))
    await one.journal.aclose()
    await other.journal.aclose()


async def test_concurrent_writes_share_transactions(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    execute = batch.execute

    def counting(connection: Connection, operations: list[Operation], now: float) -> list[object]:
        if not isinstance(operations[0], Renew):  # as when the lock that shows our life is taken
            sizes.append(len(operations))
        return execute(connection, operations, now)

    monkeypatch.setattr("specflow.journal.writer.execute", counting)
    bench = Bench(journal=SqlJournal.open(url))
    lease = await bench.lease()
    await asyncio.gather(*(bench.start(lease, f"e{index}") for index in range(300)))
    assert sum(sizes) == 301
    assert len(sizes) < 100, "one commit for many"
    await bench.journal.aclose()


def test_any_event_loop_of_the_process_may_wait(url: str) -> None:
    journal = SqlJournal.open(url)
    problems: list[BaseException] = []

    def work(name: str) -> None:
        async def main() -> None:
            bench = Bench(journal=journal, tag=name)
            lease = await bench.lease()
            for index in range(20):
                effect_id = await bench.start(lease, f"e{index}")
                assert await journal.record(lease, effect_id, DONE)

        try:
            asyncio.run(main())
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(f"loop{index}",)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    snapshot = asyncio.run(journal.snapshot())
    assert len(snapshot.effects) == 120
    assert verify(snapshot) == ()
    journal.close()
    journal.close()


async def test_cancelling_the_wait_does_not_lose_the_write(url: str) -> None:
    bench = Bench(journal=SqlJournal.open(url))
    lease = await bench.lease()
    task = asyncio.create_task(bench.journal.intend(lease, bench.intent()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await bench.start(lease, "after")
    assert [row.seq for row in await bench.journal.unsettled(lease.session_id)] == [2, 1]
    await bench.journal.aclose()


async def test_a_forked_child_is_told(url: str) -> None:
    journal = SqlJournal.open(url)
    lease = await journal.open_session("s", thread="t", owner="me")
    assert await journal.effect("x") is None, "both threads are at work"
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            said = []
            for call in (journal.decide_session(lease, "completed"), journal.effect("x")):
                try:
                    call.send(None)
                except JournalError as error:
                    said.append(str(error))
            journal.close()
            os.write(write, "\n".join(said).encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    with os.fdopen(read) as pipe:
        lines = pipe.read().splitlines()
    assert len(lines) == 2
    assert all("before os.fork()" in line for line in lines)
    assert await journal.decide_session(lease, "completed"), "the parent's journal is unharmed"
    await journal.aclose()


def test_a_program_that_forgets_to_close_loses_nothing(url: str) -> None:
    program = """
import asyncio, sys
from specflow.journal.record import PredictionRow
from specflow.journal.sql import SqlJournal
journal = SqlJournal.open(sys.argv[1])
async def main():
    await journal.open_session("s", thread="t", owner="o")
    journal.note(PredictionRow(speculation_id="p", session_id="s", tool="t", fingerprint="f",
                               predictor="x", confidence=1.0, outcome="hit", cause="", at=0.0))
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, url], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    journal = SqlJournal.open(url)
    snapshot = asyncio.run(journal.snapshot())
    journal.close()
    assert [row.speculation_id for row in snapshot.predictions] == ["p"]
    assert snapshot.sessions[0].lease_until == 0


async def test_predictions_are_written_without_any_other_write(url: str) -> None:
    journal = SqlJournal.open(url)
    row = PredictionRow(
        speculation_id="p",
        session_id="",
        tool="t",
        fingerprint="f",
        predictor="x",
        confidence=float("inf"),
        outcome="hit",
        cause="",
        at=0.0,
    )
    journal.note(row)
    found: tuple[PredictionRow, ...] = ()
    for _ in range(1000):
        found = (await journal.snapshot()).predictions
        if found:
            break
        await asyncio.sleep(0.02)
    assert found == (row,)
    await journal.aclose()


async def test_a_bad_prediction_hurts_no_write(url: str, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(journal=SqlJournal.open(url))
    lease = await bench.lease()
    bad = PredictionRow(
        speculation_id="p",
        session_id="",
        tool="t",
        fingerprint="f",
        predictor="x",
        confidence={"not": "a number"},  # type: ignore[arg-type] # hostile on purpose
        outcome="hit",
        cause="",
        at=0.0,
    )
    bench.journal.note(bad)
    assert await bench.start(lease)
    bench.journal.note(bad)
    bench.journal.note(replace(bad, speculation_id="q", confidence=0.5))
    await bench.journal.aclose()
    assert "Predict failed" in caplog.text, "nobody waits for it: the log is where trouble shows"
    again = SqlJournal.open(url)
    (session,) = (await again.snapshot()).sessions
    assert session.lease_until == 0, "closing went on after it"
    await again.aclose()


class Breaking:
    """An operation with a bug."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def apply(self, tx: Transaction) -> None:
        tx.raw("UPDATE sf_session SET thread = 'broken'")
        raise self.error

    def conflict(self, tx: Transaction) -> None:
        raise AssertionError


@pytest.mark.parametrize(
    "error", [InvariantError("ours"), FencedError("x"), ValueError("a bug"), KeyError("b")]
)
async def test_the_writer_outlives_an_operation_that_raises(url: str, error: Exception) -> None:
    bench = Bench(journal=SqlJournal.open(url))
    lease = await bench.lease()
    writer = bench.journal._writer  # type: ignore[attr-defined] # it is a SqlJournal
    answers = await asyncio.gather(
        bench.start(lease, "before"),
        writer.ask(Breaking(error)),
        bench.start(lease, "after"),
        return_exceptions=True,
    )
    assert [isinstance(answer, str) for answer in answers] == [True, False, True]
    assert isinstance(answers[1], InvariantError | JournalError)
    assert (await bench.rows()).sessions[0].thread == bench.tag
    await bench.journal.aclose()


@pytest.mark.postgres
async def test_it_survives_a_crash_of_the_server() -> None:
    with postgres_server() as server:
        url = server.new_database()
        upgrade(Database(url))
        bench = Bench(journal=SqlJournal.open(url))
        lease = await bench.lease()
        effect_id = await bench.start(lease)
        await asyncio.to_thread(server.stop, "immediate")
        with pytest.raises(JournalError):
            await bench.journal.record(lease, effect_id, DONE)
        with pytest.raises(JournalError):
            await bench.journal.effect(effect_id)
        await asyncio.to_thread(server.start)
        assert await bench.stage(effect_id) is Stage.INTENDED
        assert await bench.journal.record(lease, effect_id, DONE)
        # A server that went away and came back while nobody wrote is not even noticed.
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        assert not await bench.journal.record(lease, effect_id, Outcome(stage=Stage.FAILED))
        assert await bench.stage(effect_id) is Stage.DONE
        await bench.journal.aclose()


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("database or disk is full", "full disk"),
        ("attempt to write a readonly database", "read-only"),
        ("database is locked", "locked by another process"),
        ("database disk image is malformed", "damaged"),
        ("disk I/O error", "cannot be read or written"),
        ("something nobody foresaw", "OperationalError: something nobody foresaw"),
    ],
)
def test_trouble_is_explained(message: str, words: str) -> None:
    error = explain(sqlite3.OperationalError(message), "sqlite:///x", sqlite=True)
    assert words in str(error)
    assert error.hint


async def test_the_statement_itself_repeats_only_what_was_read(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the look before it, in the same transaction, has seen something else."""
    bench = Bench(journal=SqlJournal.open(url))
    lease = await bench.lease(owner=owner_id())
    row = await unknown(bench, lease)
    before = await bench.rows()
    monkeypatch.setattr(rules, "may_repeat", lambda *_seen: True)
    assert not await bench.journal.repeat(lease, row.effect_id, rev=row.rev + 1, call_deadline=99.0)
    assert await bench.rows() == before
    assert await bench.journal.repeat(lease, row.effect_id, rev=row.rev, call_deadline=99.0)
    await bench.journal.aclose()
