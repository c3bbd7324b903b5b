"""Every statement that writes, built with SQLAlchemy Core and compiled once per database."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ColumnElement

from specflow.journal import tables as t
from specflow.journal.absence import absence
from specflow.journal.approval_statements import ApprovalStatements
from specflow.journal.claims import HELD
from specflow.journal.insertion import given, insertion
from specflow.journal.prepared import Prepared, Ready
from specflow.journal.repeat_statements import RepeatStatements
from specflow.journal.rows import BORN
from specflow.lifecycle import BranchState, SessionState, Stage


def constant(value: str) -> ColumnElement[str]:
    """A state of `lifecycle` as an SQL literal, so that partial indexes are found."""
    return sa.literal_column(repr(str(value)), sa.Text)


def database_clock(dialect: Dialect) -> ColumnElement[float]:
    """Seconds since the epoch by the database's own clock: the one that all owners share."""
    if dialect.name == "sqlite":
        return sa.literal_column("((julianday('now') - 2440587.5) * 86400.0)", sa.Double)
    return sa.literal_column("extract(epoch from clock_timestamp())::double precision", sa.Double)


def _where(column: sa.Column[Any]) -> ColumnElement[bool]:
    return column == sa.bindparam(f"w_{column.name}", type_=column.type)


class Statements:
    """The statements for one dialect, by what they do."""

    def __init__(self, dialect: Dialect) -> None:
        def ready(statement: sa.ClauseElement) -> Prepared:
            return Prepared(statement, dialect)

        now = database_clock(dialect)
        self.insert_branch = insertion(t.branch, dialect)
        self.insert_effect = insertion(t.effect, dialect, BORN)
        self.insert_dependency = insertion(t.effect_dep, dialect)
        self.insert_claim = insertion(t.claim, dialect)
        self.insert_event = insertion(t.event, dialect, tuples=True)
        self.upsert_prediction = ready(_upsert_prediction(dialect))
        self._sessions(ready, now, dialect)
        self._branches(ready)
        self._effects(ready, dialect)
        self._claims(ready, dialect)
        self.approvals, self.repeats = ApprovalStatements(ready), RepeatStatements(ready)

    def _sessions(self, ready: Ready, now: ColumnElement[float], dialect: Dialect) -> None:
        s = t.session
        until = now + sa.bindparam("lease_seconds", type_=sa.Double)
        values: dict[str, object] = {column.name: sa.bindparam(column.name) for column in s.c}
        self.insert_session = ready(sa.insert(s).values(values | {"lease_until": until}).inline())
        newest = sa.select(sa.func.max(t.effect.c.seq)).where(t.effect.c.session_id == s.c.session_id)
        guarded = sa.select(
            s.c.session_id,
            s.c.owner,
            s.c.fence,
            s.c.state,
            s.c.decision,
            s.c.tenant,
            sa.func.coalesce(newest.scalar_subquery(), sa.literal_column("0")),
            s.c.lease_until < now,
        )
        if dialect.name == "postgresql":
            # The row stays locked to the end of the transaction: nobody can take the session over between
            # this check and the commit. On SQLite the transaction holds the whole database anyway.
            ids = sa.bindparam("ids", type_=postgresql.ARRAY(sa.Text))
            guarded = guarded.where(s.c.session_id == sa.any_(ids)).order_by(s.c.session_id)
            guarded = guarded.with_for_update(of=s)
        else:
            guarded = guarded.where(_where(s.c.session_id))
        self.guard = ready(guarded)
        mine = (_where(s.c.session_id), _where(s.c.owner), _where(s.c.fence))
        active = s.c.state == constant(SessionState.ACTIVE)
        presence = sa.bindparam("presence", type_=sa.Text)
        self.renew = ready(sa.update(s).where(*mine, active).values(lease_until=until, presence=presence))
        self.release = ready(sa.update(s).where(*mine, active).values(lease_until=sa.literal_column("0.0")))
        self.take = ready(
            sa.update(s)
            .where(_where(s.c.session_id), _where(s.c.fence))
            .values(
                owner=sa.bindparam("owner"),
                fence=sa.bindparam("fence"),
                state=constant(SessionState.ACTIVE),
                lease_until=until,
                presence=presence,
            )
        )
        self.absence = ready(absence(now)) if dialect.name == "postgresql" else None
        self.decide = ready(sa.update(s).where(*mine, active).values(decision=sa.bindparam("decision")))
        self.close = ready(
            sa.update(s)
            .where(*mine, active)
            .values(
                decision=sa.bindparam("decision"),
                state=constant(SessionState.CLOSED),
                lease_until=sa.literal_column("0.0"),
            )
        )

    def _branches(self, ready: Ready) -> None:
        b = t.branch
        self.decide_branch = ready(
            sa.update(b)
            .where(_where(b.c.branch_id), _where(b.c.session_id), b.c.state == constant(BranchState.OPEN))
            .values(
                {name: sa.bindparam(name) for name in ("state", "cause", "decided_at", "decided_fence")},
            )
        )
        self.branch_state = ready(sa.select(b.c.state).where(_where(b.c.branch_id), _where(b.c.session_id)))
        above, e, d = b.alias("above"), t.effect, t.effect_dep
        effect_id, branch_id = (sa.bindparam(name, type_=sa.Text) for name in ("effect_id", "branch_id"))
        self.undecided_below = ready(
            sa.union_all(
                sa.select(above.c.branch_id)
                .join(b, b.c.parent_id == above.c.branch_id)
                .where(b.c.branch_id == branch_id, above.c.state != constant(BranchState.CONFIRMED)),
                sa.select(b.c.branch_id)
                .join(e, e.c.branch_id == b.c.branch_id)
                .join(d, d.c.needs_id == e.c.effect_id)
                .where(d.c.effect_id == effect_id, b.c.state != constant(BranchState.CONFIRMED)),
            )
        )
        upon = sa.select(e.c.undo).join(d, d.c.effect_id == e.c.effect_id)
        self.built_on = ready(upon.where(_where(d.c.needs_id)))
        needed = e.alias("needed")
        self.resting_on = ready(
            sa.union(
                sa.select(b.c.branch_id).where(b.c.parent_id == branch_id),
                sa.select(e.c.branch_id)
                .join(d, d.c.effect_id == e.c.effect_id)
                .join(needed, needed.c.effect_id == d.c.needs_id)
                .where(needed.c.branch_id == branch_id),
            ).order_by("branch_id")
        )
        self.open_branch = ready(
            sa.select(b.c.branch_id)
            .where(_where(b.c.session_id), b.c.state == constant(BranchState.OPEN))
            .order_by(b.c.branch_id)
        )

    def _effects(self, ready: Ready, dialect: Dialect) -> None:
        e, b = t.effect, t.branch
        # An expression, so that the planner cannot prefer the session's index: without statistics
        # PostgreSQL thinks a session has one effect, and would read all of them for each write.
        session_id = e.c.session_id.concat(sa.literal_column("''"))
        mine = (_where(e.c.effect_id), session_id == sa.bindparam("w_session_id", type_=sa.Text))
        at_source = e.c.stage == sa.bindparam("w_stage", type_=sa.Text)
        moved = {
            "stage": sa.bindparam("stage"),
            "fence": sa.bindparam("fence"),
            "updated_at": sa.bindparam("updated_at"),
            "rev": e.c.rev + sa.literal_column("1"),
        }
        outcome = ("stage", "fence", "updated_at", "result", "replayable", "error")
        one = (
            sa.update(e)
            .where(*mine, at_source)
            .values(moved | {name: sa.bindparam(name) for name in outcome})
        )
        found = {"w_effect_id": e.c.effect_id, "w_session_id": e.c.session_id, "w_stage": e.c.stage}
        outcomes = given({**found, **{name: e.c[name] for name in outcome}}, dialect)
        same = (
            e.c.effect_id == outcomes.c.w_effect_id,
            session_id == outcomes.c.w_session_id,
            e.c.stage == outcomes.c.w_stage,
        )
        many = (
            sa.update(e)
            .where(*same)
            .values({"rev": moved["rev"]} | {name: outcomes.c[name] for name in outcome})
        )
        if dialect.name == "postgresql":
            self.record = Prepared(one, dialect, whole=many)
        else:
            self.record = Prepared(one, dialect, packed=many)
        self.move = ready(
            sa.update(e)
            .where(*mine, at_source)
            .values(
                moved
                | {
                    "not_before": sa.bindparam("not_before"),
                    "comp_key": sa.func.coalesce(e.c.comp_key, sa.bindparam("comp_key", type_=sa.Text)),
                    "comp_args": sa.func.coalesce(sa.bindparam("comp_args", type_=sa.Text), e.c.comp_args),
                    "error": sa.func.coalesce(sa.bindparam("error", type_=sa.Text), e.c.error),
                    "attempts": e.c.attempts + sa.bindparam("tries", type_=sa.Integer),
                }
            )
        )
        self.adopt = ready(
            sa.update(e)
            .where(*mine, e.c.adopted_by.is_(None))
            .values({name: sa.bindparam(name) for name in ("adopted_by", "moment", "updated_at")})
        )
        joined = e.join(b, b.c.branch_id == e.c.branch_id)
        self.standing = ready(
            sa.select(e.c.stage, e.c.branch_id, b.c.state, e.c.adopted_by, e.c.comp_key, e.c.undo)
            .select_from(joined)
            .where(*mine)
        )
        r = t.readoption
        self.adopter = ready(
            sa.union_all(
                sa.select(e.c.effect_id).where(_where(e.c.adopted_by)),
                sa.select(r.c.effect_id).where(_where(r.c.adopted_by)),
            )
        )
        # Locked, so that nobody takes the effect back between this look and the commit.
        self.kept = ready(
            sa.select(e.c.stage, b.c.state, e.c.session_id, e.c.undo)
            .select_from(joined)
            .where(_where(e.c.effect_id), _where(e.c.tenant))
            .with_for_update(of=e)
        )
        self.names_of = ready(sa.select(r.c.adopted_by).where(_where(r.c.effect_id)))
        self.insert_readoption = ready(
            sa.insert(r).values({column.name: sa.bindparam(column.name) for column in r.c}).inline()
        )
        live = sa.text(t.LIVE)
        self.live = ready(
            sa.select(e.c.effect_id, e.c.stage, b.c.state)
            .select_from(joined)
            .where(_where(e.c.session_id), live)
            .order_by(e.c.seq)
        )
        self.stuck = ready(
            sa.select(e.c.effect_id).where(_where(e.c.session_id), e.c.stage == constant(Stage.STUCK))
        )
        self.same_effect = ready(sa.select(e.c.effect_id).where(_where(e.c.effect_id)))
        self.same_branch = ready(sa.select(b.c.branch_id).where(_where(b.c.branch_id)))
        self.same_key = ready(
            sa.select(e.c.effect_id).where(_where(e.c.tenant), _where(e.c.tool), _where(e.c.idem_key))
        )

    def _claims(self, ready: Ready, dialect: Dialect) -> None:
        c, e, b = t.claim, t.effect, t.branch
        postgres = dialect.name == "postgresql"
        self.listed: Callable[[Sequence[str]], object] = list if postgres else json.dumps
        """A list of texts as a parameter."""
        live = (
            sa.select(c.c.resource, e.c.effect_id, e.c.session_id, e.c.tenant, e.c.tool, e.c.stage, b.c.state)
            .select_from(c.join(e, e.c.effect_id == c.c.effect_id).join(b, b.c.branch_id == e.c.branch_id))
            .where(sa.text(t.one_of("stage", sorted(HELD))))
            .where(~sa.and_(e.c.stage == constant(Stage.DONE), b.c.state == constant(BranchState.CONFIRMED)))
        )
        if postgres:
            array = sa.bindparam("resources", type_=postgresql.ARRAY(sa.Text))
            named = c.c.resource == sa.any_(array)
        else:
            text = sa.func.json_each(sa.bindparam("resources", type_=sa.Text)).table_valued("value")
            named = c.c.resource.in_(sa.select(text.c.value))
        self.claims_named = ready(live.where(named))
        size = sa.bindparam("size", type_=sa.Integer)
        head = sa.func.substr(c.c.resource, sa.literal_column("1"), size)
        self.claims_below = ready(live.where(head == sa.bindparam("head", type_=sa.Text)))
        mine = sa.select(c.c.effect_id).where(c.c.effect_id == e.c.effect_id)
        self.unclaimed = ready(sa.select(e.c.tool).where(_where(e.c.effect_id), ~mine.exists()))
        over = sa.select(e.c.effect_id).where(_where(e.c.session_id), e.c.stage != constant(Stage.STUCK))
        self.release_claims = ready(sa.delete(c).where(c.c.effect_id.in_(over)))
        self.lock_claims = ready(sa.text(LOCK_CLAIMS)) if postgres else None
        self.try_claims = ready(sa.text(TRY_CLAIMS)) if postgres else None


