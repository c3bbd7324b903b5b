"""Where in the conversation a real call was made: what a resumed run knows is told by that. Frozen.

Revision: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision: str | None = "0006"


def upgrade() -> None:
    """Add it; of calls from before it nothing is known, and nothing is assumed."""
    for table in ("sf_effect", "sf_readoption"):
        op.add_column(table, sa.Column("moment", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    """Take it away again."""
    for table in ("sf_readoption", "sf_effect"):
        op.execute(f"ALTER TABLE {table} DROP COLUMN moment")
