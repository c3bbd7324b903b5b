"""Branches below a branch are found without reading them all. Frozen.

Revision: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"


def upgrade() -> None:
    """Add the index; most branches have no parent and are not in it."""
    op.create_index(
        "ix_sf_branch_parent",
        "sf_branch",
        ["parent_id"],
        sqlite_where=sa.text("parent_id IS NOT NULL"),
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    )


def downgrade() -> None:
    """Take it away again."""
    op.drop_index("ix_sf_branch_parent", table_name="sf_branch")
