"""One statement as the driver takes it, compiled once, and its faster form for many rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

Values = Mapping[str, Any]
"""Parameters of one statement by name; what a value may be is the driver's business."""

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)

PACK = 32
"""Rows in one packed statement. More gains nothing, and makes the last rows of a batch slower."""


class Prepared:
    """Text, and how the parameters are handed over.

    `whole` is the text for any number of rows, whose one parameter is `bind_whole`; `packed` is the text
    for `PACK` rows, whose parameters are `bind_pack`. None: there is no such form.
    """

    __slots__ = ("bind", "packed", "sql", "whole")

    def __init__(
        self,
        statement: sa.ClauseElement,
        dialect: Dialect,
        *,
        whole: sa.ClauseElement | None = None,
        packed: sa.ClauseElement | None = None,
    ) -> None:
        compiled = statement.compile(dialect=dialect)
        self.sql = str(compiled)
        self.bind = _binder(getattr(compiled, "positiontup", None))
        """The parameters of one row in the form the driver takes."""
        self.whole = None if whole is None else str(whole.compile(dialect=dialect))
        self.packed = None if packed is None else str(packed.compile(dialect=dialect))

    def bind_whole(self, rows: Sequence[Values]) -> Values:
        """All the rows, as one JSON text: a driver takes five times as long over lists of values.

        A value that JSON does not know (an infinite number) makes the statement fail; row by row it works.
        """
        return {"rows": _ENCODER.encode(rows)}

    def bind_pack(self, rows: Sequence[Values]) -> list[Any]:
        """The parameters of `PACK` rows."""
        return list(chain.from_iterable(map(self.bind, rows)))


def _binder(order: Sequence[str] | None) -> Callable[[Values], Any]:
    if order is None:
        return lambda values: values
    if len(order) > 1:
        return itemgetter(*order)
    return lambda values: [values[name] for name in order]
