"""Amending early writes, under many schedules and with a cancellation at every await: pairs stay pairs."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable
from typing import Any

import pytest

from specflow.errors import SpecflowError
from specflow.testing.cancellation import cancel_everywhere
from specflow.testing.explore import explore
from specflow.testing.guest_world import NoSuchBookingError
from specflow.testing.proof_patches import GuestStand, ask, guess, life
from specflow.testing.scripted_core import ScriptedCore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
NIGHTLY = bool(os.environ.get("SPECFLOW_NIGHTLY"))
CI = bool(os.environ.get("CI"))
SCHEDULES = 5_000 if NIGHTLY else 120 if CI else 40
EXPECTED = (SpecflowError, NoSuchBookingError, OSError, asyncio.CancelledError)
LATENCY = {"book": 1.0, "rename": 1.0, "cancel": 0.5}
ERRORS = {"no trouble": None, "it is lost": OSError("lost"), "it is refused": NoSuchBookingError("no")}


class Yielding:
    """A journal that takes its time: others run before it writes, and before its answer is heard."""

    def __init__(self, journal: Any) -> None:
        self._journal = journal

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._journal, name)
        if name == "note":
            return call

        async def later(*args: Any, **options: Any) -> Any:
            await asyncio.sleep(0)
            answer = await call(*args, **options)
            await asyncio.sleep(0)
            return answer

        return later


def stand_with(error: BaseException | None = None) -> GuestStand:
    stand = GuestStand()
    stand.guests.latency = dict(LATENCY)
    if error is not None:
        stand.guests.failing["rename" if isinstance(error, OSError) else "none"] = [error]
        stand.guests.before["none" if isinstance(error, OSError) else "rename"] = [error]
    return stand


def process(stand: GuestStand, owner: str, seed: int = 0) -> ScriptedCore:
    journal: Any = Yielding(stand.journal)
    return stand.core(owner, mortal=journal, seed=seed)


async def tolerated(awaitable: Awaitable[Any]) -> None:
    with contextlib.suppress(*EXPECTED):
        await awaitable


async def recovered(stand: GuestStand) -> None:
    """The last of all processes finds nobody else alive."""
    stand.dead |= {"first", "next"}
    await stand.core("last", seed=9).recover(owner="last")
    await stand.sound()
    assert len(stand.guests.rooms) <= 1, "one call, one booking"


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("every_task", [False, True], ids=["the run", "every task"])
def test_a_cancellation_at_every_await(error: BaseException | None, every_task: bool) -> None:
    report = cancel_everywhere(
        lambda stand: life(process(stand, "first")),
        world=lambda: stand_with(error),
        check=recovered,
        every_task=every_task,
        allowed=EXPECTED,
        leaks="cancel",
    )
    assert report.trials > 15


async def amend_against_cancel(stand: GuestStand) -> None:
    core = process(stand, "first")
    await guess(core)
    call = asyncio.ensure_future(ask(core))
    await asyncio.sleep(_choice(0.0, 0.5, 1.0, 1.5, 2.0))
    call.cancel()
    await tolerated(call)
    await tolerated(core.settle())


async def amend_against_recovery(stand: GuestStand) -> None:
    core = process(stand, "first")
    await guess(core)
    call = asyncio.ensure_future(tolerated(ask(core)))
    await asyncio.sleep(_choice(0.0, 0.5, 1.0, 1.5))
    stand.dead.add("first")  # so it is thought; but it goes on
    await tolerated(process(stand, "next", 2).recover(owner="next"))
    await call
    await tolerated(core.settle())


async def amend_against_the_same_call_elsewhere(stand: GuestStand) -> None:
    first, following = process(stand, "first"), process(stand, "next", 2)
    await guess(first)
    call = asyncio.ensure_future(tolerated(ask(first)))
    await asyncio.sleep(_choice(0.0, 0.5, 1.0, 1.5))
    await asyncio.gather(call, tolerated(ask(following)))
    await asyncio.gather(tolerated(first.settle()), tolerated(following.settle()))


async def amend_against_a_saga(stand: GuestStand) -> None:
    core = process(stand, "first")
    await guess(core)
    call = asyncio.ensure_future(tolerated(ask(core)))
    await asyncio.sleep(_choice(0.0, 0.5, 1.0, 1.5))
    await asyncio.gather(call, tolerated(core.take_back()))


def _choice(*seconds: float) -> float:
    loop: Any = asyncio.get_running_loop()
    found: float = loop.random.choice(seconds)
    return found


RACES = (
    amend_against_cancel,
    amend_against_recovery,
    amend_against_the_same_call_elsewhere,
    amend_against_a_saga,
)


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("race", RACES, ids=lambda race: race.__name__)
def test_races(race: Any, error: BaseException | None) -> None:
    async def play() -> None:
        stand = stand_with(error)
        await race(stand)
        await recovered(stand)

    explore(play, schedules=SCHEDULES)
