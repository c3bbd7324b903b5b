"""The trip, declared: read it from top to bottom. What a travel agency would write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

import specflow as sf
from examples.travel.desk import Desk, DeskError

POLICY = Path(__file__).with_name("policy.yaml")
CHOOSE = "Choose the cheapest refundable flight."


class Request(BaseModel):
    """What a customer writes, and who it is."""

    text: str
    passenger: str
    answer: str = ""


class Query(BaseModel):
    """The trip in the customer's words, as the model understands them."""

    origin: str
    destination: str
    date: str


class Choice(BaseModel):
    """The flight that the model has chosen."""

    flight_id: str


class Consent(BaseModel):
    """A person's answer."""

    agreed: bool


class DeclinedError(Exception):
    """The customer does not want to pay: nothing of the trip may stay."""


def tools_of(desk: Desk) -> dict[str, Callable[..., Any]]:
    """The desk as tools, by name. What each may do stands in the policy."""

    async def search_flights(origin: str, destination: str, date: str) -> list[dict[str, Any]]:
        """Search for flights between two cities on a day."""
        return await desk.search(origin, destination, date)

    async def loyalty_status(passenger: str) -> dict[str, Any]:
        """The loyalty account of a passenger."""
        return await desk.loyalty(passenger)

    async def weather(city: str) -> dict[str, Any]:
        """The weather forecast for a city."""
        return await desk.weather(city)

    @sf.compensatable(undo="cancel_booking", not_done=(DeskError,))
    async def book_flight(flight_id: str, passenger: str, request_id: str = "") -> dict[str, Any]:
        """Book a seat on a flight for a passenger."""
        return await desk.book(flight_id, passenger, request_id)

    async def cancel_booking(request_id: str) -> dict[str, Any]:
        """Cancel the booking made under a request id."""
        return await desk.cancel(request_id, "taken back")

    async def give_back(request_id: str) -> dict[str, Any]:
        """Give back what was charged under a request id."""
        return await desk.refund(request_id)

    async def find_booking(request_id: str) -> dict[str, Any] | None:
        """The booking made under a request id, or null."""
        return await desk.find_booking(request_id)

    @sf.confirmation_required(not_done=(DeskError,))
    async def charge_card(booking_id: str, amount: float, request_id: str = "") -> dict[str, Any]:
        """Charge the fare of a booking to the customer's card."""
        return await desk.charge(booking_id, amount, request_id)

    reads = search_flights, loyalty_status, weather, find_booking
    return {item.__name__: item for item in (*reads, book_flight, cancel_booking, charge_card, give_back)}


def decline() -> None:
    """Ends the run, and with it everything that was done in it."""
    raise DeclinedError("the customer does not want to pay")


def tell(booking: dict[str, Any], paid: dict[str, Any], sky: str, tier: str) -> str:
    """The answer."""
    flight, amount = booking["flight_id"], paid["amount_eur"]
    return (
        f"Booked {flight} ({booking['booking_id']}), {amount:.2f} EUR paid. It will be {sky}. Tier: {tier}."
    )


def trip(model: BaseChatModel, desk: Desk) -> sf.Workflow:
    """The process. The references between its steps are its data flow."""
    use = tools_of(desk)
    behind = [use["cancel_booking"], use["give_back"], use["find_booking"]]
    flow = sf.Workflow("trip", state=Request, policy=POLICY, tools=behind, on_failure="compensate")
    who = flow.state.passenger
    ask = flow.agent("ask", model=model, prompt="Which trip?", given=[flow.state.text], output=Query)
    flights = flow.call(
        "flights", use["search_flights"], origin=ask.origin, destination=ask.destination, date=ask.date
    )
    choose = flow.agent("choose", model=model, prompt=CHOOSE, given=[flights], output=Choice)
    book = flow.call("book", use["book_flight"], flight_id=choose.flight_id, passenger=who)
    with flow.when(book.status == "booked"):
        # Asked for only when there is a trip; begun long before, since it is known what they will take.
        sky = flow.call("sky", use["weather"], city=ask.destination)
        member = flow.call("member", use["loyalty_status"], passenger=who)
        shown = {"booking": book, "weather": sky, "member": member}
        consent = flow.human("consent", "May the card be charged?", show=shown, output=Consent)
    with flow.when(consent.agreed) as agreed:
        pay = flow.call("pay", use["charge_card"], booking_id=book.booking_id, amount=book.price_eur)
        flow.step("told", tell, booking=book, paid=pay, sky=sky.sky, tier=member.tier, into="answer")
    with agreed.otherwise():
        flow.step("declined", decline)
    return flow


async def travel(
    request: dict[str, str], *, flow: sf.Workflow, ask: Callable[[Any], Any] | None = None, **options: Any
) -> str:
    """One customer. `options` are those of `sf.Runtime`; `ask` answers instead of the terminal."""
    app = flow.compile(checkpointer=InMemorySaver(), **options)
    thread: Any = {"configurable": {"thread_id": "trip"}}
    try:
        result = await sf.aconfirm(app, await app.ainvoke(request, thread), thread, ask=ask)
        return str(result["answer"])
    except DeclinedError as error:
        return f"Nothing was booked: {error}."
    finally:
        await app.specflow.aclose()
