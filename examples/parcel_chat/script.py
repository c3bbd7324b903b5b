"""What the scripted model thinks and says: a function of the conversation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from specflow.testing.model_server import CallPlan, Reply

MESSAGES = (
    "Order 7731 should have been here on Monday, and it has not come.",
    "I have asked all of them. Nobody has it.",
)


def script(messages: Sequence[Mapping[str, Any]]) -> Reply:
    """The reply to a conversation."""
    if messages[-1]["role"] == "tool":
        found = json.loads(messages[-1]["content"])
        answer = f"It is at {found['place']}, because {found['reason']}. Shall I have it sent out again?"
        return Reply(text=answer, seconds=0.6)
    if sum(message["role"] == "user" for message in messages) == 1:
        return Reply(
            reasoning=(
                "I'll find parcel 7731. But the carrier leaves most parcels of this kind with somebody next "
                "door, and I am to ask about that first, before anything is said about its way."
            ),
            text="I am sorry. Might one of your neighbours have taken it in?",
            seconds=1.5,
        )
    return Reply(
        reasoning="Nobody has it.", calls=(CallPlan("find_parcel", {"order_id": "7731"}),), seconds=0.4
    )
