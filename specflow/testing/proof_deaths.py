"""The proof's checks that let a process die: at every point of a life, and in the middle of an undo."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from specflow.effects.call import Call
from specflow.lifecycle import Stage
from specflow.testing.proof import Stand, check
from specflow.testing.scripted_core import ScriptedCore

WAYS: tuple[dict[str, Any], ...] = (
    {"tolerant": True, "verifiable": False, "keyed": True},
    {"tolerant": False, "verifiable": True, "keyed": True},
)
REAL = (("B2", "m1 c0"), ("C3", "m2 c0"))


async def life(core: ScriptedCore) -> None:
    """A wrong booking, a right one, a real one that nobody guessed; one read."""
    turn = core.begin()
    wrong = core.propose(turn, "book", seat="A1")
    core.propose(turn, "look", seat="Z9")
    await asyncio.sleep(1)
    core.retract(turn, wrong)
    right = core.propose(turn, "book", seat="B2")
    await asyncio.sleep(1)
    core.end(turn, [right])
    await ask_for_all(core)
    await core.settle()


async def ask_for_all(core: ScriptedCore) -> None:
    """What the real run wants, under the same identities each time."""
    for seat, identity in REAL:
        answer = await core.call(Call(tool="book", args={"seat": seat}), identity=identity)
        assert answer["seat"] == seat


async def saga(core: ScriptedCore) -> None:
    """A run that fails as a whole: what it committed is taken back."""
    await ask_for_all(core)
    await core.coordinator.take_back(core.session)


async def _points(offers: dict[str, Any], body: Any) -> list[tuple[str, int]]:
    calm = await Stand(offers=offers).dies(body)
    counts: Counter[str] = Counter()
    found = []
    for point in calm.reached:
        counts[point] += 1
        found.append((point, counts[point]))
    assert len(found) > 10
    return found


@check
async def death_at_every_point_is_recovered() -> None:
    for offers in WAYS:
        for point, nth in await _points(offers, life):
            stand = Stand(offers=offers)
            await stand.dies(life, point, nth)
            following = stand.core("next", seed=1)
            report = await following.recover(owner="next")
            assert report.stuck == 0
            await stand.at_rest()
            world, rows = list(stand.world.log), await stand.journal.snapshot()
            await following.recover(owner="next")
            assert (stand.world.log, await stand.journal.snapshot()) == (world, rows), "I12"


@check
async def death_at_every_point_is_resumed() -> None:
    for point, nth in await _points(WAYS[0], life):
        stand = Stand(offers=WAYS[0])
        await stand.dies(life, point, nth)
        following = stand.core("next", seed=1)
        await ask_for_all(following)
        await following.settle()
        await following.recover(owner="next")
        await stand.at_rest()
        assert stand.world.seats == {"B2": 1, "C3": 1}


@check
async def death_in_a_saga_does_not_end_it() -> None:
    for point, nth in await _points(WAYS[0], saga):
        stand = Stand(offers=WAYS[0])
        died = await stand.dies(saga, point, nth)
        await stand.core("next", seed=1).recover(owner="next")
        rows = await stand.at_rest()
        if "saga.decided" in died.reached:
            assert stand.world.seats == {}, "what was decided is carried through"
            assert {row.decision for row in rows.sessions} == {"saga_aborted"}


@check
async def a_saga_takes_back_the_newest_first() -> None:
    stand = Stand(offers=WAYS[0])
    await stand.dies(saga)
    await stand.at_rest()
    undone = [seat for kind, seat, _ in stand.world.log if kind == "cancel"]
    assert undone == ["C3", "B2"]


@check
async def an_undo_has_one_key_whoever_makes_it() -> None:
    async def wrong_guess(core: ScriptedCore) -> None:
        turn = core.begin()
        core.propose(turn, "book", seat="A1")
        await asyncio.sleep(1)
        core.end(turn, [])
        await core.settle()

    stand = Stand(offers=WAYS[0])
    stand.world.failing["cancel"] = [OSError("its answer was lost")]
    await stand.dies(wrong_guess, "undo.called")
    await stand.core("next", seed=1).recover(owner="next")
    rows = await stand.at_rest()
    assert len(stand.world.undos) == 3
    assert {key for _, key in stand.world.undos} == {row.comp_key for row in rows.effects}
    assert [row.attempts for row in rows.effects] == [3], "every try is on record"


@check
async def a_lost_real_call_is_repeated_under_its_own_key() -> None:
    stand = Stand(offers={"tolerant": False, "verifiable": False, "keyed": True})

    async def real(core: ScriptedCore) -> None:
        await core.call(Call(tool="book", args={"seat": "C3"}), identity="m2 c0")

    await stand.dies(real, "call.after")
    await stand.core("next", seed=1).recover(owner="next")
    rows = await stand.at_rest()
    assert [row.stage for row in rows.effects] == [Stage.COMMITTED]
    assert len(stand.world.calls) == 2
    assert len(set(stand.world.calls)) == 1, "one call, one key"


@check
async def what_is_recorded_is_returned_and_not_called_again() -> None:
    stand = Stand(offers=WAYS[0])
    await stand.dies(ask_for_all, "outcome.committed", 2)
    following = stand.core("next", seed=1)
    await ask_for_all(following)
    await following.settle()
    await stand.at_rest()
    assert [seat for seat, _ in stand.world.calls] == ["B2", "C3"]
