"""SQLite's write-ahead log, brought back into the file beside the writer instead of within its commits."""

from __future__ import annotations

import logging
import threading
from queue import SimpleQueue

from specflow.errors import JournalError
from specflow.journal.database import Connection, Database

log = logging.getLogger("specflow.journal")

OPERATIONS, COMMITS = 2048, 128
"""After so many of either the log is about a thousand pages long: an operation by itself writes five to
twelve pages, one of many in a transaction half a page."""


class Checkpoints:
    """A thread with a connection of its own, both made when they are first needed.

    A checkpoint copies the pages of the log into the file and syncs both, which took a quarter of the
    writer's time. It never waits for anybody, and nobody for it. What a checkpoint cannot end, because
    the writer goes on, a commit does when the log has become long (see `Connection.set_up_sqlite`): then
    little is left to copy, and the log starts anew.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._thread: threading.Thread | None = None
        self._wanted: SimpleQueue[bool] = SimpleQueue()
        self._operations = self._commits = 0

    def committed(self, operations: int) -> None:
        """A transaction of so many operations was committed. Called by one thread."""
        self._operations += operations
        self._commits += 1
        if self._operations < OPERATIONS and self._commits < COMMITS:
            return
        self._operations = self._commits = 0
        if self._thread is None:
            thread = threading.Thread(target=self._serve, name="specflow-checkpoint", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return  # the interpreter is ending; so are the connections, and the last one does it
            self._thread = thread
        self._wanted.put(True)

    def close(self) -> None:
        """Let the last one end. What is not copied stays in the log, where it is as safe."""
        if self._thread is not None:
            self._wanted.put(False)
            self._thread.join()

    def _serve(self) -> None:
        connection: Connection | None = None
        while self._wanted.get():
            try:
                connection = connection or self._database.connect()
                with self._database.explained():
                    connection.transaction().raw("PRAGMA wal_checkpoint(PASSIVE)")
            except JournalError as error:
                log.debug("a checkpoint failed, and is left to the next commit: %s", error)
        if connection is not None:
            connection.close()
