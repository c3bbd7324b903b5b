"""One database: how to reach it, and connections whose transactions begin and end where we say."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.pool import PoolProxiedConnection

from specflow.errors import JournalError
from specflow.journal.address import identity, parse
from specflow.journal.statements import Statements
from specflow.journal.transaction import Transaction
from specflow.journal.trouble import explain

Durability = Literal["process", "power"]
"""What a write survives once it is confirmed: the death of this process, or a power cut as well."""

BUSY_SECONDS = 10.0
"""How long to wait for another process that writes."""

STALL_SECONDS = 15.0
"""How long the server lets one of our transactions wait for our next statement."""

LOG_PAGES = 4000
"""Pages in SQLite's write-ahead log (16 MB) from which on a commit ends the checkpoint."""


class Database:
    """A database by URL: `sqlite:///file` or `postgresql://...`.

    Raises:
        JournalError: for any other URL, and when its driver is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        durability: Durability = "power",
        busy_seconds: float = BUSY_SECONDS,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        if durability not in {"process", "power"}:
            raise JournalError(f"durability {durability!r} is unknown", hint='"process" or "power"')
        self.url = parse(url)
        self.where = self.url.render_as_string(hide_password=True)
        self.sqlite = self.url.get_backend_name() == "sqlite"
        self.durability = durability
        self.busy_seconds = busy_seconds
        self._stall_seconds = stall_seconds
        self.options = self._sqlite_options() if self.sqlite else self._postgres_options()
        try:
            self.engine = sa.create_engine(self.url, poolclass=sa.NullPool, connect_args=self.options)
        except ImportError as error:
            raise JournalError(
                f"the driver for {self.url.drivername} is not installed",
                hint="install specflow[postgres]",
                database=self.where,
            ) from error
        if self.sqlite:
            # Read then write in one transaction would otherwise fail when somebody wrote in between.
            sa.event.listen(self.engine, "begin", _begin_immediate)
        self.statements = Statements(self.engine.dialect)
        self._pinned: tuple[Path, tuple[int, int] | None] | None = None
        self._made: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._gate = threading.Lock()

    @property
    def file(self) -> Path | None:
        """The SQLite file, if it is one."""
        if not self.sqlite or not self.url.database:
            return None
        return Path(self.url.database.removeprefix("file:"))

    def pin(self) -> None:
        """From now on, an SQLite file must be the one that is there now."""
        if self.file is not None:
            path = self.file.absolute()
            self._pinned = (path, identity(path))

    def check_file(self) -> None:
        """Refuse to go on in a file that nobody would find: SQLite would not notice, or make a new one.

        Raises:
            JournalError: the pinned file was moved, deleted or replaced.
        """
        if self._pinned is not None and identity(self._pinned[0]) != self._pinned[1]:
            raise JournalError(
                f"the journal {self.where} was moved, deleted or replaced",
                hint="put it back, or restart what writes in it; nothing was written",
                database=self.where,
            )

    def _sqlite_options(self) -> dict[str, Any]:
        if not self.url.database or ":memory:" in self.url.database or self.url.query.get("mode") == "memory":
            # What is in memory is gone when the process dies, which is when a journal is needed.
            raise JournalError(
                f"{self.where} is not a file", hint="name one: sqlite:///specflow.db", database=self.where
            )
        return {"isolation_level": None, "timeout": self.busy_seconds}

    def _postgres_options(self) -> dict[str, Any]:
        milliseconds = int(self.busy_seconds * 1000)
        # Our statements all find single rows by an index. Plans made while the tables are still empty
        # would scan them instead, and a connection that lives long keeps such plans (a write took 20
        # times as long).
        settings = f"-c lock_timeout={milliseconds} -c enable_seqscan=off"
        # A process that was stopped, or cut off, in the middle of a transaction would keep its sessions
        # locked against whoever takes them over. And a machine that is gone is noticed by the server.
        settings += f" -c idle_in_transaction_session_timeout={max(1, int(self._stall_seconds * 1000))}"
        settings += " -c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"
        if self.durability == "process":
            settings += " -c synchronous_commit=off"
        defaults = {
            "application_name": "specflow",
            "connect_timeout": 10,
            "options": settings,
            # A server behind a broken network is noticed in seconds, not in hours.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
        }
        return {name: value for name, value in defaults.items() if name not in self.url.query}

    def connect(self, engine: sa.Engine | None = None) -> Connection:
        """A new connection, for one thread at a time; `engine` makes it, if it is not to be the usual one.

        Raises:
            JournalError: saying why not.
        """
        self.check_file()
        with self.explained():
            file = self.file
            if file is not None and not file.parent.is_dir():
                raise JournalError(
                    f"the journal {self.where} cannot be opened: there is no directory {file.parent}",
                    hint="create it, or name another file",
                    database=self.where,
                )
            connection = Connection(self, (engine or self.engine).raw_connection())
            with self._gate:
                self._made.add(connection)
            if self.sqlite:
                connection.set_up_sqlite(full=self.durability == "power")
            return connection

    def cut(self, after: float) -> None:
        """Break every connection on which a transaction has waited for longer than `after` seconds.

        For another thread, which knows that the server does not answer: the driver would wait for ever.
        """
        with self._gate:
            made = tuple(self._made)
        for connection in made:
            connection.cut(after)

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Turn what the driver raises into a JournalError."""
        try:
            yield
        except (self.driver_error, sa.exc.SQLAlchemyError, OSError) as error:
            raise explain(error, self.where, sqlite=self.sqlite) from error

    @property
    def driver_error(self) -> type[Exception]:
        """The base of everything that the driver raises."""
        found: type[Exception] = self.engine.dialect.loaded_dbapi.Error
        return found


