"""The shop's back office, a service of somebody else's: orders, stock, reservations and refunds in SQLite.

Reserving takes a request id: the same id asked again reserves nothing more, and once it was released, nothing
can be reserved under it any more.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

Row = dict[str, Any]

TABLES = """
CREATE TABLE orders (order_id TEXT PRIMARY KEY, email TEXT, sku TEXT, amount REAL, delivered TEXT);
CREATE TABLE stock (sku TEXT PRIMARY KEY, title TEXT, colour TEXT, free INTEGER);
CREATE TABLE reservations (request_id TEXT PRIMARY KEY, order_id TEXT, sku TEXT, status TEXT);
CREATE TABLE refunds (request_id TEXT PRIMARY KEY, order_id TEXT UNIQUE, amount REAL);
INSERT INTO orders VALUES ('1042', 'ada@example.com', 'HP320', 129.0, '2026-03-02');
INSERT INTO stock VALUES ('HP310', 'Headphones', 'white', 3), ('HP320', 'Headphones', 'black', 2);
"""


class ShopError(Exception):
    """The shop says no, and nothing happened."""


class Shop:
    """The office over one SQLite file. `pace` multiplies every latency; 0 is no waiting."""

    def __init__(self, path: Path, *, pace: float = 1.0) -> None:
        self.path = path
        self.pace = pace
        if not path.exists():
            with closing(sqlite3.connect(path)) as connection:
                connection.executescript(TABLES)

    async def _do(self, seconds: float, *statements: tuple[str, tuple[Any, ...]]) -> list[Row]:
        """All statements in one transaction, and the rows of the last."""
        await asyncio.sleep(seconds * self.pace)
        return await asyncio.to_thread(self._transaction, statements)

    def _transaction(self, statements: tuple[tuple[str, tuple[Any, ...]], ...]) -> list[Row]:
        with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("BEGIN IMMEDIATE")
            rows: list[Row] = []
            for sql, values in statements:
                rows = [dict(row) for row in connection.execute(sql, values).fetchall()]
            connection.execute("COMMIT")
            return rows

    async def order(self, order_id: str) -> Row:
        """One order."""
        rows = await self._do(1.2, ("SELECT * FROM orders WHERE order_id = ?", (order_id,)))
        if not rows:
            raise ShopError(f"no order {order_id}")
        return rows[0]

    async def stock(self, title: str) -> list[Row]:
        """What there is of a kind of thing, whatever is reserved of it."""
        sql = "SELECT sku, title, colour FROM stock WHERE title = ? ORDER BY sku DESC"
        return await self._do(1.5, (sql, (title,)))

    async def reserve(self, order_id: str, sku: str, request_id: str) -> Row:
        """Put one aside for an order."""
        insert = "INSERT OR IGNORE INTO reservations VALUES (?, ?, ?, 'reserved')"
        take = "UPDATE stock SET free = free - 1 WHERE sku = ? AND changes() = 1"
        look = "SELECT * FROM reservations WHERE request_id = ?"
        rows = await self._do(
            1.4, (insert, (request_id, order_id, sku)), (take, (sku,)), (look, (request_id,))
        )
        if rows[0]["status"] != "reserved":
            raise ShopError("this request was released")
        return {"status": "reserved", "order_id": order_id, "sku": sku}

    async def release(self, request_id: str) -> Row:
        """Put it back; if there is nothing under the id yet, there will never be."""
        back = (
            "UPDATE stock SET free = free + 1 WHERE sku = (SELECT sku FROM reservations "
            "WHERE request_id = ? AND status = 'reserved')"
        )
        refuse = (
            "INSERT INTO reservations VALUES (?, '', '', 'released') "
            "ON CONFLICT (request_id) DO UPDATE SET status = 'released'"
        )
        await self._do(0.4, (back, (request_id,)), (refuse, (request_id,)))
        return {"status": "released"}

    async def reservation(self, request_id: str) -> Row | None:
        """What was reserved under a request id, or None."""
        sql = "SELECT order_id, sku FROM reservations WHERE request_id = ? AND status = 'reserved'"
        rows = await self._do(0.3, (sql, (request_id,)))
        return {"status": "reserved", **rows[0]} if rows else None

    async def refund(self, order_id: str, amount: float, request_id: str) -> Row:
        """Pay money back, once for an order."""
        insert = "INSERT OR IGNORE INTO refunds VALUES (?, ?, ?)"
        rows = await self._do(
            0.6,
            (insert, (request_id, order_id, amount)),
            ("SELECT * FROM refunds WHERE order_id = ?", (order_id,)),
        )
        if rows[0]["request_id"] != request_id:
            raise ShopError(f"order {order_id} was refunded before")
        return {"status": "refunded", "order_id": order_id, "amount": amount}

    def world(self) -> dict[str, list[Row]]:
        """What a customer would find: stock, live reservations, refunds."""
        live = "SELECT order_id, sku FROM reservations WHERE status = 'reserved' ORDER BY order_id, sku"
        return {
            "stock": self._transaction((("SELECT sku, free FROM stock ORDER BY sku", ()),)),
            "reservations": self._transaction(((live, ()),)),
            "refunds": self._transaction((("SELECT order_id, amount FROM refunds ORDER BY order_id", ()),)),
        }
