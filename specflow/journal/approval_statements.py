"""Every statement about approvals, for one database."""

from __future__ import annotations

import sqlalchemy as sa

from specflow.journal.prepared import Ready
from specflow.journal.tables import approval as a
from specflow.journal.tables import effect as e
from specflow.lifecycle import ApprovalState


class ApprovalStatements:
    """The statements, by what they do."""

    def __init__(self, ready: Ready) -> None:
        mine = a.c.approval_id == sa.bindparam("w_approval_id", type_=sa.Text)
        values: dict[str, object] = {column.name: sa.bindparam(column.name) for column in a.c}
        self.insert = ready(sa.insert(a).values(values).inline())
        self.one = ready(sa.select(a).where(mine))
        # Locked (PostgreSQL), so that two runs never use it at once; on SQLite the file is held as a whole.
        self.lock = ready(sa.select(a).where(mine).with_for_update())
        user = e.c.effect_id == sa.bindparam("w_effect_id", type_=sa.Text)
        self.stage = ready(sa.select(e.c.stage).where(user))
        changed = ("state", "decision", "effect_id", "cause", "decided_at")
        given = {name: sa.bindparam(name, type_=a.c[name].type) for name in changed}
        is_asked = a.c.state == sa.literal_column(repr(ApprovalState.ASKED.value), sa.Text)
        self.decide = ready(sa.update(a).where(mine, is_asked).values(given))
        self.use = ready(sa.update(a).where(mine).values(given))
        named = a.c.call_name == sa.bindparam("w_call_name", type_=sa.Text)
        self.open = ready(sa.select(a).where(named, is_asked).order_by(a.c.asked_at, a.c.approval_id))
        self.every = ready(sa.select(a).order_by(a.c.asked_at, a.c.approval_id))
