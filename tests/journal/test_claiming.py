"""Claims in the transaction of the intent: in bulk as one by one, and under locks that cannot entangle."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.clock import SystemClock
from specflow.effects.claim import claim_key, meet
from specflow.errors import ClaimedError, JournalError
from specflow.journal import claiming, operations
from specflow.journal.batch import Failed, execute
from specflow.journal.branch_operations import Abort, Adopt
from specflow.journal.claiming import MOST_LOCKS, locks
from specflow.journal.claims import wanted
from specflow.journal.database import Connection, Database
from specflow.journal.memory import MemoryJournal
from specflow.journal.operations import Operation
from specflow.journal.prepared import Prepared
from specflow.journal.reads import snapshot_of
from specflow.journal.record import Lease, Outcome
from specflow.journal.schema import prepare, upgrade
from specflow.journal.sql import SqlJournal
from specflow.journal.verify import verify
from specflow.lifecycle import Stage
from specflow.testing.journal_bench import Bench
from specflow.testing.postgres import PostgresServer

BENCH = Bench(journal=MemoryJournal(SystemClock()), tag="x")  # for its intents only

KEYS = st.lists(st.sampled_from(["a", "b", ":", "*", "ab"]), min_size=1, max_size=6)
CLAIMS = st.lists(KEYS.map("".join).map(claim_key), max_size=5)


@given(one=CLAIMS, other=CLAIMS)
def test_whoever_meets_waits_for_the_other_and_all_lock_in_one_order(
    one: Sequence[str], other: Sequence[str]
) -> None:
    mine, theirs = locks(one), locks(other)
    for order in (mine, theirs):
        numbers = [number for number, _alone in order]
        assert numbers == sorted(set(numbers))
    both = dict(mine).keys() & dict(theirs).keys()
    waits = any(dict(mine)[number] or dict(theirs)[number] for number in both)
    assert waits == any(meet(a, b) for a in one for b in other)


def test_many_claims_take_the_one_lock_for_all() -> None:
    many = locks(f"seat:{number}" for number in range(MOST_LOCKS))
    assert many == locks(["*"])
    assert dict(many).keys() < dict(locks(["seat:1"])).keys()
    assert len(locks(f"seat:{number}" for number in range(MOST_LOCKS - 2))) == MOST_LOCKS
    assert locks([]) == []


@pytest.fixture
def database(url: str) -> Database:
    database = Database(url, durability="process")
    prepare(database, create=True)
    return database


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    connection = database.connect()
    yield connection
    connection.close()


def opened(url: str) -> list[Lease]:
    """Two sessions, by a journal of their own."""

    async def make() -> list[Lease]:
        journal = SqlJournal.open(url, durability="process")
        leases = [await journal.open_session(name, thread=name, owner="me") for name in ("s0", "s1")]
        await journal.aclose()
        return leases

    return asyncio.run(make())


def intend(lease: Lease, name: str, *claims: str, real: bool = False) -> Operation:
    adopted_by = f"real-{name}" if real else None
    return operations.intend(lease, BENCH.intent(name, claims=claims, adopted_by=adopted_by))


def record(lease: Lease, name: str, stage: Stage) -> Operation:
    return operations.record(lease, f"x-{name}", Outcome(stage=stage))


def told(answers: Sequence[object]) -> list[object]:
    return [
        (type(item.error).__name__, getattr(item.error, "facts", {}).get("effect_id"))
        if isinstance(item, Failed)
        else item
        for item in answers
    ]


def test_a_full_batch_is_granted_and_refused_one_by_one(url: str, connection: Connection) -> None:
    mine, other = opened(url)
    batch = [
        *(intend(mine, f"a{number}", f"seat:{number}") for number in range(40)),
        *(intend(other, f"b{number}", f"seat:{number}", f"row:{number}") for number in range(38, 43)),
        intend(mine, "free"),
        intend(mine, "above", "seat:0", "row:39"),
        intend(other, "pattern", "seat:*"),
    ]
    answers = told(execute(connection, batch, 1.0))
    assert answers[:40] == list(range(1, 41))
    assert answers[40:45] == [("ClaimedError", "x-a38"), ("ClaimedError", "x-a39"), 1, 2, 3]
    assert answers[45:] == [41, 42, ("ClaimedError", "x-a0")]
    rows = snapshot_of(url)
    assert len(rows.claims) == 40 + 3 * 2 + 2
    assert [(row.effect_id, row.needs_id) for row in rows.dependencies] == [("x-above", "x-a0")]
    assert verify(rows) == ()


def test_a_refusal_makes_nobody_begin_anew(
    url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = opened(url)
    execute(connection, [intend(mine, "a", "seat:1")], 1.0)
    monkeypatch.setattr(Connection, "rollback", lambda self: pytest.fail("a batch was begun anew"))
    for batch in (
        [intend(other, "b", "seat:1")],
        [intend(other, "b", "seat:1"), intend(other, "c", "seat:2")],
    ):
        answers = execute(connection, batch, 2.0)
        assert isinstance(answers[0], Failed)
        assert isinstance(answers[0].error, ClaimedError)
    monkeypatch.undo()


def test_an_outcome_in_the_same_batch_ends_the_claim(url: str, connection: Connection) -> None:
    mine, other = opened(url)
    execute(connection, [intend(mine, "a", "seat:1")], 1.0)
    failed, again = record(mine, "a", Stage.FAILED), intend(other, "b", "seat:1")
    assert told(execute(connection, [again, failed], 2.0)) == [("ClaimedError", "x-a"), True]
    assert told(execute(connection, [intend(mine, "c"), again], 3.0)) == [2, 1]
    failed, again = record(other, "b", Stage.FAILED), intend(mine, "d", "seat:1")
    assert told(execute(connection, [failed, again], 4.0)) == [True, 3]


def test_unknown_outcomes_in_one_batch_hold_their_tool(url: str, connection: Connection) -> None:
    mine, other = opened(url)
    execute(connection, [intend(mine, "a"), intend(mine, "b", "seat:1"), intend(mine, "c")], 1.0)
    lost = [record(mine, name, Stage.UNKNOWN) for name in "abc"]
    assert told(execute(connection, lost, 2.0)) == [True] * 3
    held = {(row.effect_id, row.resource, row.mode) for row in snapshot_of(url).claims}
    assert held == {
        ("x-a", "tool:book:*", "shared"), ("x-b", "seat:1", "exclusive"), ("x-c", "tool:book:*", "shared"),
    }  # fmt: skip
    assert told(execute(connection, [intend(other, "d", "seat:2")], 3.0)) == [("ClaimedError", "x-a")]


def test_in_a_batch_that_must_be_done_one_by_one_claims_count_as_well(
    url: str, connection: Connection
) -> None:
    mine, other = opened(url)
    batch = [
        intend(mine, "a", "seat:1"),
        intend(mine, "a", "seat:2"),  # the same effect again: the database refuses it
        intend(other, "b", "seat:1"),
        intend(other, "c", "seat:2"),
    ]
    answers = execute(connection, batch, 1.0)
    kinds = [type(item.error).__name__ if isinstance(item, Failed) else item for item in answers]
    assert kinds == [1, "JournalError", "ClaimedError", 1]
    assert verify(snapshot_of(url)) == ()


@pytest.fixture
def somebody(postgres: PostgresServer) -> Iterator[tuple[str, psycopg.Connection[Any]]]:
    """A database, and a process that was stopped in the middle of a commit about `seat:1`."""
    url = postgres.new_database()
    upgrade(Database(url))
    with psycopg.connect(url.replace("+psycopg", "")) as other:
        for number, alone in locks(["seat:1"]):
            other.execute(f"SELECT pg_advisory_xact_lock{'' if alone else '_shared'}(%s)", (number,))
        yield url, other


@pytest.mark.postgres
async def test_a_process_that_was_stopped_keeps_nobody_but_those_who_want_the_same(
    somebody: tuple[str, psycopg.Connection[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, other = somebody
    monkeypatch.setattr(claiming, "LOCK_SECONDS", 0.05)
    journal = SqlJournal.open(url, durability="process")
    lease = await journal.open_session("s", thread="s", owner="me")
    await journal.intend(lease, BENCH.intent("first"))
    waiting = asyncio.create_task(journal.intend(lease, BENCH.intent("same", claims=("seat:1",))))
    all_others = (
        journal.intend(lease, BENCH.intent("unclaimed")),
        journal.record(lease, "x-first", Outcome(stage=Stage.DONE)),
        journal.intend(lease, BENCH.intent("another", claims=("seat:2",))),
    )
    assert await asyncio.gather(*all_others) == [2, True, 3]
    assert not waiting.done()
    many = [journal.intend(lease, BENCH.intent(f"m{n}", claims=(f"row:{n}",))) for n in range(MOST_LOCKS)]
    late = asyncio.gather(*many)
    await asyncio.sleep(0.2)
    other.rollback()
    await late
    assert await waiting > 3
    await journal.aclose()
    assert verify(snapshot_of(url)) == ()


@pytest.mark.postgres
async def test_who_waits_for_a_stopped_process_is_told(
    somebody: tuple[str, psycopg.Connection[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, _other = somebody
    monkeypatch.setattr(claiming, "LOCK_SECONDS", 0.02)
    monkeypatch.setattr(claiming, "PAUSES", (0.01, 0.01))
    journal = SqlJournal.open(url, durability="process")
    lease = await journal.open_session("s", thread="s", owner="me")
    with pytest.raises(JournalError, match="another process has it locked") as caught:
        await journal.intend(lease, BENCH.intent("same", claims=("seat:*",)))
    assert "pg_stat_activity" in caught.value.hint
    assert await journal.effect("x-same") is None
    assert await journal.intend(lease, BENCH.intent("elsewhere", claims=("seat:2",))) == 1
    await journal.aclose()


@pytest.mark.postgres
def test_what_is_wrong_with_the_server_is_not_taken_for_a_lock(
    somebody: tuple[str, psycopg.Connection[Any]],
) -> None:
    url, _other = somebody
    (lease, _) = opened(url)
    connection = Database(url).connect()
    connection.database.statements.lock_claims = Prepared(
        sa.text("SELECT no_such_function()"), connection.database.engine.dialect
    )
    with pytest.raises(psycopg.errors.UndefinedFunction):
        execute(connection, [intend(lease, "a", "seat:1")], 1.0)
    assert execute(connection, [intend(lease, "b")], 2.0) == [1]
    connection.close()


@pytest.mark.postgres
def test_the_patience_of_other_statements_stays_what_it_was(
    somebody: tuple[str, psycopg.Connection[Any]],
) -> None:
    url, _other = somebody
    (lease, _) = opened(url)
    connection = Database(url, busy_seconds=7.0).connect()
    tx = connection.begin(1.0)
    claiming.lock(tx, [want for want in [wanted(BENCH.intent(claims=("seat:2", "row:1")))] if want])
    tx.raw("SHOW lock_timeout")
    assert tx.rows() == [("7s",)]
    connection.rollback()
    connection.close()
    assert lease.fence == 1


NAMES = st.sampled_from(["a", "b", "c"])
SOME = st.lists(st.sampled_from(["k:1", "k:2", "k:*"]), max_size=2, unique=True)
STEP = st.one_of(
    st.tuples(st.just("intend"), NAMES, st.booleans(), SOME),
    st.tuples(
        st.sampled_from(["done", "unknown", "failed", "abort", "adopt"]), NAMES, st.booleans(), st.just([])
    ),
)


@settings(max_examples=15, deadline=None)
@given(batches=st.lists(st.lists(STEP, max_size=8), max_size=4))
def test_a_batch_of_claims_answers_as_its_operations_would_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[str, str, bool, list[str]]]]
) -> None:
    folder = tmp_path_factory.mktemp("twins")
    results = []
    for together in (True, False):
        url = f"sqlite:///{folder}/{together}.db"
        database = Database(url, durability="process")
        prepare(database, create=True)
        leases, connection = opened(url), database.connect()
        answers: list[object] = []
        for number, batch in enumerate(batches):
            work = [operation(leases, *step) for step in batch]
            for part in [work] if together else [[item] for item in work]:
                answers.extend(told(execute(connection, part, float(number))))
        connection.close()
        rows = snapshot_of(url)
        assert verify(rows) == ()
        results.append((answers, rows.effects, rows.branches, rows.claims, rows.dependencies))
    assert results[0] == results[1]


def operation(
    leases: Sequence[Lease], what: str, name: str, second: bool, claims: Sequence[str]
) -> Operation:
    lease, name = leases[second], f"{name}{second:d}"
    if what == "intend":
        return intend(lease, name, *claims)
    if what == "abort":
        return Abort(lease=lease, branch_id=f"x-br-{name}", cause="mismatch")
    if what == "adopt":
        return Adopt(lease=lease, effect_id=f"x-{name}", adopted_by=f"call-{name}")
    return record(lease, name, Stage(what))
