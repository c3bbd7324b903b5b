"""The first tables. Frozen: later changes are later migrations.

Revision: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    """Create everything."""
    op.create_table(
        "sf_event",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "CASE (source || '>' || target) WHEN '>intended' THEN 1 WHEN '>open' THEN 1 WHEN "
            "'>confirmed' THEN 1 WHEN 'planned>dropped' THEN 1 WHEN 'planned>intended' THEN 1 "
            "WHEN 'intended>done' THEN 1 WHEN 'intended>failed' THEN 1 WHEN 'intended>unknown' "
            "THEN 1 WHEN 'unknown>compensating' THEN 1 WHEN 'unknown>done' THEN 1 WHEN "
            "'unknown>failed' THEN 1 WHEN 'unknown>stuck' THEN 1 WHEN 'done>committed' THEN 1 "
            "WHEN 'done>compensating' THEN 1 WHEN 'committed>compensating' THEN 1 WHEN "
            "'compensating>compensated' THEN 1 WHEN 'compensating>compensating' THEN 1 WHEN "
            "'compensating>stuck' THEN 1 WHEN 'stuck>compensated' THEN 1 WHEN "
            "'stuck>compensating' THEN 1 WHEN 'open>aborted' THEN 1 WHEN 'open>confirmed' THEN 1 "
            "WHEN '>planned' THEN 1 WHEN '>active' THEN 1 WHEN 'active>active' THEN 1 WHEN "
            "'active>closed' THEN 1 WHEN 'closed>active' THEN 1 ELSE 0 END = 1",
            name="ck_sf_event_move",
        ),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_sf_event_session", "sf_event", ["session_id", "seq"], unique=False)
    op.create_table(
        "sf_prediction",
        sa.Column("speculation_id", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("predictor", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("runway", sa.Double(), nullable=False),
        sa.Column("saved", sa.Double(), nullable=False),
        sa.Column("wasted", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("speculation_id"),
    )
    op.create_index("ix_sf_prediction_tool", "sf_prediction", ["tool", "predictor", "at"], unique=False)
    op.create_table(
        "sf_session",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("thread", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.Double(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.CheckConstraint(
            "CASE decision WHEN '' THEN 1 WHEN 'completed' THEN 1 WHEN 'saga_aborted' THEN 1 ELSE 0 END = 1",
            name="ck_sf_session_decision",
        ),
        sa.CheckConstraint(
            "CASE state WHEN 'active' THEN 1 WHEN 'closed' THEN 1 ELSE 0 END = 1", name="ck_sf_session_state"
        ),
        sa.CheckConstraint("state = 'active' OR decision <> ''", name="ck_sf_session_closed"),
        sa.CheckConstraint("fence >= 1", name="ck_sf_session_fence"),
        sa.PrimaryKeyConstraint("session_id"),
    )
    op.create_index(
        "ix_sf_session_active",
        "sf_session",
        ["thread", "created_at"],
        unique=False,
        sqlite_where=sa.text("state = 'active'"),
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_table(
        "sf_branch",
        sa.Column("branch_id", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text(), nullable=True),
        sa.Column("hypothesis", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.Double(), nullable=True),
        sa.Column("decided_fence", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(state = 'open') = (decided_at IS NULL) AND (state = 'open') = (decided_fence IS NULL)",
            name="ck_sf_branch_decided",
        ),
        sa.CheckConstraint(
            "CASE state WHEN 'open' THEN 1 WHEN 'confirmed' THEN 1 WHEN 'aborted' THEN 1 ELSE 0 END = 1",
            name="ck_sf_branch_state",
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"],
            ["sf_branch.branch_id"],
        ),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["sf_session.session_id"],
        ),
        sa.PrimaryKeyConstraint("branch_id"),
    )
    op.create_index(
        "ix_sf_branch_open",
        "sf_branch",
        ["session_id"],
        unique=False,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "sf_effect",
        sa.Column("effect_id", sa.Text(), nullable=False),
        sa.Column("branch_id", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("schema_hash", sa.Text(), nullable=False),
        sa.Column("policy_hash", sa.Text(), nullable=False),
        sa.Column("effect_class", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("args", sa.Text(), nullable=False),
        sa.Column("idem_key", sa.Text(), nullable=False),
        sa.Column("keyed", sa.Boolean(), nullable=False),
        sa.Column("redacted", sa.Boolean(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("replayable", sa.Boolean(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("adopted_by", sa.Text(), nullable=True),
        sa.Column("undo", sa.Text(), nullable=True),
        sa.Column("verify", sa.Text(), nullable=True),
        sa.Column("comp_key", sa.Text(), nullable=True),
        sa.Column("comp_args", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("call_deadline", sa.Double(), nullable=True),
        sa.Column("not_before", sa.Double(), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("rev", sa.Integer(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("traceparent", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.CheckConstraint(
            "CASE effect_class WHEN 'read_only' THEN 1 WHEN 'compensatable' THEN 1 WHEN "
            "'confirmation_required' THEN 1 WHEN 'deny' THEN 1 ELSE 0 END = 1",
            name="ck_sf_effect_class",
        ),
        sa.CheckConstraint(
            "CASE stage WHEN 'planned' THEN 1 WHEN 'intended' THEN 1 WHEN 'done' THEN 1 WHEN "
            "'failed' THEN 1 WHEN 'unknown' THEN 1 WHEN 'committed' THEN 1 WHEN 'compensating' "
            "THEN 1 WHEN 'compensated' THEN 1 WHEN 'stuck' THEN 1 WHEN 'dropped' THEN 1 ELSE 0 "
            "END = 1",
            name="ck_sf_effect_stage",
        ),
        sa.CheckConstraint(
            "adopted_by IS NOT NULL OR CASE effect_class WHEN 'read_only' THEN 1 WHEN "
            "'compensatable' THEN 1 ELSE 0 END = 1 OR CASE stage WHEN 'planned' THEN 1 WHEN "
            "'dropped' THEN 1 ELSE 0 END = 1",
            name="ck_sf_effect_confirmation",
        ),
        sa.CheckConstraint("stage <> 'committed' OR adopted_by IS NOT NULL", name="ck_sf_effect_adopted"),
        sa.CheckConstraint(
            "attempts >= 0 AND fence >= 1 AND rev >= 1 AND seq >= 1", name="ck_sf_effect_counts"
        ),
        sa.ForeignKeyConstraint(
            ["branch_id"],
            ["sf_branch.branch_id"],
        ),
        sa.PrimaryKeyConstraint("effect_id"),
        sa.UniqueConstraint("branch_id", name="uq_sf_effect_branch"),
        sa.UniqueConstraint("session_id", "seq", name="uq_sf_effect_seq"),
        sa.UniqueConstraint("tenant", "tool", "idem_key", name="uq_sf_effect_key"),
    )
    op.create_index(
        "ix_sf_effect_live",
        "sf_effect",
        ["session_id", "seq"],
        unique=False,
        sqlite_where=sa.text(
            "CASE stage WHEN 'planned' THEN 1 WHEN 'intended' THEN 1 WHEN 'done' THEN 1 WHEN "
            "'unknown' THEN 1 WHEN 'compensating' THEN 1 ELSE 0 END = 1"
        ),
        postgresql_where=sa.text(
            "CASE stage WHEN 'planned' THEN 1 WHEN 'intended' THEN 1 WHEN 'done' THEN 1 WHEN "
            "'unknown' THEN 1 WHEN 'compensating' THEN 1 ELSE 0 END = 1"
        ),
    )
    op.create_index(
        "ix_sf_effect_stuck",
        "sf_effect",
        ["tool"],
        unique=False,
        sqlite_where=sa.text("stage = 'stuck'"),
        postgresql_where=sa.text("stage = 'stuck'"),
    )
    op.create_index(
        "uq_sf_effect_adopted_by",
        "sf_effect",
        ["adopted_by"],
        unique=True,
        sqlite_where=sa.text("adopted_by IS NOT NULL"),
        postgresql_where=sa.text("adopted_by IS NOT NULL"),
    )
    op.create_index(
        "uq_sf_effect_comp_key",
        "sf_effect",
        ["comp_key"],
        unique=True,
        sqlite_where=sa.text("comp_key IS NOT NULL"),
        postgresql_where=sa.text("comp_key IS NOT NULL"),
    )
    op.create_table(
        "sf_claim",
        sa.Column("effect_id", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "CASE mode WHEN 'shared' THEN 1 WHEN 'exclusive' THEN 1 ELSE 0 END = 1", name="ck_sf_claim_mode"
        ),
        sa.ForeignKeyConstraint(
            ["effect_id"],
            ["sf_effect.effect_id"],
        ),
        sa.PrimaryKeyConstraint("effect_id", "resource"),
    )
    op.create_index("ix_sf_claim_resource", "sf_claim", ["resource"], unique=False)
    op.create_table(
        "sf_effect_dep",
        sa.Column("effect_id", sa.Text(), nullable=False),
        sa.Column("needs_id", sa.Text(), nullable=False),
        sa.CheckConstraint("effect_id <> needs_id", name="ck_sf_effect_dep_self"),
        sa.ForeignKeyConstraint(
            ["effect_id"],
            ["sf_effect.effect_id"],
        ),
        sa.ForeignKeyConstraint(
            ["needs_id"],
            ["sf_effect.effect_id"],
        ),
        sa.PrimaryKeyConstraint("effect_id", "needs_id"),
    )
    op.create_index("ix_sf_effect_dep_needs", "sf_effect_dep", ["needs_id"], unique=False)


def downgrade() -> None:
    """Take everything away, with what is in it."""
    op.drop_table("sf_effect_dep")
    op.drop_table("sf_claim")
    op.drop_table("sf_effect")
    op.drop_table("sf_branch")
    op.drop_table("sf_session")
    op.drop_table("sf_prediction")
    op.drop_table("sf_event")
