"""Which statements a tool may make in its call's transaction, by their text."""

from __future__ import annotations

import pytest

from specflow.journal.call_statements import objection


@pytest.mark.parametrize(
    "statement",
    [
        "COMMIT",
        "  commit ; ",
        "BEGIN IMMEDIATE",
        "START TRANSACTION",
        "END",
        "ABORT",
        "ROLLBACK",
        "rollback transaction",
        "-- quite harmless\nCOMMIT",
        "/* SELECT 1; */ COMMIT",
        "UPDATE seats SET taken = 1; COMMIT",
        "SELECT $$a$$; COMMIT",
        r"SELECT E'\''; COMMIT",
        "PREPARE TRANSACTION 'x'",
        "UPDATE sf_effect SET stage = 'done'",
        "update Sf_Effect set stage = 'done'",
        'UPDATE "sf_effect" SET stage = 1',
        "UPDATE main.sf_effect SET stage = 1",
        "UPDATE ONLY public . sf_effect SET stage = 1",
        "UPDATE OR IGNORE sf_effect SET stage = 1",
        "INSERT INTO sf_event VALUES (1)",
        "INSERT OR REPLACE INTO [sf_event] VALUES (1)",
        "WITH a AS (SELECT 1) DELETE FROM sf_claim",
        "DROP TABLE IF EXISTS sf_session",
        "ALTER TABLE sf_session ADD COLUMN x INTEGER",
        "TRUNCATE sf_session",
        "CREATE INDEX mine ON sf_effect (tool)",
        "DELETE FROM `sf_alembic_version`",
    ],
)
def test_refused(statement: str) -> None:
    assert objection(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM sf_effect",
        "INSERT INTO mine SELECT effect_id FROM sf_effect",
        "SELECT * FROM mine JOIN sf_effect ON sf_effect.effect_id = mine.effect_id",
        "UPDATE seats SET note = 'COMMIT; UPDATE sf_effect'",
        "UPDATE seats SET note = 'it''s; COMMIT'",
        "INSERT INTO sf_mine VALUES (1)",
        "INSERT INTO seats VALUES ($body$; COMMIT; $body$)",
        "SAVEPOINT a",
        "ROLLBACK TO SAVEPOINT a",
        "ROLLBACK TRANSACTION TO a",
        "RELEASE SAVEPOINT a",
        "SELECT 1; -- COMMIT",
        "CREATE TRIGGER t AFTER INSERT ON seats BEGIN SELECT 1; END",
        "CREATE TEMP TRIGGER IF NOT EXISTS t AFTER INSERT ON seats BEGIN SELECT 1; END",
        "PREPARE plan AS SELECT 1",
        "",
        ";",
    ],
)
def test_allowed(statement: str) -> None:
    assert not objection(statement)
