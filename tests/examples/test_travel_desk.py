"""The desk of the travel example: what its promises to specflow rest on."""

from __future__ import annotations

import asyncio
import importlib
import json
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.demo.bundle import PACKAGE, load_desk

TRAVEL = load_desk()
desk_module = importlib.import_module(f"{PACKAGE}.desk")
ADA = "Ada Lovelace"


@pytest.fixture
def desk(tmp_path: Path):
    desk = TRAVEL.desk(tmp_path / "desk.db", pace=0)
    desk.store.reset()
    return desk


def seats(desk, flight: str) -> int:
    return next(row["seats_left"] for row in desk.store.state()["flights"] if row["flight_id"] == flight)


async def test_a_booking_takes_a_seat_and_its_cancellation_gives_it_back(desk):
    before, free = desk.store.world(), seats(desk, "TP351")
    receipt = await desk.book("TP351", ADA, "k1")
    assert receipt["status"] == "booked"
    assert receipt["price_eur"] == 149.0
    assert seats(desk, "TP351") == free - 1
    assert desk.store.world() != before
    assert await desk.find_booking("k1") == receipt
    assert (await desk.cancel("k1", "no"))["status"] == "cancelled"
    assert desk.store.world() == before
    assert await desk.find_booking("k1") is None


async def test_the_same_request_id_books_and_charges_once(desk):
    first, second = await asyncio.gather(desk.book("TP351", ADA, "k1"), desk.book("TP351", ADA, "k1"))
    assert first == second
    assert len(desk.store.state()["bookings"]) == 1
    paid = [await desk.charge(first["booking_id"], 149, "c1") for _ in range(2)]
    assert paid[0] == paid[1] == await desk.find_charge("c1")
    assert len(desk.store.state()["charges"]) == 1


async def test_a_cancelled_request_id_books_nothing_when_it_arrives_late(desk):
    world = desk.store.world()
    assert (await desk.cancel("late", "speculation rolled back"))["status"] == "cancelled"
    with pytest.raises(desk_module.RefusedRequestError):
        await desk.book("TP351", ADA, "late")
    await desk.book("TP351", ADA, "k2")
    await desk.cancel("k2", "no")
    with pytest.raises(desk_module.RefusedRequestError):
        await desk.book("TP351", ADA, "k2")
    assert desk.store.world() == world


async def test_a_duplicate_booking_is_not_hidden_by_the_world(desk):
    one = await desk.book("TP351", ADA, "k1")
    single = desk.store.world()
    two = await desk.book("TP351", ADA, "k2")
    assert one["booking_id"] != two["booking_id"]
    assert desk.store.world() != single


async def test_equal_content_gives_equal_references_whatever_happened_before(desk, tmp_path):
    other = TRAVEL.desk(tmp_path / "other.db", pace=0)
    other.store.reset()
    await desk.book("TP351", ADA, "a")
    await desk.cancel("a", "no")
    await desk.book("SK1475", ADA, "b")
    await desk.book("TP351", ADA, "c")
    await other.book("TP351", ADA)
    await other.book("SK1475", ADA)
    assert desk.store.state() == other.store.state()


async def test_the_desk_refuses_with_nothing_changed(desk):
    world = desk.store.world()
    with pytest.raises(desk_module.UnknownFlightError):
        await desk.book("XX1", ADA)
    with pytest.raises(desk_module.UnknownBookingError):
        await desk.charge("BK000000", 1)
    assert desk.store.world() == world
    booking = (await desk.book("SK1475", ADA))["booking_id"]
    for amount in (1, float("nan"), float("inf")):
        with pytest.raises(desk_module.WrongAmountError):
            await desk.charge(booking, amount)
    await desk.charge(booking, 212.4)
    with pytest.raises(desk_module.AlreadyChargedError):
        await desk.charge(booking, 212.4, "again")
    await desk.book("SK1475", "Charles Babbage", "last")
    with pytest.raises(desk_module.SoldOutError):
        await desk.book("SK1475", "Grace Hopper")
    assert seats(desk, "SK1475") == 0


