"""The bookings office: flights, bookings and charges, one transaction per write.

Every write takes a request id: the same id asked again gets the same answer and changes nothing.
Cancelling an id that was never booked puts a tombstone on it, so that a booking which is still travelling
under that id is refused when it arrives.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from .store import Store

T = TypeVar("T")
Answer = dict[str, Any]


class DeskError(Exception):
    """The desk says no, and nothing happened."""


class UnknownFlightError(DeskError):
    """No flight has this id."""


class SoldOutError(DeskError):
    """The flight has no seat left."""


class RefusedRequestError(DeskError):
    """The request id was cancelled before; nothing will be booked under it any more."""


class UnknownBookingError(DeskError):
    """No live booking has this id."""


class AlreadyChargedError(DeskError):
    """The booking is paid."""


class WrongAmountError(DeskError):
    """The amount is not the fare of the booking."""


class Desk:
    """The office over one SQLite file.

    `pace` multiplies every latency: 1.0 is the pace of the demo, 0.02 that of the tests, 0 no waiting.
    """

    def __init__(self, path: Path | str, *, pace: float = 1.0) -> None:
        self.store = Store(path)
        self.pace = pace

    async def _serve(self, seconds: float, work: Callable[[sqlite3.Connection], T]) -> T:
        """Travel to the desk, one transaction, and back: `seconds` in all, at the pace of 1."""

        def transact() -> T:
            with self.store.transaction() as connection:
                return work(connection)

        await asyncio.sleep(seconds * 0.4 * self.pace)
        answer = await asyncio.to_thread(transact)
        await asyncio.sleep(seconds * 0.6 * self.pace)
        return answer

    async def search(self, origin: str, destination: str, date: str) -> list[Answer]:
        """The timetable. Seats are not in it, so that a booking does not change what a search says."""

        def work(connection: sqlite3.Connection) -> list[Answer]:
            return [
                {
                    "flight_id": row["flight_id"],
                    "departs": row["departs"],
                    "arrives": row["arrives"],
                    "price_eur": row["fare_cents"] / 100,
                    "refundable": bool(row["refundable"]),
                }
                for row in connection.execute(
                    "SELECT * FROM desk_flights WHERE origin = ? AND destination = ? AND date = ?"
                    " ORDER BY fare_cents",
                    (origin, destination, date),
                )
            ]

        return await self._serve(2.0, work)

    async def weather(self, city: str) -> Answer:
        """The forecast for a city."""

        def work(connection: sqlite3.Connection) -> Answer:
            row = connection.execute("SELECT * FROM desk_weather WHERE city = ?", (city,)).fetchone()
            return dict(row) if row else {"city": city, "sky": "unknown"}

        return await self._serve(0.9, work)

    async def fare_rules(self, flight_id: str) -> Answer:
        """What may be done with a ticket for this flight."""

        def work(connection: sqlite3.Connection) -> Answer:
            flight = _flight(connection, flight_id)
            return {
                "flight_id": flight_id,
                "refundable": bool(flight["refundable"]),
                "change_fee_eur": 0 if flight["refundable"] else 75,
            }

        return await self._serve(0.6, work)

    async def loyalty(self, passenger: str) -> Answer:
        """The passenger's account, tier `none` for strangers."""

        def work(connection: sqlite3.Connection) -> Answer:
            row = connection.execute(
                "SELECT * FROM desk_loyalty WHERE passenger = ?", (passenger,)
            ).fetchone()
            return dict(row) if row else {"passenger": passenger, "tier": "none", "points": 0}

        return await self._serve(0.5, work)

    async def book(self, flight_id: str, passenger: str, request_id: str = "") -> Answer:
        """Take a seat. Without a request id every request is a new one.

        Raises:
            UnknownFlightError, SoldOutError, RefusedRequestError: and nothing happened.
        """
        key = request_id or uuid.uuid4().hex

        def work(connection: sqlite3.Connection) -> Answer:
            known = connection.execute("SELECT * FROM desk_bookings WHERE request_id = ?", (key,)).fetchone()
            if known is not None and known["status"] == "booked":
                return _receipt(connection, known)
            refused = connection.execute("SELECT 1 FROM desk_refused WHERE request_id = ?", (key,)).fetchone()
            if known is not None or refused is not None:
                raise RefusedRequestError("this request was cancelled")
            flight = _flight(connection, flight_id)
            if flight["seats_left"] == 0:
                raise SoldOutError(f"flight {flight_id} is sold out")
            connection.execute(
                "UPDATE desk_flights SET seats_left = seats_left - 1 WHERE flight_id = ?", (flight_id,)
            )
            connection.execute(
                "INSERT INTO desk_bookings (request_id, booking_id, flight_id, passenger, status)"
                " VALUES (?, ?, ?, ?, 'booked')",
                (key, _booking_id(connection, flight_id, passenger), flight_id, passenger),
            )
            made = connection.execute("SELECT * FROM desk_bookings WHERE request_id = ?", (key,)).fetchone()
            return _receipt(connection, made)

        return await self._serve(2.0, work)

    async def cancel(self, request_id: str, reason: str) -> Answer:
        """Take a booking back by its request id; if there is none, refuse the id from now on.

        Raises:
            AlreadyChargedError: a paid booking is refunded by people, not cancelled.
        """

        def work(connection: sqlite3.Connection) -> Answer:
            row = connection.execute(
                "SELECT * FROM desk_bookings WHERE request_id = ?", (request_id,)
            ).fetchone()
            if row is None:
                connection.execute("INSERT OR IGNORE INTO desk_refused VALUES (?, ?)", (request_id, reason))
                return {"status": "cancelled", "booking_id": None}
            if row["status"] == "booked":
                paid = connection.execute(
                    "SELECT 1 FROM desk_charges WHERE booking_id = ?", (row["booking_id"],)
                ).fetchone()
                if paid is not None:
                    raise AlreadyChargedError(f"booking {row['booking_id']} is paid")
                connection.execute(
                    "UPDATE desk_bookings SET status = 'cancelled', reason = ? WHERE request_id = ?",
                    (reason, request_id),
                )
                connection.execute(
                    "UPDATE desk_flights SET seats_left = seats_left + 1 WHERE flight_id = ?",
                    (row["flight_id"],),
                )
            return {"status": "cancelled", "booking_id": row["booking_id"]}

        return await self._serve(0.6, work)

    async def find_booking(self, request_id: str) -> Answer | None:
        """What `book` answered under this request id, or None when no live booking was made under it."""

        def work(connection: sqlite3.Connection) -> Answer | None:
            row = connection.execute(
                "SELECT * FROM desk_bookings WHERE request_id = ? AND status = 'booked'", (request_id,)
            ).fetchone()
            return _receipt(connection, row) if row else None

        return await self._serve(0.5, work)

    async def charge(self, booking_id: str, amount: float, request_id: str = "") -> Answer:
        """Charge the card on file, once per booking, the exact fare in euros.

        Raises:
            UnknownBookingError, WrongAmountError, AlreadyChargedError: and nothing happened.
        """
        key = request_id or uuid.uuid4().hex
        if not math.isfinite(amount):
            raise WrongAmountError("an amount is a number of euros")
        cents = round(amount * 100)

        def work(connection: sqlite3.Connection) -> Answer:
            done = connection.execute("SELECT * FROM desk_charges WHERE request_id = ?", (key,)).fetchone()
            if done is not None:
                return _charge(done)
            if connection.execute("SELECT 1 FROM desk_refused WHERE request_id = ?", (key,)).fetchone():
                raise RefusedRequestError("this charge was given back")
            row = connection.execute(
                "SELECT fare_cents FROM desk_bookings JOIN desk_flights USING (flight_id)"
                " WHERE booking_id = ? AND status = 'booked'",
                (booking_id,),
            ).fetchone()
            if row is None:
                raise UnknownBookingError(f"no booking {booking_id}")
            if cents != row["fare_cents"]:
                raise WrongAmountError(f"the fare is {row['fare_cents'] / 100:.2f} EUR")
            paid = connection.execute("SELECT 1 FROM desk_charges WHERE booking_id = ?", (booking_id,))
            if paid.fetchone() is not None:
                raise AlreadyChargedError(f"booking {booking_id} is paid")
            connection.execute("INSERT INTO desk_charges VALUES (?, ?, ?)", (key, booking_id, cents))
            return {"status": "charged", "booking_id": booking_id, "amount_eur": cents / 100}

        return await self._serve(0.5, work)

    async def refund(self, request_id: str) -> Answer:
        """Give back what was charged under a request id; nothing can be charged under it any more."""

        def work(connection: sqlite3.Connection) -> Answer:
            connection.execute("INSERT OR IGNORE INTO desk_refused VALUES (?, 'given back')", (request_id,))
            connection.execute("DELETE FROM desk_charges WHERE request_id = ?", (request_id,))
            return {"status": "refunded"}

        return await self._serve(0.5, work)

    async def find_charge(self, request_id: str) -> Answer | None:
        """What `charge` answered under this request id, or None when nothing was charged under it."""

        def work(connection: sqlite3.Connection) -> Answer | None:
            row = connection.execute(
                "SELECT * FROM desk_charges WHERE request_id = ?", (request_id,)
            ).fetchone()
            return _charge(row) if row else None

        return await self._serve(0.5, work)


