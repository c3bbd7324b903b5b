"""The SQL journal without its threads: the same transactions on a real SQLite file, on a `SeededLoop`.

A batch is written at an instant the loop draws, first come first served, and is written whether or not those
who asked still wait: as the writer's thread does it. So the journal's own code takes part in every schedule.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from specflow.clock import Clock
from specflow.errors import JournalError, SpecflowError
from specflow.journal.batch import Failed, execute
from specflow.journal.call_transactions import CallTransactions
from specflow.journal.database import Connection, Database
from specflow.journal.operations import Operation, Predict
from specflow.journal.record import PredictionRow
from specflow.journal.schema import prepare
from specflow.journal.sql import LEASE_SECONDS, SqlJournal

T = TypeVar("T")
TABLES = (
    "sf_event",
    "sf_readoption",
    "sf_approval",
    "sf_claim",
    "sf_effect_dep",
    "sf_effect",
    "sf_branch",
    "sf_prediction",
    "sf_session",
)
"""In an order in which they can be emptied."""


class InlineSqlJournal(SqlJournal):
    """`specflow.journal.port.Journal` on the SQLite file `path`, for a loop that has no threads.

    Leases go by the database's clock, which is real: under virtual time they do not end by themselves.
    """

    def __init__(self, path: Path, *, clock: Clock, is_dead: Callable[[str], bool]) -> None:
        database = Database(f"sqlite:///{path}", durability="process")
        prepare(database, create=True)
        super().__init__(
            database, clock=clock, lease_seconds=LEASE_SECONDS, is_dead=is_dead, absence_seconds=0.0
        )
        super().close()
        # The writer's thread would wait for a tool that is in its transaction: so does the batch.
        self._calls = CallTransactions(
            database,
            clock,
            threads=None,
            limit=None,
            told=lambda: self._line.resume(),  # noqa: PLW0108 - there is no line yet
        )
        self._line = _Inline(database.connect(), database.connect(), clock, self._calls)
        self._writer = self._reader = self._line  # type: ignore[assignment] # takes the places of both

    def empty(self) -> None:
        """Forget every row: quicker than a file for each run."""
        self._line.empty()

    def close(self) -> None:
        """Let go of the file."""
        self._calls.close()
        self._line.close()


class _Inline:
    """What `SqlJournal` asks of its writer and of its reader."""

    inherited = False

    def __init__(
        self, writing: Connection, reading: Connection, clock: Clock, calls: CallTransactions
    ) -> None:
        self._writing, self._reading, self._clock, self._calls = writing, reading, clock, calls
        self._queue: deque[tuple[Operation, asyncio.Future[Any]]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    def check_process(self) -> None:
        """There is one process only."""

    def token(self) -> str:
        """No presence: who is dead is said by `is_dead`."""
        return ""

    def ask(self, what: Any, *values: Any) -> asyncio.Future[Any]:
        """An operation for the writer, or a query and its values for the reader."""
        loop = asyncio.get_running_loop()
        if callable(what):
            return loop.run_in_executor(None, self._read, what, values)
        future: asyncio.Future[Any] = loop.create_future()
        self._loop = loop
        self._queue.append((what, future))
        loop.run_in_executor(None, self._write)
        return future

    def note(self, prediction: PredictionRow) -> None:
        noted = Predict(predictions=(prediction,))
        if self._calls.writing and self._loop is not None:
            self._queue.append((noted, self._loop.create_future()))  # with the next batch
        else:
            execute(self._writing, [noted], self._clock.wall())

    def _read(self, query: Callable[..., T], values: tuple[Any, ...]) -> T:
        try:
            return query(self._reading.read(), *values)
        finally:
            self._reading.rollback()

    def _write(self) -> None:
        if self._calls.writing:
            return  # `resume` comes back to it
        batch = list(self._queue)
        self._queue.clear()
        if not batch:
            return  # an earlier one took it along
        try:
            answers = execute(self._writing, [operation for operation, _ in batch], self._clock.wall())
        except Exception as error:  # noqa: BLE001 - those who wait must be told
            refused = error if isinstance(error, SpecflowError) else JournalError(str(error))
            answers = [Failed(refused) for _ in batch]
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Failed):
                future.set_exception(answer.error)
            else:
                future.set_result(answer)

    def resume(self) -> None:
        """A tool's transaction has ended: what waited for it is written."""
        if self._queue and self._loop is not None and not self._loop.is_closed():
            self._loop.run_in_executor(None, self._write)

    def empty(self) -> None:
        self._queue.clear()
        tx = self._writing.begin(0.0)
        for table in TABLES:
            tx.raw(f"DELETE FROM {table}")  # noqa: S608 - a constant
        self._writing.commit()

    def close(self) -> None:
        self._writing.close()
        self._reading.close()