async def test_a_paid_booking_is_not_cancelled(desk):
    booking = await desk.book("SK1475", ADA, "k")
    await desk.charge(booking["booking_id"], 212.4)
    with pytest.raises(desk_module.AlreadyChargedError):
        await desk.cancel("k", "changed my mind")
    assert await desk.find_booking("k") == booking


async def test_a_charge_that_is_given_back_is_gone_and_does_not_arrive_late(desk):
    booking = await desk.book("SK1475", ADA, "k")
    unpaid = desk.store.world()
    await desk.charge(booking["booking_id"], 212.4, "c1")
    for key in ("c1", "c1", "never made"):
        assert (await desk.refund(key))["status"] == "refunded"
        assert await desk.find_charge(key) is None
    for key in ("c1", "never made"):
        with pytest.raises(desk_module.RefusedRequestError):
            await desk.charge(booking["booking_id"], 212.4, key)
    assert desk.store.world() == unpaid
    assert (await desk.charge(booking["booking_id"], 212.4, "c2"))["status"] == "charged"


async def test_what_a_search_says_does_not_depend_on_bookings(desk):
    """The policy declares that bookings do not touch what searches read."""
    before = await desk.search("Oslo", "Lisbon", "2026-05-20")
    await desk.book("TP351", ADA)
    assert await desk.search("Oslo", "Lisbon", "2026-05-20") == before


def test_reset_clears_what_was_there_and_exists_needs_all_tables(tmp_path):
    desk = TRAVEL.desk(tmp_path / "x.db", pace=0)
    assert not desk.store.exists()
    sqlite3.connect(desk.store.path).close()
    assert not desk.store.exists()
    desk.store.reset()
    fresh = desk.store.world()
    asyncio.run(desk.book("TP351", ADA))
    assert desk.store.exists()
    desk.store.reset()
    assert desk.store.world() == fresh


KEYS = st.sampled_from(["k1", "k2", "k3"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("book"), st.sampled_from(["TP351", "SK1475"]), KEYS),
        st.tuples(st.just("cancel"), st.just(""), KEYS),
        st.tuples(st.just("charge"), st.just(""), KEYS),
    ),
    max_size=14,
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_seats_add_up_and_nothing_is_booked_or_charged_twice(steps, tmp_path_factory):
    desk = TRAVEL.desk(tmp_path_factory.mktemp("desk") / "d.db", pace=0)
    desk.store.reset()
    total = {row["flight_id"]: row["seats_left"] for row in desk.store.state()["flights"]}
    dead: set[str] = set()

    async def play() -> None:
        for action, flight, key in steps:
            try:
                if action == "book":
                    await desk.book(flight, ADA, key)
                    assert key not in dead
                elif action == "cancel":
                    await desk.cancel(key, "test")
                    dead.add(key)
                elif booking := await desk.find_booking(key):
                    await desk.charge(booking["booking_id"], booking["price_eur"], f"charge {key}")
            except desk_module.DeskError:
                pass

    asyncio.run(play())
    state = desk.store.state()
    for row in state["flights"]:
        live = sum(booking["flight_id"] == row["flight_id"] for booking in state["bookings"])
        assert row["seats_left"] + live == total[row["flight_id"]]
    assert len(state["bookings"]) <= len({key for action, _, key in steps if action == "book"})
    assert len({row["booking_id"] for row in state["charges"]}) == len(state["charges"])


def test_the_model_never_sees_a_request_id_and_every_tool_says_what_it_may_do(desk):
    tools = TRAVEL.tools(desk)
    for tool in tools.model:
        schema = tool.tool_call_schema.model_json_schema()
        assert "request_id" not in json.dumps(schema)
    effects = {tool.name: str(tool.metadata["specflow"].effect) for tool in tools.everything}
    assert effects["book_flight"] == "compensatable"
    assert effects["charge_card"] == effects["cancel_booking"] == "confirmation_required"
    assert {name for name, effect in effects.items() if effect == "read_only"} == {
        "search_flights",
        "weather",
        "fare_rules",
        "loyalty_status",
        "find_booking",
        "find_charge",
    }
