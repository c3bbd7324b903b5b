"""A real call raised, nobody knows whether it happened, and the model asks again under a new id."""

from __future__ import annotations

import pytest

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.errors import ConflictError
from specflow.journal.memory import MemoryJournal
from specflow.journal.verify import verify
from specflow.lifecycle import Stage
from specflow.testing.explore import run
from specflow.testing.ledger_world import LedgerWorld, SeatTakenError
from specflow.testing.scripted_core import ScriptedCore

BOOK = Call(tool="book", args={"seat": "A1"})
OTHER = Call(tool="book", args={"seat": "B2"})


def core_of(world: LedgerWorld, **offers: bool) -> ScriptedCore:
    judge = world.judge(**{"keyed": False, "verifiable": False, **offers}, timeout=30.0)
    return ScriptedCore(world.tools(), judge, MemoryJournal(LoopClock()))


async def ask(core: ScriptedCore, identity: str, call: Call = BOOK) -> object:
    core.end(core.begin(), [call])
    return await core.call(call, identity=identity)


async def stages(core: ScriptedCore) -> list[Stage]:
    rows = await core.journal.snapshot()
    assert verify(rows) == ()
    return [row.stage for row in rows.effects]


@pytest.mark.parametrize("offers", ["keyed", "verifiable"])
@pytest.mark.parametrize("happened", [True, False])
def test_it_is_found_out_and_happens_once(offers: str, happened: bool) -> None:
    async def body() -> None:
        world = LedgerWorld()
        (world.failing if happened else world.before)["book"] = [OSError("the line is dead")]
        core = core_of(world, **{offers: True})
        with pytest.raises(OSError, match="line is dead"):
            await ask(core, "first")
        answer = await ask(core, "second")
        assert world.seats == {"A1": 1}
        assert await ask(core, "second") == answer, "the same call gives the same"
        await core.settle()
        assert world.seats == {"A1": 1}
        once = [Stage.COMMITTED] if happened or offers == "keyed" else [Stage.FAILED, Stage.COMMITTED]
        assert await stages(core) == once

    run(body(), seed=0)


def test_after_that_a_further_wish_is_a_further_booking() -> None:
    async def body() -> None:
        world = LedgerWorld()
        world.failing["book"] = [OSError("the line is dead")]
        core = core_of(world, keyed=True)
        with pytest.raises(OSError, match="line is dead"):
            await ask(core, "first")
        await ask(core, "second")
        await ask(core, "third")
        await core.settle()
        assert world.seats == {"A1": 2}

    run(body(), seed=0)


def test_where_nobody_can_tell_it_is_not_called_again() -> None:
    async def body() -> None:
        world = LedgerWorld()
        world.failing["book"] = [OSError("the line is dead")]
        core = core_of(world)
        with pytest.raises(OSError, match="line is dead"):
            await ask(core, "first")
        for identity in ("second", "third"):
            with pytest.raises(ConflictError, match="journal effect"):
                await ask(core, identity)
        await ask(core, "another seat", OTHER)
        await core.settle()
        assert world.seats == {"A1": 1, "B2": 1}
        assert await stages(core) == [Stage.STUCK, Stage.COMMITTED]

    run(body(), seed=0)


def test_a_question_without_an_answer_stops_it_too() -> None:
    async def body() -> None:
        world = LedgerWorld()
        world.failing["book"] = [OSError("the line is dead")]
        core = core_of(world, verifiable=True)
        with pytest.raises(OSError, match="line is dead"):
            await ask(core, "first")
        world.before["find"] = [OSError("nobody answers")]
        with pytest.raises(ConflictError, match="stuck"):
            await ask(core, "second")
        assert world.seats == {"A1": 1}

    run(body(), seed=0)


def test_a_repetition_that_raises_again_is_still_doubtful() -> None:
    async def body() -> None:
        world = LedgerWorld()
        world.failing["book"] = [OSError("the line is dead"), OSError("still dead")]
        core = core_of(world, keyed=True)
        for identity, message in (("first", "line is dead"), ("second", "still dead")):
            with pytest.raises(OSError, match=message):
                await ask(core, identity)
        await ask(core, "third")
        await core.settle()
        assert world.seats == {"A1": 1}

    run(body(), seed=0)


def test_what_certainly_did_not_happen_is_simply_called_again() -> None:
    async def body() -> None:
        world = LedgerWorld()
        world.before["book"] = [SeatTakenError("taken for a moment")]
        core = core_of(world)
        with pytest.raises(SeatTakenError):
            await ask(core, "first")
        await ask(core, "second")
        await core.settle()
        assert world.seats == {"A1": 1}

    run(body(), seed=0)