LOCK_CLAIMS = """
WITH before AS MATERIALIZED (SELECT current_setting('lock_timeout') AS patience)
SELECT set_config('lock_timeout', :patience, true),
       CASE WHEN alone THEN pg_advisory_xact_lock(key)::text ELSE pg_advisory_xact_lock_shared(key)::text END,
       set_config('lock_timeout', before.patience, true)
FROM unnest(CAST(:keys AS bigint[]), CAST(:alone AS boolean[])) AS wanted(key, alone), before
"""
"""One lock after the other, as the rows come, each with a patience of its own."""

TRY_CLAIMS = """
SELECT key FROM unnest(CAST(:keys AS bigint[]), CAST(:alone AS boolean[])) AS wanted(key, alone)
WHERE NOT CASE WHEN alone THEN pg_try_advisory_xact_lock(key) ELSE pg_try_advisory_xact_lock_shared(key) END
"""
"""The locks that somebody else has; we have the others."""


def _upsert_prediction(dialect: Dialect) -> sa.ClauseElement:
    insert = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
    values: dict[str, object] = {column.name: sa.bindparam(column.name) for column in t.prediction.c}
    statement = insert(t.prediction).values(values)
    changed = {name: statement.excluded[name] for name in values if name != "speculation_id"}
    # The last word about a speculation counts.
    return statement.on_conflict_do_update(index_elements=["speculation_id"], set_=changed).inline()
