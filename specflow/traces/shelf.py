"""Where records wait until their trace is complete: on disk, because nobody says which record is the last.

An export mixes the records of many traces, children before their parents. They are put into a temporary
database that has no name and is gone when it is closed, however the program ends, and are taken out trace
by trace. What is in memory is one conversation, whatever the size of the files.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from specflow.traces.said import Piece

MEMORY = 16 * 2**20
"""Bytes that the database may keep in memory."""

_TABLES = """
CREATE TABLE piece (
  seq INTEGER PRIMARY KEY, trace TEXT NOT NULL, key TEXT NOT NULL, parent TEXT NOT NULL, grp TEXT NOT NULL,
  kind TEXT NOT NULL, began INTEGER, size INTEGER NOT NULL, path TEXT NOT NULL, number INTEGER NOT NULL,
  data BLOB NOT NULL
);
CREATE UNIQUE INDEX once ON piece (trace, key) WHERE key <> '';
CREATE INDEX part ON piece (trace, parent) WHERE kind = 'event';
CREATE TABLE belongs (trace TEXT PRIMARY KEY, conversation TEXT NOT NULL) WITHOUT ROWID;
"""
_COLUMNS = "kind, trace, key, parent, grp, began, size, data, path, number"


@dataclass(slots=True)
class Shelf:
    """Takes pieces in any order and gives them back by conversation."""

    _db: sqlite3.Connection = field(init=False)

    def __post_init__(self) -> None:
        # A temporary database on disk; SQLite unlinks it before it is written to.
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute(f"PRAGMA cache_size = {-MEMORY // 1024}")
        self._db.executescript(_TABLES)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def put(self, piece: Piece) -> Piece | None:
        """Keep a piece. Where its key is in its trace already, the first stays, and is returned."""
        data = _packed(piece.data)
        # A lone surrogate in a name is no text that a database takes.
        names = (piece.trace, piece.key, piece.parent, piece.conversation, piece.kind, piece.path)
        trace, key, parent, group, kind, path = (
            name.encode("utf-8", "replace").decode("utf-8") for name in names
        )
        row = (trace, key, parent, group, kind, piece.began, piece.size, path, piece.number, data)
        put = self._db.execute(
            "INSERT OR IGNORE INTO piece (trace, key, parent, grp, kind, began, size, path, number, data) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
        if put.rowcount and group:
            self._db.execute("INSERT OR IGNORE INTO belongs VALUES (?, ?)", (trace, group))
        return None if put.rowcount else self.find(trace, key)

    def find(self, trace: str, key: str) -> Piece | None:
        """The piece with this key in this trace."""
        row = self._db.execute(
            f"SELECT {_COLUMNS} FROM piece WHERE trace = ? AND key = ? AND key <> ''",  # noqa: S608 - no value is in it
            (trace, key),
        ).fetchone()
        return _piece(row) if row else None

    def kind(self, trace: str, key: str) -> tuple[str, str] | None:
        """The kind and the parent of the piece with this key, or None."""
        found = self._db.execute(
            "SELECT kind, parent FROM piece WHERE trace = ? AND key = ? AND key <> ''", (trace, key)
        ).fetchone()
        return (found[0], found[1]) if found else None

    def parts(self, trace: str, key: str) -> list[Piece]:
        """The events of a span, in the order in which they were put."""
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM piece WHERE trace = ? AND parent = ? AND kind = 'event' ORDER BY seq",  # noqa: S608 - no value is in it
            (trace, key),
        )
        return [_piece(row) for row in rows]

    def orphans(self) -> int:
        """How many pieces name a parent that is nowhere."""
        (count,) = self._db.execute(
            "SELECT count(*) FROM piece AS child WHERE parent <> '' AND NOT EXISTS "
            "(SELECT 1 FROM piece WHERE trace = child.trace AND key = child.parent AND key <> '')"
        ).fetchone()
        return int(count)

    def groups(self) -> Iterator[str]:
        """The conversations, in the order of their first pieces. Nothing can be put after this."""
        self._db.execute(
            "UPDATE piece SET grp = coalesce((SELECT conversation FROM belongs WHERE trace = piece.trace), "
            "piece.trace) WHERE grp = ''"
        )
        # The events of a span say how many messages the model heard.
        self._db.execute(
            "UPDATE piece SET size = (SELECT count(*) FROM piece AS event WHERE event.trace = piece.trace "
            "AND event.parent = piece.key AND event.kind = 'event') WHERE kind = 'model' AND size = 0"
        )
        self._db.execute("CREATE INDEX together ON piece (grp, kind, size, began, seq)")
        for (group,) in self._db.execute("SELECT grp FROM piece GROUP BY grp ORDER BY min(seq)"):
            yield group

    def of(self, group: str, kind: str) -> Iterator[Piece]:
        """The pieces of one kind of a conversation: by the number of messages heard, then by time.

        A conversation only grows, so that this order holds whatever the clocks said.
        """
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM piece WHERE grp = ? AND kind = ? ORDER BY size, began, seq",  # noqa: S608 - no value is in it
            (group, kind),
        )
        return map(_piece, rows)


def _packed(data: Any) -> bytes:
    return zlib.compress(json.dumps(data, separators=(",", ":")).encode(), 1)


def _piece(row: tuple[Any, ...]) -> Piece:
    kind, trace, key, parent, group, began, size, data, path, number = row
    return Piece(
        kind=kind,
        trace=trace,
        key=key,
        parent=parent,
        conversation=group,
        began=began,
        size=size,
        data=json.loads(zlib.decompress(data)),
        path=path,
        number=number,
    )
