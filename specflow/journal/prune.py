"""Retention: closed sessions that nobody will ask about any more."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from specflow.errors import ConfigurationError
from specflow.journal import tables as t
from specflow.journal.database import Database
from specflow.journal.schema import prepare
from specflow.lifecycle import TERMINAL, SessionState, Stage

AT_ONCE = 200
"""Sessions deleted in one transaction: runs that write meanwhile wait for one such step only."""

DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """How many rows went, or would go."""

    sessions: int = 0
    branches: int = 0
    effects: int = 0
    events: int = 0
    predictions: int = 0

    def __add__(self, other: Pruned) -> Pruned:
        return Pruned(
            sessions=self.sessions + other.sessions,
            branches=self.branches + other.branches,
            effects=self.effects + other.effects,
            events=self.events + other.events,
            predictions=self.predictions + other.predictions,
        )


def prune(url: str, *, older_than_days: float, now: float, dry_run: bool = False) -> Pruned:
    """Delete closed sessions whose last event is older, with everything under them; and predictions as old of
    sessions that left nothing else.

    A session that is active, or in which something is stuck or not at rest, stays whatever its age.
    `now` is seconds since the epoch. With `dry_run` nothing is deleted, only counted.

    Raises:
        JournalError: when the database fails; steps already done stay done.
        ConfigurationError: for a negative age.
    """
    if not older_than_days >= 0:
        raise ConfigurationError("an age in days cannot be negative", hint="for example --older-than 90")
    database = Database(url)
    prepare(database, create=False)
    before, total = now - older_than_days * DAY, Pruned()
    with database.explained():
        while True:
            with database.engine.begin() as connection:
                step = _step(connection, before, None if dry_run else AT_ONCE, delete=not dry_run)
            total += step
            if dry_run or step.sessions == 0:
                break
        with database.engine.begin() as connection:
            if not dry_run:
                _unanswered(connection, before)
            return total + Pruned(predictions=_alone(connection, before, delete=not dry_run))


def _step(connection: sa.Connection, before: float, most: int | None, *, delete: bool) -> Pruned:
    s, e = t.session, t.effect
    moving = sorted(stage.value for stage in set(Stage) - TERMINAL - {Stage.COMMITTED})
    newest = sa.select(sa.func.max(t.event.c.at)).where(t.event.c.session_id == s.c.session_id)
    unfinished = sa.select(e.c.effect_id).where(e.c.session_id == s.c.session_id, e.c.stage.in_(moving))
    finished = (
        sa.select(s.c.session_id)
        .where(
            s.c.state == SessionState.CLOSED.value,
            newest.scalar_subquery() < before,
            ~unfinished.exists(),
        )
        .order_by(s.c.session_id)
        .limit(most)
        # Nobody may reopen it between this and the deletion (PostgreSQL; SQLite is held as a whole).
        .with_for_update(of=s)
    )
    ids = list(connection.scalars(finished))
    effects = sa.select(e.c.effect_id).where(e.c.session_id.in_(ids))
    if delete and ids:
        d = t.effect_dep
        gone = sa.or_(d.c.effect_id.in_(effects), d.c.needs_id.in_(effects))
        connection.execute(sa.delete(d).where(gone))
        r = t.readoption
        named = sa.or_(r.c.effect_id.in_(effects), r.c.session_id.in_(ids))
        connection.execute(sa.delete(r).where(named))
        connection.execute(sa.delete(t.claim).where(t.claim.c.effect_id.in_(effects)))
        connection.execute(sa.delete(t.approval).where(t.approval.c.effect_id.in_(effects)))
    counts: dict[str, int] = {}
    # Children before parents, as the foreign keys want it.
    for name, table in (
        ("predictions", t.prediction),
        ("events", t.event),
        ("effects", t.effect),
        ("branches", t.branch),
        ("sessions", t.session),
    ):
        counts[name] = sum(_each(connection, table, ids, delete=delete))
    return Pruned(**counts)


def _alone(connection: sa.Connection, before: float, *, delete: bool) -> int:
    """Predictions of sessions that did nothing else: the journal knows none of them that could be closed."""
    p = t.prediction
    known = sa.select(t.session.c.session_id).where(t.session.c.session_id == p.c.session_id)
    mine = sa.and_(p.c.at < before, ~known.exists())
    if delete:
        return connection.execute(sa.delete(p).where(mine)).rowcount
    return connection.scalars(sa.select(sa.func.count()).select_from(p).where(mine)).one()


def _unanswered(connection: sa.Connection, before: float) -> None:
    """Questions that were refused, or that nobody can answer in time any more."""
    a = t.approval
    connection.execute(sa.delete(a).where(a.c.effect_id.is_(None), a.c.expires_at < before))


def _each(connection: sa.Connection, table: sa.Table, ids: list[str], *, delete: bool) -> list[int]:
    found = []
    for start in range(0, len(ids), AT_ONCE):
        mine = table.c.session_id.in_(ids[start : start + AT_ONCE])
        if delete:
            found.append(connection.execute(sa.delete(table).where(mine)).rowcount)
        else:
            found.append(connection.scalars(sa.select(sa.func.count()).select_from(table).where(mine)).one())
    return found
