"""The transaction of one call whose effect lives in the journal's own database: one commit with its outcome.

What the tool writes and the row that says so are there together, or neither is. The fence is checked in the
same transaction, so a process that was given up for dead takes its writes back with its row.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, Protocol, TypeVar

import sqlalchemy as sa

from specflow.clock import Clock
from specflow.errors import JournalError, TransactionError
from specflow.journal import operations
from specflow.journal.call_connection import CallConnection
from specflow.journal.call_statements import objection
from specflow.journal.database import Connection, Database
from specflow.journal.operations import Move, Operation
from specflow.journal.record import Lease, Outcome
from specflow.journal.trouble import explain
from specflow.lifecycle import Stage
from specflow.probe import reach

T = TypeVar("T")

IMPATIENCE = 0.05
"""Seconds until a statement under way is interrupted, when its call is given up."""

OVER = "the call is over, and its transaction with it"
LOST = "the database has rolled the transaction back, after an error that went unheeded"


class Home(Protocol):
    """Where call transactions come from, and what they tell it."""

    database: Database
    clock: Clock
    limit: float | None

    @property
    def engine(self) -> sa.Engine: ...

    def submit(self, job: Callable[..., T], *values: Any) -> asyncio.Future[T]: ...

    def began(self) -> None: ...

    def ended(self, transaction: CallTransaction, *, begun: bool) -> None: ...


class CallTransaction:
    """One try of a call: its statements, and then the outcome and the commit, or nothing at all."""

    def __init__(self, home: Home, connection: Connection, lease: Lease, effect_id: str) -> None:
        self._home = home
        self._journal = connection
        self._lease = lease
        self._effect_id = effect_id
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        # INVARIANT: who ends it and who makes a statement exclude each other: after a rollback that came in
        # between, the statement would be a transaction of its own.
        self._lock = threading.RLock()
        self._begun = False
        self._over = ""
        self._refused = ""
        self.connection = CallConnection(home.engine, connection.raw, self)

    # ------------------------------------------------------------------ as its connection sees it

    @contextlib.contextmanager
    def statement(self, sql: str) -> Iterator[None]:
        with self._lock:
            self.check()
            if problem := objection(sql):
                self.refuse(problem)
            if not self._begun:
                self._begin()
            try:
                yield
            finally:
                if not self._open:
                    self._refused = self._refused or LOST

    def refuse(self, what: str) -> NoReturn:
        self._refused = self._over or self._refused or what
        raise self._error(self._refused)

    def check(self) -> None:
        if why := self._over or self._refused:
            raise self._error(why)

    def _error(self, why: str) -> TransactionError:
        hint = "do it before the tool returns" if why == OVER else "nothing of the call is kept"
        return TransactionError(why, hint=hint, effect_id=self._effect_id)

    def _begin(self) -> None:
        self._journal.begin(self._home.clock.wall())
        self._begun = True
        self._home.began()
        if self._home.limit is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._arm, self._home.limit)

    def _arm(self, limit: float) -> None:
        if not self._over:
            self._timer = self._loop.call_later(limit, self._expire, limit)

    def _expire(self, limit: float) -> None:
        why = (
            f"its transaction was open for {limit:g} s, and on SQLite nobody else can write meanwhile: make "
            "the first statement late, and return soon after"
        )
        self._home.submit(self.give_up, why)

    @property
    def _open(self) -> bool:
        """Whether the database still has it."""
        driver: Any = self._journal.raw.driver_connection
        if self._home.database.sqlite:
            return bool(driver.in_transaction)
        return not driver.closed and driver.info.transaction_status != _IDLE

    # ------------------------------------------------------------------ its end

    async def record(self, outcome: Outcome) -> bool:
        """Write the outcome and commit all of it. False: the effect is not intended any more.

        Nothing is kept in that case, nor when it raises, unless the answer to the commit was lost: then the
        effect's row tells.

        Raises:
            FencedError: somebody has taken the session over.
            TransactionError: the tool has spoilt the transaction.
            JournalError: the database refused, or failed.
        """
        return await self._commit(operations.record(self._lease, self._effect_id, outcome))

    async def move(self, source: Stage, target: Stage, *, cause: str = "") -> bool:
        """As `record`, for a compensator: move the effect and commit all of it."""
        move = Move(lease=self._lease, effect_id=self._effect_id, source=source, target=target, cause=cause)
        return await self._commit(move)

    async def rollback(self) -> None:
        """Keep nothing. What is under way on another thread is interrupted. Again is harmless."""
        try:
            await self._home.submit(self.give_up, OVER)
        except JournalError:  # it is closed, and so are its threads
            self.give_up(OVER)
        self._disarm()

    async def _commit(self, operation: Operation) -> bool:
        try:
            return await self._home.submit(self._write, operation)
        finally:
            self._disarm()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _write(self, operation: Operation) -> bool:
        database = self._home.database
        with self._lock:
            try:
                self.check()
                if self._failed:
                    self.refuse("a statement of the tool failed, and it returned as if it had not")
                if not self._begun:
                    self._begin()
                tx = self._journal.transaction(self._home.clock.wall())
                written = operation.apply(tx) is True
                if written:
                    tx.write_events()
                    reach("call.recorded")
                    self._journal.commit()
            except (database.driver_error, sa.exc.SQLAlchemyError) as error:
                raise explain(error, database.where, sqlite=database.sqlite) from error
            finally:
                self._end(OVER)
        return written

    @property
    def _failed(self) -> bool:
        """Whether the database waits for a rollback after an error (PostgreSQL)."""
        driver: Any = self._journal.raw.driver_connection
        return not self._home.database.sqlite and driver.info.transaction_status == _IN_ERROR

    def give_up(self, why: str) -> None:
        """As `rollback`, which may wait, for any thread. `why` is what whoever goes on with it is told."""
        while not self._lock.acquire(timeout=IMPATIENCE):
            self._interrupt()
        try:
            self._end(why)
        finally:
            self._lock.release()

    def _interrupt(self) -> None:
        driver: Any = self._journal.raw.driver_connection
        with contextlib.suppress(self._home.database.driver_error):
            (driver.interrupt if self._home.database.sqlite else driver.cancel)()

    def _end(self, why: str) -> None:
        if self._over:
            return
        self._over = why
        self._journal.rollback()  # of nothing, after a commit
        self._journal.close()
        self._home.ended(self, begun=self._begun)


_IDLE, _IN_ERROR = 0, 3
"""`psycopg.pq.TransactionStatus`: there is no transaction; there is one that an error has spoilt."""