def _flight(connection: sqlite3.Connection, flight_id: str) -> sqlite3.Row:
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM desk_flights WHERE flight_id = ?", (flight_id,)
    ).fetchone()
    if row is None:
        raise UnknownFlightError(f"no flight {flight_id}")
    return row


def _booking_id(connection: sqlite3.Connection, flight_id: str, passenger: str) -> str:
    """A reference that depends on content alone, so that equal worlds have equal references.

    A second live booking of the same seat-holder gets the next reference: the desk does not hide it.
    """
    for copy in range(10_000):
        text = f"{flight_id}/{passenger}/{copy}"
        booking_id = "BK" + hashlib.sha256(text.encode()).hexdigest()[:6].upper()
        taken = connection.execute(
            "SELECT 1 FROM desk_bookings WHERE booking_id = ? AND status = 'booked'", (booking_id,)
        ).fetchone()
        if taken is None:
            return booking_id
    raise SoldOutError("no booking reference left")


def _receipt(connection: sqlite3.Connection, booking: sqlite3.Row) -> Answer:
    flight = _flight(connection, booking["flight_id"])
    return {
        "status": "booked",
        "booking_id": booking["booking_id"],
        "flight_id": booking["flight_id"],
        "passenger": booking["passenger"],
        "price_eur": flight["fare_cents"] / 100,
        "refundable": bool(flight["refundable"]),
    }


def _charge(row: sqlite3.Row) -> Answer:
    return {"status": "charged", "booking_id": row["booking_id"], "amount_eur": row["amount_cents"] / 100}
