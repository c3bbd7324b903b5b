"""A call that is made once more under its key is intended once more: sf_event knows that move. Frozen.

Revision: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision: str | None = "0007"

MOVE = (
    "CASE (source || '>' || target) WHEN '>intended' THEN 1 WHEN '>open' THEN 1 WHEN "
    "'>confirmed' THEN 1 WHEN 'planned>dropped' THEN 1 WHEN 'planned>intended' THEN 1 "
    "WHEN 'intended>done' THEN 1 WHEN 'intended>failed' THEN 1 WHEN 'intended>unknown' "
    "THEN 1 WHEN 'unknown>compensating' THEN 1 WHEN 'unknown>done' THEN 1 WHEN "
    "'unknown>failed' THEN 1 WHEN 'unknown>intended' THEN 1 WHEN 'unknown>stuck' THEN 1 WHEN "
    "'done>committed' THEN 1 "
    "WHEN 'done>compensating' THEN 1 WHEN 'committed>compensating' THEN 1 WHEN "
    "'compensating>compensated' THEN 1 WHEN 'compensating>compensating' THEN 1 WHEN "
    "'compensating>stuck' THEN 1 WHEN 'stuck>compensated' THEN 1 WHEN "
    "'stuck>compensating' THEN 1 WHEN 'open>aborted' THEN 1 WHEN 'open>confirmed' THEN 1 "
    "WHEN '>planned' THEN 1 WHEN '>active' THEN 1 WHEN 'active>active' THEN 1 WHEN "
    "'active>closed' THEN 1 WHEN 'closed>active' THEN 1 ELSE 0 END = 1"
)


def upgrade() -> None:
    """Let the check pass it. SQLite has to copy the table; no number of an event is used twice."""
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint("ck_sf_event_move", "sf_event", type_="check")
        op.create_check_constraint("ck_sf_event_move", "sf_event", MOVE)
        return
    op.create_table(
        "sf_event_0008",
        sa.Column("seq", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.CheckConstraint(MOVE, name="ck_sf_event_move"),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.execute(
        "INSERT INTO sf_event_0008 (seq, at, session_id, subject, source, target, cause, fence, facts) "
        "SELECT seq, at, session_id, subject, source, target, cause, fence, facts FROM sf_event"
    )
    # The newest events may have been pruned: the next number comes after theirs all the same.
    op.execute("DELETE FROM sqlite_sequence WHERE name = 'sf_event_0008'")
    op.execute(
        "INSERT INTO sqlite_sequence (name, seq) "
        "SELECT 'sf_event_0008', seq FROM sqlite_sequence WHERE name = 'sf_event'"
    )
    op.drop_table("sf_event")
    op.rename_table("sf_event_0008", "sf_event")
    op.create_index("ix_sf_event_session", "sf_event", ["session_id", "seq"], unique=False)


def downgrade() -> None:
    """Nothing: the older check would refuse what is on record, and an older specflow reads it."""
