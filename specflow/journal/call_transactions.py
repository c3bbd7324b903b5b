"""Where the transactions of calls come from: each has a fresh connection, and on SQLite its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cached_property
from typing import Any, NoReturn, TypeVar

import sqlalchemy as sa

from specflow.clock import Clock
from specflow.errors import JournalError
from specflow.journal.call_connection import calls_engine
from specflow.journal.call_transaction import CallTransaction
from specflow.journal.database import Connection, Database
from specflow.journal.record import Lease
from specflow.journal.turns import Turns
from specflow.journal.writer import Writer

T = TypeVar("T")

THREADS = 4
"""Threads that end transactions. Each is at it for the time of a commit."""


class CallTransactions:
    """Makes them. On SQLite, where one writes at a time, calls of this process take turns."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        threads: Executor | None,
        limit: float | None,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        """`limit` is how many seconds one may keep SQLite's only writing place; `told` hears of each end.

        `threads` None: those of the event loop.
        """
        self.database = database
        self.clock = clock
        self.limit = limit if database.sqlite else None
        self.writing = 0
        """How many have begun and not ended, on SQLite: one or none."""
        self._told = told
        self._open: set[CallTransaction] = set()
        self._threads = threads
        self._turns = Turns() if database.sqlite else None

    @classmethod
    def of(cls, database: Database, clock: Clock) -> CallTransactions:
        """With threads of their own, and half of the time that others wait for the one who writes."""
        threads = ThreadPoolExecutor(THREADS, thread_name_prefix="specflow-journal-call")
        return cls(database, clock, threads=threads, limit=database.busy_seconds / 2)

    @cached_property
    def engine(self) -> sa.Engine:
        """Where connections come from: a fresh one for each, so that no call sees another's settings."""
        return calls_engine(self.database.url, self.database.options)

    async def begin(self, lease: Lease, effect_id: str) -> CallTransaction:
        """A transaction for one try of that effect's call, or of its undo. Nothing is locked yet.

        Raises:
            JournalError: the database cannot be reached.
        """
        if self._turns is not None:
            await self._turns.take()
        try:
            connection = await self._connection()
        except BaseException:
            self._give()
            raise
        made = CallTransaction(self, connection, lease, effect_id)
        self._open.add(made)
        return made

    async def _connection(self) -> Connection:
        job = self.submit(self.database.connect, self.engine)
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            job.add_done_callback(_let_go)
            raise

    def submit(self, job: Callable[..., T], *values: Any) -> asyncio.Future[T]:
        """Run it where it may wait.

        Raises:
            JournalError: the journal is closed.
        """
        try:
            return asyncio.get_running_loop().run_in_executor(self._threads, job, *values)
        except RuntimeError as error:
            raise JournalError("the journal is closed", hint="open it again") from error

    def began(self) -> None:
        """One has made its first statement; from any thread."""
        self.writing += 1

    def ended(self, transaction: CallTransaction, *, begun: bool) -> None:
        """It has; from any thread."""
        self._open.discard(transaction)
        self.writing -= begun
        self._give()
        self._told()

    def _give(self) -> None:
        if self._turns is not None:
            self._turns.give()

    def close(self) -> None:
        """Let those end that are ending, and roll the others back."""
        if isinstance(self._threads, ThreadPoolExecutor):
            self._threads.shutdown(wait=True)
        for transaction in tuple(self._open):
            transaction.give_up("the journal was closed, and the call's transaction with it")


def _let_go(job: asyncio.Future[Connection]) -> None:
    if not job.cancelled() and job.exception() is None:
        job.result().close()


class OffersTransactions:
    """A journal in whose database tools can make their effects."""

    _calls: CallTransactions
    _writer: Writer

    @property
    def offers_transactions(self) -> bool:
        return True

    async def transaction(self, lease: Lease, effect_id: str) -> CallTransaction:
        self._writer.check_process()
        return await self._calls.begin(lease, effect_id)


class WithoutTransactions:
    """A journal that is no database."""

    @property
    def offers_transactions(self) -> bool:
        return False

    async def transaction(self, lease: Lease, effect_id: str) -> NoReturn:
        raise no_transactions(effect_id)


def no_transactions(effect_id: str) -> JournalError:
    """The error for a tool that wants what the journal cannot give."""
    return JournalError(
        "this journal is no database, so no tool can make its effect in it",
        hint="give the runtime an SQL journal, or take `transaction` out of the policy",
        effect_id=effect_id,
    )
