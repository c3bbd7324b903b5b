"""What the scripted model says: it reads the request, and chooses from the flights that it is given."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from examples.travel.seeds import DATE, PASSENGER
from specflow.testing.model_server import CallPlan, Reply

REQUEST = {"text": f"A refundable flight from Oslo to Lisbon on {DATE}, please.", "passenger": PASSENGER}


def script(messages: Sequence[Mapping[str, Any]]) -> Reply:
    """The reply to a conversation: the form that is asked for, filled in."""
    _, given, flights = str(messages[0]["content"]).partition("flights:\n")
    if not given:
        query = {"origin": "Oslo", "destination": "Lisbon", "date": DATE}
        return Reply(reasoning="They say it plainly.", calls=(CallPlan("Query", query),), seconds=1.0)
    refundable = [flight for flight in json.loads(flights) if flight["refundable"]]
    chosen = min(refundable, key=lambda flight: float(flight["price_eur"]))["flight_id"]
    return Reply(
        reasoning="The cheapest cannot be given back. The next one can, and leaves at a good hour.",
        calls=(CallPlan("Choice", {"flight_id": chosen}),),
        seconds=1.5,
    )
