"""The one thread that writes: drains a queue into one transaction, then wakes each waiting loop once."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from specflow.clock import Clock
from specflow.errors import JournalError, SpecflowError
from specflow.journal.batch import Failed, execute
from specflow.journal.checkpoints import Checkpoints
from specflow.journal.database import Connection, Database
from specflow.journal.operations import Operation, Predict
from specflow.journal.presence import HEARTBEAT, Presence
from specflow.journal.record import PredictionRow
from specflow.journal.renewal import Renewals
from specflow.journal.session_operations import Release
from specflow.journal.trouble import explain

log = logging.getLogger("specflow.journal")

MOST_AT_ONCE = 512
"""Operations in one transaction: more would only make the first of them wait."""

LATEST_NOTE = 1.0
"""Seconds a prediction may wait for a transaction to ride in."""


class Ticket(NamedTuple):
    """An operation and who waits for it. A tuple: it is made in a third of the time."""

    operation: Operation
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class Nudge:
    """Renew the leases now."""


class Writer:
    """Group commit. Operations of one batch share a transaction; none can hurt another."""

    def __init__(self, database: Database, clock: Clock, lease_seconds: float) -> None:
        self._database = database
        self._clock = clock
        heartbeat = min(HEARTBEAT, lease_seconds / 3)
        self._presence = None if database.sqlite else Presence(database, self._nudge, heartbeat=heartbeat)
        self._renewals = Renewals(lease_seconds, self.token)
        self._checkpoints = Checkpoints(database) if database.sqlite else None
        self._queue: SimpleQueue[Ticket | PredictionRow | Nudge | None] = SimpleQueue()
        self._gate = threading.Lock()
        self._closing = False
        self._pid = os.getpid()
        self._connection: Connection | None = None
        self._notes: list[PredictionRow] = []
        self._notes_due = 0.0
        self._thread = threading.Thread(target=self._serve, name="specflow-journal", daemon=True)
        self._thread.start()

    def ask(self, operation: Operation) -> asyncio.Future[Any]:
        """Have it done durably; the future gives its answer (whose type is the operation's business).

        Cancelling the future does not cancel the operation. It raises JournalError when the operation was
        refused, or the database failed; nothing was changed then.

        Raises:
            JournalError: at once, when the journal is closed, or was opened before a fork.
        """
        self.check_process()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._put(Ticket(operation, loop, future))
        return future

    def note(self, prediction: PredictionRow) -> None:
        """Write it some time soon."""
        self.check_process()
        self._put(prediction)

    def token(self) -> str:
        """What shows others that this process lives (see `presence`); empty while there is nothing."""
        return "" if self._presence is None else self._presence.token

    def _nudge(self) -> None:
        with self._gate:
            if not self._closing:
                self._queue.put(Nudge())

    def _put(self, item: Ticket | PredictionRow) -> None:
        with self._gate:
            # Under the gate, so that nothing can come after the mark that ends the queue.
            if self._closing:
                raise JournalError("the journal is closed", hint="open it again")
            self._queue.put(item)

    @property
    def inherited(self) -> bool:
        """Whether this is a copy in a child made by fork: the thread and the connection are not in it."""
        return os.getpid() != self._pid

    def check_process(self) -> None:
        """Refuse to work in a child made by fork."""
        if self.inherited:
            raise JournalError(
                "this journal was opened before os.fork()",
                hint="open the journal in the child, after the fork",
                opened_in=self._pid,
            )

    def close(self) -> None:
        """Write what is queued, give leases back, end the thread; again is harmless."""
        with self._gate:
            if not self._closing:
                self._closing = True
                self._queue.put(None)
        self._thread.join()

    def _serve(self) -> None:
        open_for_more = True
        while open_for_more:
            tickets, open_for_more = self._next()
            if tickets:
                self._batch(tickets)
                self._beside(len(tickets))
            if self._renewals.wait() == 0.0:
                self._renew()
            if self._notes and (not open_for_more or time.monotonic() >= self._notes_due):
                self._background(self._note_operation())
        if self._renewals.held:
            self._background(Release(leases=self._renewals.held))
        if self._presence is not None:
            self._presence.close()
        if self._checkpoints is not None:
            self._checkpoints.close()
        if self._connection is not None:
            self._connection.close()

    def _beside(self, operations: int) -> None:
        """What other threads do for this one, started when there is reason to."""
        if self._checkpoints is not None:
            self._checkpoints.committed(operations)
        if self._presence is not None and self._renewals.held:
            self._presence.start()

    def _next(self) -> tuple[list[Ticket], bool]:
        tickets: list[Ticket] = []
        try:
            item = self._queue.get(timeout=self._idle())
            while True:
                if item is None:
                    return tickets, False
                if isinstance(item, Ticket):
                    tickets.append(item)
                elif isinstance(item, Nudge):
                    self._renewals.hurry()
                else:
                    self._remember(item)
                if len(tickets) >= MOST_AT_ONCE:
                    return tickets, True
                item = self._queue.get_nowait()
        except Empty:
            return tickets, True

    def _idle(self) -> float | None:
        waits = [self._renewals.wait(), self._notes_due - time.monotonic() if self._notes else None]
        return min((max(0.0, wait) for wait in waits if wait is not None), default=None)

    def _remember(self, prediction: PredictionRow) -> None:
        if not self._notes:
            self._notes_due = time.monotonic() + LATEST_NOTE
        self._notes.append(prediction)

    def _note_operation(self) -> Predict:
        notes, self._notes = tuple(self._notes), []
        return Predict(predictions=notes)

    def _batch(self, tickets: Sequence[Ticket]) -> None:
        operations: list[Operation] = [ticket.operation for ticket in tickets]
        if self._notes:
            operations.append(self._note_operation())
        answers = self._answers(operations)
        for operation, answer in zip(operations, answers, strict=True):
            self._renewals.learn(operation, answer)
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], object]]] = {}
        for ticket, answer in zip(tickets, answers, strict=False):
            by_loop.setdefault(ticket.loop, []).append((ticket.future, answer))
        for loop, settled in by_loop.items():
            try:
                loop.call_soon_threadsafe(_hand_over, settled)
            except RuntimeError:
                log.debug("an event loop was closed before the journal answered it")

    def _answers(self, operations: Sequence[Operation]) -> Sequence[object]:
        try:
            return self._execute(operations)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must be told
            return [Failed(self._explained(error)) for _ in operations]

    def _explained(self, error: Exception) -> SpecflowError:
        # A new one for each who waits: an exception carries the traceback of where it was raised.
        if isinstance(error, JournalError):
            return JournalError(error.message, hint=error.hint, **error.facts)
        return explain(error, self._database.where, sqlite=self._database.sqlite)

    def _execute(self, operations: Sequence[Operation], *, again: bool = True) -> Sequence[object]:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._database.connect()
        try:
            return execute(connection, operations, self._clock.wall())
        except self._database.driver_error:
            if not connection.lost:
                raise
            unsure = connection.committing
            connection.close()
            self._connection = None
            if unsure or not again:
                raise
            # The server went away while we were idle, or before the commit: nothing was written.
            return self._execute(operations, again=False)

    def _renew(self) -> None:
        for lost in self._background(self._renewals.operation()) or ():
            self._renewals.lost([lost])

    def _background(self, operation: Operation) -> Any:
        """Do something nobody waits for; trouble goes to the log."""
        answer = self._answers([operation])[0]
        if isinstance(answer, Failed):
            log.warning("%s failed: %s", type(operation).__name__, answer.error)
            return None
        return answer


def _hand_over(settled: Sequence[tuple[asyncio.Future[Any], object]]) -> None:
    for future, answer in settled:
        if future.done():
            continue
        if isinstance(answer, Failed):
            future.set_exception(answer.error)
        else:
            future.set_result(answer)
