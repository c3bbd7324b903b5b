"""The sessions of one conversation are found without reading those of the others. Frozen.

Revision: 0009
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision: str | None = "0008"


def upgrade() -> None:
    """Add the index; closed sessions, and those of no known run, are in no other one."""
    op.create_index("ix_sf_session_thread", "sf_session", ["tenant", "thread"], unique=False)


def downgrade() -> None:
    """Take it away again."""
    op.drop_index("ix_sf_session_thread", table_name="sf_session")