class Connection:
    """One connection, used by one thread; transactions are opened and ended here."""

    def __init__(self, database: Database, raw: PoolProxiedConnection) -> None:
        dbapi = database.engine.dialect.loaded_dbapi
        self.database = database
        self.refusals: tuple[type[Exception], ...] = (dbapi.IntegrityError,)
        """What a constraint that refuses a row raises."""
        self.misfits: tuple[type[Exception], ...] = (
            dbapi.DataError,
            dbapi.ProgrammingError,
            *((dbapi.InterfaceError,) if database.sqlite else ()),
        )
        """What a value that the database cannot hold raises."""
        self.committing = False
        """Whether a commit was sent and not answered: what became of it is then not known."""
        self._raw = raw
        self._cursor = raw.cursor()
        self._since: float | None = None
        self._gate = threading.Lock()

    @property
    def raw(self) -> PoolProxiedConnection:
        """The same, for SQLAlchemy."""
        return self._raw

    def set_up_sqlite(self, *, full: bool) -> None:
        """Settings that a connection does not inherit from the file."""
        self._cursor.execute("PRAGMA foreign_keys = ON")
        self._cursor.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
        # Shorter logs are the business of `checkpoints`; a commit does what that could not.
        self._cursor.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")

    def begin(self, now: float) -> Transaction:
        """Begin a transaction that will write; `now` is what its rows are stamped with."""
        self.committing = False
        self._since = time.monotonic()
        if self.database.sqlite:
            self.database.check_file()
            self._cursor.execute("BEGIN IMMEDIATE")
        return self.transaction(now)

    def read(self) -> Transaction:
        """Begin a transaction that sees one state of the whole database; end it with `rollback`."""
        self._since = time.monotonic()
        if self.database.sqlite:
            self._cursor.execute("BEGIN")
        else:
            self._alone(False)
            self._cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return self.transaction(0.0)

    def look(self) -> Transaction:
        """For a single statement, which sees one state by itself: one message on PostgreSQL, not four."""
        self._since = time.monotonic()
        if not self.database.sqlite:
            self._alone(True)
        return self.transaction(0.0)

    def _alone(self, value: bool) -> None:
        driver: Any = self._raw.driver_connection  # psycopg's: SQLAlchemy does not know its type
        if driver.autocommit is not value:
            driver.autocommit = value

    def transaction(self, now: float = 0.0) -> Transaction:
        """Statements outside of, or inside, whatever transaction is open."""
        many = not self.database.sqlite
        return Transaction(self._cursor, self.database.statements, many_sessions=many, now=now)

    def commit(self) -> None:
        """Make the transaction durable."""
        self.committing = True
        if self.database.sqlite:
            self._cursor.execute("COMMIT")
        else:
            self._raw.commit()
        self.committing = False
        self._since = None

    def rollback(self) -> None:
        """End the transaction without effect; never raises, since it follows something that did."""
        self._since = None
        with contextlib.suppress(self.database.driver_error):
            if self.database.sqlite:
                self._cursor.execute("ROLLBACK")
            else:
                self._raw.rollback()

    @property
    def lost(self) -> bool:
        """Whether the server is gone: a new connection is needed."""
        return not self.database.sqlite and bool(getattr(self._raw.driver_connection, "closed", False))

    def close(self) -> None:
        """Let go; never raises."""
        with self._gate, contextlib.suppress(self.database.driver_error, sa.exc.SQLAlchemyError):
            self._cursor.close()
            # To close a lost one would be to ask the lost server for a rollback first.
            (self._raw.invalidate if self.lost else self._raw.close)()

    def cut(self, after: float) -> None:
        """Break it if a transaction has waited for longer than `after` seconds; any thread may."""
        with self._gate:
            since, driver = self._since, self._raw.driver_connection
            if since is None or time.monotonic() - since < after or driver is None or self.lost:
                return
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(driver.fileno())) as copy:
                copy.shutdown(socket.SHUT_RDWR)


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
