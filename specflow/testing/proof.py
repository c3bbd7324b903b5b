"""The proof that undo is right, as checks that any build of specflow can be held against.

    @pytest.mark.parametrize("name", PROOF)
    def test_the_proof(name):
        prove(name)

Each check drives the real core, journal and settlement on a seeded loop, kills it somewhere, lets another
process go on, and compares what the journal says with what the world saw. The tests plant bugs in the code
and see that these checks notice; `docs/explanation/planted-bugs.md` lists which notices which.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.effects.tool import CallContext
from specflow.journal.memory import MemoryJournal
from specflow.journal.port import Journal
from specflow.journal.record import Snapshot
from specflow.journal.verify import verify
from specflow.lifecycle import RESTING, Stage
from specflow.probe import install
from specflow.settlement.undo import Persistence
from specflow.testing.explore import run
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore

Check = Callable[[], Coroutine[Any, Any, None]]
_checks: dict[str, Check] = {}
PROOF: Mapping[str, Check] = MappingProxyType(_checks)
"""Every check that was imported, by name."""

MAX_STEPS = 200_000


class DiedError(BaseException):
    """The process is gone: nothing after this point happens in it."""


class LoopOrZero(LoopClock):
    """The loop's clock, also between two loops."""

    def monotonic(self) -> float:
        try:
            return super().monotonic()
        except RuntimeError:
            return 0.0


class Mortal:
    """A journal that dies with its process, at the nth reach of a point."""

    def __init__(self, journal: Journal, point: str = "", nth: int = 1) -> None:
        self._journal = journal
        self._point, self._nth = point, nth
        self._count = itertools.count(1)
        self.dead = False
        self.reached: list[str] = []

    def hook(self, name: str) -> None:
        """Install it as the probe's hook."""
        self.reached.append(name)
        if self.dead or (name == self._point and next(self._count) == self._nth):
            self.dead = True
            raise DiedError(name)

    def __getattr__(self, name: str) -> Any:
        if self.dead:
            raise DiedError(name)
        return getattr(self._journal, name)


@dataclass(slots=True)
class Watched(LedgerWorld):
    """The ledger, which also looks into the journal at the moment of each call.

    `calls` and `undos` hold (seat or booking, key) of every try; `seen` the stage each call was in on record.
    """

    journal: MemoryJournal | None = None
    calls: list[tuple[str, str]] = field(default_factory=list)
    undos: list[tuple[str, str]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    interrupted: int = 0

    async def book(self, call: Call, context: CallContext) -> Any:
        self.calls.append((call.args["seat"], context.idempotency_key))
        await self._look(lambda row: bool(row.idem_key == context.idempotency_key))
        try:
            # Named: `super()` without arguments does not work in a class with slots.
            return await LedgerWorld.book(self, call, context)
        except asyncio.CancelledError:
            self.interrupted += 1
            raise

    async def cancel(self, call: Call, context: CallContext) -> Any:
        self.undos.append((call.args["booking"], context.idempotency_key))
        await self._look(lambda row: bool(row.comp_key == context.idempotency_key))
        return await LedgerWorld.cancel(self, call, context)

    async def _look(self, mine: Callable[[Any], bool]) -> None:
        assert self.journal is not None
        rows = await self.journal.snapshot()
        self.seen.append(next((str(row.stage) for row in rows.effects if mine(row)), "nothing"))


@dataclass(slots=True)
class Stand:
    """A world, a journal, and processes that come and go. `offers` goes to `LedgerWorld.judge`."""

    offers: Mapping[str, Any] = field(default_factory=dict)
    latency: dict[str, float] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    world: Watched = field(init=False)
    journal: MemoryJournal = field(init=False)

    def __post_init__(self) -> None:
        self.journal = MemoryJournal(LoopOrZero(), is_dead=lambda owner: owner in self.dead)
        self.world = Watched(latency=self.latency, journal=self.journal)

    def core(
        self, owner: str, *, mortal: Mortal | None = None, seed: int = 0, tries: int = 3
    ) -> ScriptedCore:
        """A process of that name."""
        return ScriptedCore(
            self.world.tools(),
            self.world.judge(**self.offers),
            mortal or self.journal,
            owner=owner,
            seed=seed,
            persistence=Persistence(tries=tries, pause=0.1),
        )

    async def dies(
        self, body: Callable[[ScriptedCore], Awaitable[None]], point: str = "", nth: int = 1, **options: Any
    ) -> Mortal:
        """Run `body` in the process `first` until it dies there, or to its end."""
        mortal = Mortal(self.journal, point, nth)
        previous = install(mortal.hook)
        before = asyncio.all_tasks()
        try:
            task = asyncio.ensure_future(_as_coroutine(body(self.core("first", mortal=mortal, **options))))
            await asyncio.wait({task})
            error = None if task.cancelled() else task.exception()
            if error is not None and not mortal.dead:
                raise error
            mortal.dead = True
            # Whatever else was going on in the process is gone as well.
            others = asyncio.all_tasks() - before
            for other in others:
                other.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        finally:
            install(previous)
            self.dead.add("first")
        return mortal

    async def at_rest(self, *, stuck: int = 0) -> Snapshot:
        """What every end has in common: rows without a violation, and a world that they describe.

        What is not at rest waits for something that is stuck and builds on it.
        """
        rows = await self.journal.snapshot()
        found = verify(rows)
        assert found == (), found
        held = held_by_stuck(rows)
        waits = {row.effect_id for row in rows.effects if row.stage not in RESTING}
        assert waits <= held, [row.stage for row in rows.effects]
        doubtful = [row for row in rows.effects if row.stage is Stage.STUCK or row.effect_id in waits]
        assert len(doubtful) - len(waits) == stuck, [row.error for row in rows.effects]
        unsure = {row.idem_key for row in doubtful}
        kept = {row.idem_key for row in rows.effects if row.stage is Stage.COMMITTED} - unsure
        stands = {key for key, seat in self.world.bookings.items() if seat} - unsure
        assert stands == kept, "a booking stands if and only if the real run took it or made it"
        taken = [key for kind, _, key in self.world.log if kind == "cancel"]
        assert len(taken) == len(set(taken)), "nothing is undone twice"
        tries: dict[str, set[str]] = {}
        for booking, key in self.world.undos:
            tries.setdefault(booking, set()).add(key)
        assert all(len(keys) == 1 for keys in tries.values()), "every try of an undo carries one key"
        return rows


def held_by_stuck(rows: Snapshot) -> frozenset[str]:
    """Ids of the effects on which something stuck builds, directly or over others."""
    held = {row.effect_id for row in rows.effects if row.stage is Stage.STUCK}
    found: set[str] = set()
    while held:
        held = {pair.needs_id for pair in rows.dependencies if pair.effect_id in held} - found
        found |= held
    return frozenset(found)


async def _as_coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable


def check(function: Check) -> Check:
    """Add a check to the proof."""
    _checks[getattr(function, "__name__", repr(function))] = function
    return function


def prove(name: str, *, seed: int = 0) -> None:
    """Run one check, on a seeded loop of its own.

    Raises:
        AssertionError: the code breaks what the check is about.
    """
    run(PROOF[name](), seed=seed, leaks="cancel", max_steps=MAX_STEPS)
