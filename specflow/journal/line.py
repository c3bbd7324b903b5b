"""A connection to PostgreSQL on which no question waits for ever, and whose end is noticed at once.

The driver waits for an answer as long as the network pretends to work. Whoever watches over others cannot.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import time
from typing import Any

import sqlalchemy as sa

from specflow.errors import JournalError
from specflow.journal.database import Database

Answer = list[tuple[str, ...]]
"""Rows of texts; NULL is the empty text."""


class LineClosed(Exception):  # noqa: N818 - not an error: somebody hung up
    """`hang_up` was called from another thread."""


class Line:
    """One connection, used by one thread, each statement its own transaction; `hang_up` by any thread."""

    def __init__(self, database: Database) -> None:
        """Connect.

        Raises:
            JournalError: saying why not.
        """
        self._database = database
        with database.explained():
            self._raw = database.engine.raw_connection()
        driver: Any = self._raw.driver_connection  # psycopg's: SQLAlchemy does not know its type
        self._libpq = driver.pgconn
        self._bell, self._far = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._libpq.socket, selectors.EVENT_READ)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._mine = (self._libpq.socket, self._bell.fileno(), self._far.fileno())
        _open.update(self._mine)

    @property
    def process(self) -> int:
        """The server process that answers, as it was announced when the connection was made."""
        return int(self._libpq.backend_pid)

    def ask(self, sql: str, *, within: float) -> Answer:
        """Run one statement; its rows.

        Raises:
            JournalError: it failed, the connection is gone, or there was no answer `within` seconds.
            LineClosed: somebody hung up.
        """
        deadline = time.monotonic() + within
        rows: Answer = []
        with self._database.explained():
            self._libpq.send_query(sql.encode())
            while True:
                while self._libpq.is_busy():
                    if not self._readable(deadline - time.monotonic()):
                        raise TimeoutError("timeout: the server does not answer")
                    self._libpq.consume_input()
                result = self._libpq.get_result()
                if result is None:
                    return rows
                if result.error_message:
                    raise JournalError(
                        f"the journal {self._database.where} refused a statement: "
                        f"{result.error_message.decode(errors='replace').strip()}",
                        database=self._database.where,
                    )
                rows.extend(_texts(result, row) for row in range(result.ntuples))

    def listen(self, seconds: float) -> None:
        """Wait; returns when the time is over, or the server had something to say.

        Raises:
            JournalError: the connection is gone.
            LineClosed: somebody hung up.
        """
        if self._readable(seconds):
            with self._database.explained():
                self._libpq.consume_input()

    def _readable(self, seconds: float) -> bool:
        ready = self._selector.select(max(0.0, seconds))
        if any(key.fileobj is self._bell for key, _events in ready):
            raise LineClosed
        return bool(ready)

    def hang_up(self) -> None:
        """Make whoever waits on this line stop waiting."""
        with contextlib.suppress(OSError):  # it is closed already
            self._far.send(b"x")

    def close(self) -> None:
        """Let go, without waiting for the server; again is harmless."""
        if self._bell.fileno() < 0:
            return
        _open.difference_update(self._mine)
        self._selector.close()
        self._bell.close()
        self._far.close()
        self._libpq.finish()
        with contextlib.suppress(self._database.driver_error, sa.exc.SQLAlchemyError):
            # Not `close`: that would ask the server for a rollback first.
            self._raw.invalidate()


def _texts(result: Any, row: int) -> tuple[str, ...]:
    values = (result.get_value(row, column) for column in range(result.nfields))
    return tuple((value or b"").decode() for value in values)


_open: set[int] = set()


def _forget_in_child() -> None:
    """A child made by fork has copies of the sockets: with them open, the server would not see us die."""
    for number in tuple(_open):
        with contextlib.suppress(OSError):
            os.close(number)
    _open.clear()


getattr(os, "register_at_fork", dict)(after_in_child=_forget_in_child)  # Windows cannot fork
