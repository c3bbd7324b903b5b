"""The migrations make exactly the tables that the code declares."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import fields
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from specflow.effects.kind import EffectClass
from specflow.journal import rows, tables
from specflow.journal.approval import Approval
from specflow.journal.database import Database
from specflow.journal.reads import Queries
from specflow.journal.record import Intent, Outcome
from specflow.journal.schema import alembic_config, current, downgrade, drift, prepare, upgrade
from specflow.journal.sql import SqlJournal
from specflow.journal.tables import HEAD, metadata
from specflow.journal.verify import verify
from specflow.lifecycle import Stage
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.postgres import PostgresServer
from specflow.testing.scripted_core import ScriptedCore


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        return Database(f"sqlite:///{tmp_path}/empty.db")
    server: PostgresServer = request.getfixturevalue("postgres")
    return Database(server.new_database())


def test_there_is_one_head_and_it_is_ours(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path}/x.db").engine.connect() as connection:
        script = ScriptDirectory.from_config(alembic_config(connection))
    assert script.get_heads() == [HEAD]
    revisions = sorted(revision.revision for revision in script.walk_revisions())
    assert all(re.fullmatch(r"\d{4}", revision) for revision in revisions), "order tells older from newer"


def test_migrations_and_tables_do_not_drift(empty: Database) -> None:
    upgrade(empty)
    assert drift(empty) == []
    with empty.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE sf_claim ADD COLUMN extra TEXT")
        connection.exec_driver_sql("CREATE TABLE not_ours (x INTEGER)")
    assert len(drift(empty)) == 1, "a difference is seen, and other people's tables are not"


def parts(sql: str) -> list[str]:
    """A CREATE TABLE's columns and constraints, in no order."""
    body = " ".join(sql.split())
    found, depth, start = [], 0, 0
    for index, character in enumerate(body):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 1:
            found.append(body[start:index])
            start = index + 1
    return sorted(part.strip() for part in [*found, body[start:]])


def test_a_fresh_file_is_what_the_migrations_make(tmp_path: Path) -> None:
    prepare(Database(f"sqlite:///{tmp_path}/fresh.db"), create=True)
    upgrade(Database(f"sqlite:///{tmp_path}/migrated.db"))
    described = []
    for name in ("fresh", "migrated"):
        connection = sqlite3.connect(tmp_path / f"{name}.db")
        query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
        tables_of = {
            row[0]: sorted(word for part in parts(row[1]) for word in re.findall(r"[\w'<>=|]+", part))
            for row in connection.execute(query)
        }
        connection.close()
        described.append(tables_of)
    assert described[0] == described[1]
    assert "ck_sf_event_move" in described[0]["sf_event"]


@pytest.mark.postgres
def test_postgres_gets_the_same_constraints(postgres: PostgresServer) -> None:
    migrated, declared = Database(postgres.new_database()), Database(postgres.new_database())
    upgrade(migrated)
    metadata.create_all(declared.engine)
    query = sa.text(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'sf_alembic_version' "
        "UNION SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' "
        "AND tablename <> 'sf_alembic_version' ORDER BY 1, 2, 3"
    )
    found = []
    for database in (migrated, declared):
        with database.engine.connect() as connection:
            found.append([tuple(row) for row in connection.execute(query)])
    assert found[0] == found[1]
    assert len(found[0]) > 30


async def test_up_down_up_with_rows(empty: Database) -> None:
    url = empty.url.render_as_string(hide_password=False)
    assert upgrade(empty) == (None, HEAD)
    for _ in range(2):
        journal = SqlJournal.open(url)
        lease = await journal.open_session("s", thread="t", owner="o")
        intent = Intent(
            effect_id="e",
            branch_id="b",
            tool="book",
            schema_hash="s",
            policy_hash="p",
            effect=EffectClass.COMPENSATABLE,
            fingerprint="f",
            args={},
            idem_key="k",
            hypothesis="h",
            adopted_by="me",
        )
        await journal.intend(lease, intent)
        await journal.record(lease, "e", Outcome(stage=Stage.DONE))
        assert verify(await journal.snapshot()) == ()
        await journal.aclose()
        assert upgrade(empty) == (HEAD, HEAD), "again is harmless"
        assert downgrade(empty, "base") == (HEAD, None)
        with empty.engine.connect() as connection:
            assert sa.inspect(connection).get_table_names() in ([], ["sf_alembic_version"])
        assert current(empty) is None
        upgrade(empty)


