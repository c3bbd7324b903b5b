"""From tables without before-images to tables with them, and back, with rows in them."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from specflow.effects.kind import EffectClass
from specflow.errors import JournalError
from specflow.journal.database import Database
from specflow.journal.record import Intent
from specflow.journal.schema import current, downgrade, upgrade
from specflow.journal.sql import SqlJournal
from specflow.journal.tables import HEAD
from specflow.journal.verify import verify
from specflow.lifecycle import Stage
from specflow.testing.postgres import PostgresServer

ROWS = """
INSERT INTO sf_session (session_id, thread, tenant, owner, fence, lease_until, state, decision, created_at)
    VALUES ('s', 't', '', 'gone', 1, 0, 'active', '', 1);
INSERT INTO sf_branch (branch_id, session_id, hypothesis, state, cause) VALUES ('b', 's', 'h', 'open', '');
INSERT INTO sf_effect (effect_id, branch_id, session_id, tenant, seq, tool, schema_hash, policy_hash,
    effect_class, fingerprint, args, idem_key, keyed, redacted, stage, result, replayable, error, undo,
    attempts, fence, rev, reasons, traceparent, created_at, updated_at)
    VALUES ('e', 'b', 's', '', 1, 'book', 'sh', 'ph', 'compensatable', 'f', '{"seat":"A1"}', 'k', true, false,
    'intended', 'null', true, '', '{"tool":"cancel","arguments":{"id":"result.id"}}',
    0, 1, 1, '[]', '', 1, 1);
INSERT INTO sf_branch (branch_id, session_id, hypothesis, state, cause) VALUES ('b2', 's', 'h', 'open', '');
INSERT INTO sf_effect (effect_id, branch_id, session_id, tenant, seq, tool, schema_hash, policy_hash,
    effect_class, fingerprint, args, idem_key, keyed, redacted, stage, result, replayable, error,
    attempts, fence, rev, reasons, traceparent, created_at, updated_at)
    VALUES ('e2', 'b2', 's', '', 2, 'book', 'sh', 'ph', 'compensatable', 'f', '{}', 'k2', true, false,
    'intended', 'null', true, '', 0, 1, 1, '[]', '', 1, 1);
INSERT INTO sf_effect_dep (effect_id, needs_id) VALUES ('e2', 'e');
INSERT INTO sf_event (at, session_id, subject, source, target, cause, fence, facts)
    VALUES (1, 's', 's', '', 'active', '', 1, '{}');
INSERT INTO sf_event (at, session_id, subject, source, target, cause, fence, facts)
    VALUES (1, 's', 'b', '', 'open', '', 1, '{}');
INSERT INTO sf_event (at, session_id, subject, source, target, cause, fence, facts)
    VALUES (1, 's', 'b2', '', 'open', '', 1, '{}');
INSERT INTO sf_event (at, session_id, subject, source, target, cause, fence, facts)
    VALUES (1, 's', 'e', '', 'intended', '', 1, '{}');
INSERT INTO sf_event (at, session_id, subject, source, target, cause, fence, facts)
    VALUES (1, 's', 'e2', '', 'intended', '', 1, '{}');
"""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """A journal as version 0001 left it, with a session, an effect and one that builds on it."""
    if request.param == "sqlite":
        database = Database(f"sqlite:///{tmp_path}/old.db")
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        database = Database(server.new_database())
    assert upgrade(database, "0001") == (None, "0001")
    with database.engine.begin() as connection:
        for statement in ROWS.strip().rstrip(";").split(";\n"):
            connection.exec_driver_sql(statement)
    return database


def with_image() -> Intent:
    return Intent(
        effect_id="new",
        branch_id="new branch",
        tool="set_setting",
        schema_hash="s",
        policy_hash="p",
        effect=EffectClass.COMPENSATABLE,
        fingerprint="f",
        args={"name": "colour"},
        idem_key="new key",
        hypothesis="h",
        before={"value": None},
        before_known=True,
    )


async def test_rows_from_before_have_no_image_and_new_ones_may(old: Database) -> None:
    url = old.url.render_as_string(hide_password=False)
    if not old.sqlite:
        with pytest.raises(JournalError, match="is at version 0001"):
            SqlJournal.open(url)
        assert upgrade(old) == ("0001", HEAD)
    journal = SqlJournal.open(url, is_dead=lambda owner: owner == "gone")
    assert current(old) == HEAD, "an SQLite file upgrades itself"
    kept = await journal.effect("e")
    assert kept is not None
    assert (kept.before, kept.before_known, kept.stage) == (None, False, Stage.INTENDED)
    assert kept.args == {"seat": "A1"}
    lease = await journal.take_session("s", owner="me")
    assert lease is not None
    await journal.intend(lease, with_image())
    made = await journal.effect("new")
    assert made is not None
    assert (made.before, made.before_known) == ({"value": None}, True)
    assert verify(await journal.snapshot()) == ()
    await journal.aclose()

    assert downgrade(old, "0001") == (HEAD, "0001")
    with old.engine.begin() as connection:
        columns = {column["name"] for column in sa.inspect(connection).get_columns("sf_effect")}
        assert "before_image" not in columns
        found = connection.exec_driver_sql("SELECT effect_id, stage FROM sf_effect ORDER BY seq")
        assert [tuple(row) for row in found] == [("e", "intended"), ("e2", "intended"), ("new", "intended")]
        built = connection.exec_driver_sql("SELECT effect_id, needs_id FROM sf_effect_dep")
        assert [tuple(row) for row in built] == [("e2", "e")]
    for broken in ("stage = 'gone'", "tool = 'book', idem_key = 'k'", "adopted_by = 'x', attempts = -1"):
        with pytest.raises(IntegrityError), old.engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE sf_effect SET {broken} WHERE effect_id = 'new'")
    assert upgrade(old) == ("0001", HEAD)
    with old.engine.connect() as connection:
        image = connection.exec_driver_sql("SELECT before_image FROM sf_effect WHERE effect_id = 'new'")
        assert image.scalar() is None, "what was taken away is gone, and the row says so"


def test_what_is_newer_is_refused(old: Database) -> None:
    upgrade(old)
    with old.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE sf_alembic_version SET version_num = '9999'")
    with pytest.raises(JournalError, match="is at version 9999"):
        SqlJournal.open(old.url.render_as_string(hide_password=False))
    with pytest.raises(JournalError, match="is at version 9999"):
        upgrade(old)
