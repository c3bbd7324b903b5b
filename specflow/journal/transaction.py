"""One transaction on the writing connection: statements, the check of leases, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine.interfaces import DBAPICursor

from specflow.journal.prepared import COPY_FROM, Prepared, Row, Values
from specflow.journal.record import Lease
from specflow.journal.rules import check_lease
from specflow.journal.statements import Statements
from specflow.journal.text import dump, note
from specflow.lifecycle import SessionState


@dataclass(slots=True, kw_only=True)
class Standing:
    """A session as this transaction sees it; `seq` is the newest effect's."""

    owner: str
    fence: int
    state: SessionState
    decision: str
    tenant: str
    seq: int
    expired: bool


class Transaction:
    """What operations write through.

    A session's row is read once, and on PostgreSQL locked, before anything is written under it. That is
    stronger than an EXISTS inside each statement: there a takeover could commit between the check and
    our commit, and miss what we write.
    """

    def __init__(
        self, cursor: DBAPICursor, statements: Statements, *, many_sessions: bool, now: float
    ) -> None:
        self.statements = statements
        self.now = now
        self.claims_busy: frozenset[int] = frozenset()
        """Locks of claims that were not to be had."""
        self.careful = False
        """Whether sessions are read once more when they are locked: somebody else may be writing in them."""
        self._cursor = cursor
        self._many_sessions = many_sessions
        self._standing: dict[str, Standing] = {}
        self._events: list[Row] = []

    def run(self, prepared: Prepared, values: Row) -> int:
        """Execute; returns how many rows changed."""
        self._cursor.execute(prepared.sql, prepared.bind(values))
        return int(self._cursor.rowcount)

    def many(self, prepared: Prepared, rows: Sequence[Row]) -> int:
        """Execute for each of `rows`; returns how many rows changed altogether."""
        if not rows:
            return 0
        if len(rows) == 1:
            return self.run(prepared, rows[0])
        if prepared.copy and len(rows) >= COPY_FROM:
            # Not of a DBAPI: only psycopg has it, and only its statements have this form.
            cursor: Any = self._cursor
            with cursor.copy(prepared.copy) as copy:
                for values in rows:
                    copy.write_row(prepared.record(values))
            return int(cursor.rowcount)
        if prepared.whole is not None:
            self._cursor.execute(prepared.whole, prepared.bind_whole(rows))
            return int(self._cursor.rowcount)
        changed, done = 0, 0
        for size, sql in prepared.packed:
            while len(rows) - done >= size:
                self._cursor.execute(sql, prepared.bind_pack(rows[done : done + size]))
                changed += int(self._cursor.rowcount)
                done += size
        if done < len(rows):
            self._cursor.executemany(prepared.sql, [prepared.bind(values) for values in rows[done:]])
            changed += int(self._cursor.rowcount)
        return changed

    def fetch(self, prepared: Prepared, values: Values) -> Sequence[Sequence[Any]]:
        """All rows of a query."""
        self._cursor.execute(prepared.sql, prepared.bind(values))
        return self._cursor.fetchall()

    def raw(self, sql: str) -> None:
        """Execute a statement without parameters."""
        self._cursor.execute(sql)

    def rows(self) -> Sequence[Sequence[Any]]:
        """What the last raw statement found."""
        return self._cursor.fetchall()

    def sessions(self, session_ids: Iterable[str]) -> None:
        """Read, and on PostgreSQL lock, these sessions unless that was done already."""
        missing = sorted(set(session_ids) - self._standing.keys())
        if not missing:
            return
        if self._many_sessions:
            found = list(self.fetch(self.statements.guard, {"ids": missing}))
            if self.careful:
                # INVARIANT: no number is given twice. Where the lock had to be waited for, what PostgreSQL
                # found beside the row (the newest effect's number) is from before the wait.
                found = list(self.fetch(self.statements.guard, {"ids": missing}))
        else:
            found = [
                row
                for session_id in missing
                for row in self.fetch(self.statements.guard, {"w_session_id": session_id})
            ]
        for session_id, owner, fence, state, decision, tenant, seq, expired in found:
            self._standing[session_id] = Standing(
                owner=owner,
                fence=fence,
                state=SessionState(state),
                decision=decision,
                tenant=tenant,
                seq=seq,
                expired=bool(expired),
            )

    def session(self, session_id: str) -> Standing | None:
        """The session as it stands; None when there is none."""
        if session_id not in self._standing:
            self.sessions((session_id,))
        return self._standing.get(session_id)

    def guard(self, lease: Lease) -> Standing:
        """The session of `lease`, which may write.

        Raises:
            FencedError: somebody has taken it over.
            JournalError: it is unknown or closed.
        """
        standing = self.session(lease.session_id)
        check_lease(lease, standing)
        assert standing is not None
        return standing

    def forget(self, session_id: str | None = None) -> None:
        """Read a session anew (or all of them) the next time: it was changed, or rolled back."""
        if session_id is None:
            self._standing.clear()
            self._events.clear()
        else:
            self._standing.pop(session_id, None)

    def event(
        self,
        lease: Lease,
        subject: str,
        source: str,
        target: str,
        *,
        cause: str = "",
        facts: Values | None = None,
    ) -> None:
        """Add one event, in order; written with the change, before the transaction ends."""
        written = dump(facts, "facts") if facts else "{}"
        # A tuple in the order of the columns: there are three of these for each effect.
        self._events.append(
            (self.now, lease.session_id, subject, source, target, note(cause), lease.fence, written)
        )

    def write_events(self) -> None:
        """Write the events gathered so far."""
        events, self._events = self._events, []
        self.many(self.statements.insert_event, events)
