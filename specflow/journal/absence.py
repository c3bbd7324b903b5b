"""Whose lock is gone: what PostgreSQL tells of an owner on another machine, and when to believe it."""

from __future__ import annotations

import time

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement

from specflow.journal import tables as t

SERVER = "(extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint::text"
"""SQL: a name for this run of this server. Locks do not outlive it."""

ABSENCE_SECONDS = 0.15
"""How long a lock is missing before its owner counts as dead: a living one connects again meanwhile."""

YOUNG_SECONDS = 3.0
"""How long a server that was just started gives the owners of leases that ended while it was down."""

_MOST = 10_000

_HELD = """ARRAY(
    SELECT ((l.classid::bigint << 32) | l.objid::bigint)::text FROM pg_locks l
    WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
    AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
)"""
"""SQL: the keys of all locks held in this database. Reading them takes none."""

# A token of another run of the server, or of the primary before this one, says nothing: no lock outlived it.
_ABSENT = f"""(sf_session.presence <> '' AND split_part(sf_session.presence, '/', 1) = {SERVER}
    AND NOT split_part(sf_session.presence, '/', 2) = ANY({_HELD}))"""


def absent() -> ColumnElement[bool]:
    """SQL (PostgreSQL): the lock named in a row of sf_session is not held any more."""
    return sa.literal_column(_ABSENT, sa.Boolean)


def overdue(now: ColumnElement[float], *, young: bool) -> ColumnElement[bool]:
    """SQL: the lease of a row of sf_session has ended. With `young` (PostgreSQL), leases that ended in the
    first seconds of a server's life, or before, do not count in those: nobody could renew them.
    """
    until = t.session.c.lease_until
    ended: ColumnElement[bool] = until < now
    if not young:
        return ended
    old_enough = sa.literal_column(
        f"clock_timestamp() > pg_postmaster_start_time() + interval '{YOUNG_SECONDS} seconds'", sa.Boolean
    )
    return sa.and_(ended, sa.or_(old_enough, until == sa.literal_column("0.0")))


def absence(now: ColumnElement[float]) -> sa.Select[tuple[bool, bool, str]]:
    """For one session (PostgreSQL): overdue, absent, the token. No row: unknown, or somebody writes in it."""
    s = t.session
    chosen = sa.select(overdue(now, young=True), absent(), s.c.presence)
    return chosen.where(s.c.session_id == sa.bindparam("w_session_id", type_=sa.Text)).with_for_update(
        skip_locked=True
    )


class Absences:
    """Since when each missing token is missed. A token that is gone stays gone, so this is never wrong later.

    Used by any thread.
    """

    def __init__(self, seconds: float = ABSENCE_SECONDS) -> None:
        self._seconds = seconds
        self._since: dict[str, float] = {}

    def remaining(self, token: str) -> float:
        """Seconds until the owner with this missing token counts as dead; 0: it is."""
        if len(self._since) >= _MOST:
            self._since.clear()  # they are only missed a little longer
        now = time.monotonic()
        return max(0.0, self._since.setdefault(token, now) + self._seconds - now)
