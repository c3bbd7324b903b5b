"""An agent whose thoughts book for one guest and whose message books for another: the booking is amended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.tools import tool
from pydantic import PrivateAttr

import specflow as sf
from specflow.journal.cover import base_of
from specflow.journal.verify import verify
from specflow.lifecycle import Stage
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server.reply import CallPlan, Reply
from specflow.testing.scripted_core import EventLog

POLICY = """
version: 1
tools:
  book_room:
    effect: compensatable
    speculate: now
    min_confidence: 0.1
    predictors: [sniffer]
    writes: ["room:{args.room}"]
    compensate: {tool: cancel_room, with: {booking: result.booking}}
    patch:
      tool: change_guest
      fields: [guest]
      with: {booking: result.booking, guest: args.guest}
      returns: '{"booking": result.booking, "guest": patched.guest}'
  cancel_room: {effect: confirmation_required, compensator_for: [book_room]}
  change_guest: {effect: confirmation_required, timeout: 5s, writes: ["booking:{args.booking}"]}
"""
PONDER = "Hmm, let me think about that a little more. " * 20


def said(messages: list[dict[str, Any]]) -> Reply:
    """Thinks of one guest and then asks for another."""
    if messages[-1]["role"] == "tool":
        return Reply(text=str(messages[-1]["content"]))
    return Reply(
        reasoning=f'I will call book_room with room "tower" and guest "Ann". {PONDER}',
        calls=(CallPlan("book_room", {"room": "tower", "guest": "Bob"}),),
    )


class Pondering(ScriptedChatModel):
    """Goes on thinking until the guess has been made."""

    _guessed: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)

    async def _astream(self, *args: Any, **options: Any) -> AsyncIterator[ChatGenerationChunk]:
        heard = ""
        async for chunk in super()._astream(*args, **options):
            heard += str(chunk.message.additional_kwargs.get("reasoning_content", ""))
            if len(heard) > 200:
                await asyncio.wait_for(self._guessed.wait(), 60)
            yield chunk


@pytest.mark.parametrize("broken", [False, True], ids=["amended", "the patch fails"])
async def test_a_booking_for_another_guest_is_amended(tmp_path: Path, broken: bool) -> None:
    bookings: dict[str, tuple[str, str]] = {}
    seen: list[str] = []
    model = Pondering(script=said, delay=0.001)

    class RefusedError(Exception):
        pass

    @tool
    async def book_room(room: str, guest: str) -> dict[str, str]:
        """Book a room for a guest."""
        await asyncio.sleep(0.01)
        booking = f"b{len(bookings)}"
        bookings[booking] = (room, guest)
        seen.append(f"book {guest}")
        model._guessed.set()
        return {"booking": booking, "guest": guest}

    @tool
    async def cancel_room(booking: str) -> dict[str, str]:
        """Cancel a booking."""
        seen.append(f"cancel {bookings.pop(booking)[1]}")
        bookings["gone"] = ("", "")
        return {}

    @tool
    @sf.confirmation_required(not_done=(RefusedError,))
    async def change_guest(booking: str, guest: str) -> dict[str, str]:
        """Change the guest of a booking."""
        if broken:
            raise RefusedError(booking)
        bookings[booking] = (bookings[booking][0], guest)
        seen.append(f"change to {guest}")
        return {"guest": guest}

    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    url, log = f"sqlite:///{tmp_path}/journal.db", EventLog()
    tools = [book_room, cancel_room, change_guest]
    with sf.Runtime(policy, tools=tools, journal=url, observers=[log], durability="process") as rt:
        agent = create_agent(model, [book_room], middleware=[rt.middleware()])
        answer = await agent.ainvoke({"messages": [{"role": "user", "content": "book"}]})
        rows = await rt.journal.snapshot()
    assert '"guest": "Bob"' in answer["messages"][-1].content
    assert [booking for booking in bookings.values() if booking[0]] == [("tower", "Bob")]
    assert verify(rows) == ()
    if broken:
        assert seen == ["book Ann", "cancel Ann", "book Bob"]
        assert log.outcomes()["compensated"] == 1
        return
    assert seen == ["book Ann", "change to Bob"]
    assert log.outcomes()["hit"] == 1
    base, patch = sorted(rows.effects, key=lambda row: row.seq)
    assert (base.stage, patch.stage) == (Stage.COMMITTED, Stage.COMMITTED)
    assert base_of(patch.undo) == base.effect_id
