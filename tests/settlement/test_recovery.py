"""What a process that died leaves behind is brought to rest by another, from the journal alone."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Any

import pytest

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.journal.memory import MemoryJournal
from specflow.journal.verify import verify
from specflow.lifecycle import RESTING, Stage
from specflow.probe import POINTS, install
from specflow.testing.explore import run
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore


class Died(BaseException):
    """The process is gone: nothing after this point happens in it."""


class Mortal:
    """Dies at the nth reach of a point: from then on neither code nor journal does anything."""

    def __init__(self, journal: MemoryJournal, point: str, nth: int) -> None:
        self._journal = journal
        self._point, self._nth = point, nth
        self._count = itertools.count(1)
        self.dead = False

    def hook(self, name: str) -> None:
        if self.dead or (name == self._point and next(self._count) == self._nth):
            self.dead = True
            raise Died(name)

    def __getattr__(self, name: str) -> Any:
        if self.dead:
            raise Died(name)
        return getattr(self._journal, name)


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
    await core.call(right, identity="m1 c0")
    await core.call(Call(tool="book", args={"seat": "C3"}), identity="m2 c0")
    await core.settle()


def cases() -> list[tuple[str, int]]:
    """Every point that such a life reaches, each time it is reached."""
    reached: list[str] = []
    previous = install(reached.append)
    try:
        world = LedgerWorld()
        run(life(ScriptedCore(world.tools(), world.judge(), MemoryJournal(_Clock()))), seed=0)
    finally:
        install(previous)
    counts: dict[str, int] = {}
    found = []
    for point in reached:
        counts[point] = counts.get(point, 0) + 1
        found.append((point, counts[point]))
    return found


class _Clock(LoopClock):
    """The loop's clock, also between two loops."""

    def monotonic(self) -> float:
        try:
            return super().monotonic()
        except RuntimeError:
            return 0.0


def test_the_scenario_reaches_the_points_that_matter() -> None:
    reached = {point for point, _ in cases()}
    assert {"intent.committed", "call.after", "adopt.committed", "abort.committed", "undo.called"} <= reached
    assert reached <= set(POINTS)


@pytest.mark.parametrize(("tolerant", "verifiable", "keyed"), [(True, False, True), (False, True, True)])
@pytest.mark.parametrize(("point", "nth"), cases())
def test_death_at_every_point(point: str, nth: int, tolerant: bool, verifiable: bool, keyed: bool) -> None:
    world = LedgerWorld()
    journal = MemoryJournal(_Clock(), is_dead=lambda owner: owner == "scripted")

    judge = world.judge(tolerant=tolerant, verifiable=verifiable, keyed=keyed)

    async def first() -> None:
        mortal = Mortal(journal, point, nth)
        previous = install(mortal.hook)
        try:
            core = ScriptedCore(world.tools(), judge, mortal, seed=1)
            task = asyncio.create_task(life(core))
            await asyncio.wait({task})
            assert mortal.dead
            if not task.cancelled():
                task.exception()
            # The process is dead: whatever else was going on in it is gone as well.
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for other in others:
                other.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        finally:
            install(previous)

    async def second() -> None:
        next_core = ScriptedCore(world.tools(), judge, journal, owner="next", seed=2)
        await next_core.recover(owner="next")
        snapshot = await journal.snapshot()
        assert verify(snapshot) == ()
        assert all(row.stage in RESTING for row in snapshot.effects)
        assert not any(row.stage is Stage.STUCK for row in snapshot.effects)
        # A booking stands if and only if the real run took it or made it.
        kept = sorted(row.args["seat"] for row in snapshot.effects if row.stage is Stage.COMMITTED)
        assert sorted(world.seats) == kept
        assert all(count == 1 for count in world.seats.values())
        before = list(world.log)
        again = await next_core.recover(owner="next")
        assert (again.recovered, again.compensated, again.stuck) == (0, 0, 0)
        assert world.log == before, "recovering twice is recovering once"

    with contextlib.suppress(Died):
        run(first(), seed=0, leaks="cancel")
    run(second(), seed=0)


def test_without_any_way_to_tell_it_is_stuck_and_said() -> None:
    """A booking without key, verify or tolerant undo, whose outcome was lost."""
    world = LedgerWorld(latency={"book": 5.0})
    journal = MemoryJournal(_Clock(), is_dead=lambda owner: owner == "scripted")
    judge = world.judge(tolerant=False, verifiable=False, keyed=False)

    async def first() -> None:
        core = ScriptedCore(world.tools(), judge, journal)
        turn = core.begin()
        core.propose(turn, "book", seat="A1")
        await asyncio.sleep(1)

    async def second() -> None:
        core = ScriptedCore(world.tools(), judge, journal, owner="next", seed=3)
        report = await core.recover(owner="next")
        assert report.stuck == 1
        (row,) = (await journal.snapshot()).effects
        assert row.stage is Stage.STUCK
        assert "unknown" in row.error
        assert verify(await journal.snapshot()) == ()

    run(first(), seed=0, leaks="cancel")
    run(second(), seed=0)


def test_a_session_somebody_holds_is_left_alone() -> None:
    world = LedgerWorld()
    journal = MemoryJournal(_Clock(), is_dead=lambda _owner: False)

    async def main() -> None:
        core = ScriptedCore(world.tools(), world.judge(), journal)
        await core.call(Call(tool="book", args={"seat": "A1"}))
        report = await core.recover(owner="intruder")
        assert (report.held, report.recovered) == (1, 0)
        await core.settle()

    run(main(), seed=0)
