"""Every query about one logical run, for one database."""

from __future__ import annotations

import sqlalchemy as sa

from specflow.journal.prepared import Ready
from specflow.journal.rules import SAGA_ABORTED
from specflow.journal.statements import constant
from specflow.journal.tables import branch as b
from specflow.journal.tables import effect as e
from specflow.journal.tables import readoption as r
from specflow.journal.tables import session as s
from specflow.lifecycle import BranchState, Stage


class RunStatements:
    """The queries, by what they find."""

    def __init__(self, ready: Ready) -> None:
        def given(name: str) -> sa.BindParameter[str]:
            return sa.bindparam(name, type_=sa.Text)

        of_run = sa.and_(
            s.c.tenant == given("tenant"),
            s.c.thread == given("thread"),
            s.c.run_key == given("run_key"),
            s.c.run_key != sa.literal_column("''"),
        )
        confirmed = sa.and_(e.c.stage == constant(Stage.DONE), b.c.state == constant(BranchState.CONFIRMED))
        standing = sa.or_(e.c.stage == constant(Stage.COMMITTED), confirmed)
        kept = (
            sa.select(e)
            .join(s, s.c.session_id == e.c.session_id)
            .join(b, b.c.branch_id == e.c.branch_id)
            .where(of_run, standing)
        )
        oldest_first = (s.c.created_at, s.c.session_id, e.c.seq)
        self.kept = ready(kept.order_by(*oldest_first))
        doubt = sa.or_(e.c.stage == constant(Stage.UNKNOWN), e.c.stage == constant(Stage.STUCK))
        doubtful = sa.select(e).join(s, s.c.session_id == e.c.session_id)
        doubtful = doubtful.where(of_run, doubt, e.c.adopted_by.is_not(None))
        self.doubtful = ready(doubtful.order_by(*oldest_first))
        back = s.c.decision == constant(SAGA_ABORTED)
        self.taken_back = ready(sa.select(s.c.session_id).where(of_run, back))
        names = sa.select(r.c.effect_id, r.c.adopted_by, r.c.moment)
        names = names.join(e, e.c.effect_id == r.c.effect_id)
        names = names.join(s, s.c.session_id == e.c.session_id).where(of_run)
        self.names = ready(names.order_by(r.c.at, r.c.adopted_by))
