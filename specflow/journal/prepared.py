"""One statement as the driver takes it, compiled once, and its faster form for many rows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

Values = Mapping[str, Any]
"""Parameters of one statement by name; what a value may be is the driver's business."""

Row = Values | tuple[Any, ...]
"""The same, or in the order of the columns."""

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)

PACKS = (64, 32, 16, 8, 4, 2)
"""Rows in one packed statement: few calls for any number of rows. Each call gives the interpreter's lock
away and then waits for it, so fewer calls leave the event loop more room. More rows gain nothing."""

COPY_FROM = 24
"""Rows from which on PostgreSQL's COPY is used: it saves the server a third, and costs two round trips."""

_ROW = re.compile(r"VALUES (\((?:[^()']|'[^']*')+\))")


class Prepared:
    """Text, and how the parameters are handed over.

    `whole` is the text for any number of rows, whose one parameter is `bind_whole`; None: there is no such
    form. `packed` are pairs of a number of rows, most first, and the text for so many, whose parameters
    are `bind_pack`; empty: there is no such form. `copy` is the text of a COPY that takes rows of `record`;
    empty: there is no such form.

    A row is a mapping from names to values, or, when the statement is prepared with `tuples`, a tuple in the
    order of `columns`.
    """

    __slots__ = ("_bind_packed", "_named", "bind", "copy", "packed", "record", "sql", "whole")

    def __init__(
        self,
        statement: sa.ClauseElement,
        dialect: Dialect,
        *,
        whole: sa.ClauseElement | None = None,
        packed: sa.ClauseElement | None = None,
        copy: str = "",
        columns: Sequence[str] = (),
        tuples: bool = False,
    ) -> None:
        """`packed` is the statement for one row, whose VALUES hold all parameters; `copy` takes `columns`."""
        compiled = statement.compile(dialect=dialect)
        order: Sequence[str] | None = getattr(compiled, "positiontup", None)
        self.sql = str(compiled)
        self._named = partial(_with_names, columns) if tuples else _as_it_is
        self.bind = _binder(order, columns if tuples else None)
        """The parameters of one row in the form the driver takes."""
        self.whole = None if whole is None else str(whole.compile(dialect=dialect))
        self.copy, self.record = copy, _binder(columns, columns if tuples else None)
        self.packed: tuple[tuple[int, str], ...] = ()
        if packed is not None:
            compiled = packed.compile(dialect=dialect)
            order = getattr(compiled, "positiontup", None)
            before, row, after = _ROW.split(str(compiled))
            self.packed = tuple((size, f"{before}VALUES {', '.join([row] * size)}{after}") for size in PACKS)
            self._bind_packed = _binder(order, columns if tuples else None)

    def bind_whole(self, rows: Sequence[Row]) -> Values:
        """All the rows, as one JSON text: a driver takes five times as long over lists of values.

        A value that JSON does not know (an infinite number) makes the statement fail; row by row it works.
        """
        return {"rows": _ENCODER.encode([self._named(row) for row in rows])}

    def bind_pack(self, rows: Sequence[Row]) -> list[Any]:
        """The parameters of `rows`, as many as the text is for."""
        return list(chain.from_iterable(map(self._bind_packed, rows)))


def _binder(order: Sequence[str] | None, columns: Sequence[str] | None) -> Callable[[Row], Any]:
    """From a row, whose values are by name, or in the order of `columns`, to what the driver takes."""
    if order is None:
        return _as_it_is if columns is None else partial(_with_names, columns)
    if columns is not None:
        assert tuple(order) == tuple(columns)
        return _as_it_is
    if len(order) > 1:
        return itemgetter(*order)
    return partial(_listed, order)


def _listed(order: Sequence[str], row: Any) -> Any:
    return [row[name] for name in order]


def _as_it_is(row: Row) -> Any:
    return row


def _with_names(columns: Sequence[str], row: Row) -> Any:
    return dict(zip(columns, row, strict=True))


Ready = Callable[[sa.ClauseElement], Prepared]
"""Compiles a statement for the dialect at hand."""
