"""Every query, on a connection of its own: reading never waits for the writer, nor makes it wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

import sqlalchemy as sa

from specflow.errors import JournalError
from specflow.journal import rows
from specflow.journal import tables as t
from specflow.journal.absence import Absences, absent, overdue
from specflow.journal.approval import Approval
from specflow.journal.approval_statements import ApprovalStatements
from specflow.journal.cover import paired
from specflow.journal.database import Connection, Database
from specflow.journal.prepared import Prepared
from specflow.journal.record import EffectRow, Kept, PredictionRow, SessionRow, Snapshot
from specflow.journal.run_statements import RunStatements
from specflow.journal.schema import prepare
from specflow.journal.spending import approval_row
from specflow.journal.statements import constant, database_clock
from specflow.journal.transaction import Transaction
from specflow.lifecycle import BranchState, SessionState, Stage

T = TypeVar("T")


class Queries:
    """The queries, compiled for one database."""

    SEVERAL = frozenset({"snapshot", "kept_by_run", "doubtful_by_run", "adopted"})
    """Those of more than one statement, which have to see the same state."""

    def __init__(self, database: Database) -> None:
        def ready(statement: sa.ClauseElement) -> Prepared:
            return Prepared(statement, database.engine.dialect)

        def given(name: str) -> sa.BindParameter[str]:
            return sa.bindparam(name, type_=sa.Text)

        e, b, s, r = t.effect, t.branch, t.session, t.readoption
        self._runs = RunStatements(ready)
        self._effect = ready(sa.select(e).where(e.c.effect_id == given("effect_id")))
        again = sa.select(r.c.effect_id).where(r.c.adopted_by == given("adopted_by"))
        self._adopted = ready(sa.select(e).where(e.c.adopted_by == given("adopted_by")))
        self._readopted = ready(sa.select(e).where(e.c.effect_id == again.scalar_subquery()))
        live = sa.text(t.LIVE)
        self._unsettled = ready(
            sa.select(e).where(e.c.session_id == given("session_id"), live).order_by(e.c.seq.desc())
        )
        of_session = sa.select(e).where(e.c.session_id == given("session_id"))
        self._of_session = ready(of_session.order_by(e.c.seq.desc()))
        d = t.effect_dep
        building = sa.select(e).join(d, d.c.effect_id == e.c.effect_id)
        building = building.where(d.c.needs_id == given("effect_id"))
        self._dependents = ready(building.order_by(e.c.seq.desc(), e.c.effect_id))
        self._session = ready(sa.select(s).where(s.c.session_id == given("session_id")))
        stuck = sa.select(e.c.tool, e.c.effect_id).where(e.c.stage == constant(Stage.STUCK))
        stuck = stuck.where(e.c.tenant == given("tenant"))
        self._stuck = ready(stuck.order_by(e.c.created_at, e.c.effect_id))
        self._branch = ready(sa.select(b.c.state).where(b.c.branch_id == given("branch_id")))
        is_open = b.c.state == constant(BranchState.OPEN)
        self._open = ready(
            sa.select(b.c.branch_id)
            .where(b.c.session_id == given("session_id"), is_open)
            .order_by(b.c.branch_id)
        )
        active = sa.select(s).where(s.c.state == constant(SessionState.ACTIVE))
        oldest = (s.c.created_at, s.c.session_id)
        self._active = ready(active.order_by(*oldest))
        ended = overdue(database_clock(database.engine.dialect), young=not database.sqlite)
        missing = sa.false() if database.sqlite else absent()
        self._watched = ready(active.add_columns(ended, missing).order_by(*oldest))
        self._active_of = ready(active.where(s.c.thread == given("thread")).order_by(*oldest))
        of_thread = sa.select(s).where(s.c.tenant == given("tenant"), s.c.thread == given("thread"))
        # The first event of a session is its opening. Clocks of several machines do not agree on an order.
        opening = sa.select(sa.func.min(t.event.c.seq)).where(t.event.c.session_id == s.c.session_id)
        opened = sa.func.coalesce(opening.scalar_subquery(), sa.literal_column("0"))
        self._newest_of = ready(of_thread.order_by(opened.desc()).suffix_with(sa.text("LIMIT 1")))
        self._sessions = ready(sa.select(s).order_by(*oldest))
        self._branches = ready(sa.select(b).order_by(b.c.session_id, b.c.branch_id))
        self._effects = ready(sa.select(e).order_by(e.c.session_id, e.c.seq))
        self._events = ready(sa.select(t.event).order_by(t.event.c.seq))
        p = t.prediction
        self._predictions = ready(sa.select(p).order_by(p.c.at, p.c.speculation_id))
        newest = sa.select(p).order_by(p.c.at.desc(), p.c.speculation_id.desc())
        # As text: SQLAlchemy's own adds an OFFSET on SQLite.
        self._newest = ready(newest.suffix_with(sa.text("LIMIT :most")))
        self._claims = ready(sa.select(t.claim).order_by(t.claim.c.effect_id, t.claim.c.resource))
        self._dependencies = ready(sa.select(d).order_by(d.c.effect_id, d.c.needs_id))
        self._approvals = ApprovalStatements(ready)

    def effect(self, tx: Transaction, effect_id: str) -> EffectRow | None:
        found = tx.fetch(self._effect, {"effect_id": effect_id})
        return rows.effect_row(found[0]) if found else None

    def adopted(self, tx: Transaction, adopted_by: str) -> EffectRow | None:
        named = {"adopted_by": adopted_by}
        found = tx.fetch(self._adopted, named) or tx.fetch(self._readopted, named)
        return rows.effect_row(found[0]) if found else None

    def kept_by_run(self, tx: Transaction, thread: str, run_key: str, tenant: str) -> tuple[Kept, ...]:
        return paired(self._named(tx, self._runs.kept, thread, run_key, tenant))

    def doubtful_by_run(self, tx: Transaction, thread: str, run_key: str, tenant: str) -> tuple[Kept, ...]:
        return tuple(self._named(tx, self._runs.doubtful, thread, run_key, tenant))

    def _named(
        self, tx: Transaction, query: Prepared, thread: str, run_key: str, tenant: str
    ) -> Iterator[Kept]:
        run = {"thread": thread, "run_key": run_key, "tenant": tenant}
        names: dict[str, list[tuple[str, str]]] = {}
        for effect_id, adopted_by, moment in tx.fetch(self._runs.names, run):
            names.setdefault(str(effect_id), []).append((str(adopted_by), str(moment)))
        for row in map(rows.effect_row, tx.fetch(query, run)):
            every = [(row.adopted_by or "", row.moment), *names.get(row.effect_id, ())]
            identities, moments = zip(*every, strict=True)
            yield Kept(effect=row, identities=identities, moments=moments)

    def run_taken_back(self, tx: Transaction, thread: str, run_key: str, tenant: str) -> bool:
        run = {"thread": thread, "run_key": run_key, "tenant": tenant}
        return bool(tx.fetch(self._runs.taken_back, run))

    def approval(self, tx: Transaction, approval_id: str) -> Approval | None:
        found = tx.fetch(self._approvals.one, {"w_approval_id": approval_id})
        return approval_row(found[0]) if found else None

    def open_approvals(self, tx: Transaction, call_name: str) -> tuple[Approval, ...]:
        return tuple(map(approval_row, tx.fetch(self._approvals.open, {"w_call_name": call_name})))

    def unsettled(self, tx: Transaction, session_id: str) -> tuple[EffectRow, ...]:
        return tuple(map(rows.effect_row, tx.fetch(self._unsettled, {"session_id": session_id})))

    def effects(self, tx: Transaction, session_id: str) -> tuple[EffectRow, ...]:
        return tuple(map(rows.effect_row, tx.fetch(self._of_session, {"session_id": session_id})))

    def dependents(self, tx: Transaction, effect_id: str) -> tuple[EffectRow, ...]:
        return tuple(map(rows.effect_row, tx.fetch(self._dependents, {"effect_id": effect_id})))

    def session(self, tx: Transaction, session_id: str) -> SessionRow | None:
        found = tx.fetch(self._session, {"session_id": session_id})
        return rows.session_row(found[0]) if found else None

    def branch_state(self, tx: Transaction, branch_id: str) -> str | None:
        found = tx.fetch(self._branch, {"branch_id": branch_id})
        return str(found[0][0]) if found else None

    def open_branches(self, tx: Transaction, session_id: str) -> tuple[str, ...]:
        return tuple(str(row[0]) for row in tx.fetch(self._open, {"session_id": session_id}))

    def active_sessions(self, tx: Transaction, thread: str | None) -> tuple[SessionRow, ...]:
        if thread is None:
            return tuple(map(rows.session_row, tx.fetch(self._active, {})))
        return tuple(map(rows.session_row, tx.fetch(self._active_of, {"thread": thread})))

    def newest_session(self, tx: Transaction, thread: str, tenant: str) -> SessionRow | None:
        found = tx.fetch(self._newest_of, {"thread": thread, "tenant": tenant})
        return rows.session_row(found[0]) if found else None

    def abandoned_sessions(
        self, tx: Transaction, is_dead: Callable[[str], bool], absences: Absences
    ) -> tuple[SessionRow, ...]:
        found = []
        dead = cache(is_dead)
        for *columns, ended, missing in tx.fetch(self._watched, {}):
            row = rows.session_row(columns)
            if missing:
                absences.remaining(row.presence)
            if ended or missing or dead(row.owner):
                found.append(row)
        return tuple(found)

    def stuck_tools(self, tx: Transaction, tenant: str) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for tool, effect_id in tx.fetch(self._stuck, {"tenant": tenant}):
            found.setdefault(tool, effect_id)
        return found

    def predictions(self, tx: Transaction, most: int) -> tuple[PredictionRow, ...]:
        newest = [rows.prediction_row(row) for row in tx.fetch(self._newest, {"most": most})]
        return tuple(reversed(newest))

    def snapshot(self, tx: Transaction) -> Snapshot:
        return Snapshot(
            sessions=tuple(map(rows.session_row, tx.fetch(self._sessions, {}))),
            branches=tuple(map(rows.branch_row, tx.fetch(self._branches, {}))),
            effects=tuple(map(rows.effect_row, tx.fetch(self._effects, {}))),
            events=tuple(map(rows.event_row, tx.fetch(self._events, {}))),
            predictions=tuple(map(rows.prediction_row, tx.fetch(self._predictions, {}))),
            dependencies=tuple(map(rows.dependency_row, tx.fetch(self._dependencies, {}))),
            claims=tuple(map(rows.claim_row, tx.fetch(self._claims, {}))),
            approvals=tuple(map(approval_row, tx.fetch(self._approvals.every, {}))),
        )


class Reader:
    """One thread with one connection, for any event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="specflow-journal-read")
        self._connection: Connection | None = None
        self._gate = threading.Lock()
        self._closed = False

    async def ask(self, query: Callable[..., T], *values: Any) -> T:
        """Run `query(transaction, *values)` in a transaction that sees one state of everything.

        Raises:
            JournalError: when the database fails, or the journal is closed.
        """
        loop = asyncio.get_running_loop()
        with self._gate:
            if self._closed:
                raise JournalError("the journal is closed", hint="open it again")
            job = loop.run_in_executor(self._executor, self._run, query, values)
        return await job

    def _run(self, query: Callable[..., T], values: tuple[Any, ...], *, again: bool = True) -> T:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._database.connect()
        try:
            with self._database.explained():
                several = getattr(query, "__name__", "") in Queries.SEVERAL
                return query(connection.read() if several else connection.look(), *values)
        except JournalError:
            if not (again and connection.lost):
                raise
            connection.close()
            self._connection = None
            return self._run(query, values, again=False)
        finally:
            if self._connection is not None:
                self._connection.rollback()

    def close(self) -> None:
        """Let the queued queries end, then let go; again is harmless."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
        try:
            self._executor.submit(self._let_go).result()
        except RuntimeError:
            return  # the interpreter is ending and has ended this thread first
        self._executor.shutdown(wait=True)

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def snapshot_of(url: str) -> Snapshot:
    """Every row of the journal at `url`, for code that has no event loop and writes nothing.

    Raises:
        JournalError: when there is no journal there, or it cannot be read.
    """
    database = Database(url)
    prepare(database, create=False)
    connection = database.connect()
    try:
        with database.explained():
            return Queries(database).snapshot(connection.read())
    finally:
        connection.rollback()
        connection.close()
