"""What no journal can do without: a page that is on the disk, and SQLite by itself."""

from __future__ import annotations

import itertools
import json
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from time import perf_counter

from specflow.bench.paired import Measure

PAGE = 4096
_sync = getattr(os, "fdatasync", os.fsync)  # fdatasync is not everywhere
_ARGS = json.dumps({"flight_id": "SK1", "passenger": "Ada Lovelace", "seat": "12A"})


@asynccontextmanager
async def pages(file: Path, count: int) -> AsyncIterator[Measure]:
    """Microseconds to append one page to a file and have it on the disk."""
    with file.open("ab", buffering=0) as out:
        page = os.urandom(PAGE)

        async def measure() -> float:
            started = perf_counter()
            for _ in range(count):
                out.write(page)
                _sync(out.fileno())
            return 1e6 * (perf_counter() - started) / count

        yield measure


@asynccontextmanager
async def plain_sqlite(file: Path, count: int, at_once: int) -> AsyncIterator[Measure]:
    """Microseconds for a row inserted, committed, updated and committed, `at_once` rows in a transaction.

    The module `sqlite3` alone: a table of four columns, no thread, no loop, nothing checked.
    """
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE effect (id TEXT PRIMARY KEY, args TEXT, stage TEXT, result TEXT)")
        numbers = itertools.count()

        async def measure() -> float:
            started = perf_counter()
            for _ in range(count // at_once):
                names = [f"eff_{next(numbers)}" for _ in range(at_once)]
                for sql, rows in (
                    ("INSERT INTO effect VALUES (?, ?, 'intended', NULL)", [(name, _ARGS) for name in names]),
                    (
                        "UPDATE effect SET stage = 'done', result = ? WHERE id = ?",
                        [('{"id":"B-1"}', name) for name in names],
                    ),
                ):
                    connection.execute("BEGIN IMMEDIATE")
                    connection.executemany(sql, rows)
                    connection.execute("COMMIT")
            return 1e6 * (perf_counter() - started) / (count // at_once * at_once)

        yield measure