ROWS: dict[str, list[dict[str, object]]] = {
    "sf_session": [
        {"session_id": "s", "thread": "t", "tenant": "", "owner": "gone:1:1:x", "fence": 3,
         "lease_until": 0.0, "state": "active", "decision": "", "created_at": 1.0},
    ],
    "sf_branch": [
        {"branch_id": "b1", "session_id": "s", "hypothesis": "real", "state": "confirmed", "cause": "",
         "decided_at": 2.0, "decided_fence": 3},
        {"branch_id": "b2", "session_id": "s", "hypothesis": "guess", "state": "open", "cause": ""},
    ],
    "sf_effect": [
        {"effect_id": name, "branch_id": branch, "session_id": "s", "tenant": "", "seq": seq, "tool": "book",
         "schema_hash": "h", "policy_hash": "p", "effect_class": "compensatable", "fingerprint": "f",
         "args": '{"seat": "A1"}', "idem_key": f"k{seq}", "keyed": True, "redacted": False, "stage": "done",
         "result": '{"booking_id": 7}', "replayable": True, "error": "", "adopted_by": adopted,
         "undo": '{"tool": "cancel", "arguments": {"booking": "key"}, "succeeded_when": "",'
                 ' "tolerates_missing": true}',
         "attempts": 0, "fence": 3, "rev": 2, "reasons": "[]", "traceparent": "", "created_at": 2.0,
         "updated_at": 3.0}
        for name, branch, seq, adopted in (("e1", "b1", 1, "me"), ("e2", "b2", 2, None))
    ],
    "sf_event": [
        {"at": 1.0, "session_id": "s", "subject": subject, "source": source, "target": target, "cause": "",
         "fence": 3, "facts": "{}"}
        for subject, source, target in (
            ("s", "", "active"), ("b1", "", "confirmed"), ("e1", "", "intended"), ("b2", "", "open"),
            ("e2", "", "intended"), ("e1", "intended", "done"), ("e2", "intended", "done"),
        )
    ],
}  # fmt: skip
"""What every revision could hold: columns of later ones have defaults."""


@pytest.mark.parametrize("revision", [f"{number:04}" for number in range(1, int(HEAD) + 1)])
async def test_rows_of_every_past_revision_are_upgraded_and_recovered(empty: Database, revision: str) -> None:
    upgrade(empty, revision)
    assert current(empty) == revision
    with empty.engine.begin() as connection:
        for name, several in ROWS.items():
            table = sa.Table(name, sa.MetaData(), autoload_with=connection)
            for values in several:
                connection.execute(sa.insert(table).values(values))
    assert upgrade(empty) == (revision, HEAD)
    assert drift(empty) == []
    journal = SqlJournal.open(empty.url.render_as_string(hide_password=False))
    assert verify(await journal.snapshot()) == ()
    world = LedgerWorld(bookings={"k1": "A1", "k2": "A1"})
    core = ScriptedCore(world.tools(), world.judge(tolerant=True), journal)
    report = await core.recover()
    assert (report.recovered, report.compensated) == (1, 1)
    assert world.bookings == {"k1": "A1", "k2": ""}
    rows = await journal.snapshot()
    assert verify(rows) == ()
    assert [row.stage for row in rows.effects] == [Stage.COMMITTED, Stage.COMPENSATED]
    await journal.aclose()


def test_columns_are_read_in_the_order_of_the_table() -> None:
    assert tuple(column.name for column in tables.effect.c) == rows._EFFECT
    assert tuple(column.name for column in tables.approval.c) == tuple(f.name for f in fields(Approval))


ASKED = "INSERT INTO sf_approval VALUES ('a', '', 't', 'i', 'c', 'pay', 'f', '', '', '', '', "


def test_sql_itself_refuses_what_the_lifecycle_does_not_know(empty: Database) -> None:
    upgrade(empty)
    insert = (
        "INSERT INTO sf_session VALUES ('s', 't', '', 'o', 1, 0, '{state}', '{decision}', 0, '', '')",
        "INSERT INTO sf_branch VALUES ('b', 's', NULL, 'h', '{branch}', '', {decided}, {decided})",
        "INSERT INTO sf_event VALUES (1, 0, 's', 'e', '{source}', '{target}', '', 1, '{{}}')",
        ASKED + "0, 1, '{asked}', '', {used_by}, '', {answered})",
    )
    good = {
        "state": "active", "decision": "", "branch": "open", "decided": "NULL", "source": "done",
        "target": "committed", "asked": "asked", "used_by": "NULL", "answered": "NULL",
    }  # fmt: skip
    bad = [
        {"state": "gone"},
        {"state": "closed"},
        {"decision": "maybe"},
        {"branch": "perhaps"},
        {"branch": "confirmed"},
        {"decided": "1"},
        {"source": "failed", "target": "done"},
        {"source": "done", "target": "stuck"},
        {"target": "nowhere"},
        {"asked": "used", "answered": "1"},
        {"asked": "maybe", "answered": "1"},
        {"asked": "void"},
        {"used_by": "'e'"},
    ]
    for change in bad:
        with pytest.raises(sa.exc.IntegrityError):
            write(empty, [statement.format(**(good | change)) for statement in insert])
    write(empty, [statement.format(**good) for statement in insert])


def write(database: Database, statements: list[str]) -> None:
    with database.engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


async def test_what_recovery_asks_costs_what_is_live(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/x.db")
    prepare(database, create=True)
    queries = Queries(database)
    expected = {
        queries._unsettled: "ix_sf_effect_live",
        queries._open: "ix_sf_branch_open",
        queries._active_of: "ix_sf_session_active",
        queries._newest_of: "ix_sf_session_thread",
        queries._adopted: "uq_sf_effect_adopted_by",
        queries._approvals.open: "ix_sf_approval_open",
        database.statements.live: "ix_sf_effect_live",
        database.statements.open_branch: "ix_sf_branch_open",
    }
    connection = sqlite3.connect(tmp_path / "x.db")
    for prepared, index in expected.items():
        count = prepared.sql.count("?")
        plan = connection.execute(f"EXPLAIN QUERY PLAN {prepared.sql}", ["x"] * count).fetchall()
        assert any(f"INDEX {index}" in row[3] for row in plan), (prepared.sql, plan)
    connection.close()
