"""One transaction for many operations: the quick way and the careful way give the same answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.clock import SystemClock
from specflow.errors import JournalError
from specflow.journal import operations
from specflow.journal.batch import Failed, execute
from specflow.journal.branch_operations import Abort, Adopt
from specflow.journal.database import Connection, Database
from specflow.journal.memory import MemoryJournal
from specflow.journal.operations import Move, Operation
from specflow.journal.prepared import COPY_FROM, PACKS
from specflow.journal.reads import Queries
from specflow.journal.record import Lease, Outcome, Snapshot
from specflow.journal.schema import prepare
from specflow.journal.session_operations import DecideSession, OpenSession, Renew, TakeSession
from specflow.journal.transaction import Transaction
from specflow.journal.verify import verify
from specflow.lifecycle import BranchState, Stage
from specflow.testing.journal_bench import DONE, Bench

BENCH = Bench(journal=MemoryJournal(SystemClock()), tag="x")  # for its intents only
FAILED = Outcome(stage=Stage.FAILED, error="no seat")


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


def opened(connection: Connection, session_id: str = "s") -> Lease:
    operation = OpenSession(session_id=session_id, thread="t", owner="me", tenant="", lease_seconds=60.0)
    (lease,) = execute(connection, [operation], 0.0)
    assert isinstance(lease, Lease)
    return lease


def intends(lease: Lease, *names: str) -> list[Operation]:
    return [operations.intend(lease, BENCH.intent(name)) for name in names]


def records(lease: Lease, *names: str, outcome: Outcome = DONE) -> list[Operation]:
    return [operations.record(lease, f"x-{name}", outcome) for name in names]


def rows(database: Database) -> Snapshot:
    connection = database.connect()
    try:
        return Queries(database).snapshot(connection.read())
    finally:
        connection.rollback()
        connection.close()


def told(answers: Sequence[object]) -> list[object]:
    """Answers, with the kind of error in the place of a failure."""
    return [type(item.error).__name__ if isinstance(item, Failed) else item for item in answers]


def test_a_full_batch_is_numbered_in_order_and_wholly_there(
    database: Database, connection: Connection
) -> None:
    lease = opened(connection)
    names = [f"e{index}" for index in range(2 * PACKS[0] + 3)]
    assert told(execute(connection, intends(lease, *names), 1.0)) == list(range(1, len(names) + 1))
    more = [*records(lease, *names), *intends(lease, "last")]
    assert told(execute(connection, more, 2.0)) == [*[True] * len(names), len(names) + 1]
    found = rows(database)
    assert [row.effect_id for row in found.effects] == [f"x-{name}" for name in (*names, "last")]
    assert {row.stage for row in found.effects[:-1]} == {Stage.DONE}
    assert all(row.args == BENCH.intent().args and row.undo == BENCH.intent().undo for row in found.effects)
    assert (found.effects[0].created_at, found.effects[0].updated_at) == (1.0, 2.0)
    assert verify(found) == ()


HOSTILE = ("a\x00b", "\ud800", "'; DROP TABLE sf_effect; --", "%(x)s ? \\u0000 \\", "é\u2028\U0001f600", "")


@pytest.mark.parametrize("times", [1, COPY_FROM // 3], ids=["few", "many"])
def test_hostile_text_comes_out_of_a_batch_as_out_of_a_single_write(
    database: Database, connection: Connection, times: int
) -> None:
    texts = HOSTILE * times
    lease = opened(connection)
    intents = [
        BENCH.intent(
            f"e{index}", args={text: text, "n": [0.1, 1e300, -0.0, 2**53 + 1]}, hypothesis=text, cause=text,
            reasons=(text,), traceparent=text, call_deadline=(1 / 3, float("inf"))[index % 2],
        )
        for index, text in enumerate(texts)
    ]  # fmt: skip
    outcomes = [
        operations.record(lease, intent.effect_id, Outcome(stage=Stage.FAILED, result=[text], error=text))
        for intent, text in zip(intents, texts, strict=True)
    ]
    finite, endless = intents[::2], intents[1::2]
    for part in (finite, endless):
        assert told(execute(connection, [operations.intend(lease, intent) for intent in part], 0.1)) == [
            row + 1 + (len(finite) if part is endless else 0) for row in range(len(part))
        ]
    assert told(execute(connection, outcomes, 1e9 / 3)) == [True] * len(texts)
    found = {row.effect_id: row for row in rows(database).effects}
    branches = {row.branch_id: row for row in rows(database).branches}
    for intent, text in zip(intents, texts, strict=True):
        row, readable = found[intent.effect_id], text.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")
        assert (row.args, row.result, row.reasons) == (intent.args, [text], (text,))
        assert (row.error, row.traceparent, branches[intent.branch_id].hypothesis) == (readable,) * 3
        assert (row.call_deadline, row.created_at, row.updated_at) == (intent.call_deadline, 0.1, 1e9 / 3)
    causes = [event.cause for event in rows(database).events if event.target == "intended"]
    assert len(causes) == len(texts)
    assert verify(rows(database)) == ()


def test_an_outcome_that_comes_twice_counts_once_and_hurts_no_other(
    database: Database, connection: Connection
) -> None:
    lease = opened(connection)
    execute(connection, intends(lease, "a", "b", "c"), 1.0)
    assert told(execute(connection, records(lease, "a"), 2.0)) == [True]
    late = [*records(lease, "b"), *records(lease, "a", outcome=FAILED), *records(lease, "c", "nobody")]
    assert told(execute(connection, late, 3.0)) == [True, False, True, False]
    found = rows(database)
    assert [row.stage for row in found.effects] == [Stage.DONE] * 3
    assert sum(event.target == "failed" for event in found.events) == 0
    assert verify(found) == ()


def test_an_unknown_outcome_is_resolved_in_the_same_batch(database: Database, connection: Connection) -> None:
    lease = opened(connection)
    execute(connection, intends(lease, "a", "b"), 1.0)
    unknown = Outcome(stage=Stage.UNKNOWN, error="timed out")
    both = [*records(lease, "a", outcome=unknown), *records(lease, "a"), *records(lease, "b")]
    assert told(execute(connection, both, 2.0)) == [True, True, True]
    assert [row.stage for row in rows(database).effects] == [Stage.DONE, Stage.DONE]
    assert verify(rows(database)) == ()


def test_what_belongs_together_may_be_mixed_with_the_rest(database: Database, connection: Connection) -> None:
    lease, other = opened(connection), opened(connection, "other")
    mixed: list[Operation] = [
        *intends(lease, "a", "b"),
        Adopt(lease=lease, effect_id="x-a", adopted_by="call"),
        *records(lease, "a", "b"),
        Move(lease=lease, effect_id="x-a", source=Stage.DONE, target=Stage.COMMITTED),
        *intends(other, "c", "d"),
    ]
    assert told(execute(connection, mixed, 1.0)) == [1, 2, True, True, True, True, 1, 2]
    assert [row.stage for row in rows(database).effects] == [
        Stage.INTENDED, Stage.INTENDED, Stage.COMMITTED, Stage.DONE,
    ]  # fmt: skip
    assert verify(rows(database)) == ()


def test_a_zombie_in_the_batch_is_the_only_one_refused(database: Database, connection: Connection) -> None:
    old, lease = opened(connection), opened(connection, "other")
    take = TakeSession(
        session_id="s", owner="heir", force=True, lease_seconds=60.0, known_dead=lambda _owner: False
    )
    # In one and the same transaction: what was true of the session before is not remembered.
    batch = [*intends(old, "a"), take, *intends(old, "b"), *intends(lease, "c"), *records(old, "a")]
    assert told(execute(connection, batch, 1.0)) == [
        1, Lease(session_id="s", owner="heir", fence=2), "FencedError", 1, "FencedError",
    ]  # fmt: skip
    assert [row.effect_id for row in rows(database).effects] == ["x-c", "x-a"]
    assert execute(connection, [Renew(leases=(old, lease), lease_seconds=60.0)], 2.0) == [(old,)]


CREATE_REFUSAL = {
    "sqlite": [
        "CREATE TRIGGER mine BEFORE UPDATE ON sf_effect BEGIN SELECT RAISE(ABORT, 'not on Sundays'); END"
    ],
    "postgresql": ["ALTER TABLE sf_effect ADD CONSTRAINT mine CHECK (stage <> 'done')"],
}


def test_a_constraint_of_somebody_else_is_named_as_such(database: Database, connection: Connection) -> None:
    lease = opened(connection)
    execute(connection, intends(lease, "a"), 1.0)
    with database.engine.begin() as other:
        for statement in CREATE_REFUSAL[database.engine.dialect.name]:
            other.exec_driver_sql(statement)
    answers = execute(
        connection, [*records(lease, "a"), DecideSession(lease=lease, decision="completed")], 2.0
    )
    (failed, decided) = answers
    assert isinstance(failed, Failed)
    assert "not specflow's" in str(failed.error)
    assert "added to the sf_ tables" in failed.error.hint  # type: ignore[attr-defined] # a SpecflowError
    assert decided is True
    assert rows(database).effects[0].stage is Stage.INTENDED


def test_so_is_one_that_refuses_an_intent(database: Database, connection: Connection) -> None:
    lease = opened(connection)
    refusal = {
        "sqlite": "CREATE TRIGGER mine BEFORE INSERT ON sf_effect BEGIN SELECT RAISE(ABORT, 'no'); END",
        "postgresql": "ALTER TABLE sf_effect ADD CONSTRAINT mine CHECK (tool <> 'book')",
    }
    with database.engine.begin() as other:
        other.exec_driver_sql(refusal[database.engine.dialect.name])
    (failed,) = execute(connection, intends(lease, "a"), 1.0)
    assert isinstance(failed, Failed)
    assert "Intend met a constraint that is not specflow's" in str(failed.error)
    assert rows(database).effects == ()


def silence(database: Database, table: str) -> None:
    """Make the database drop updates of `table` without an error, as a trigger may."""
    with database.engine.begin() as connection:
        if database.sqlite:
            connection.exec_driver_sql(
                f"CREATE TRIGGER mute BEFORE UPDATE ON {table} BEGIN SELECT RAISE(IGNORE); END"
            )
            return
        connection.exec_driver_sql(
            "CREATE FUNCTION mute() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
        )
        connection.exec_driver_sql(
            f"CREATE TRIGGER mute BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION mute()"
        )


def test_what_the_database_did_not_change_is_not_reported_as_changed(
    database: Database, connection: Connection
) -> None:
    lease = opened(connection)
    execute(connection, [*intends(lease, "a", "b"), *records(lease, "a")], 1.0)
    before = rows(database)
    silence(database, "sf_effect")
    unmoved: list[Operation] = [
        Move(lease=lease, effect_id="x-b", source=Stage.INTENDED, target=Stage.UNKNOWN),
        *records(lease, "b"),
    ]
    assert told(execute(connection, unmoved, 2.0)) == [False, False]
    assert rows(database) == before, "and no event claims it"


def test_a_session_that_cannot_be_taken_is_not_believed_to_be(
    database: Database, connection: Connection
) -> None:
    opened(connection)
    silence(database, "sf_session")
    take = TakeSession(
        session_id="s", owner="heir", force=True, lease_seconds=60.0, known_dead=lambda _owner: False
    )
    assert told(execute(connection, [take], 1.0)) == ["InvariantError"]
    (session,) = rows(database).sessions
    assert (session.owner, session.fence) == ("me", 1)


class Refused:
    """An operation that specflow refuses: what shares its batch is then done one by one."""

    def apply(self, tx: Transaction) -> None:
        raise JournalError("no")

    def conflict(self, tx: Transaction) -> None:
        raise AssertionError


@pytest.mark.parametrize("url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
@pytest.mark.parametrize("company", [[], [Refused()]], ids=["together", "one by one"])
async def test_one_real_call_adopts_once_though_two_processes_try_at_the_same_moment(
    url: str, database: Database, connection: Connection, company: list[Operation]
) -> None:
    mine, theirs = opened(connection), opened(connection, "theirs")
    execute(connection, [*intends(mine, "left"), *intends(theirs, "right")], 1.0)
    adopt = Adopt(lease=mine, effect_id="x-left", adopted_by="call")
    with psycopg.connect(url.replace("+psycopg", "")) as other:
        # The other process's adoption, not committed yet: nobody can see it.
        other.execute("UPDATE sf_effect SET adopted_by = 'call' WHERE effect_id = 'x-right'")
        adoption = asyncio.create_task(asyncio.to_thread(execute, connection, [*company, adopt], 2.0))
        await asyncio.to_thread(somebody_waits, url)
        other.commit()
    assert (await adoption)[-1] is False
    left, _right = sorted(rows(database).branches, key=lambda row: row.branch_id)
    assert left.state is BranchState.OPEN, "it may still be undone"
    again = Adopt(lease=mine, effect_id="x-left", adopted_by="another call")
    assert execute(connection, [again], 3.0) == [True]


def somebody_waits(url: str) -> None:
    """Return when a statement in the database of `url` waits for a lock."""
    question = (
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as watch:
        for _ in range(3000):
            if watch.execute(question).fetchone():
                return
            time.sleep(0.01)
    raise AssertionError("it never met the other one")


NAMES = st.sampled_from(["a", "b", "c", "d"])
WORK = st.lists(
    st.tuples(st.sampled_from(["intend", "done", "unknown", "failed", "abort", "adopt"]), NAMES), max_size=12
)


@settings(max_examples=25, deadline=None)
@given(batches=st.lists(WORK, max_size=4))
def test_a_batch_answers_as_its_operations_would_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[str, str]]]
) -> None:
    folder = tmp_path_factory.mktemp("twins")
    together, apart = (Database(f"sqlite:///{folder}/{name}.db", durability="process") for name in "ab")
    answers: list[list[object]] = []
    for database in (together, apart):
        prepare(database, create=True)
        connection = database.connect()
        lease, given = opened(connection), []
        for number, batch in enumerate(batches):
            work = [operation(lease, *step) for step in batch]
            for part in [work] if database is together else [[item] for item in work]:
                given.extend(told(execute(connection, part, float(number))))
        connection.close()
        answers.append(given)
    assert answers[0] == answers[1]
    one, other = rows(together), rows(apart)
    assert (one.effects, one.branches) == (other.effects, other.branches)
    assert verify(one) == verify(other) == ()


def operation(lease: Lease, what: str, name: str) -> Operation:
    if what == "intend":
        return intends(lease, name)[0]
    if what == "abort":
        return Abort(lease=lease, branch_id=f"x-br-{name}", cause="mismatch")
    if what == "adopt":
        return Adopt(lease=lease, effect_id=f"x-{name}", adopted_by=f"call-{name}")
    return records(lease, name, outcome=Outcome(stage=Stage(what)))[0]
