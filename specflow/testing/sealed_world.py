"""Bookings whose undo needs what the policy redacts: the tools, the world behind them, and their runs.

The world is a file, so that another process finds it as it was left.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from specflow.effects.annotate import Annotation
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import CallContext, Runner, ToolSpec
from specflow.journal.owner import owner_id
from specflow.journal.port import Journal
from specflow.journal.sql import SqlJournal
from specflow.policy.load import loads
from specflow.sealing.environment import sealer_of
from specflow.sealing.sealer import VARIABLE, Sealer
from specflow.settlement.undo import Persistence
from specflow.testing.scripted_core import ScriptedCore

CARD, TOKEN, PIN = "4111-1111-1111-1111", "tok-9c1f", "pin-5150"
BOOKED = {"id": 7, "token": TOKEN, "note": "[redacted]"}
ARGS: dict[str, Any] = {"seat": "12A", "card": {"number": CARD, "month": 5}}
BOOK = Call(tool="book", args=ARGS)

POLICY = """\
version: 1
tools:
  book:
    effect: compensatable
    speculate: now
    predictors: [scripted]
    writes: ["seat:{args.seat}"]
    redact: [args.card.number, result.token]
    compensate:
      tool: cancel
      with: {token: result.token, card: args.card, seat: args.seat, note: result.note}
      succeeded_when: result.ok && result.card == args.card.number
  keep:
    effect: compensatable
    speculate: hold
    idempotency_key: request
    redact: [args.pin, result.secret]
    compensate: {tool: drop, with: {pin: args.pin}}
  ask:
    effect: compensatable
    speculate: hold
    redact: [args.pin, result.secret]
    compensate: {tool: drop, with: {pin: args.pin}}
    verify: {tool: look, with: {pin: args.pin}}
  look: {effect: read_only}
  cancel: {effect: confirmation_required, compensator_for: [book]}
  drop: {effect: confirmation_required, compensator_for: [keep, ask]}
"""


class World:
    """What the services have been asked, one line each; `then` happens when one is, with its name."""

    def __init__(self, file: Path, then: Callable[[str], None] = lambda _name: None) -> None:
        self.file = file
        self.then = then

    def asked(self, tool: str) -> list[dict[str, Any]]:
        """The arguments that the tool was called with."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [args for name, args in map(json.loads, lines) if name == tool]

    def tools(self) -> list[ToolSpec]:
        """All of them."""
        answers: dict[str, Any] = {
            "book": lambda args: BOOKED,
            "cancel": lambda args: {"ok": True, "card": args["card"]["number"]},
            "keep": lambda args: {"secret": TOKEN, "kept": 1},
            "ask": lambda args: {"secret": TOKEN, "kept": 1},
            "look": lambda args: {"secret": TOKEN, "kept": 1} if self.asked("ask") else None,
            "drop": lambda args: None,
        }

        def body(name: str) -> Runner:
            async def run(call: Call, context: CallContext) -> Any:
                with self.file.open("a") as file:
                    file.write(json.dumps([name, call.plain_args()]) + "\n")
                self.then(name)
                return answers[name](call.plain_args())

            return run

        kinds = {"look": EffectClass.READ_ONLY}
        undo = {"book": "cancel", "keep": "drop", "ask": "drop"}
        return [
            ToolSpec(
                name=name,
                annotation=Annotation(
                    effect=EffectClass.COMPENSATABLE
                    if name in undo
                    else kinds.get(name, EffectClass.CONFIRMATION_REQUIRED),
                    undo=undo.get(name, ""),
                ),
                runner=body(name),
            )
            for name in answers
        ]


def core_of(world: World, journal: Journal, sealer: Sealer | None, **options: Any) -> ScriptedCore:
    """A core over the world, with the policy as a runtime would load it."""
    tools = world.tools()
    policy = loads(POLICY, tools=ToolRegistry(tools), keeps_secrets=sealer is not None)
    patient = Persistence(tries=2, pause=0.001)
    return ScriptedCore(tools, policy, journal, sealer=sealer, persistence=patient, **options)


async def be_killed(db: str, world: Path, tool: str, keys: str) -> None:
    """Make a call, with these keys in the environment, and end as in a power cut as soon as `tool` has run.

    For `book` and `cancel` it is an early one that nobody adopts, for others a real one.
    """

    def die(name: str) -> None:
        if name == tool:
            os.kill(os.getpid(), signal.SIGKILL)

    journal = SqlJournal.open(db)
    core = core_of(World(world, then=die), journal, sealer_of({VARIABLE: keys}), owner=owner_id())
    if tool in {"book", "cancel"}:
        turn = core.begin()
        core.propose(turn, "book", **ARGS)
        await asyncio.gather(*(item.work for item in core.session.pending if item.work is not None))
        core.end(turn)
        await core.settle()
    else:
        await core.call(Call(tool=tool, args={"pin": PIN, "room": 3}), identity="m1")


def killed(db: str, world: Path, tool: str, keys: str) -> None:
    """The work of a process that `be_killed`."""
    asyncio.run(be_killed(db, world, tool, keys))
