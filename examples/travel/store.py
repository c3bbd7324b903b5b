"""The office's SQLite file: its tables, its transactions, and what the world looks like by it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .seeds import FLIGHTS, LOYALTY, WEATHER

SCHEMA = """
CREATE TABLE IF NOT EXISTS desk_flights (
    flight_id TEXT PRIMARY KEY, origin TEXT NOT NULL, destination TEXT NOT NULL, date TEXT NOT NULL,
    departs TEXT NOT NULL, arrives TEXT NOT NULL, fare_cents INTEGER NOT NULL,
    refundable INTEGER NOT NULL, seats_left INTEGER NOT NULL CHECK (seats_left >= 0));
CREATE TABLE IF NOT EXISTS desk_bookings (
    request_id TEXT PRIMARY KEY, booking_id TEXT NOT NULL,
    flight_id TEXT NOT NULL REFERENCES desk_flights, passenger TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('booked', 'cancelled')), reason TEXT NOT NULL DEFAULT '');
CREATE UNIQUE INDEX IF NOT EXISTS desk_live_bookings ON desk_bookings (booking_id)
    WHERE status = 'booked';
CREATE TABLE IF NOT EXISTS desk_refused (request_id TEXT PRIMARY KEY, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS desk_charges (
    request_id TEXT PRIMARY KEY, booking_id TEXT NOT NULL UNIQUE, amount_cents INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS desk_weather (city TEXT PRIMARY KEY, celsius INTEGER NOT NULL, sky TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS desk_loyalty (
    passenger TEXT PRIMARY KEY, tier TEXT NOT NULL, points INTEGER NOT NULL);
"""
TABLES = ("desk_charges", "desk_bookings", "desk_refused", "desk_flights", "desk_weather", "desk_loyalty")


class Store:
    """One SQLite file. Every use opens its own connection, so that threads and processes may share it."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that may write: committed at the end, rolled back when the block raises."""
        connection = sqlite3.connect(self.path, timeout=20.0, isolation_level=None)
        connection.row_factory = sqlite3.Row
        try:
            # IMMEDIATE: two writers queue up here, instead of failing when both come to write.
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        finally:
            connection.close()

    def reset(self) -> None:
        """Create the tables where they are missing and put the seeds in place of whatever they hold."""
        with self.transaction() as connection:
            for statement in SCHEMA.split(";"):
                connection.execute(statement)
            for table in TABLES:
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names from the constant above
            connection.executemany("INSERT INTO desk_flights VALUES (?,?,?,?,?,?,?,?,?)", FLIGHTS)
            connection.executemany("INSERT INTO desk_weather VALUES (?,?,?)", WEATHER)
            connection.executemany("INSERT INTO desk_loyalty VALUES (?,?,?)", LOYALTY)

    def exists(self) -> bool:
        """Whether the file is there and holds the desk's tables."""
        if not self.path.is_file():
            return False
        with self.transaction() as connection:
            found = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'desk!_%' ESCAPE '!'"
            ).fetchall()
        return {row["name"] for row in found} >= set(TABLES)

    def state(self) -> dict[str, Any]:
        """What the world looks like now: flights with their seats, live bookings, charges.

        Cancelled bookings, tombstones and request ids are not part of it: a booking that was taken
        back leaves the world as if it had never been made. Booking ids depend on content alone.
        """
        with self.transaction() as connection:
            return {
                "flights": _rows(connection, "SELECT * FROM desk_flights ORDER BY flight_id"),
                "bookings": _rows(
                    connection,
                    "SELECT booking_id, flight_id, passenger FROM desk_bookings"
                    " WHERE status = 'booked' ORDER BY booking_id",
                ),
                "charges": _rows(
                    connection, "SELECT booking_id, amount_cents FROM desk_charges ORDER BY booking_id"
                ),
            }

    def world(self) -> str:
        """SHA-256 over `state()`, 64 hex digits: equal for two desks exactly when their worlds are."""
        text = json.dumps(self.state(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _rows(connection: sqlite3.Connection, query: str) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(query)]
