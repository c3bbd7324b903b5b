"""What shows that a session's owner lives: the token of the lock it holds. Frozen.

Revision: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision: str | None = "0002"


def upgrade() -> None:
    """Add the column; empty says that only the lease tells."""
    op.add_column("sf_session", sa.Column("presence", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    """Take it away again (SQLite knows how since 3.35; copying the table would lose its checks)."""
    op.execute("ALTER TABLE sf_session DROP COLUMN presence")
