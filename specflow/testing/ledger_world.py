"""A tiny outside world with keyed, undoable writes: seats that can be booked once, and taken back.

Everything that happens is kept in order, so that tests can compare worlds and histories. The booking
service deduplicates by idempotency key; its undo tolerates that nothing happened, and then refuses a
booking that arrives late under the same key.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from specflow.effects.annotate import Annotation
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.tool import CallContext, ToolSpec
from specflow.policy.settings import ToolSettings, Undo, Verify
from specflow.policy.verdict import Asking, Speculate
from specflow.settlement.stored import compile_stored
from specflow.testing.static_judge import Rule, StaticJudge


class SeatTakenError(Exception):
    """Certain: nothing was booked."""


@dataclass(slots=True)
class LedgerWorld:
    """Seats, and a log of (`book` | `cancel` | `read` | `charge`, subject, key). Latencies in seconds.

    `failing` maps a tool to the exceptions its next calls raise after their effect; `before` the same
    before it.
    """

    latency: dict[str, float] = field(default_factory=dict)
    bookings: dict[str, str] = field(default_factory=dict)
    tombstones: set[str] = field(default_factory=set)
    charges: list[str] = field(default_factory=list)
    log: list[tuple[str, str, str]] = field(default_factory=list)
    failing: dict[str, list[BaseException]] = field(default_factory=dict)
    before: dict[str, list[BaseException]] = field(default_factory=dict)

    @property
    def seats(self) -> dict[str, int]:
        """Bookings per seat."""
        taken = [seat for seat in self.bookings.values() if seat]
        return {seat: taken.count(seat) for seat in sorted(set(taken))}

    async def _enter(self, tool: str) -> None:
        await asyncio.sleep(self.latency.get(tool, 0.0))
        if self.before.get(tool):
            raise self.before[tool].pop(0)

    def _leave(self, tool: str) -> None:
        if self.failing.get(tool):
            raise self.failing[tool].pop(0)

    async def look(self, call: Call, context: CallContext) -> Any:
        """How many bookings the seat has."""
        await self._enter("look")
        seat = call.args["seat"]
        self.log.append(("read", seat, ""))
        self._leave("look")
        return {"seat": seat, "bookings": self.seats.get(seat, 0)}

    async def book(self, call: Call, context: CallContext) -> Any:
        """Book a seat, once per key."""
        await self._enter("book")
        key, seat = context.idempotency_key, call.args["seat"]
        if key in self.tombstones:
            raise SeatTakenError("that booking was cancelled before it arrived")
        if key not in self.bookings:
            self.bookings[key] = seat
            self.log.append(("book", seat, key))
        self._leave("book")
        return {"booking_id": key, "seat": seat}

    async def cancel(self, call: Call, context: CallContext) -> Any:
        """Take the booking under that key back, or see to it that it never comes."""
        await self._enter("cancel")
        key = call.args["booking"]
        if self.bookings.get(key):
            self.log.append(("cancel", self.bookings[key], key))
            self.bookings[key] = ""
        self.tombstones.add(key)
        self._leave("cancel")
        return {"status": "cancelled"}

    async def find(self, call: Call, context: CallContext) -> Any:
        """The booking under that key, or None."""
        await self._enter("find")
        key = call.args["booking"]
        self._leave("find")
        return {"booking_id": key, "seat": self.bookings[key]} if self.bookings.get(key) else None

    async def charge(self, call: Call, context: CallContext) -> Any:
        """Take money."""
        await self._enter("charge")
        self.charges.append(call.args["amount"])
        self.log.append(("charge", str(call.args["amount"]), context.idempotency_key))
        self._leave("charge")
        return {"charged": call.args["amount"]}

    def tools(self) -> list[ToolSpec]:
        """Look (a read), book (undone by cancel, asked after by find), charge (needs a person)."""
        text, number = {"type": "string"}, {"type": "number"}
        return [
            _tool("look", {"seat": text}, self.look, EffectClass.READ_ONLY),
            _tool("book", {"seat": text}, self.book, EffectClass.COMPENSATABLE),
            _tool("cancel", {"booking": text}, self.cancel, EffectClass.CONFIRMATION_REQUIRED),
            _tool("find", {"booking": text}, self.find, EffectClass.READ_ONLY),
            _tool("charge", {"amount": number}, self.charge, EffectClass.CONFIRMATION_REQUIRED),
        ]

    def judge(
        self,
        *,
        tolerant: bool = True,
        verifiable: bool = True,
        keyed: bool = True,
        footprints: bool = True,
        confirm: Asking = Asking.ASK,
        timeout: float | None = None,
        transaction: str = "",
    ) -> StaticJudge:
        """The policy that fits: reads and bookings early, charges asked for.

        `transaction` is for a world of which book and cancel are made in the journal's own database.
        """
        argument = "key" if tolerant else "result.booking_id"
        undo = Undo(
            tool="cancel",
            arguments={"booking": compile_stored(argument)},
            succeeded_when=compile_stored('result.status == "cancelled"'),
            tolerates_missing=tolerant,
        )
        book = ToolSettings(
            undo=undo,
            verify=Verify(tool="find", arguments={"booking": compile_stored("key")}) if verifiable else None,
            idempotency_key="key" if keyed else "",
            writes=("seat:{args.seat}",) if footprints else None,
            timeout=timeout,
            transaction=transaction,
        )
        cancel = ToolSettings(transaction=transaction)
        look = ToolSettings(reads=("seat:{args.seat}",) if footprints else None)
        return StaticJudge(
            {
                "look": Rule(effect=EffectClass.READ_ONLY, speculate=Speculate.NOW, settings=look),
                "find": Rule(effect=EffectClass.READ_ONLY, speculate=Speculate.HOLD),
                "book": Rule(effect=EffectClass.COMPENSATABLE, speculate=Speculate.NOW, settings=book),
                "cancel": Rule(effect=EffectClass.CONFIRMATION_REQUIRED, settings=cancel),
                "charge": Rule(effect=EffectClass.CONFIRMATION_REQUIRED, confirm=confirm),
            }
        )


def _tool(name: str, properties: dict[str, Any], runner: Any, effect: EffectClass) -> ToolSpec:
    schema = {"type": "object", "properties": properties, "required": sorted(properties)}
    not_done = (SeatTakenError,) if name == "book" else ()
    annotation = Annotation(effect=effect, undo="cancel" if name == "book" else "", not_done=not_done)
    return ToolSpec(name=name, parameters=schema, annotation=annotation, runner=runner)
