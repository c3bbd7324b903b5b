"""What was there before an effect, as its undo needs it. Frozen.

Revision: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"


def upgrade() -> None:
    """Add the column; effects from before it have no image, and NULL says so."""
    with op.batch_alter_table("sf_effect") as effect:
        effect.add_column(sa.Column("before_image", sa.Text(), nullable=True))


def downgrade() -> None:
    """Take it away again."""
    # Not in a batch: SQLite would copy the table and drop the old one, which other tables refer to.
    op.drop_column("sf_effect", "before_image")
