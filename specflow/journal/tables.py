"""The tables, readable in plain SQL. Prefix `sf_`; the same on SQLite and PostgreSQL.

CHECK constraints derive from `lifecycle`: not even a stray UPDATE or INSERT can write a state that is
not in it. A change here needs a migration; a test compares both.
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from specflow.effects.kind import EffectClass
from specflow.lifecycle import (
    BRANCH_MOVES,
    MOVES,
    RESTING,
    START,
    ApprovalState,
    BranchState,
    SessionState,
    Stage,
)

metadata = sa.MetaData()

DECISIONS = ("completed", "saga_aborted")
"""How a session may end; written once."""

CLAIM_MODES = ("shared", "exclusive")


def one_of(column: str, values: Iterable[str]) -> str:
    """SQL: the column holds one of `values` (constants of this package, never data).

    Not IN: in a CHECK, SQLite would build its list anew for every row, which took a third of the time
    of a write. Put the common values first.
    """
    return f"CASE {column} {' '.join(f'WHEN {str(value)!r} THEN 1' for value in values)} ELSE 0 END = 1"


LIVE = one_of("stage", (stage for stage in Stage if stage not in RESTING))
"""SQL: the effect is not at rest. Partial indexes use it, so that a scan costs what is live."""

_HELD = one_of("stage", (Stage.PLANNED, Stage.DROPPED))
_CALLABLE_EARLY = one_of("effect_class", (EffectClass.READ_ONLY, EffectClass.COMPENSATABLE))
_MOVES = (
    *(f">{state}" for state in (Stage.INTENDED, BranchState.OPEN, BranchState.CONFIRMED)),
    *(f"{source}>{target}" for source, targets in MOVES.items() for target in sorted(targets)),
    *(f"{source}>{target}" for source, targets in BRANCH_MOVES.items() for target in sorted(targets)),
    *(f">{state}" for state in sorted(START - {Stage.INTENDED})),
    # A session is taken over (active to active), closed, and reopened by an operator for what is stuck.
    *(">active", "active>active", "active>closed", "closed>active"),
)

session = sa.Table(
    "sf_session",
    metadata,
    sa.Column("session_id", sa.Text, primary_key=True),
    sa.Column("thread", sa.Text, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("lease_until", sa.Double, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("decision", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("presence", sa.Text, nullable=False, server_default=""),
    sa.Column("run_key", sa.Text, nullable=False, server_default=""),
    sa.CheckConstraint(one_of("state", SessionState), name="ck_sf_session_state"),
    sa.CheckConstraint(one_of("decision", ("", *DECISIONS)), name="ck_sf_session_decision"),
    sa.CheckConstraint("state = 'active' OR decision <> ''", name="ck_sf_session_closed"),
    sa.CheckConstraint("fence >= 1", name="ck_sf_session_fence"),
)
sa.Index(
    "ix_sf_session_active",
    session.c.thread,
    session.c.created_at,
    sqlite_where=sa.text("state = 'active'"),
    postgresql_where=sa.text("state = 'active'"),
)
sa.Index(
    "ix_sf_session_run",
    session.c.tenant,
    session.c.thread,
    session.c.run_key,
    sqlite_where=sa.text("run_key <> ''"),
    postgresql_where=sa.text("run_key <> ''"),
)
sa.Index("ix_sf_session_thread", session.c.tenant, session.c.thread)

branch = sa.Table(
    "sf_branch",
    metadata,
    sa.Column("branch_id", sa.Text, primary_key=True),
    sa.Column("session_id", sa.Text, sa.ForeignKey("sf_session.session_id"), nullable=False),
    sa.Column("parent_id", sa.Text, sa.ForeignKey("sf_branch.branch_id"), nullable=True),
    sa.Column("hypothesis", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("decided_at", sa.Double, nullable=True),
    sa.Column("decided_fence", sa.BigInteger, nullable=True),
    sa.CheckConstraint(one_of("state", BranchState), name="ck_sf_branch_state"),
    sa.CheckConstraint(
        "(state = 'open') = (decided_at IS NULL) AND (state = 'open') = (decided_fence IS NULL)",
        name="ck_sf_branch_decided",
    ),
)
sa.Index(
    "ix_sf_branch_open",
    branch.c.session_id,
    sqlite_where=sa.text("state = 'open'"),
    postgresql_where=sa.text("state = 'open'"),
)
sa.Index(
    "ix_sf_branch_parent",
    branch.c.parent_id,
    sqlite_where=sa.text("parent_id IS NOT NULL"),
    postgresql_where=sa.text("parent_id IS NOT NULL"),
)

effect = sa.Table(
    "sf_effect",
    metadata,
    sa.Column("effect_id", sa.Text, primary_key=True),
    sa.Column("branch_id", sa.Text, sa.ForeignKey("sf_branch.branch_id"), nullable=False),
    # No foreign key, here and in sf_event: the session's row is locked by whoever writes either, and
    # PostgreSQL would look it up again for every row.
    sa.Column("session_id", sa.Text, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("tool", sa.Text, nullable=False),
    sa.Column("schema_hash", sa.Text, nullable=False),
    sa.Column("policy_hash", sa.Text, nullable=False),
    sa.Column("effect_class", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("args", sa.Text, nullable=False),
    sa.Column("idem_key", sa.Text, nullable=False),
    sa.Column("keyed", sa.Boolean, nullable=False),
    sa.Column("redacted", sa.Boolean, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
    sa.Column("replayable", sa.Boolean, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("adopted_by", sa.Text, nullable=True),
    *(sa.Column(name, sa.Text, nullable=True) for name in ("undo", "verify", "comp_key", "comp_args")),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("call_deadline", sa.Double, nullable=True),
    sa.Column("not_before", sa.Double, nullable=True),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("rev", sa.Integer, nullable=False),
    sa.Column("reasons", sa.Text, nullable=False),
    sa.Column("traceparent", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    # What the undo writes back, as JSON; NULL where nothing was read first.
    sa.Column("before_image", sa.Text, nullable=True),
    # Where in the conversation it got that name; empty where the host tells nothing of it.
    sa.Column("moment", sa.Text, nullable=False, server_default=""),
    # One effect per leaf branch.
    sa.UniqueConstraint("branch_id", name="uq_sf_effect_branch"),
    sa.UniqueConstraint("session_id", "seq", name="uq_sf_effect_seq"),
    sa.UniqueConstraint("tenant", "tool", "idem_key", name="uq_sf_effect_key"),
    sa.CheckConstraint(one_of("stage", Stage), name="ck_sf_effect_stage"),
    sa.CheckConstraint(one_of("effect_class", EffectClass), name="ck_sf_effect_class"),
    sa.CheckConstraint("stage <> 'committed' OR adopted_by IS NOT NULL", name="ck_sf_effect_adopted"),
    # INVARIANT: I11, what needs a confirmation is never called under an open branch.
    sa.CheckConstraint(
        f"adopted_by IS NOT NULL OR {_CALLABLE_EARLY} OR {_HELD}", name="ck_sf_effect_confirmation"
    ),
    sa.CheckConstraint("attempts >= 0 AND fence >= 1 AND rev >= 1 AND seq >= 1", name="ck_sf_effect_counts"),
)
sa.Index(
    "uq_sf_effect_adopted_by",
    effect.c.adopted_by,
    unique=True,
    sqlite_where=sa.text("adopted_by IS NOT NULL"),
    postgresql_where=sa.text("adopted_by IS NOT NULL"),
)
sa.Index(
    "uq_sf_effect_comp_key",
    effect.c.comp_key,
    unique=True,
    sqlite_where=sa.text("comp_key IS NOT NULL"),
    postgresql_where=sa.text("comp_key IS NOT NULL"),
)
sa.Index(
    "ix_sf_effect_live",
    effect.c.session_id,
    effect.c.seq,
    sqlite_where=sa.text(LIVE),
    postgresql_where=sa.text(LIVE),
)
sa.Index(
    "ix_sf_effect_stuck",
    effect.c.tool,
    sqlite_where=sa.text("stage = 'stuck'"),
    postgresql_where=sa.text("stage = 'stuck'"),
)

effect_dep = sa.Table(
    "sf_effect_dep",
    metadata,
    sa.Column("effect_id", sa.Text, sa.ForeignKey("sf_effect.effect_id"), primary_key=True),
    sa.Column("needs_id", sa.Text, sa.ForeignKey("sf_effect.effect_id"), primary_key=True),
    sa.CheckConstraint("effect_id <> needs_id", name="ck_sf_effect_dep_self"),
)
sa.Index("ix_sf_effect_dep_needs", effect_dep.c.needs_id)

readoption = sa.Table(
    "sf_readoption",
    metadata,
    sa.Column("adopted_by", sa.Text, primary_key=True),
    sa.Column("effect_id", sa.Text, sa.ForeignKey("sf_effect.effect_id"), nullable=False),
    sa.Column("session_id", sa.Text, sa.ForeignKey("sf_session.session_id"), nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("moment", sa.Text, nullable=False, server_default=""),
    sa.UniqueConstraint("effect_id", "session_id", name="uq_sf_readoption_once"),
)

claim = sa.Table(
    "sf_claim",
    metadata,
    sa.Column("effect_id", sa.Text, sa.ForeignKey("sf_effect.effect_id"), primary_key=True),
    sa.Column("resource", sa.Text, primary_key=True),
    sa.Column("mode", sa.Text, nullable=False),
    sa.CheckConstraint(one_of("mode", CLAIM_MODES), name="ck_sf_claim_mode"),
)
sa.Index("ix_sf_claim_resource", claim.c.resource)

event = sa.Table(
    "sf_event",
    metadata,
    sa.Column(
        "seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
    ),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("session_id", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("facts", sa.Text, nullable=False),
    sa.CheckConstraint(one_of("(source || '>' || target)", _MOVES), name="ck_sf_event_move"),
    sqlite_autoincrement=True,
)
sa.Index("ix_sf_event_session", event.c.session_id, event.c.seq)

prediction = sa.Table(
    "sf_prediction",
    metadata,
    sa.Column("speculation_id", sa.Text, primary_key=True),
    # No foreign key: a guess that wrote nothing needs no session row.
    sa.Column("session_id", sa.Text, nullable=False),
    sa.Column("tool", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("predictor", sa.Text, nullable=False),
    sa.Column("confidence", sa.Double, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("runway", sa.Double, nullable=False),
    sa.Column("saved", sa.Double, nullable=False),
    sa.Column("wasted", sa.Double, nullable=False),
)
sa.Index("ix_sf_prediction_tool", prediction.c.tool, prediction.c.predictor, prediction.c.at)

approval = sa.Table(
    "sf_approval",
    metadata,
    sa.Column("approval_id", sa.Text, primary_key=True),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("tenant", "thread", "interrupt_id", "call_name")),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("tool", "fingerprint", "schema_hash")),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("policy_hash", "shown", "shown_hash")),
    sa.Column("asked_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("decision", sa.Text, nullable=False),
    # No foreign key: an effect may be pruned before the question that led to it.
    sa.Column("effect_id", sa.Text, nullable=True),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("decided_at", sa.Double, nullable=True),
    # INVARIANT: I17, one effect uses one approval, and what is decided stays so.
    sa.UniqueConstraint("effect_id", name="uq_sf_approval_effect"),
    sa.CheckConstraint(one_of("state", ApprovalState), name="ck_sf_approval_state"),
    sa.CheckConstraint(
        "(state = 'used') = (effect_id IS NOT NULL) AND (state = 'asked') = (decided_at IS NULL)",
        name="ck_sf_approval_decided",
    ),
)
_OPEN = sa.text("state = 'asked'")
sa.Index("ix_sf_approval_open", approval.c.call_name, sqlite_where=_OPEN, postgresql_where=_OPEN)

HEAD = "0009"
"""The migration this code needs. Revisions are numbered, so that older and newer can be told apart."""

VERSION_TABLE = "sf_alembic_version"
