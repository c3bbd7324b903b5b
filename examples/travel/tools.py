"""The desk as LangChain tools, each annotated with what it may do to the world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from langchain_core.tools import BaseTool, InjectedToolArg, tool

from specflow.effects.annotate import compensatable, confirmation_required, read_only

from .desk import Desk, DeskError


@dataclass(frozen=True, slots=True, kw_only=True)
class TravelTools:
    """`model`: what the agent may call. `support`: undo and verification, for specflow alone."""

    model: tuple[BaseTool, ...]
    support: tuple[BaseTool, ...]

    @property
    def everything(self) -> tuple[BaseTool, ...]:
        """What the runtime is given."""
        return self.model + self.support


def travel_tools(desk: Desk) -> TravelTools:
    """The tools of one desk. The request ids are specflow's to fill: the model never sees them."""
    return TravelTools(model=(*_readers(desk), *_writers(desk)), support=tuple(_support(desk)))


def _readers(desk: Desk) -> list[BaseTool]:
    @read_only
    @tool
    async def search_flights(
        origin: Annotated[str, "city to leave from, such as Madrid"],
        destination: Annotated[str, "city to arrive in, such as Rome"],
        date: Annotated[str, "day of departure, YYYY-MM-DD"],
    ) -> list[dict[str, Any]]:
        """Search for flights between two cities on a day: times, prices, and whether refundable."""
        return await desk.search(origin, destination, date)

    @read_only
    @tool
    async def weather(city: Annotated[str, "name of the city, such as Rome"]) -> dict[str, Any]:
        """The weather forecast for a city."""
        return await desk.weather(city)

    @read_only
    @tool
    async def fare_rules(
        flight_id: Annotated[str, "flight number, such as BA117 or AY1470"],
    ) -> dict[str, Any]:
        """The fare rules of a flight: refunds and the fee for changes."""
        return await desk.fare_rules(flight_id)

    @read_only
    @tool
    async def loyalty_status(passenger: Annotated[str, "full name of the passenger"]) -> dict[str, Any]:
        """The loyalty account of a passenger: tier and points."""
        return await desk.loyalty(passenger)

    return [search_flights, weather, fare_rules, loyalty_status]


def _writers(desk: Desk) -> list[BaseTool]:
    @compensatable(
        undo="cancel_booking", idempotency_key="request_id", verify="find_booking", not_done=(DeskError,)
    )
    @tool
    async def book_flight(
        flight_id: Annotated[str, "flight number, such as BA117 or AY1470"],
        passenger: Annotated[str, "full name of the passenger"],
        request_id: Annotated[str, InjectedToolArg] = "",
    ) -> dict[str, Any]:
        """Book a seat on a flight for a passenger."""
        return await desk.book(flight_id, passenger, request_id)

    @confirmation_required(idempotency_key="request_id", verify="find_charge", not_done=(DeskError,))
    @tool
    async def charge_card(
        booking_id: Annotated[str, "booking reference, as book_flight returned it"],
        amount: Annotated[float, "the fare in euros"],
        request_id: Annotated[str, InjectedToolArg] = "",
    ) -> dict[str, Any]:
        """Charge the fare of a booking to the customer's card."""
        return await desk.charge(booking_id, amount, request_id)

    return [book_flight, charge_card]


def _support(desk: Desk) -> list[BaseTool]:
    @confirmation_required
    @tool
    async def cancel_booking(request_id: str, reason: str) -> dict[str, Any]:
        """Cancel the booking made under a request id, or see to it that none will be made under it."""
        return await desk.cancel(request_id, reason)

    @read_only
    @tool
    async def find_booking(request_id: str) -> dict[str, Any] | None:
        """The booking made under a request id, or null."""
        return await desk.find_booking(request_id)

    @read_only
    @tool
    async def find_charge(request_id: str) -> dict[str, Any] | None:
        """The charge made under a request id, or null."""
        return await desk.find_charge(request_id)

    return [cancel_booking, find_booking, find_charge]
