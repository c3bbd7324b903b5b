"""A run of steps on the real coordinator, without a framework: think, guess on the way, call a tool.

On a loop with virtual time nothing but the waiting itself takes time; on a real one it is measured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.journal.memory import MemoryJournal
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore


@dataclass(frozen=True, slots=True, kw_only=True)
class Stride:
    """One step: a turn of `turn` seconds, guesses after `guess` seconds, a call of `tool` seconds.

    `guesses` says of each guess whether it is right. `write`: the call books a seat and is undone in
    `undo` seconds, else it looks at one.
    """

    turn: float
    guess: float
    tool: float
    guesses: tuple[bool, ...] = (True,)
    write: bool = False
    undo: float = 0.0


def shared_out(count: int, share: float) -> tuple[bool, ...]:
    """`count` truths and falsehoods, evenly mixed, of which a share is true."""
    return tuple(int((at + 1) * share + 1e-9) > int(at * share + 1e-9) for at in range(count))


async def walk(strides: Iterable[Stride]) -> float:
    """Seconds of the loop's clock from the first turn to the last answer."""
    # Undeclared footprints overlap everything: what was booked wrongly is in the way of the next booking.
    world = LedgerWorld()
    core = ScriptedCore(world.tools(), world.judge(footprints=False), MemoryJournal(LoopClock()))
    loop = asyncio.get_running_loop()
    started = loop.time()
    for number, stride in enumerate(strides):
        tool = "book" if stride.write else "look"
        world.latency = {tool: stride.tool, "cancel": stride.undo}
        turn = core.begin()
        await asyncio.sleep(stride.guess)
        for seat in _guessed(number, stride.guesses):
            core.propose(turn, tool, seat=seat)
        await asyncio.sleep(stride.turn - stride.guess)
        call = Call(tool=tool, args={"seat": f"{number}"})
        core.end(turn, [call])
        answer = await core.call(call)
        assert answer["seat"] == f"{number}", "the early result is the call's own"
    seconds = loop.time() - started
    await core.settle()
    return seconds


def _guessed(number: int, guesses: Sequence[bool]) -> Iterable[str]:
    for place, right in enumerate(guesses):
        yield f"{number}" if right else f"{number} wrongly, {place}"
