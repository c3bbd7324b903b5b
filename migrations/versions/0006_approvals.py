"""What people are asked, what that is bound to, and what became of it. Frozen.

Revision: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision: str | None = "0005"


def upgrade() -> None:
    """Add the table; questions that wait from before it are asked again when they are answered."""
    op.create_table(
        "sf_approval",
        sa.Column("approval_id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("thread", sa.Text(), nullable=False),
        sa.Column("interrupt_id", sa.Text(), nullable=False),
        sa.Column("call_name", sa.Text(), nullable=False),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("schema_hash", sa.Text(), nullable=False),
        sa.Column("policy_hash", sa.Text(), nullable=False),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("shown_hash", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("effect_id", sa.Text(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("approval_id"),
        sa.UniqueConstraint("effect_id", name="uq_sf_approval_effect"),
        sa.CheckConstraint(
            "CASE state WHEN 'asked' THEN 1 WHEN 'used' THEN 1 WHEN 'refused' THEN 1 WHEN 'void' THEN 1 "
            "ELSE 0 END = 1",
            name="ck_sf_approval_state",
        ),
        sa.CheckConstraint(
            "(state = 'used') = (effect_id IS NOT NULL) AND (state = 'asked') = (decided_at IS NULL)",
            name="ck_sf_approval_decided",
        ),
    )
    op.create_index(
        "ix_sf_approval_open",
        "sf_approval",
        ["call_name"],
        sqlite_where=sa.text("state = 'asked'"),
        postgresql_where=sa.text("state = 'asked'"),
    )


def downgrade() -> None:
    """Take it away again: open questions are asked anew."""
    op.drop_table("sf_approval")
