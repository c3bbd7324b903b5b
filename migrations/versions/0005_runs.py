"""The logical run a session belongs to, and effects that a resumed run adopted again. Frozen.

Revision: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"


def upgrade() -> None:
    """Add both; sessions from before it belong to no known run."""
    op.add_column("sf_session", sa.Column("run_key", sa.Text(), server_default="", nullable=False))
    op.create_index(
        "ix_sf_session_run",
        "sf_session",
        ["tenant", "thread", "run_key"],
        sqlite_where=sa.text("run_key <> ''"),
        postgresql_where=sa.text("run_key <> ''"),
    )
    op.create_table(
        "sf_readoption",
        sa.Column("adopted_by", sa.Text(), nullable=False),
        sa.Column("effect_id", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["effect_id"], ["sf_effect.effect_id"]),
        sa.ForeignKeyConstraint(["session_id"], ["sf_session.session_id"]),
        sa.PrimaryKeyConstraint("adopted_by"),
        sa.UniqueConstraint("effect_id", "session_id", name="uq_sf_readoption_once"),
    )


def downgrade() -> None:
    """Take both away again."""
    op.drop_table("sf_readoption")
    op.drop_index("ix_sf_session_run", table_name="sf_session")
    op.execute("ALTER TABLE sf_session DROP COLUMN run_key")
