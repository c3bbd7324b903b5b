"""How Alembic runs specflow's migrations: on a connection that is given, inside its transaction.

It is always called by `specflow db ...` or by a journal that opens an SQLite file; they hold the lock.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from specflow.errors import ConfigurationError
from specflow.journal.schema import ours
from specflow.journal.tables import VERSION_TABLE, metadata

connection = context.config.attributes.get("connection")
if not isinstance(connection, Connection):
    raise ConfigurationError(
        "these migrations run on a connection that specflow gives them",
        hint="use: specflow db upgrade --db URL",
    )

context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    include_object=ours,
    compare_type=True,
    # SQLite alters a table by copying it.
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
