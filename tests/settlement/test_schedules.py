"""Races, each under hundreds of schedules: whoever is first, the world is what the journal says.

The journal is the one in memory, with a pause before and after every answer, and the SQL one on a file; the
core, the door and settlement are the real ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from specflow.effects.call import Call
from specflow.errors import SpecflowError
from specflow.lifecycle import Stage
from specflow.settlement.undo import Persistence
from specflow.testing.cancellation import cancel_everywhere
from specflow.testing.explore import explore, observe
from specflow.testing.inline_journal import InlineSqlJournal
from specflow.testing.ledger_world import SeatTakenError
from specflow.testing.proof import LoopOrZero, Stand
from specflow.testing.proof_deaths import REAL, ask_for_all, life
from specflow.testing.scripted_core import ScriptedCore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
NIGHTLY = bool(os.environ.get("SPECFLOW_NIGHTLY"))
CI = bool(os.environ.get("CI"))
SCHEDULES = 20_000 if NIGHTLY else 380 if CI else 80
ON_FILE = 2_000 if NIGHTLY else 60
SEEDS = range(40) if NIGHTLY else range(2)
EXPECTED = (SpecflowError, SeatTakenError, asyncio.CancelledError)
TOLERANT = {"tolerant": True, "verifiable": False, "keyed": True}
# Without a time-out nobody can know when a call that was not heard of can no longer arrive.
VERIFIED = {"tolerant": False, "verifiable": True, "keyed": True, "timeout": 5.0}

Record = Callable[[str, object], None]


class Yielding:
    """A journal that takes its time: others run before it writes, and before its answer is heard."""

    def __init__(self, journal: Any) -> None:
        self._journal = journal

    def __getattr__(self, name: str) -> Any:
        ask = getattr(self._journal, name)
        if name == "note":
            return ask

        async def later(*args: Any, **options: Any) -> Any:
            await asyncio.sleep(0)
            answer = await ask(*args, **options)
            await asyncio.sleep(0)
            return answer

        return later


class Place(Stand):
    """Processes that come, stay alive, and meet."""

    __slots__ = ("on_file",)

    def __init__(self, on_file: InlineSqlJournal | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.on_file = on_file
        if on_file is not None:
            on_file.empty()
            self.journal = self.world.journal = on_file  # type: ignore[assignment] # another journal

    def process(self, owner: str, seed: int) -> ScriptedCore:
        return ScriptedCore(
            self.world.tools(),
            self.world.judge(**self.offers),
            self.on_file or Yielding(self.journal),
            owner=owner,
            seed=seed,
            persistence=Persistence(tries=3, pause=0.1),
        )

    async def recovered(self) -> None:
        """The last of all processes finds nobody else alive."""
        self.dead |= {"first", "next", "third"}
        if self.on_file is not None:
            DEAD.update(self.dead)
        last = self.process("last", 9)
        # Only their runs have been ended: what they had under way may open a session behind our back.
        while (await last.recover(owner="last")).held:
            await asyncio.sleep(1)
        stuck = [row for row in (await self.journal.snapshot()).effects if row.stage is Stage.STUCK]
        # Whoever cancelled a real call in flight was told so; nobody repeats it behind their back.
        assert all(row.adopted_by is not None for row in stuck)
        assert not stuck or not self.offers["verifiable"]
        await self.at_rest(stuck=len(stuck))
        assert all(count == 1 for count in self.world.seats.values())


DEAD: set[str] = set()


async def tolerated(awaitable: Awaitable[Any]) -> None:
    """What a process may be told that is not alone any more."""
    with contextlib.suppress(*EXPECTED):
        await awaitable


async def a_turn(core: ScriptedCore) -> None:
    """One wrong guess, one right one; the real calls; the end."""
    turn = core.begin()
    core.propose(turn, "book", seat="A1")
    right = core.propose(turn, "book", seat=REAL[0][0])
    await asyncio.sleep(1)
    core.end(turn, [right])
    await ask_for_all(core)
    await core.settle()


async def promote_against_cancel(place: Place) -> None:
    core = place.process("first", 1)
    turn = core.begin()
    right = core.propose(turn, "book", seat="B2")
    await asyncio.sleep(asyncio.get_running_loop().random.choice([0.0, 0.5, 1.0, 1.5]))  # type: ignore[attr-defined] # a SeededLoop
    core.end(turn, [right])
    call = asyncio.ensure_future(core.call(right, identity="m1 c0"))
    await asyncio.sleep(asyncio.get_running_loop().random.choice([0.0, 0.5]))  # type: ignore[attr-defined] # the same
    core.retract(turn, right)
    call.cancel()
    await tolerated(call)
    await tolerated(core.settle())


async def sweep_against_recovery(place: Place) -> None:
    core = place.process("first", 1)
    turn = core.begin()
    core.propose(turn, "book", seat="A1")
    core.propose(turn, "book", seat="B2")
    await asyncio.sleep(1)
    place.dead.add("first")  # so it is thought; but it goes on
    DEAD.add("first")
    core.end(turn, [])
    await asyncio.gather(tolerated(core.settle()), tolerated(place.process("next", 2).recover(owner="next")))


async def zombie_against_successor(place: Place) -> None:
    first = asyncio.ensure_future(tolerated(a_turn(place.process("first", 1))))
    await asyncio.sleep(asyncio.get_running_loop().random.choice([0.0, 0.9, 1.0, 1.1, 2.0]))  # type: ignore[attr-defined] # the same
    following = place.process("next", 2)
    await asyncio.gather(first, tolerated(a_turn(following)))


async def two_recoveries(place: Place) -> None:
    core = place.process("first", 1)
    turn = core.begin()
    core.propose(turn, "book", seat="A1")
    await core.call(Call(tool="book", args={"seat": "C3"}), identity="m2 c0")
    place.dead.add("first")
    DEAD.add("first")
    one, other = place.process("next", 2), place.process("third", 3)
    await asyncio.gather(tolerated(one.recover(owner="next")), tolerated(other.recover(owner="third")))


async def saga_against_recovery(place: Place) -> None:
    core = place.process("first", 1)
    await ask_for_all(core)
    place.dead.add("first")
    DEAD.add("first")
    await asyncio.gather(
        tolerated(core.coordinator.take_back(core.session)),
        tolerated(place.process("next", 2).recover(owner="next")),
    )


RACES = {
    race.__name__: race
    for race in (
        promote_against_cancel,
        sweep_against_recovery,
        zombie_against_successor,
        two_recoveries,
        saga_against_recovery,
    )
}
LATENCY = {"book": 1.0, "cancel": 0.5, "find": 0.5}


@pytest.fixture
def on_file(tmp_path: Path) -> Iterator[InlineSqlJournal]:
    ram = Path("/dev/shm")
    folder = ram if os.access(ram, os.W_OK) else tmp_path
    path = folder / f"specflow-schedules-{os.getpid()}.db"
    journal = InlineSqlJournal(path, clock=LoopOrZero(), is_dead=DEAD.__contains__)
    try:
        yield journal
    finally:
        journal.close()
        for file in folder.glob(f"{path.name}*"):
            file.unlink()


def played(name: str, offers: dict[str, Any], on_file: InlineSqlJournal | None) -> Callable[[], Any]:
    async def play() -> None:
        DEAD.clear()
        place = Place(on_file, offers=offers, latency=LATENCY)
        await RACES[name](place)
        await place.recovered()

    return play


@pytest.mark.parametrize("name", RACES)
@pytest.mark.parametrize("offers", [TOLERANT, VERIFIED], ids=["tolerant", "verified"])
def test_races_in_memory(name: str, offers: dict[str, Any], record_property: Record) -> None:
    seen = explore(played(name, offers, None), schedules=SCHEDULES // 2)
    assert seen.distinct > seen.schedules // 2
    record_property("counted", {"schedules": seen.schedules})


@pytest.mark.parametrize("name", RACES)
def test_races_on_a_file(name: str, on_file: InlineSqlJournal, record_property: Record) -> None:
    seen = explore(played(name, TOLERANT, on_file), schedules=ON_FILE)
    assert seen.distinct > seen.schedules // 2
    record_property("counted", {"schedules": seen.schedules})


@pytest.mark.parametrize("name", RACES)
def test_the_same_seed_is_the_same_history(name: str, on_file: InlineSqlJournal) -> None:
    for journal in (None, on_file):
        play = played(name, TOLERANT, journal)
        first, again, other = (observe(play(), seed=seed) for seed in (5, 5, 6))
        assert (first.error, other.error) == (None, None)
        assert first.history == again.history
        assert first.history != other.history


@pytest.mark.parametrize("offers", [TOLERANT, VERIFIED], ids=["tolerant", "verified"])
@pytest.mark.parametrize("every_task", [False, True], ids=["the run", "every task"])
def test_a_cancellation_at_every_await(
    offers: dict[str, Any], every_task: bool, record_property: Record
) -> None:
    async def scenario(place: Place) -> None:
        await life(place.process("first", 1))

    report = cancel_everywhere(
        scenario,
        world=lambda: Place(offers=offers, latency={"cancel": 0.5}),
        check=lambda place: place.recovered(),
        seeds=SEEDS,
        every_task=every_task,
        allowed=EXPECTED,
        leaks="cancel",
    )
    record_property("counted", {"schedules": report.trials})


def test_there_are_enough_of_them() -> None:
    assert len(RACES) * (2 * (SCHEDULES // 2) + ON_FILE) >= (100_000 if NIGHTLY else 2_000 if CI else 500)
