"""Many rows in one statement: out of one JSON text on PostgreSQL, out of VALUES on SQLite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect

from specflow.journal.prepared import Prepared


def insertion(
    table: sa.Table, dialect: Dialect, fixed: Mapping[str, Any] | None = None, *, tuples: bool = False
) -> Prepared:
    """The statement that inserts into `table`. Columns of `fixed` always have that value.

    On SQLite those stand in the text, which saves binding them. With `tuples`, rows are tuples in the order
    of the columns, less one that counts by itself.
    """
    columns = {column.name: column for column in table.c if column.autoincrement is not True}
    values: dict[str, object] = {name: sa.bindparam(name) for name in columns}
    if dialect.name == "postgresql":
        one = sa.insert(table).values(values).inline()
        whole = sa.insert(table).from_select([*columns], sa.select(given(columns, dialect))).inline()
        copy = f"COPY {table.name} ({', '.join(columns)}) FROM STDIN"
        return Prepared(one, dialect, whole=whole, copy=copy, columns=tuple(columns), tuples=tuples)
    literals = {name: _literal(value, dialect) for name, value in (fixed or {}).items()}
    one = sa.insert(table).values(values | literals).inline()
    return Prepared(one, dialect, packed=one, columns=tuple(columns), tuples=tuples)


def _literal(value: object, dialect: Dialect) -> sa.ColumnElement[Any]:
    text = sa.literal(value).compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    return sa.literal_column(str(text))


def given(columns: Mapping[str, sa.Column[Any]], dialect: Dialect) -> sa.FromClause:
    """A table out of parameters, so that one statement does all rows.

    On PostgreSQL it is one JSON text, so that the server plans and answers once. On SQLite it is the values
    of one row, which `Prepared` repeats.
    """
    named = [sa.column(name, column.type) for name, column in columns.items()]
    if dialect.name == "sqlite":
        # The first part has no row: it is there to name the columns.
        names = ", ".join(f"NULL AS {name}" for name in columns)
        row = ", ".join(f":{name}" for name in columns)
        every = sa.text(f"SELECT {names} WHERE 0 UNION ALL VALUES ({row})")
        return every.columns(*named).subquery("given")
    rows = sa.cast(sa.bindparam("rows", type_=sa.Text), postgresql.JSON)
    found = sa.func.json_to_recordset(rows).table_valued(*named)
    return found.render_derived(name="given", with_types=True)
