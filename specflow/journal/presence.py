"""Being seen to live: a lock in PostgreSQL that ends with this process, on whatever machine it runs.

One lock for each journal, not one for each session: what can die is the process, and a thousand sessions
would fill the server's table of locks. A connection of its own, because the writer's is only looked at when
something is written: this one is listened to, so that its end is noticed, and made good, at once.

The lock's key is drawn anew for each connection. Together with the time the server was started it is the
*token* that the journal writes into the sessions it holds. So a token whose lock is gone never comes back,
and the tokens of another run of the server, or of another server of a cluster, say nothing.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable

from specflow.errors import JournalError
from specflow.journal.absence import SERVER
from specflow.journal.database import Database
from specflow.journal.line import Line, LineClosed

log = logging.getLogger("specflow.journal")

HEARTBEAT = 5.0
"""Seconds between questions on an idle line, at most; each must be answered within as many."""

PAUSES = (0.02, 0.5)
"""Seconds before the first, and at most before each further try to connect again."""

PATIENCE = 1.0
"""Seconds that closing waits for a thread in the middle of connecting."""


class Presence:
    """Holds the lock while the process lives.

    On its own thread it calls `changed` for each new token. Each time the server does not answer, it cuts
    the database's other connections: nothing else would notice that a network only pretends to work.
    """

    def __init__(
        self, database: Database, changed: Callable[[], None], *, heartbeat: float = HEARTBEAT
    ) -> None:
        self._database = database
        self._changed = changed
        self._heartbeat = heartbeat
        self._token = ""
        self._line: Line | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="specflow-journal-presence", daemon=True)

    @property
    def token(self) -> str:
        """What says that this process lives; empty while there is no lock."""
        return self._token

    def start(self) -> None:
        """Begin; again is harmless. From one thread only."""
        if self._thread.ident is None and not self._closing.is_set():
            self._thread.start()

    def close(self) -> None:
        """Let the lock go; again is harmless."""
        self._closing.set()
        line = self._line
        if line is not None:
            line.hang_up()
        if self._thread.ident is not None:
            self._thread.join(PATIENCE)

    def _serve(self) -> None:
        pause, longest = PAUSES
        while not self._closing.is_set():
            try:
                self._hold()
            except JournalError as error:
                if self._token:
                    log.warning("the lock that shows that this process lives is lost: %s", error)
                pause = PAUSES[0] if self._token else min(2 * pause, longest)
                self._database.cut(self._heartbeat)
            else:
                return
            finally:
                self._token = ""
            self._closing.wait(pause)

    def _hold(self) -> None:
        """Lock, and listen until the line breaks (JournalError) or is no longer needed."""
        line = self._line = Line(self._database)
        try:
            if self._closing.is_set():
                return
            key = secrets.randbits(62)
            (answer,) = line.ask(
                f"SELECT pg_backend_pid(), {SERVER}, pg_try_advisory_lock({key})",
                within=HEARTBEAT,  # a server that was just started is slow
            )
            process, server, locked = answer
            if int(process) != line.process or locked != "t":
                log.info(
                    "%s is behind a connection pool: whether this process lives is told by leases only",
                    self._database.where,
                )
                return
            self._token = f"{server}/{key}"
            self._changed()
            while True:
                line.listen(self._heartbeat)
                line.ask("SELECT 1", within=self._heartbeat)
        except LineClosed:
            return
        finally:
            self._line = None
            line.close()
