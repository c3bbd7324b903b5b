"""A read that is kept for a later message keeps nothing alive that was started behind it for this one.

What is foreseen after it is a guess about the message after the one that asks for it. Where that one does
not ask for it, the guess was wrong: only what has a `ttl` of its own is kept, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.journal.memory import MemoryJournal
from specflow.journal.verify import verify
from specflow.policy.settings import ToolSettings
from specflow.speculation.turn import result_item
from specflow.testing.explore import run
from specflow.testing.foreseeing import Foreseeing, Step, in_order
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.static_judge import StaticJudge
from tests.speculation.scenarios import ended_once, scenario

LOOK = Call(tool="look", args={"seat": "A1"})
PEEK = Call(tool="peek", args={"seat": "B2"})
BOOK = Call(tool="book", args={"seat": "B2"})
OTHER = Call(tool="look", args={"seat": "Z9"})


def core_of(world: LedgerWorld, step: Step, **lasting: float) -> ScriptedCore:
    """`look` is kept for 60 s. `peek` reads, too, and is kept as long as `lasting` says, if at all."""
    rules = world.judge()._rules
    look = replace(rules["look"], settings=ToolSettings(ttl=60.0))
    peek = replace(rules["look"], settings=ToolSettings(ttl=lasting.get("peek")))
    book = replace(rules["book"], predictors=frozenset({"foreseeing"}))
    tools = world.tools()
    judge = StaticJudge({**rules, "look": look, "peek": peek, "book": book})
    predictor = Foreseeing(step, confidence=1.0)
    tools.append(replace(tools[0], name="peek"))
    return ScriptedCore(tools, judge, MemoryJournal(LoopClock()), predictors=[predictor])


async def at_rest(core: ScriptedCore) -> None:
    await core.settle()
    await core.coordinator.aclose()
    assert verify(await core.journal.snapshot()) == ()
    ended_once(core)


def pending(core: ScriptedCore) -> list[str]:
    return sorted(item.call.tool for item in core.session.pending)


@pytest.mark.parametrize("asked", [[], [OTHER]], ids=["nothing", "another call"])
@pytest.mark.parametrize("behind", [PEEK, BOOK], ids=["a read", "a write"])
def test_what_was_started_behind_it_ends_with_the_message_that_does_not_ask_for_it(
    behind: Call, asked: Sequence[Call]
) -> None:
    async def body() -> None:
        world = LedgerWorld()
        core = core_of(world, in_order([LOOK, behind]))
        turn = core.begin()
        await asyncio.sleep(1.0)
        assert pending(core) == sorted(["look", behind.tool])
        core.end(turn, asked)
        assert pending(core) == ["look"]
        for call in asked:
            await core.call(call)
        await asyncio.sleep(1.0)
        assert world.seats == {}, "what was booked behind it is taken back"
        turn = core.begin()
        core.end(turn, [LOOK, PEEK])
        await core.call(LOOK)
        await core.call(PEEK)
        # The kept read answers, unless a booking came in between; what was behind it is made anew.
        read = [seat for what, seat, _ in world.log if what == "read"]
        assert (read.count("A1"), read.count("B2")) == ((1, 2) if behind == PEEK else (2, 1))
        await at_rest(core)

    run(body(), seed=0, leaks="error")


@scenario
async def test_nor_does_it_live_on_because_it_was_a_guess_about_this_message_as_well() -> None:
    """Foreseen beside the kept read and after it: neither guess was right."""
    world = LedgerWorld()
    core = core_of(world, lambda context: [LOOK, PEEK])
    turn = core.begin()
    await asyncio.sleep(1.0)
    assert pending(core) == ["look", "peek"]
    core.end(turn)
    assert pending(core) == ["look"]
    await at_rest(core)


@scenario
async def test_what_has_a_ttl_of_its_own_is_kept() -> None:
    world = LedgerWorld()
    core = core_of(world, in_order([LOOK, PEEK]), peek=30.0)
    turn = core.begin()
    await asyncio.sleep(1.0)
    core.end(turn)
    assert pending(core) == ["look", "peek"]
    turn = core.begin()
    core.end(turn, [PEEK])
    await core.call(PEEK)
    assert [entry[1] for entry in world.log] == ["A1", "B2"]
    await at_rest(core)


@scenario
async def test_a_chain_that_is_two_messages_behind_ends_as_a_whole() -> None:
    """`look`, then `peek`, then a booking: `peek` is kept, too, and the booking must not be."""
    world = LedgerWorld()
    core = core_of(world, in_order([LOOK, PEEK, BOOK]), peek=30.0)
    turn = core.begin()
    await asyncio.sleep(1.0)
    assert pending(core) == ["book", "look", "peek"]
    core.end(turn)
    assert pending(core) == ["look", "peek"]
    await asyncio.sleep(1.0)
    assert world.seats == {}
    await at_rest(core)


@scenario
async def test_once_the_model_asks_for_it_a_chain_may_begin_behind_it() -> None:
    """It returns in the turn that asks for it: what is started behind it waits for the turn after that."""
    world = LedgerWorld(latency={"look": 2.0})
    core = core_of(world, in_order([LOOK, PEEK]))
    turn = core.begin()
    await asyncio.sleep(1.0)
    core.end(turn)
    assert pending(core) == ["look"]
    turn = core.begin()
    await asyncio.sleep(1.5)
    assert pending(core) == ["look", "peek"]
    core.end(turn, [LOOK])
    await core.call(LOOK)
    turn = core.begin(history=[result_item(LOOK, "")])
    core.end(turn, [PEEK])
    await core.call(PEEK)
    assert [entry[1] for entry in world.log] == ["A1", "B2"], "each was read once"
    await at_rest(core)
