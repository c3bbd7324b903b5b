"""What a tool is given of the journal's database: a connection that is bound to the call's transaction."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn, Protocol

import sqlalchemy as sa
from sqlalchemy.pool import PoolProxiedConnection

from specflow.journal.call_statements import ENDS_IT


class Scope(Protocol):
    """The transaction, as its connection sees it."""

    def statement(self, sql: str) -> AbstractContextManager[None]:
        """Surrounds each statement; raises TransactionError when it must not be made."""
        ...

    def check(self) -> None:
        """Raise TransactionError when no statement may be made any more."""
        ...

    def refuse(self, what: str) -> NoReturn:
        """Raise TransactionError, and have all of the transaction rolled back."""
        ...


class CallConnection(sa.Connection):
    """A `sqlalchemy.Connection` whose transaction belongs to the call: nobody but specflow ends it.

    Nested transactions (`begin_nested`) and ORM sessions bound to it work as ever. It is used by one thread
    at a time, and by nobody once the call is over.
    """

    def __init__(self, engine: sa.Engine, raw: PoolProxiedConnection, scope: Scope) -> None:
        super().__init__(engine, connection=raw)
        self._scope: Scope | None = None
        # For SQLAlchemy it has begun, so that a session takes part in it; the database hears of it later.
        super().begin()
        self._scope = scope

    @property
    def scope(self) -> Scope | None:
        """The transaction that it is bound to."""
        return self._scope

    @property
    def connection(self) -> PoolProxiedConnection:
        """Not handed out: what is done on the driver's own connection would be seen by nobody."""
        if self._scope is not None:
            self._scope.refuse("the driver's own connection is not handed out")
        return super().connection

    def begin(self) -> NoReturn:
        """Refused."""
        self._refuse("begin(): the transaction of the call has begun; begin_nested() makes a savepoint")

    def begin_twophase(self, xid: Any | None = None) -> NoReturn:
        """Refused."""
        self._refuse("begin_twophase(): the transaction of the call has begun")

    def commit(self) -> NoReturn:
        """Refused."""
        self._refuse(f"commit(): {ENDS_IT}")

    def rollback(self) -> NoReturn:
        """Refused."""
        self._refuse(f"rollback(): {ENDS_IT}")

    def close(self) -> NoReturn:
        """Refused."""
        self._refuse(f"close(): the connection is not the tool's to close; {ENDS_IT}")

    def detach(self) -> NoReturn:
        """Refused."""
        self._refuse("detach(): the connection is not the tool's to keep")

    def execution_options(self, **options: Any) -> CallConnection:
        """As SQLAlchemy's, but for the isolation level, which is the journal's."""
        if "isolation_level" in options:
            self._refuse("execution_options(isolation_level=...): the transaction of the call has begun")
        super().execution_options(**options)
        return self

    def exec_driver_sql(self, statement: str, *values: Any, **options: Any) -> sa.CursorResult[Any]:
        """As SQLAlchemy's."""
        self.check()
        return super().exec_driver_sql(statement, *values, **options)

    def check(self) -> None:
        """Raise TransactionError when no statement may be made any more."""
        if self._scope is not None:
            self._scope.check()

    def _refuse(self, what: str) -> NoReturn:
        assert self._scope is not None
        self._scope.refuse(what)


def calls_engine(url: sa.URL, options: dict[str, Any]) -> sa.Engine:
    """An engine whose connections a `CallConnection` may stand on. `options` are the journal's."""
    options = dict(options)
    if "options" in options:
        # That is for the journal's own statements, which all go by an index; a tool's may not.
        options["options"] = options["options"].replace(" -c enable_seqscan=off", "")
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args=options)
    sa.event.listen(engine, "before_execute", _checked)
    sa.event.listen(engine, "commit", _ended)
    sa.event.listen(engine, "rollback", _ended)
    sa.event.listen(engine, "do_execute", _execute)
    sa.event.listen(engine, "do_executemany", _executemany)
    sa.event.listen(engine, "do_execute_no_params", _execute_plainly)
    return engine


def _checked(connection: sa.Connection, *_statement: object) -> None:
    """Before SQLAlchemy asks for a cursor, which a closed connection has not."""
    if isinstance(connection, CallConnection):
        connection.check()


def _ended(connection: sa.Connection) -> None:
    """Somebody has got at the transaction past the connection: an ORM session, say."""
    if isinstance(connection, CallConnection) and connection.scope is not None:
        connection.scope.refuse(f"commit or rollback of its transaction: {ENDS_IT}")


def _surrounding(sql: str, context: Any) -> AbstractContextManager[None]:
    connection = context.root_connection
    if isinstance(connection, CallConnection) and connection.scope is not None:
        return connection.scope.statement(sql)
    return nullcontext()  # SQLAlchemy's own, when it meets the server for the first time


def _execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
    with _surrounding(statement, context):
        context.dialect.do_execute(cursor, statement, parameters, context)
    return True


def _executemany(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
    with _surrounding(statement, context):
        context.dialect.do_executemany(cursor, statement, parameters, context)
    return True


def _execute_plainly(cursor: Any, statement: str, context: Any) -> bool:
    with _surrounding(statement, context):
        context.dialect.do_execute_no_params(cursor, statement, context)
    return True
