"""The proof's checks of calls whose effect lives in the journal's own database."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from specflow.effects.call import Call
from specflow.errors import FencedError, SpecflowError
from specflow.lifecycle import Stage
from specflow.testing.proof import check
from specflow.testing.proof_deaths import ask_for_all, life, saga
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.tables_world import TablesStand


async def _points(stand: TablesStand, body: Any) -> list[tuple[str, int]]:
    reached = (await stand.dies(body)).reached
    await stand.at_rest()
    counts: Counter[str] = Counter()
    found = []
    for point in reached:
        counts[point] += 1
        found.append((point, counts[point]))
    assert "call.recorded" in counts
    return found


@check
async def death_leaves_effect_and_outcome_or_neither() -> None:
    with TablesStand() as stand:
        for body in (life, saga):
            stand.anew()
            for point, nth in await _points(stand, body):
                stand.anew()
                await stand.dies(body, point, nth)
                await stand.agrees()
                await _goes_on(stand, body, resumed=nth % 2 == 1)


async def _goes_on(stand: TablesStand, body: Any, *, resumed: bool) -> None:
    """The next process: recovery, or (`resumed`) the conversation, which makes what was lost once more."""
    following = stand.core("next", seed=1)
    if resumed:
        try:
            await ask_for_all(following)
        except SpecflowError:
            assert body is saga, "the run was taken back"
        await following.settle()
    assert (await following.recover(owner="next")).stuck == 0
    rows = await stand.at_rest()
    if resumed and body is life:
        assert stand.world.seats == {"B2": 1, "C3": 1}
    await following.recover(owner="next")
    assert await stand.journal.snapshot() == rows, "I12"


@check
async def what_a_zombie_wrote_is_rolled_back() -> None:
    with TablesStand(latency={"book": 1.0}) as stand:
        zombie = stand.core("first")
        call = Call(tool="book", args={"seat": "C3"})
        work = asyncio.ensure_future(zombie.call(call, identity="m2 c0"))
        await asyncio.sleep(0.5)  # it has not begun to write
        stand.dead.add("first")
        await stand.core("next", seed=1).recover(owner="next")
        assert [row.stage for row in (await stand.agrees()).effects] == [Stage.FAILED]
        await asyncio.wait({work})
        assert isinstance(work.exception(), FencedError)
        await stand.at_rest()
        assert stand.world.seats == {}


@check
async def an_undo_in_the_tables_is_made_once_whoever_makes_it() -> None:
    async def wrong_guess(core: ScriptedCore) -> None:
        turn = core.begin()
        core.propose(turn, "book", seat="A1")
        await asyncio.sleep(1)
        core.end(turn, [])
        await core.settle()

    for nth in (1, 2):
        with TablesStand() as stand:
            # The first try fails, and so it is called at least twice.
            stand.world.failing["cancel"] = [OSError("it says so after its statements")]
            await stand.dies(wrong_guess, "call.recorded", nth)
            await stand.agrees()
            await stand.core("next", seed=1).recover(owner="next")
            await stand.at_rest()
            assert stand.world.seats == {}
            assert len(stand.world.undos) == (3 if nth == 2 else 0)
