"""A tiny outside world of rooms that are booked for guests; a booking can be renamed, and is then another's.

It is not kind: a `rename` that arrives after its booking was cancelled books the room anew. Whoever undoes a
booking has to be sure that no rename of it is still on its way. Everything that happens is kept in order.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from specflow.effects.annotate import Annotation
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import CallContext, ToolSpec
from specflow.policy.load import loads
from specflow.policy.policy import Policy

POLICY = """
version: 1
tools:
  look: {effect: read_only, reads: ["room:{args.room}"]}
  find_booking: {effect: read_only, speculate: never}
  book:
    effect: compensatable
    speculate: now
    predictors: [scripted]
    idempotency_key: key
    timeout: 30s
    writes: ["room:{args.room}"]
    compensate: {tool: cancel, with: {booking: result.booking}, succeeded_when: result.status == "cancelled"}
    verify: {tool: find_booking, with: {booking: key}}
    patch:
      tool: rename
      fields: [guest]
      with: {booking: result.booking, guest: args.guest}
      returns: '{"booking": result.booking, "room": args.room, "guest": patched.guest}'
  cancel: {effect: confirmation_required, compensator_for: [book]}
  rename: {effect: confirmation_required, timeout: 5s, writes: ["booking:{args.booking}"]}
"""
"""The policy that fits: a booking made early for another guest is renamed."""


class NoSuchBookingError(Exception):
    """Certain: nothing was changed."""


@dataclass(slots=True)
class GuestWorld:
    """Bookings by key, as (room, guest); empty when cancelled. Latencies in seconds.

    `log` holds (tool, booking, what) of all that changed something; `calls` every call of a tool by its name.
    `before` maps a tool to the exceptions its next calls raise before they do anything, `failing` to those
    raised after it.
    """

    bookings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    latency: dict[str, float] = field(default_factory=dict)
    log: list[tuple[str, str, str]] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    before: dict[str, list[BaseException]] = field(default_factory=dict)
    failing: dict[str, list[BaseException]] = field(default_factory=dict)

    @property
    def rooms(self) -> list[tuple[str, ...]]:
        """What is booked, and for whom."""
        return sorted(booking for booking in self.bookings.values() if booking)

    async def look(self, call: Call, context: CallContext) -> Any:
        """Who has the room."""
        await self._enter("look", call.args["room"])
        found = [booking[1] for booking in self.rooms if booking[0] == call.args["room"]]
        self._leave("look")
        return {"room": call.args["room"], "guests": found}

    async def find(self, call: Call, context: CallContext) -> Any:
        """The booking under that key, or None."""
        await self._enter("find_booking", call.args["booking"])
        return self._answer(call.args["booking"]) if self.bookings.get(call.args["booking"]) else None

    async def book(self, call: Call, context: CallContext) -> Any:
        """Book a room for a guest, once per key."""
        key = context.idempotency_key
        await self._enter("book", key)
        if key not in self.bookings:
            self._set("book", key, (call.args["room"], call.args["guest"]))
        self._leave("book")
        return self._answer(key)

    async def rename(self, call: Call, context: CallContext) -> Any:
        """Give a booking to another guest."""
        booking = call.args["booking"]
        await self._enter("rename", booking)
        if booking not in self.bookings:
            raise NoSuchBookingError(booking)
        self._set("rename", booking, ((self.bookings[booking] or ("anew",))[0], call.args["guest"]))
        self._leave("rename")
        return {"guest": call.args["guest"], "fee": 5}

    async def cancel(self, call: Call, context: CallContext) -> Any:
        """Take a booking back."""
        booking = call.args["booking"]
        await self._enter("cancel", booking)
        if self.bookings.get(booking):
            self._set("cancel", booking, ())
        self._leave("cancel")
        return {"status": "cancelled"}

    def tools(self) -> list[ToolSpec]:
        """The tools, as the policy calls them."""
        return [
            _tool("look", self.look, "room"),
            _tool("find_booking", self.find, "booking"),
            _tool("book", self.book, "room", "guest"),
            _tool("cancel", self.cancel, "booking"),
            _tool("rename", self.rename, "booking", "guest"),
        ]

    def policy(self, text: str = POLICY) -> Policy:
        """A real policy over the real tools."""
        return loads(text, tools=ToolRegistry(self.tools()))

    def _set(self, tool: str, booking: str, value: tuple[str, ...]) -> None:
        self.bookings[booking] = value
        self.log.append((tool, booking, " ".join(value)))

    def _answer(self, booking: str) -> Any:
        room, guest = self.bookings[booking] or ("", "")
        return {"booking": booking, "room": room, "guest": guest}

    async def _enter(self, tool: str, subject: str) -> None:
        self.calls.append((tool, subject))
        await asyncio.sleep(self.latency.get(tool, 0.0))
        if self.before.get(tool):
            raise self.before[tool].pop(0)

    def _leave(self, tool: str) -> None:
        if self.failing.get(tool):
            raise self.failing[tool].pop(0)


def _tool(name: str, runner: Any, *names: str) -> ToolSpec:
    schema = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in names},
        "required": list(names),
    }
    effect = EffectClass.CONFIRMATION_REQUIRED if name in {"cancel", "rename"} else EffectClass.COMPENSATABLE
    not_done = (NoSuchBookingError,) if name == "rename" else ()
    annotation = Annotation(effect=effect, not_done=not_done) if name in {"cancel", "rename"} else None
    return ToolSpec(name=name, parameters=schema, annotation=annotation, runner=runner)
