"""Races about calls that are one commit with their outcome, under many schedules, on a real SQLite file."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from specflow.errors import SpecflowError
from specflow.testing.cancellation import cancel_everywhere
from specflow.testing.explore import explore
from specflow.testing.proof_deaths import ask_for_all, life
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.tables_world import TablesStand

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
NIGHTLY = bool(os.environ.get("SPECFLOW_NIGHTLY"))
SCHEDULES = 2_000 if NIGHTLY else 40
LATENCY = {"book": 1.0, "cancel": 0.5}


async def tolerated(awaitable: Awaitable[Any]) -> None:
    """What a process may be told that is not alone any more."""
    with contextlib.suppress(SpecflowError, asyncio.CancelledError):
        await awaitable


async def a_turn(core: ScriptedCore) -> None:
    """One wrong guess, one right one; the real calls; the end."""
    turn = core.begin()
    core.propose(turn, "book", seat="A1")
    right = core.propose(turn, "book", seat="B2")
    await asyncio.sleep(1)
    core.end(turn, [right])
    await ask_for_all(core)
    await core.settle()


async def zombie_against_successor(stand: TablesStand) -> None:
    first = asyncio.ensure_future(tolerated(a_turn(stand.core("first", seed=1))))
    random = asyncio.get_running_loop().random  # type: ignore[attr-defined] # a SeededLoop
    await asyncio.sleep(random.choice([0.0, 0.9, 1.0, 1.5, 2.0, 3.5]))
    await asyncio.gather(first, tolerated(a_turn(stand.core("next", seed=2))))


async def zombie_against_recovery(stand: TablesStand) -> None:
    first = asyncio.ensure_future(tolerated(a_turn(stand.core("first", seed=1))))
    random = asyncio.get_running_loop().random  # type: ignore[attr-defined] # a SeededLoop
    await asyncio.sleep(random.choice([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 4.0]))
    stand.dead.add("first")  # so it is thought; but it goes on
    await asyncio.gather(first, tolerated(stand.core("next", seed=2).recover(owner="next")))


RACES = {race.__name__: race for race in (zombie_against_successor, zombie_against_recovery)}


async def recovered(stand: TablesStand) -> None:
    stand.dead |= {"first", "next"}
    while (await stand.core("last", seed=9).recover(owner="last")).held:
        await asyncio.sleep(1)
    await stand.at_rest()
    assert all(count == 1 for count in stand.world.seats.values())


@pytest.mark.parametrize("name", RACES)
def test_a_zombie_doubles_nothing(name: str, record_property: Callable[[str, object], None]) -> None:
    with TablesStand(latency=dict(LATENCY)) as stand:

        async def play() -> None:
            stand.anew()
            await RACES[name](stand)
            await recovered(stand)

        seen = explore(play, schedules=SCHEDULES)
    assert seen.distinct > seen.schedules // 2
    record_property("counted", {"schedules": seen.schedules})


def test_a_cancellation_at_every_await(record_property: Callable[[str, object], None]) -> None:
    with TablesStand(latency={"cancel": 0.5}) as stand:

        def world() -> TablesStand:
            stand.anew()
            return stand

        async def scenario(place: TablesStand) -> None:
            await life(place.core("first", seed=1))

        report = cancel_everywhere(
            scenario,
            world=world,
            check=recovered,
            seeds=range(10) if NIGHTLY else range(1),
            every_task=NIGHTLY,
            allowed=(SpecflowError, asyncio.CancelledError),
            leaks="cancel",
        )
    record_property("counted", {"schedules": report.trials})
