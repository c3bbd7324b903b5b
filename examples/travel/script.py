"""What the scripted model thinks and says: a function of the conversation.

It plays a model that reasons, changes its mind, and reads its tools' results: flights, prices and the
booking reference in its words come from the messages it was sent. The same conversation gets the same reply.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from specflow.testing.model_server import CallPlan, Reply

from .seeds import DATE, PASSENGER

Message = Mapping[str, Any]


def travel_script(messages: Sequence[Message]) -> Reply:
    """The reply to a conversation in the form of OpenAI's chat completions."""
    turn = sum(message.get("role") == "assistant" for message in messages)
    found = _results(messages)
    if turn == 0:
        return _search()
    flights = found.get("search_flights")
    if turn == 1 and isinstance(flights, list) and any(item["refundable"] for item in flights):
        return _book(flights)
    booking = found.get("book_flight")
    if not isinstance(booking, dict) or booking.get("status") != "booked":
        return Reply(text="I could not book a refundable flight; nothing was paid.", seconds=0.6)
    if turn == 2:
        return Reply(
            reasoning="That worked. One more thing first.",
            calls=(CallPlan("loyalty_status", {"passenger": PASSENGER}),),
            seconds=0.4,
        )
    if turn == 3:
        return Reply(
            reasoning="Everything is in place; the fare is due now.",
            calls=(
                CallPlan(
                    "charge_card", {"booking_id": booking["booking_id"], "amount": booking["price_eur"]}
                ),
            ),
            seconds=0.4,
        )
    return _answer(found, booking)


def _search() -> Reply:
    thoughts = (
        f"I'll search flights from Oslo to Porto on {DATE}.",
        f"No, wait, that is the wrong city. I'll search flights from Oslo to Lisbon on {DATE} instead.",
        "The ticket must be refundable, so the lowest price alone does not settle it; price and conditions",
        "have to be read together. The card is on file and the name is complete, so there is nothing to",
        "ask before I have seen what there is. If two of them cost nearly the same, the one in the",
        "morning is better, since that leaves the afternoon. Nothing was said about luggage, and the",
        "usual cabin bag is included in all of these fares, so that does not decide it either.",
        "Good to know for the trip: I'll check the weather in Lisbon too. That is all for now.",
    )
    return Reply(
        reasoning=" ".join(thoughts),
        calls=(
            CallPlan("search_flights", {"origin": "Oslo", "destination": "Lisbon", "date": DATE}),
            CallPlan("weather", {"city": "Lisbon"}),
        ),
        seconds=2.7,
    )


def _book(flights: list[dict[str, Any]]) -> Reply:
    cheapest = min(flights, key=lambda item: item["price_eur"])
    chosen = min((item for item in flights if item["refundable"]), key=lambda item: item["price_eur"])
    first, second = cheapest["flight_id"], chosen["flight_id"]
    doubts = (
        f"Wait, no, {first} is not refundable.",
        f"I'll book flight {second} for {PASSENGER} instead.",
        f"That one costs {chosen['price_eur']:.2f} euros and the money comes back if the plans change.",
    )
    thoughts = (
        f"I'll book flight {first} for {PASSENGER}.",
        f"It costs {cheapest['price_eur']:.2f} euros, less than all the others, it leaves at",
        f"{cheapest['departs']} and is there at {cheapest['arrives']}, which is as good as it gets on this",
        "route at this time of the year. Now the conditions, once more, line by line.",
        *(doubts if first != second else ()),
        f"It leaves at {chosen['departs']} and arrives at {chosen['arrives']}, still early enough to make",
        "something of the day. What it costs above the lowest price is what it costs to be able to change",
        "one's mind, and the request was clear about wanting that. The others that can be given back cost",
        "more and arrive later, so there is no reason to prefer one of them. The name is spelled as it was",
        "given, the day is the right one, the cities are the right ones, and one seat is enough, since",
        "nobody else was mentioned. I am sure about it now.",
    )
    return Reply(
        reasoning=" ".join(thoughts),
        calls=(CallPlan("book_flight", {"flight_id": second, "passenger": PASSENGER}),),
        seconds=3.4,
    )


def _answer(found: Mapping[str, Any], booking: Mapping[str, Any]) -> Reply:
    booked = (
        f"Booked {booking['flight_id']} to Lisbon on {DATE} for {booking['passenger']}, "
        f"reference {booking['booking_id']}."
    )
    charge = found.get("charge_card")
    if isinstance(charge, dict) and charge.get("status") == "charged":
        paid = f"{charge['amount_eur']:.2f} EUR paid."
    else:
        paid = (
            f"Not paid: the charge of {booking['price_eur']:.2f} EUR was declined, so the seat is only held."
        )
    sky = found.get("weather")
    forecast = (
        f" Lisbon expects {sky['celsius']} degrees, {sky['sky']}."
        if isinstance(sky, dict) and "celsius" in sky
        else ""
    )
    return Reply(text=f"{booked} {paid}{forecast}", seconds=0.5)


def _results(messages: Sequence[Message]) -> dict[str, Any]:
    """The newest result of each tool, as data; a result that is not JSON stays out."""
    names: dict[str, str] = {}
    found: dict[str, Any] = {}
    for message in messages:
        for call in message.get("tool_calls") or ():
            names[call["id"]] = call["function"]["name"]
        if message.get("role") == "tool" and (name := names.get(str(message.get("tool_call_id")))):
            try:
                found[name] = json.loads(message["content"])
            except ValueError:
                found.pop(name, None)
    return found
