"""The statements for calls that are repeated under their old key."""

from __future__ import annotations

import sqlalchemy as sa

from specflow.journal import tables as t
from specflow.journal.prepared import Ready
from specflow.lifecycle import Stage


class RepeatStatements:
    """The statements for one dialect, by what they do."""

    def __init__(self, ready: Ready) -> None:
        e, b = t.effect, t.branch
        mine = (
            e.c.effect_id == sa.bindparam("w_effect_id", type_=sa.Text),
            # An expression, for the reason given in `statements`.
            e.c.session_id.concat(sa.literal_column("''")) == sa.bindparam("w_session_id", type_=sa.Text),
        )
        self.look = ready(
            sa.select(e.c.stage, e.c.rev, e.c.keyed, e.c.call_deadline, b.c.state)
            .select_from(e.join(b, b.c.branch_id == e.c.branch_id))
            .where(*mine)
        )
        self.repeat = ready(
            sa.update(e)
            .where(
                *mine,
                e.c.stage == sa.literal_column(repr(Stage.UNKNOWN.value), sa.Text),
                e.c.rev == sa.bindparam("w_rev", type_=sa.Integer),
            )
            .values(
                stage=sa.literal_column(repr(Stage.INTENDED.value), sa.Text),
                rev=e.c.rev + sa.literal_column("1"),
                **{name: sa.bindparam(name) for name in ("call_deadline", "fence", "updated_at")},
            )
        )
