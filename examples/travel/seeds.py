"""What is there before the first customer: a timetable, forecasts, accounts, and what she will ask."""

from __future__ import annotations

from typing import NamedTuple

DATE = "2026-05-20"
PASSENGER = "Ada Lovelace"
REQUEST = (
    f"Please book a refundable flight from Oslo to Lisbon on {DATE} for {PASSENGER}, "
    "the cheapest one, and pay for it with my card."
)
SYSTEM = (
    "You are the agent of a travel desk. Use the tools to find a flight, book it and pay for it. "
    "Look up the passenger's loyalty status before paying. "
    "Write cities by name and days as YYYY-MM-DD. "
    "Call charge_card with the booking reference and the exact fare. Say at the end what was booked and paid."
)


class Flight(NamedTuple):
    """One departure. Money in euro cents."""

    flight_id: str
    origin: str
    destination: str
    date: str
    departs: str
    arrives: str
    fare_cents: int
    refundable: bool
    seats_left: int


FLIGHTS = (
    Flight("TP351", "Oslo", "Lisbon", DATE, "06:55", "10:05", 14900, False, 4),
    Flight("SK1475", "Oslo", "Lisbon", DATE, "09:20", "12:35", 21240, True, 2),
    Flight("LH861", "Oslo", "Lisbon", DATE, "13:10", "19:25", 28870, True, 7),
    Flight("TP353", "Oslo", "Lisbon", "2026-05-21", "06:55", "10:05", 13900, False, 9),
    Flight("SK4603", "Oslo", "Porto", DATE, "11:45", "15:00", 17650, True, 3),
    Flight("DY1940", "Oslo", "Porto", DATE, "17:30", "20:40", 9900, False, 12),
)

WEATHER = (
    ("Lisbon", 23, "sunny"),
    ("Porto", 18, "light rain"),
    ("Oslo", 12, "cloudy"),
)

LOYALTY = ((PASSENGER, "gold", 48200), ("Charles Babbage", "blue", 310))
