"""Which version of the tables a database has, and bringing it to ours."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from specflow.errors import JournalError
from specflow.journal.database import Connection, Database
from specflow.journal.tables import HEAD, VERSION_TABLE, metadata
from specflow.resources import bundled

UPGRADE_LOCK = 0x5F_5350_4543  # any number that nobody else uses: "_SPEC"
UPGRADE_SECONDS = 120.0
"""How long one process waits while another upgrades."""


def prepare(database: Database, *, create: bool) -> None:
    """Make sure that the tables are the ones this code knows.

    An SQLite file upgrades itself: a new one (only when `create`) gets its tables at once, an older one
    goes through the migrations. PostgreSQL is somebody's to upgrade.

    Raises:
        JournalError: naming the command to run, or saying that this specflow is too old.
    """
    file = database.file
    with database.explained():
        if file is not None and not create and not file.exists():
            raise JournalError(
                f"there is no journal at {database.where}", hint="check the path", database=database.where
            )
    found = current(database)
    if found == HEAD:
        return
    if found is not None and found > HEAD:
        raise _too_new(database, found)
    if not database.sqlite:
        state = "has no journal's tables yet" if found is None else f"is at version {found}, not {HEAD}"
        raise JournalError(
            f"the database {database.where} {state}",
            hint=f"run: specflow db upgrade --db {database.where}",
            database=database.where,
            found=found,
            needed=HEAD,
        )
    if found is None:
        _create(database)
    else:
        upgrade(database)


def current(database: Database) -> str | None:
    """The version of the tables; None when there are none.

    Raises:
        JournalError: also for tables of unknown version.
    """
    connection = database.connect()
    try:
        with database.explained():
            tx = connection.read()
            # Asked first: whoever makes both makes them in one transaction, which may end between two looks.
            has_tables = _has_table(connection, "sf_effect")
            if _has_table(connection, VERSION_TABLE):
                tx.raw(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608 - a constant
                versions = tx.rows()
                if versions:
                    return str(max(row[0] for row in versions))
            if has_tables:
                raise JournalError(
                    f"{database.where} has journal tables but no row in {VERSION_TABLE}",
                    hint="restore it from a backup, or drop the sf_ tables if they hold nothing of worth",
                    database=database.where,
                )
            return None
    finally:
        connection.rollback()
        connection.close()


def _has_table(connection: Connection, name: str) -> bool:
    tx = connection.transaction()
    if connection.database.sqlite:
        tx.raw(f"SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '{name}'")  # noqa: S608 - ours
    else:
        tx.raw(f"SELECT 1 WHERE to_regclass('{name}') IS NOT NULL")
    return bool(tx.rows())


def _too_new(database: Database, found: str) -> JournalError:
    return JournalError(
        f"the journal {database.where} is at version {found}; this specflow knows {HEAD}",
        hint="it was written by a newer specflow: upgrade this one",
        database=database.where,
        found=found,
        needed=HEAD,
    )


def _create(database: Database) -> None:
    """All tables of a fresh SQLite file at once: what the migrations would make (a test compares)."""
    write_ahead(database)
    with database.explained(), database.engine.begin() as connection:
        # The transaction holds the file: whoever came first has made them.
        if sa.inspect(connection).has_table(VERSION_TABLE):
            return
        metadata.create_all(connection, checkfirst=False)
        connection.exec_driver_sql(
            f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL, "
            f"CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num))"
        )
        connection.exec_driver_sql(f"INSERT INTO {VERSION_TABLE} VALUES ('{HEAD}')")  # noqa: S608 - ours


def write_ahead(database: Database) -> None:
    """Put an SQLite file into WAL mode, so that readers and the writer do not wait for each other."""
    deadline = time.monotonic() + UPGRADE_SECONDS
    while True:
        connection = database.connect()
        try:
            connection.transaction().raw("PRAGMA journal_mode = WAL")
        except database.driver_error as error:
            # SQLite does not wait for this lock by itself.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise JournalError(
                    f"{database.where} cannot be put into WAL mode: {error}",
                    hint="stop whatever holds the file",
                    database=database.where,
                ) from error
            time.sleep(0.02)
        else:
            return
        finally:
            connection.close()


def upgrade(database: Database, target: str = "head") -> tuple[str | None, str | None]:
    """Run the migrations to `target`; returns the versions before and after.

    Several processes may call this at once: one works, the others wait and find it done.

    Raises:
        JournalError: when a migration fails (nothing is changed then), or the database is too new.
    """
    return _migrate(database, "upgrade", target)


def downgrade(database: Database, target: str) -> tuple[str | None, str | None]:
    """Run the migrations back to `target` (`base` takes every table away, with what is in it)."""
    return _migrate(database, "downgrade", target)


def _migrate(database: Database, direction: str, target: str) -> tuple[str | None, str | None]:
    # Alembic is needed seldom and takes as long to import as a small run takes.
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.util import CommandError  # noqa: PLC0415 - see above

    before = current(database)
    if before is not None and before > HEAD:
        raise _too_new(database, before)
    if database.sqlite:
        write_ahead(database)
    try:
        with database.explained(), database.engine.begin() as connection:
            _lock(database, connection)
            config = alembic_config(connection)
            (command.upgrade if direction == "upgrade" else command.downgrade)(config, target)
    except (CommandError, SQLAlchemyError) as error:
        raise JournalError(
            f"the migration of {database.where} failed: {error}",
            hint="nothing was changed",
            database=database.where,
        ) from error
    return before, current(database)


def _lock(database: Database, connection: sa.Connection) -> None:
    if database.sqlite:
        return  # BEGIN IMMEDIATE is the lock
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{int(UPGRADE_SECONDS)}s'")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({UPGRADE_LOCK})")


def alembic_config(connection: sa.Connection) -> Any:
    """Alembic's configuration for this connection (its type comes with a lazy import)."""
    from alembic.config import Config  # noqa: PLC0415 - alembic is imported only when it is needed

    config = Config()
    config.set_main_option("script_location", str(bundled("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def drift(database: Database) -> list[str]:
    """How the tables in the database differ from the ones this code declares; empty when they do not."""
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415 - needed seldom
    from alembic.migration import MigrationContext  # noqa: PLC0415 - needed seldom

    with database.explained(), database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_object": ours,
                "version_table": VERSION_TABLE,
                "compare_type": True,
                "target_metadata": metadata,
            },
        )
        return [repr(difference) for difference in compare_metadata(context, metadata)]


def ours(thing: Any, name: str | None, kind: str, *_rest: object) -> bool:  # Any: alembic's hook
    """Whether a schema object is specflow's: other tables of the database are left alone."""
    table = name if kind == "table" else getattr(getattr(thing, "table", None), "name", "")
    return bool(table) and str(table).startswith("sf_") and table != VERSION_TABLE
